//! `status`: what the components are doing.
//!
//! - `page`: a single component, from all sides

mod page;

use std::path::Path;
use std::time::Duration;

use bytesize::ByteSize;
use supervisor::Short;
use supervisor_control::wire::{ComponentDocument, StatusDocument};
use supervisor_control::{Client, ClientError};

use crate::arguments::{Place, Status};
use crate::control;
use crate::exit::{Ended, Exit, Failure};
use crate::say;
use crate::table::{self, Column};

/// Shows the state of these components, or of all.
pub(crate) fn status(place: &Place, asked: &Status) -> Ended {
    let unknown = |failure: Failure| Failure { exit: Exit::Unknown, ..failure };
    let temp = place.find_temp().map_err(unknown)?;
    let Some(client) = control::connect_in(&temp).map_err(unknown)? else {
        return Ok(not_running(asked.json));
    };
    match client.status(&asked.ids) {
        Ok(document) => {
            let exit = exit(&document, asked.ids.is_empty());
            if asked.json {
                print_json(&document)?;
            } else {
                print(&client, &temp, document, !asked.ids.is_empty());
            }
            Ok(exit)
        }
        // It has ended between our connecting and asking.
        Err(ClientError::Closed { .. }) if is_gone(place, client) => Ok(not_running(asked.json)),
        Err(error) => Err(unknown(control::failure(&error))),
    }
}

fn is_gone(place: &Place, closed: Client) -> bool {
    drop(closed);
    matches!(control::connect(place), Ok(None))
}

fn not_running(json: bool) -> Exit {
    say::tell("the supervisor is not running; start it with `s7supervisor start`");
    if json {
        // In the order of the document that a supervisor gives.
        say::answer("{\n  \"supervisor\": null,\n  \"components\": []\n}");
    }
    Exit::Down
}

fn print_json(document: &StatusDocument) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(document)
        .map_err(|error| Failure::new(Exit::Unknown, format!("cannot write the status as JSON: {error}")))?;
    say::answer(&text);
    Ok(())
}

fn print(client: &Client, temp: &Path, document: StatusDocument, asked_for_some: bool) {
    let StatusDocument { supervisor, components } = document;
    for condition in supervisor.conditions {
        say::tell(&say::printable(condition));
    }
    // One that cannot tell more is ending, or older than this command.
    if let ([component], true) = (&*components, asked_for_some)
        && let Ok(detail) = client.detail(&component.id)
    {
        return page::show(temp, &detail, supervisor.began.as_deref());
    }
    say::answer(&table(components));
}

/// What else there is to know of a single component, a line each.
fn remarks(component: &ComponentDocument) -> Vec<String> {
    let told = [("it breaks a rule", &component.fault), ("it says", &component.note)];
    let lines = told.into_iter().filter_map(|(what, text)| Some(format!("{what}: {}", text.as_ref()?)));
    lines.map(say::printable).collect()
}

/// Exit code for these components; of `all`, only those count that are wanted, unless nothing is.
fn exit(document: &StatusDocument, all: bool) -> Exit {
    let counts =
        |component: &&ComponentDocument| !all || component.wanted || document.supervisor.shutting_down;
    Exit::worst(document.components.iter().filter(counts).map(exit_of))
}

fn exit_of(component: &ComponentDocument) -> Exit {
    match component.state.as_str() {
        "up" | "completed" => Exit::Done,
        "failed" | "tripped" => Exit::Failed,
        "stopped" => Exit::Down,
        "waiting" | "starting" | "backoff" | "stopping" | "unready" | "unhealthy" => Exit::OnItsWay,
        _ => Exit::Unknown,
    }
}

fn table(components: Vec<ComponentDocument>) -> String {
    let column = |heading, breaks| Column { heading, breaks };
    let columns = [
        column("ID", false),
        column("STATE", true),
        column("PID", false),
        column("UPTIME", false),
        column("MEMORY", false),
        column("CPU", false),
        column("RESTARTS", false),
        column("LAST EXIT", true),
    ];
    table::render(&columns, components.into_iter().map(row))
}

fn row(component: ComponentDocument) -> Vec<String> {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let state = state(&component);
    let last_exit = component.last_exit.map(|exit| exit.message);
    [
        component.id,
        state,
        or_none(component.pid.map(|pid| pid.to_string())),
        or_none(component.uptime.map(short)),
        or_none(component.memory.map(memory)),
        or_none(component.cpu.map(short)),
        component.restarts.to_string(),
        or_none(last_exit),
    ]
    .map(say::printable)
    .into()
}

/// The state, and what is wanted where that differs.
fn state(component: &ComponentDocument) -> String {
    let state = component.detail.as_ref().unwrap_or(&component.state);
    match (component.state.as_str(), component.wanted) {
        ("stopped" | "failed" | "stopping", true) => format!("{state}, wanted up"),
        ("up" | "unready" | "unhealthy" | "starting" | "waiting" | "backoff" | "tripped", false) => {
            format!("{state}, wanted down")
        }
        _ => state.clone(),
    }
}

fn memory(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec_short().to_string()
}

fn short(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or_else(|_| "-".to_owned(), |time| Short(time).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use supervisor_control::wire::{LastExit, SupervisorDocument};

    fn component(id: &str, state: &str, wanted: bool) -> ComponentDocument {
        ComponentDocument { id: id.into(), state: state.into(), wanted, ..ComponentDocument::default() }
    }

    fn code(all: bool, components: &[(&str, bool)]) -> u8 {
        let components = components.iter().map(|(state, wanted)| component("x", state, *wanted)).collect();
        exit(&StatusDocument { supervisor: SupervisorDocument::default(), components }, all).code()
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst_component_that_counts() {
        assert_eq!(code(true, &[("up", true), ("completed", true)]), 0);
        assert_eq!(code(true, &[("up", true), ("starting", true)]), 150);
        assert_eq!(code(true, &[("starting", true), ("failed", true)]), 1);
        assert_eq!(code(true, &[("up", true), ("stopped", false)]), 0);
        assert_eq!(code(false, &[("up", true), ("stopped", false)]), 3);
        assert_eq!(code(false, &[("backoff", true), ("stopped", false)]), 3);
        assert_eq!(code(true, &[("failed", true), ("meditating", true)]), 4);
        assert_eq!(code(true, &[("up", true), ("unready", true)]), 150);
        assert_eq!(code(true, &[("up", true), ("unhealthy", true)]), 150);
        assert_eq!(code(true, &[("unhealthy", true), ("tripped", true)]), 1);
    }

    #[test]
    fn while_everything_stops_the_answer_is_that_it_is_on_its_way() {
        let supervisor = SupervisorDocument { shutting_down: true, ..SupervisorDocument::default() };
        let components = vec![component("ps", "stopping", false)];
        assert_eq!(exit(&StatusDocument { supervisor, components }, true), Exit::OnItsWay);
    }

    #[test]
    fn what_is_wanted_is_said_where_it_differs() {
        assert_eq!(state(&component("ps", "up", true)), "up");
        assert_eq!(state(&component("ps", "stopped", false)), "stopped");
        assert_eq!(state(&component("ps", "stopped", true)), "stopped, wanted up");
        assert_eq!(state(&component("ps", "up", false)), "up, wanted down");
        assert_eq!(state(&component("ps", "stopping", false)), "stopping");
    }

    #[test]
    fn of_a_single_component_its_own_words_and_its_fault_are_told_in_a_line_each() {
        let component = ComponentDocument {
            note: Some("loading\nindex".into()),
            fault: Some("health check failed: 500".into()),
            ..component("ps", "unhealthy", true)
        };
        let lines = remarks(&component);
        assert_eq!(lines[0], "it breaks a rule: health check failed: 500");
        assert_eq!(lines[1], r"it says: loading\nindex");
        assert_eq!(remarks(&ComponentDocument::default()).len(), 0);
    }

    #[test]
    fn the_table_fits_80_columns_and_orders_no_terminal_about() {
        let busy = ComponentDocument {
            id: "platform-server".into(),
            state: "backoff".into(),
            detail: Some("backoff 8s (3)".into()),
            wanted: true,
            pid: Some(4_194_304),
            uptime: Some(93_784.5),
            memory: Some(1_288_490_189),
            cpu: Some(184.2),
            restarts: 1234,
            last_exit: Some(LastExit {
                code: None,
                signal: Some("SEGV".into()),
                core_dumped: true,
                message: "SIGSEGV (core dumped)".into(),
            }),
            ..ComponentDocument::default()
        };
        let idle = ComponentDocument {
            id: "is".into(),
            state: "stop\u{1b}[2Jped".into(),
            ..component("is", "", true)
        };
        let text = table(vec![busy, idle]);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        for fact in ["platform-server", "4194304", "1d 2h", "1.2G", "3m 4s", "1234"] {
            assert!(text.contains(fact), "{fact} in\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}
