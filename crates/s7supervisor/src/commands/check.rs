//! `check`: is the registry right, and what does it say?

use serde::Serialize;
use serde_json::Value;
use supervisor::ProcessSpec;
use supervisor::registry::{Problem, Registry, RegistryError};
use supervisor_control::wire::declared_dependency;

use crate::arguments::{Check, Place};
use crate::exit::{Ended, Exit, Failure};
use crate::say;
use crate::shell;

pub(crate) const HELP: &str = "\
Each problem is a line file:line:column: what, why; all of them are told at
once, those of included files too. On a terminal, the line of the file is shown.

Exit codes:
  0  the registry is valid; there may be warnings on standard error
  2  it is not, or cannot be read

Examples:
  s7supervisor check
  s7supervisor check /srv/ps/conf/SupervisorRegistry.xml --json";

/// Names every problem of the registry, or summarizes its components and names what is probably not meant.
pub(crate) fn check(place: &Place, asked: &Check) -> Ended {
    let loaded = Registry::load(&place.find_registry(asked.file.as_deref())?, &place.options());
    let exit = if loaded.is_ok() { Exit::Done } else { Exit::Invalid };
    match loaded {
        loaded if asked.json => print_json(&Report::new(&loaded))?,
        Ok(registry) => summarize(&registry),
        Err(error) => say::tell(&say::problems(&error)),
    }
    Ok(exit)
}

fn summarize(registry: &Registry) {
    for spec in &registry.components {
        let command_line = shell::command_line(spec);
        let needed = spec.depends_on.iter().map(|it| format!(", {} {}", it.on, it.condition));
        let needed = needed.collect::<String>();
        let after = needed.strip_prefix(", ").map(|needed| format!(", after {needed}")).unwrap_or_default();
        say::answer(&format!("{} (priority {}{after}): {command_line}", spec.id, spec.start_priority));
    }
    for warning in registry.warnings() {
        say::tell(&format!("warning: {warning}"));
    }
    let path = registry.path.display();
    let count = registry.components.len();
    let noun = if count == 1 { "component" } else { "components" };
    say::tell(&format!("{path} is valid and has {count} {noun}"));
}

fn print_json(report: &Report) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(report)
        .map_err(|error| Failure::failed(format!("cannot write what was found as JSON: {error}")))?;
    say::answer(&text);
    Ok(())
}

/// What `check --json` prints.
#[derive(Serialize)]
struct Report {
    valid: bool,
    problems: Vec<ProblemReport>,
    warnings: Vec<String>,
    components: Vec<ComponentReport>,
}

#[derive(Serialize)]
struct ProblemReport {
    file: String,
    line: usize,
    column: usize,
    message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ComponentReport {
    id: String,
    start_priority: u16,
    command_line: String,
    depends_on: Vec<Value>,
}

impl Report {
    fn new(loaded: &Result<Registry, RegistryError>) -> Self {
        let problems = loaded.as_ref().err().map(RegistryError::problems).unwrap_or_default();
        let components = loaded.as_ref().map(|registry| registry.components.as_slice()).unwrap_or_default();
        Self {
            valid: loaded.is_ok(),
            problems: problems.iter().map(ProblemReport::new).collect(),
            warnings: loaded.as_ref().map(Registry::warnings).unwrap_or_default(),
            components: components.iter().map(ComponentReport::new).collect(),
        }
    }
}

impl ProblemReport {
    fn new(problem: &Problem) -> Self {
        Self {
            file: problem.file.to_string_lossy().into_owned(),
            line: problem.line,
            column: problem.column,
            message: problem.message.clone(),
        }
    }
}

impl ComponentReport {
    fn new(spec: &ProcessSpec) -> Self {
        Self {
            id: spec.id.to_string(),
            start_priority: spec.start_priority,
            command_line: shell::command_line(spec),
            depends_on: spec.depends_on.iter().map(declared_dependency).collect(),
        }
    }
}
