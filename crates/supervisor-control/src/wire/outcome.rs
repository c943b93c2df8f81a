//! What came of a request, or why it was refused.

use serde::{Deserialize, Serialize};
use supervisor::{Achieved, ComponentId, Outcome};

/// The answer to a request that changes something, or waits for a change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutcomeDocument {
    /// Whether this is the end of it. `false`: it was taken up and goes on; whoever asked did not want to wait longer.
    pub finished: bool,
    /// Each component that the request was about, in start order. Empty unless finished.
    pub components: Vec<ComponentOutcome>,
    /// Of a shutdown: the essential component that was given up, where that is its reason.
    #[serde(default)]
    pub given_up: Option<String>,
    /// Of an apply that was to be confirmed: why everything is as it was before. The components are then those that were touched to
    /// go back.
    #[serde(default)]
    pub gone_back: Option<String>,
}

/// What came of a request for one component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentOutcome {
    /// Its name.
    pub id: String,
    /// Whether it was asked for. If not, it is here for the sake of one that was, because one of the two needs the other.
    #[serde(default = "yes")]
    pub asked: bool,
    /// What came of it.
    pub result: OutcomeKind,
    /// Where it did not come to be: why, in words; of a `rotate`, also where there is no file to end.
    pub message: Option<String>,
    /// Of `blocked`: the component that it waits for.
    #[serde(default)]
    pub waiting_for: Option<String>,
    /// Of `blocked`: what that one is doing instead of what is needed of it: `tripped`.
    #[serde(default)]
    pub waiting_for_state: Option<String>,
    /// Of `unkillable`: the processes that did not end.
    pub pids: Option<Vec<u32>>,
}

/// What came of a request for one component, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OutcomeKind {
    /// It has happened.
    Done,
    /// It was so already.
    Already,
    /// The first try failed; if its policy says so, the tries go on.
    FailedStart,
    /// Its start goes on: another one that was asked for with it has failed, so that the answer did not wait.
    UnderWay,
    /// It waits for a component that it needs, and that may never come to what is needed of it by itself.
    Blocked,
    /// It has no process that could be told.
    NotRunning,
    /// It was tried, and failed.
    Failed,
    /// Somebody asked for the contrary before it had happened.
    Overtaken,
    /// Some of its processes did not end even when they were killed.
    Unkillable,
    /// Something that this version does not know; it is no success.
    #[serde(other)]
    Other,
}

/// Why a request was refused, as RFC 9457 has it: <https://www.rfc-editor.org/rfc/rfc9457>.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemDocument {
    /// `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type", default = "about_blank")]
    pub kind: String,
    /// The status in words: `Not Found`.
    #[serde(default)]
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What could not be done, why, and what to do.
    #[serde(default)]
    pub detail: String,
    /// Only where a stop was refused because of them: the running components that depend on what was to stop.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependants: Vec<String>,
    /// Only where a registry was refused: everything that is wrong with it, a text each with its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

fn about_blank() -> String {
    "about:blank".to_owned()
}

fn yes() -> bool {
    true
}

impl OutcomeDocument {
    /// What came of a request. Of its components, those were asked for of which `asked` says so.
    pub(crate) fn new(outcome: &Outcome, asked: impl Fn(&ComponentId) -> bool) -> Self {
        let components = outcome.components.iter();
        let document = |(id, achieved): &(ComponentId, Achieved)| ComponentOutcome {
            asked: asked(id),
            ..ComponentOutcome::new(id, achieved)
        };
        Self {
            finished: true,
            components: components.map(document).collect(),
            given_up: outcome.given_up.as_ref().map(ToString::to_string),
            gone_back: outcome.gone_back.as_ref().map(ToString::to_string),
        }
    }

    /// Whether all that was asked for is so.
    #[must_use]
    pub fn is_success(&self) -> bool {
        let is_well = self.components.iter().all(|component| component.result.is_success());
        self.finished && self.gone_back.is_none() && is_well
    }
}

impl OutcomeKind {
    /// Whether what was asked for is so.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(self, Self::Done | Self::Already)
    }
}

impl ComponentOutcome {
    fn new(id: &ComponentId, achieved: &Achieved) -> Self {
        let plain = |result, message: Option<String>| Self {
            id: id.to_string(),
            asked: true,
            result,
            message,
            waiting_for: None,
            waiting_for_state: None,
            pids: None,
        };
        let told = |result, message: &str| plain(result, Some(message.to_owned()));
        match achieved {
            Achieved::Done => plain(OutcomeKind::Done, None),
            Achieved::AlreadySo => plain(OutcomeKind::Already, None),
            Achieved::FailedStart(end) => told(OutcomeKind::FailedStart, &end.to_string()),
            Achieved::Blocked { on, state } => Self {
                waiting_for: Some(on.to_string()),
                waiting_for_state: Some((*state).to_owned()),
                ..told(
                    OutcomeKind::Blocked,
                    &match *state {
                        "waiting" => format!("waits for {on}, which waits itself"),
                        state => format!("waits for {on}: {state}"),
                    },
                )
            },
            Achieved::UnderWay => told(OutcomeKind::UnderWay, "its start goes on"),
            Achieved::NotStored => told(OutcomeKind::Already, "its output is not stored"),
            Achieved::NotRunning => told(OutcomeKind::NotRunning, "it has no process that could be told"),
            Achieved::Failed(why) => told(OutcomeKind::Failed, why),
            Achieved::Overtaken => {
                told(OutcomeKind::Overtaken, "somebody asked for the contrary before it had happened")
            }
            Achieved::Unkillable(pids) => {
                let message = "some of its processes did not end even when they were killed";
                Self { pids: Some(pids.clone()), ..told(OutcomeKind::Unkillable, message) }
            }
            _ => plain(OutcomeKind::Other, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use supervisor::{End, Exit};

    fn document(achieved: Achieved) -> OutcomeDocument {
        let components = vec![(ComponentId::new("ps").unwrap(), achieved)];
        OutcomeDocument::new(&Outcome { components, ..Outcome::default() }, |_| true)
    }

    fn told(achieved: Achieved) -> Value {
        serde_json::to_value(document(achieved)).unwrap()["components"][0].clone()
    }

    #[test]
    fn an_outcome_is_a_success_only_when_it_is_finished_and_every_part_is() {
        let on = ComponentId::new("is").unwrap();
        assert!(document(Achieved::Done).is_success());
        assert!(document(Achieved::AlreadySo).is_success());
        assert!(document(Achieved::NotStored).is_success());
        for achieved in [
            Achieved::Overtaken,
            Achieved::Unkillable(vec![7]),
            Achieved::FailedStart(End::Exited(Exit::Code(1))),
            Achieved::Blocked { on, state: "tripped" },
            Achieved::NotRunning,
            Achieved::Failed("exit code 1".into()),
        ] {
            assert!(!document(achieved.clone()).is_success(), "{achieved:?}");
        }
        assert!(!OutcomeDocument::default().is_success());
    }

    #[test]
    fn what_stands_in_the_way_is_told_for_people_and_for_programs() {
        assert_eq!(told(Achieved::Unkillable(vec![7]))["pids"], json!([7]));
        let blocked = told(Achieved::Blocked { on: ComponentId::new("is").unwrap(), state: "tripped" });
        assert_eq!(blocked["message"], "waits for is: tripped");
        assert_eq!(
            (&blocked["result"], &blocked["waitingFor"], &blocked["waitingForState"]),
            (&json!("blocked"), &json!("is"), &json!("tripped"))
        );
        assert_eq!(told(Achieved::Failed("exit code 1".into()))["message"], "exit code 1");
        assert_eq!(told(Achieved::NotRunning)["result"], "notRunning");
    }

    #[test]
    fn who_was_not_asked_for_and_who_was_given_up_is_told() {
        let id = |id: &str| ComponentId::new(id).unwrap();
        let components = vec![(id("is"), Achieved::Done), (id("ps"), Achieved::Done)];
        let outcome = Outcome { components, given_up: Some(id("is")), ..Outcome::default() };
        let document = OutcomeDocument::new(&outcome, |id| id == "ps");
        assert_eq!(document.components.iter().map(|one| one.asked).collect::<Vec<_>>(), [false, true]);
        assert_eq!(document.given_up.as_deref(), Some("is"));
    }

    #[test]
    fn a_newer_answer_can_be_read_and_so_can_an_older_one() {
        let newer = json!({"finished": true, "new": 1, "components": [
            {"id": "ps", "result": "postponed", "message": null, "pids": null, "new": 2}]});
        let read: OutcomeDocument = serde_json::from_value(newer).unwrap();
        assert_eq!(read.components[0].result, OutcomeKind::Other);
        assert!(read.components[0].asked);
        assert!(!read.is_success());
    }
}
