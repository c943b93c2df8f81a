//! `show`: what will really be run.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use humantime::format_duration;
use serde_json::{Value, json};
use supervisor::registry::Registry;
use supervisor::{Output, ProcessSpec, Stderr, Variable};

use crate::arguments::{Place, Show};
use crate::exit::{Ended, Exit, Failure};
use crate::naming::{means, most_like};
use crate::say;
use crate::shell;

/// Shows these components of the registry, or all.
pub(crate) fn show(place: &Place, asked: &Show) -> Ended {
    let (file, ids) = split(&asked.names);
    let registry = place.load(file.as_deref())?;
    let components = choose(&registry.components, ids)?;
    if asked.json {
        let components: Vec<_> = components.iter().map(|spec| document(spec)).collect();
        let registry = json!({
            "path": text(&registry.path),
            "installFolder": text(&registry.install_folder),
            "temp": text(&place.temp_of(&registry)),
            "log": text(&registry.config.log),
        });
        say::answer(&format!("{:#}", json!({"registry": registry, "components": components})));
    } else {
        say::answer(&head(place, &registry));
        components.iter().for_each(|spec| say::answer(&paragraph(spec)));
    }
    Ok(Exit::Done)
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

/// The components that these names mean, in the order of the registry; all if there are no names.
fn choose<'a>(components: &'a [ProcessSpec], names: &[String]) -> Result<Vec<&'a ProcessSpec>, Failure> {
    for name in names {
        if !components.iter().any(|spec| means(name, spec)) {
            let ids = components.iter().map(|spec| spec.id.as_str());
            let advice = match most_like(name, ids) {
                Some(id) => format!("did you mean {id:?}?"),
                None => "`s7supervisor check` names all".to_owned(),
            };
            let message = format!("there is no component {name:?}; {advice}");
            return Err(Failure::new(Exit::Invalid, message));
        }
    }
    let chosen = |spec: &&ProcessSpec| names.is_empty() || names.iter().any(|name| means(name, spec));
    Ok(components.iter().filter(chosen).collect())
}

fn head(place: &Place, registry: &Registry) -> String {
    let config = &registry.config;
    let rows = [
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
    lines("", &rows)
}

fn paragraph(spec: &ProcessSpec) -> String {
    let own = |value: Option<String>| value.unwrap_or_else(|| "the supervisor's".to_owned());
    let mut rows = vec![
        ("command line", shell::command_line(spec)),
        ("folder", own(spec.working_directory.as_deref().map(text))),
        ("user", own(spec.user.clone())),
        ("group", own(spec.group.clone())),
        ("environment", if spec.environment.clear { "empty" } else { "the supervisor's" }.to_owned()),
    ];
    rows.extend(variables(spec).map(|(name, value)| ("variable", format!("{name}={value}"))));
    rows.push(("start", start(spec)));
    rows.push(("stop", format!("within {}", format_duration(spec.stop_timeout))));
    rows.push(("restart", format!("{:?}, stable after {}", spec.restart, format_duration(spec.reset_after))));
    rows.extend(spec.umask.map(|umask| ("umask", format!("{umask:03o}"))));
    rows.extend(spec.nice.map(|nice| ("nice", nice.to_string())));
    for limit in &spec.limits {
        let shown =
            |value: Option<u64>| value.map_or_else(|| "unlimited".to_owned(), |value| value.to_string());
        let text =
            format!("{}: soft {}, hard {}", limit.resource.name(), shown(limit.soft), shown(limit.hard));
        rows.push(("limit", text));
    }
    rows.push(("output", output(&spec.output)));
    let description =
        if spec.description.is_empty() { String::new() } else { format!(": {}", spec.description) };
    format!("\n{}{}\n{}", spec.id, say::printable(&description), lines("  ", &rows))
}

fn start(spec: &ProcessSpec) -> String {
    let by_itself = if spec.autostart { "by itself" } else { "when asked to" };
    format!("{by_itself}, priority {}, up after {}", spec.start_priority, format_duration(spec.start_delay))
}

fn output(output: &Output) -> String {
    match output {
        Output::Null => "nowhere".to_owned(),
        Output::Inherit => "the supervisor's".to_owned(),
        Output::File { log, stderr } => {
            let dated = if log.dated { ", a file for each day" } else { "" };
            let stderr = match stderr {
                Stderr::Join => "",
                Stderr::File => ", standard error beside it",
                Stderr::Null => ", standard error nowhere",
            };
            let size = log.max_size.map(|size| format!(", at most {size} bytes a file")).unwrap_or_default();
            let keep = log.keep.map(|count| format!(", {count} files kept beside it")).unwrap_or_default();
            let days = log.days.map(|days| format!(", kept {days} days")).unwrap_or_default();
            let compress = if log.compress { ", ended files compressed" } else { "" };
            format!("{}{dated}{size}{keep}{days}{compress}{stderr}", text(&log.path))
        }
        other => format!("{other:?}"),
    }
}

fn lines(indent: &str, rows: &[(&str, String)]) -> String {
    let mut lines = String::new();
    for (name, value) in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{indent}{name:<16}{}", say::printable(value));
    }
    lines
}

/// The variables beside what is inherited: of the same name the last, which wins.
fn variables_in_force(spec: &ProcessSpec) -> impl Iterator<Item = &Variable> {
    let all = &spec.environment.variables;
    let is_last = |(place, variable): &(usize, &Variable)| {
        !all[place + 1..].iter().any(|later| later.name == variable.name)
    };
    all.iter().enumerate().filter(is_last).map(|(_, variable)| variable)
}

/// Their names, and their values as they are shown: a secret's never is.
fn variables(spec: &ProcessSpec) -> impl Iterator<Item = (&str, String)> {
    variables_in_force(spec).map(|variable| {
        let value = if variable.secret { "(secret)".into() } else { variable.value.to_string_lossy() };
        (variable.name.as_str(), value.into_owned())
    })
}

fn document(spec: &ProcessSpec) -> Value {
    let arguments = spec.arguments.iter().map(|argument| argument.to_string_lossy());
    let log = if let Output::File { log, .. } = &spec.output { Some(text(&log.path)) } else { None };
    let limits = spec
        .limits
        .iter()
        .map(|limit| json!({"name": limit.resource.name(), "soft": limit.soft, "hard": limit.hard}));
    let environment = variables_in_force(spec).zip(variables(spec)).map(|(variable, (name, value))| {
        json!({"name": name, "value": (!variable.secret).then_some(value), "secret": variable.secret})
    });
    json!({
        "id": spec.id.as_str(),
        "instanceOf": spec.instance_of.as_ref().map(supervisor::ComponentId::as_str),
        "description": Some(&spec.description).filter(|text| !text.is_empty()),
        "executable": text(&spec.executable),
        "arguments": arguments.collect::<Vec<_>>(),
        "workingDirectory": spec.working_directory.as_deref().map(text),
        "environment": {"clear": spec.environment.clear, "variables": environment.collect::<Vec<_>>()},
        "user": spec.user,
        "group": spec.group,
        "umask": spec.umask.map(|umask| format!("{umask:03o}")),
        "nice": spec.nice,
        "limits": limits.collect::<Vec<_>>(),
        "startPriority": spec.start_priority,
        "startDelay": spec.start_delay.as_secs_f64(),
        "stopTimeout": spec.stop_timeout.as_secs_f64(),
        "autostart": spec.autostart,
        "resetAfter": spec.reset_after.as_secs_f64(),
        "output": log,
    })
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
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
        let (people, programs) = (paragraph(&spec()), document(&spec()).to_string());
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
