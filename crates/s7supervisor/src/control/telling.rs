//! What is waited for and what came of it, in the words of what was asked for.

use supervisor::{Dependants, Until};
use supervisor_control::Action;
use supervisor_control::wire::{ComponentOutcome, OutcomeDocument, OutcomeKind};

use crate::say;

/// What to wait for: `ps, is to come up`. `None` where it has happened as soon as it was asked for.
pub(super) fn awaited(action: Action, ids: &[String]) -> Option<String> {
    let to = match action {
        Action::Start => "come up",
        Action::Stop | Action::StopWith(_) | Action::WaitFor(Until::Stopped) => "stop",
        Action::Restart => "come up again",
        Action::Reload => "reload",
        Action::WaitFor(Until::Ready) => "be ready",
        Action::WaitFor(Until::Started) => "start",
        Action::Reset | Action::Rotate | Action::Signal(_) => return None,
    };
    Some(say::printable(format!("{} to {to}", ids.join(", "))))
}

/// Tells of each component what came of it: what is well to standard output, unless that has the JSON document, and the
/// rest to standard error.
pub(crate) fn tell(action: Action, outcome: &OutcomeDocument, json: bool) {
    for component in &outcome.components {
        let Some(line) = line(action, component).map(say::printable) else { continue };
        match component.result.is_success() {
            true if json => {}
            true => say::answer(&line),
            false => say::tell(&line),
        }
    }
}

/// What came of it for one component. `None` where that says nothing to anybody: it was not asked for, and nothing happened.
fn line(action: Action, component: &ComponentOutcome) -> Option<String> {
    let ComponentOutcome { id, asked, .. } = component;
    let why = component.message.as_deref().unwrap_or("for an unknown reason");
    let done = done(action);
    let told = match component.result {
        OutcomeKind::Done if *asked => done,
        OutcomeKind::Done => format!("{done} too: {}", sake(action)),
        OutcomeKind::Already if !asked => return None,
        OutcomeKind::Already => component.message.clone().unwrap_or_else(|| already(action)),
        OutcomeKind::FailedStart => format!(
            "did not start: {why}; if its policy says so, the tries go on: see `s7supervisor why {id}`"
        ),
        OutcomeKind::UnderWay => format!("its start goes on: see `s7supervisor status {id}`"),
        OutcomeKind::Blocked => {
            let on = component.waiting_for.as_deref().unwrap_or(id);
            return Some(format!("{id} {why}; see `s7supervisor why {on}`"));
        }
        OutcomeKind::NotRunning => format!("not {done}: {why}; start it with `s7supervisor start {id}`"),
        OutcomeKind::Unkillable => {
            let pids = component.pids.iter().flatten().map(u32::to_string).collect::<Vec<_>>().join(", ");
            format!("not {done}: {why}: {pids}; see what the kernel keeps them busy with")
        }
        OutcomeKind::Failed | OutcomeKind::Overtaken | OutcomeKind::Other => format!("not {done}: {why}"),
    };
    Some(format!("{id}: {told}"))
}

/// What is true when it has happened.
fn done(action: Action) -> String {
    match action {
        Action::Start | Action::WaitFor(Until::Started) => "started".to_owned(),
        Action::Stop | Action::StopWith(_) | Action::WaitFor(Until::Stopped) => "stopped".to_owned(),
        Action::Restart => "restarted".to_owned(),
        Action::Reset => "reset".to_owned(),
        Action::Reload => "reloaded".to_owned(),
        Action::Rotate => "rotated".to_owned(),
        Action::Signal(signal) => format!("sent {signal}"),
        Action::WaitFor(Until::Ready) => "ready".to_owned(),
    }
}

/// What is true when it was so already.
fn already(action: Action) -> String {
    match action {
        Action::Start | Action::Restart => "already up".to_owned(),
        Action::Stop | Action::StopWith(_) => "already stopped".to_owned(),
        Action::Reset => "there was nothing to forget".to_owned(),
        Action::Rotate => "there is nothing in it".to_owned(),
        Action::Reload | Action::Signal(_) | Action::WaitFor(_) => done(action),
    }
}

/// Why something happens to a component that was not asked for.
fn sake(action: Action) -> &'static str {
    match action {
        Action::StopWith(Dependants::Stop) => "it depends on what was asked for",
        _ => "what was asked for depends on it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use supervisor::Signal;

    fn outcome(kind: OutcomeKind) -> ComponentOutcome {
        ComponentOutcome {
            id: "ps".into(),
            asked: true,
            result: kind,
            message: (!kind.is_success()).then(|| "exit code 1".into()),
            waiting_for: None,
            waiting_for_state: None,
            pids: Some(vec![41]),
        }
    }

    fn told(action: Action, kind: OutcomeKind) -> String {
        line(action, &outcome(kind)).unwrap()
    }

    #[test]
    fn an_outcome_is_told_in_the_words_of_what_was_asked_for() {
        assert_eq!(told(Action::Start, OutcomeKind::Done), "ps: started");
        assert_eq!(told(Action::Start, OutcomeKind::Already), "ps: already up");
        assert_eq!(told(Action::Stop, OutcomeKind::Already), "ps: already stopped");
        assert_eq!(told(Action::Signal(Signal::HUP), OutcomeKind::Done), "ps: sent SIGHUP");
        assert_eq!(told(Action::WaitFor(Until::Ready), OutcomeKind::Already), "ps: ready");
        assert_eq!(told(Action::Reload, OutcomeKind::Failed), "ps: not reloaded: exit code 1");
        let unstored = ComponentOutcome {
            message: Some("its output is not stored".into()),
            ..outcome(OutcomeKind::Already)
        };
        assert_eq!(line(Action::Rotate, &unstored).unwrap(), "ps: its output is not stored");
        assert!(told(Action::Restart, OutcomeKind::FailedStart).contains("exit code 1"));
        assert!(told(Action::Start, OutcomeKind::UnderWay).contains("status ps"));
        assert!(told(Action::Stop, OutcomeKind::Unkillable).contains("41"));
        assert!(told(Action::Reload, OutcomeKind::NotRunning).contains("start ps"));
    }

    #[test]
    fn what_stands_in_the_way_is_named() {
        let blocked = ComponentOutcome {
            message: Some("waits for is: tripped".into()),
            waiting_for: Some("is".into()),
            ..outcome(OutcomeKind::Blocked)
        };
        let line = line(Action::Start, &blocked).unwrap();
        assert!(line.starts_with("ps waits for is: tripped; ") && line.contains(" is`"), "{line}");
    }

    #[test]
    fn of_what_was_not_asked_for_only_a_change_is_told_and_why_it_came() {
        let unasked = |kind| ComponentOutcome { asked: false, ..outcome(kind) };
        let started = line(Action::Start, &unasked(OutcomeKind::Done)).unwrap();
        assert_eq!(started, "ps: started too: what was asked for depends on it");
        let stopped = line(Action::StopWith(Dependants::Stop), &unasked(OutcomeKind::Done)).unwrap();
        assert_eq!(stopped, "ps: stopped too: it depends on what was asked for");
        assert_eq!(line(Action::Start, &unasked(OutcomeKind::Already)), None);
        assert!(line(Action::Start, &unasked(OutcomeKind::FailedStart)).is_some());
    }
}
