//! `plan`: what a changed registry would do.

use std::path::{Path, PathBuf};

use clap::Args;
use supervisor_control::wire::{ChangedFieldDocument, PlanDocument, PlannedDocument};

use crate::arguments::Place;
use crate::exit::{Ended, Exit, Failure};
use crate::{control, say};

/// `plan`
#[derive(Args, Debug)]
pub(crate) struct PlanOf {
    /// The registry [default: the one that the supervisor was started with, as it is now]
    #[arg(value_name = "REGISTRY")]
    file: Option<PathBuf>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) const HELP: &str = "\
The running supervisor reads the registry, with its own settings, environment
and install folder, and compares it with what it supervises. A line for each
component that is not as it was:

  restart  it takes another process; the fields that force that follow
  start    it is new, or had failed and is tried anew as it is now
  stop     it is no more
  change   its process is not touched: it is supervised differently
  add      it is new and does not start by itself
  remove   it is no more and did not run

Exit codes:
  0    nothing would change
  2    the registry is not in order; everything that is wrong is named
  7    the supervisor is not running
  152  there are changes

Examples:
  s7supervisor plan
  s7supervisor plan conf/SupervisorRegistry.xml --json";

/// Shows what would change.
pub(crate) fn plan(place: &Place, asked: &PlanOf) -> Ended {
    let registry = absolute(asked.file.as_deref())?;
    let client = control::connected(place)?;
    let plan = client.plan(registry).map_err(|error| control::failure(&error))?;
    if asked.json {
        let text = serde_json::to_string_pretty(&plan)
            .map_err(|error| Failure::failed(format!("cannot write the plan as JSON: {error}")))?;
        say::answer(&text);
    } else {
        lines(&plan).iter().for_each(|line| say::answer(line));
        say::answer(&summary(&plan));
    }
    Ok(if plan.is_empty() { Exit::Done } else { Exit::Changes })
}

/// The registry as the supervisor has to know it, which may stand in another folder.
pub(super) fn absolute(file: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
    let absolute = file.map(std::path::absolute).transpose();
    absolute.map_err(|error| Failure::failed(format!("cannot find the registry: {error}")))
}

/// A line for each component that is not as it was, and one for what changes of the supervisor itself.
pub(super) fn lines(plan: &PlanDocument) -> Vec<String> {
    let width = plan.components.iter().map(|planned| planned.id.len()).max().unwrap_or_default();
    let mut lines: Vec<_> = plan.components.iter().map(|planned| line(planned, width)).collect();
    if !plan.supervisor.is_empty() {
        lines.push(format!("the supervisor itself: {}", told(&plan.supervisor, false)));
    }
    lines.into_iter().map(say::printable).collect()
}

fn line(planned: &PlannedDocument, width: usize) -> String {
    let PlannedDocument { id, action, fields, becomes } = planned;
    let mut what = told(fields, matches!(action.as_str(), "restart" | "start"));
    if !becomes.is_empty() {
        what = format!("becomes {} (instances)", becomes.join(", "));
    }
    format!("{action:7}  {id:width$}  {what}").trim_end().to_owned()
}

/// The fields, those that force it first, and when the others take effect. `is_begun`: that is at the same time.
fn told(fields: &[ChangedFieldDocument], is_begun: bool) -> String {
    let of = |effects: &[&str]| -> Vec<_> {
        let has = |field: &&ChangedFieldDocument| effects.contains(&field.effect.as_str());
        fields.iter().filter(has).map(|field| field.name.as_str()).collect()
    };
    let forcing = of(&["restart"]);
    let later = if is_begun { Vec::new() } else { [forcing.clone(), of(&["nextRun"])].concat() };
    let at_once = of(&["atOnce"]);
    let parts = [
        (if is_begun { forcing } else { Vec::new() }, ""),
        (at_once, if is_begun { "besides: " } else { "at once: " }),
        (if is_begun { of(&["nextRun"]) } else { Vec::new() }, "besides: "),
        (later, "from the next run on: "),
        (of(&["beginning"]), "when the supervisor is started the next time: "),
    ];
    let parts = parts.iter().filter(|(names, _)| !names.is_empty());
    parts.map(|(names, when)| format!("{when}{}", names.join(", "))).collect::<Vec<_>>().join("; ")
}

/// How many there are of each.
pub(super) fn summary(plan: &PlanDocument) -> String {
    let count = |action: &str| plan.components.iter().filter(|planned| planned.action == action).count();
    let actions = ["stop", "remove", "restart", "start", "add", "change"];
    let counts = actions.map(|action| (count(action), action)).into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<_> = counts.map(|(count, action)| format!("{count} to {action}")).collect();
    let unchanged = plan.unchanged;
    match counts.is_empty() {
        true => format!("no component changes, of {unchanged}"),
        false => format!("{}; {unchanged} as they are", counts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(action: &str, fields: &[(&str, &str)]) -> PlannedDocument {
        let field = |(name, effect): &(&str, &str)| ChangedFieldDocument {
            name: (*name).to_owned(),
            effect: (*effect).to_owned(),
        };
        PlannedDocument {
            id: "ps".into(),
            action: action.into(),
            fields: fields.iter().map(field).collect(),
            becomes: Vec::new(),
        }
    }

    #[test]
    fn a_line_names_what_forces_it_and_when_the_rest_takes_effect() {
        let restart = planned("restart", &[("arguments", "restart"), ("stop", "atOnce")]);
        assert_eq!(line(&restart, 4), "restart  ps    arguments; besides: stop");
        let fields = [("arguments", "restart"), ("health", "atOnce"), ("autostart", "beginning")];
        assert_eq!(
            line(&planned("change", &fields), 2),
            "change   ps  at once: health; from the next run on: arguments; when the supervisor is started the next \
             time: autostart"
        );
        assert_eq!(line(&planned("start", &[]), 2), "start    ps");
        let renamed = PlannedDocument { becomes: vec!["ps-1".into()], ..planned("stop", &[]) };
        assert_eq!(line(&renamed, 2), "stop     ps  becomes ps-1 (instances)");
    }

    #[test]
    fn the_summary_counts_them() {
        let components = vec![planned("restart", &[]), planned("restart", &[]), planned("stop", &[])];
        let plan = PlanDocument { components, unchanged: 47, ..PlanDocument::default() };
        assert_eq!(summary(&plan), "1 to stop, 2 to restart; 47 as they are");
        let nothing = PlanDocument { unchanged: 50, ..PlanDocument::default() };
        assert_eq!(summary(&nothing), "no component changes, of 50");
    }
}
