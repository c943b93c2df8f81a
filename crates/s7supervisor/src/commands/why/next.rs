//! What happens next by itself, and what people can do where nothing does.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use supervisor::Short;
use supervisor_control::wire::{ComponentDocument, What};

/// What happens next by itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Next {
    /// `try`: the next run begins; `kill`: what is left is killed; `wait`: it waits for another; `none`: nothing.
    pub(super) what: &'static str,
    /// In so many seconds, where that is certain.
    pub(super) after: Option<f64>,
    /// The same as a time.
    pub(super) at: Option<String>,
    /// The same for people.
    pub(super) text: String,
}

impl Next {
    pub(super) fn nothing() -> Self {
        Self { what: "none", text: "nothing by itself".to_owned(), ..Self::default() }
    }

    /// `newest` is what made its state, where the journal tells it; `root` the last of those that it waits for.
    pub(super) fn of(
        component: &ComponentDocument,
        newest: Option<&What>,
        root: Option<&ComponentDocument>,
        now: SystemTime,
    ) -> Self {
        let (what, text) = Self::in_words(component, newest, root);
        let after = component.next_try.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let at = after
            .and_then(|after| now.checked_add(after))
            .map(|at| DateTime::<Utc>::from(at).to_rfc3339_opts(SecondsFormat::Millis, true));
        Self { what, after: component.next_try, at, text }
    }

    fn in_words(
        component: &ComponentDocument,
        newest: Option<&What>,
        root: Option<&ComponentDocument>,
    ) -> (&'static str, String) {
        let id = &component.id;
        match component.state.as_str() {
            "backoff" if matches!(newest, Some(What::Backoff { for_budget: true, .. })) => {
                ("try", "it is tried again, when the restart budget of all components allows it,".to_owned())
            }
            "backoff" if matches!(newest, Some(What::Backoff { for_want: true, .. })) => {
                ("try", "it is tried again, until what is lacking is there,".to_owned())
            }
            "backoff" | "tripped" => ("try", "it is tried again".to_owned()),
            "waiting" => ("wait", after_others(component.waiting_for.as_deref(), root)),
            "starting" => ("wait", "it is up when it is ready, or has run for its start delay".to_owned()),
            "stopping" if component.survivors.is_some() => {
                ("wait", "nothing until what was killed and lives on has ended".to_owned())
            }
            "stopping" if matches!(newest, Some(What::Step { of, .. }) if of == "cleanup") => {
                ("wait", "its cleanup ends, or is killed when its time is up".to_owned())
            }
            "stopping" => ("kill", "what does not end in time is killed".to_owned()),
            "unready" if matches!(newest, Some(What::Unready { why }) if why == "ending") => {
                ("wait", "it said that it is about to end".to_owned())
            }
            "unready" => ("wait", "it is up again when it says so".to_owned()),
            "failed" => ("none", format!("nothing by itself: `s7supervisor start {id}` tries again")),
            "stopped" => ("none", format!("nothing until somebody starts it: `s7supervisor start {id}`")),
            _ => ("none", Self::nothing().text),
        }
    }
}

/// When it starts that waits for `on`, and what helps. `root` is the last one in a row of those that wait for each other.
fn after_others(on: Option<&str>, root: Option<&ComponentDocument>) -> String {
    let Some(on) = on else { return "it starts when it is its turn".to_owned() };
    let Some(root) = root else { return format!("it starts after {on}") };
    let (id, state) = (&root.id, &root.state);
    let who = if id == on { on.to_owned() } else { format!("{on}, which waits for {id}") };
    let starts = format!("it starts after {who}");
    let start = format!("`s7supervisor start {id}`");
    match state.as_str() {
        "stopped" => format!("{starts}, which is stopped: start {id} with {start}"),
        "stopping" if !root.wanted => format!("{starts}, which is being stopped: start {id} with {start}"),
        "failed" => {
            format!("{starts}, which was given up: see `s7supervisor why {id}`, and start {id} with {start}")
        }
        "completed" => format!("{starts}, which has completed: run {id} again with {start}"),
        "tripped" | "backoff" => {
            let next = root.next_try.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            let when = next.map(|next| format!(" in {}", Short(next))).unwrap_or_default();
            let has = if state == "tripped" { "restarted too often" } else { "failed" };
            format!("{starts}, which has {has} and is tried again{when}: {start} tries at once")
        }
        "unready" => format!("{starts}, which says that it is not ready"),
        "unhealthy" => format!("{starts}, which is not well: see `s7supervisor why {id}`"),
        "starting" | "stopping" => format!("{starts}, which is {state}"),
        _ => starts,
    }
}
