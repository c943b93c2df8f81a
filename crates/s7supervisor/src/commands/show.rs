//! `show`: what will really be run.

mod paragraph;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use humantime::format_duration;
use serde_json::json;
use supervisor::registry::Registry;
use supervisor::{OnGiveUp, ProcessSpec};
use supervisor_control::wire::{declared, declared_budget, variables_in_force};

use crate::arguments::{Place, Show};
use crate::exit::{Ended, Exit};
use crate::naming::choose;
use crate::say;

use paragraph::paragraph;

pub(crate) const HELP: &str = "\
The registry is read as `run` would read it now; a supervisor that runs may have
read it when it was another one. Secrets are named and not shown.

Examples:
  s7supervisor show
  s7supervisor show 'web-*' --set SV::PsHeapSize=1g
  s7supervisor show conf/SupervisorRegistry.xml ps --json";

/// Shows these components of the registry, or all.
pub(crate) fn show(place: &Place, asked: &Show) -> Ended {
    let (file, ids) = split(&asked.names);
    let registry = place.load(file.as_deref())?;
    let components = choose(&registry.components, ids)?;
    if asked.json {
        let components: Vec<_> = components.iter().map(|spec| declared(spec)).collect();
        let registry = about(&registry, &place.temp_of(&registry));
        say::answer(&format!("{:#}", json!({"registry": registry, "components": components})));
    } else {
        say::answer(&head(place, &registry));
        components.iter().for_each(|spec| say::answer(&paragraph(spec)));
    }
    Ok(Exit::Done)
}

/// What is declared beside the components.
pub(crate) fn about(registry: &Registry, temp: &Path) -> serde_json::Value {
    json!({
        "path": text(&registry.path),
        "installFolder": text(&registry.install_folder),
        "temp": text(temp),
        "log": text(&registry.config.log),
        "restartBudget": declared_budget(registry.config.restart_budget),
        "onGiveUp": registry.config.on_give_up.to_string(),
    })
}

/// Tells a registry from ids: the first name is one if it looks like a file.
fn split(names: &[String]) -> (Option<PathBuf>, &[String]) {
    match names {
        [first, ids @ ..] if first.contains('/') || first.to_ascii_lowercase().ends_with(".xml") => {
            (Some(PathBuf::from(first)), ids)
        }
        ids => (None, ids),
    }
}

fn head(place: &Place, registry: &Registry) -> String {
    let config = &registry.config;
    let mut rows = vec![
        ("registry", text(&registry.path)),
        ("install folder", text(&registry.install_folder)),
        ("temp", text(&place.temp_of(registry))),
        (
            "log",
            format!(
                "{}, trace level {}, kept {} days",
                text(&config.log),
                config.trace_level,
                config.log_days
            ),
        ),
    ];
    rows.extend(config.restart_budget.map(|budget| {
        let within = format_duration(budget.within);
        ("restart budget", format!("{} restarts within {within}, over all components", budget.max))
    }));
    if config.on_give_up == OnGiveUp::Shutdown {
        rows.push(("on give up", "an essential component takes everything down".to_owned()));
    }
    lines("", &rows)
}

fn lines(indent: &str, rows: &[(&str, String)]) -> String {
    let mut lines = String::new();
    for (name, value) in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{indent}{name:<16}{}", say::printable(value));
    }
    lines
}

/// The names of variables, and their values as they are shown: a secret's never is.
fn variables(spec: &ProcessSpec) -> impl Iterator<Item = (&str, String)> {
    variables_in_force(spec).map(|variable| {
        let value = if variable.secret { "(secret)".into() } else { variable.value.to_string_lossy() };
        (variable.name.as_str(), value.into_owned())
    })
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use supervisor::Variable;

    use super::*;

    fn spec() -> ProcessSpec {
        let mut spec = ProcessSpec::new("web-1", "/bin/web").unwrap();
        spec.instance_of = Some(supervisor::ComponentId::new("web").unwrap());
        let secret = Variable { name: "TOKEN".into(), value: "hunter2".into(), secret: true };
        let plain = Variable { name: "HOME".into(), value: "/srv".into(), secret: false };
        let overridden = Variable { name: "HOME".into(), value: "/nowhere".into(), secret: false };
        spec.environment.variables = vec![secret, overridden, plain];
        spec
    }

    #[test]
    fn a_secret_is_named_and_not_shown_and_what_is_overridden_is_neither() {
        let (people, programs) = (paragraph(&spec()), declared(&spec()).to_string());
        for shown in [&people, &programs] {
            assert!(
                !shown.contains("/nowhere")
                    && shown.contains("TOKEN")
                    && shown.contains("/srv")
                    && !shown.contains("hunter2"),
                "{shown}"
            );
        }
    }

    #[test]
    fn a_component_is_chosen_by_its_id_by_its_common_name_or_by_a_pattern() {
        let specs = [spec(), ProcessSpec::new("ps", "/bin/ps").unwrap()];
        let chosen = |name: &str| {
            let chosen = choose(&specs, &[name.to_owned()]);
            chosen.map(|specs| specs.iter().map(|spec| spec.id.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(chosen("ps").unwrap(), ["ps"]);
        assert_eq!(chosen("web").unwrap(), ["web-1"]);
        assert_eq!(chosen("*").unwrap(), ["web-1", "ps"]);
        let unknown = chosen("pss").unwrap_err();
        assert_eq!(unknown.exit, Exit::Invalid);
        assert!(unknown.message.contains("did you mean \"ps\"?"), "{unknown}");
        assert!(!chosen("unlike").unwrap_err().message.contains("did you mean"));
    }

    #[test]
    fn a_registry_is_told_from_an_id() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(split(&names(&["r.xml", "ps"])), (Some("r.xml".into()), &names(&["ps"])[..]));
        assert_eq!(split(&names(&["./registry"])), (Some("./registry".into()), &[][..]));
        assert_eq!(split(&names(&["ps", "is"])), (None, &names(&["ps", "is"])[..]));
    }
}
