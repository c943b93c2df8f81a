//! A component as `show` tells it to people.

use std::time::Duration;

use humantime::format_duration;
use supervisor::{
    Command, Health, Intensity, LineForm, LogSettings, Output, Probe, ProcessSpec, Readiness, ReadyWhen,
    Stderr, Step, WhenFull,
};

use super::{lines, text, variables};
use crate::say;
use crate::shell;

/// What is known of a component, a row for each.
pub(super) fn paragraph(spec: &ProcessSpec) -> String {
    let own = |value: Option<String>| value.unwrap_or_else(|| "the supervisor's".to_owned());
    let mut rows = vec![
        ("command line", shell::command_line(spec)),
        ("folder", own(spec.working_directory.as_deref().map(text))),
        ("user", own(spec.user.clone())),
        ("group", own(spec.group.clone())),
        ("environment", if spec.environment.clear { "empty" } else { "the supervisor's" }.to_owned()),
    ];
    rows.extend(variables(spec).map(|(name, value)| ("variable", format!("{name}={value}"))));
    rows.extend(lives(spec));
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

/// How it starts, is watched, ends and comes back.
fn lives(spec: &ProcessSpec) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    rows.extend(spec.depends_on.iter().map(|it| ("depends on", format!("{}, {}", it.on, it.condition))));
    rows.push(("start", start(spec)));
    rows.extend(spec.essential.then(|| ("essential", "yes".to_owned())));
    rows.extend(spec.readiness.as_ref().map(|readiness| ("ready", ready(readiness))));
    rows.extend(spec.health.as_ref().map(|health| ("healthy", healthy(health))));
    let watchdog = spec.watchdog.map(|timeout| format!("a sign of life every {}", format_duration(timeout)));
    rows.extend(watchdog.map(|watchdog| ("watchdog", watchdog)));
    rows.extend(spec.memory.map(|it| ("memory", format!("at most {} bytes, else {}", it.max, it.action))));
    rows.extend(spec.stop.iter().map(|it| ("stop", step(it))));
    let usual = if spec.stop.is_empty() { "SIGTERM to group, " } else { "" };
    rows.push(("stop", format!("{usual}killed after {}", format_duration(spec.stop_timeout))));
    rows.extend(spec.reload.iter().map(|it| ("reload", step(it))));
    rows.extend(spec.evidence.iter().map(|it| ("evidence", step(it))));
    rows.extend(spec.cleanup.as_ref().map(|it| ("cleanup", run(&it.command, it.timeout))));
    let policy = spec.restart.describe();
    rows.push(("restart", format!("{policy}, stable after {}", format_duration(spec.reset_after))));
    rows.extend(spec.intensity.map(|it| ("restart", intensity(it))));
    rows.extend(spec.exits.iter().map(|rule| ("restart", format!("after {}: {}", rule.exit, rule.action))));
    let group = spec.restart_group.as_ref();
    rows.extend(group.map(|group| ("restart group", format!("{}, {}", group.name, group.strategy))));
    rows
}

fn start(spec: &ProcessSpec) -> String {
    let by_itself = if spec.autostart { "by itself" } else { "when asked to" };
    let started = match spec.readiness {
        Some(_) => "started when ready".to_owned(),
        None => format!("up after {}", format_duration(spec.start_delay)),
    };
    format!("{by_itself}, priority {}, {started}", spec.start_priority)
}

fn ready(readiness: &Readiness) -> String {
    let when = match &readiness.when {
        ReadyWhen::Notified => "it sends READY=1".to_owned(),
        ReadyWhen::Descriptor(number) => format!("it writes a newline to descriptor {number}"),
        ReadyWhen::Probed(it) => probe(it),
        ReadyWhen::Logged(pattern) => format!("its output matches {pattern}"),
        other => format!("{other:?}"),
    };
    format!("when {when}, within {}", format_duration(readiness.timeout))
}

fn healthy(health: &Health) -> String {
    let Health { probe: question, interval, timeout, failures, start_after, action } = health;
    let after = match start_after {
        &Duration::ZERO => String::new(),
        after => format!(", from {} after its start", format_duration(*after)),
    };
    let (interval, timeout) = (format_duration(*interval), format_duration(*timeout));
    let so_often = if *failures == 1 { "one failure".to_owned() } else { format!("{failures} failures") };
    format!("while {} within {timeout}, every {interval}{after}; {so_often}: {action}", probe(question))
}

fn probe(probe: &Probe) -> String {
    match probe {
        Probe::Tcp { host, port } => format!("{host} port {port} takes a connection"),
        Probe::Http { url, status } if status.start() == status.end() => {
            format!("{url} answers {}", status.start())
        }
        Probe::Http { url, status } => format!("{url} answers {} to {}", status.start(), status.end()),
        Probe::Exec(command) => format!("`{}` ends with 0", shell::command(command)),
        other => format!("{other:?}"),
    }
}

fn step(step: &Step) -> String {
    match step {
        Step::Signal { signal, wait, to } => format!("{signal} to {to}, wait {}", format_duration(*wait)),
        Step::Run { command, timeout } => run(command, *timeout),
        other => format!("{other:?}"),
    }
}

fn run(command: &Command, timeout: Duration) -> String {
    format!("`{}`, at most {}", shell::command(command), format_duration(timeout))
}

fn intensity(Intensity { max, within, retry_after }: Intensity) -> String {
    let then = match retry_after {
        Duration::ZERO => "given up".to_owned(),
        after => format!("tried again after {}", format_duration(after)),
    };
    format!("more than {max} within {}: {then}", format_duration(within))
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
            let total =
                log.max_total.map(|size| format!(", at most {size} bytes beside it")).unwrap_or_default();
            let free =
                log.min_free.map(|size| format!(", {size} bytes of the disk left free")).unwrap_or_default();
            let compress = if log.compress { ", ended files compressed" } else { "" };
            let kept = format!("{size}{keep}{days}{total}{free}{compress}");
            format!("{}{dated}{}{kept}{}{stderr}", text(&log.path), form(log), when_full(log))
        }
        other => format!("{other:?}"),
    }
}

fn form(log: &LogSettings) -> &'static str {
    match log.form {
        LineForm::Timestamps => ", each line with its time",
        LineForm::Json => ", as JSON",
        _ => "",
    }
}

fn when_full(log: &LogSettings) -> String {
    match log.when_full {
        usual if usual == WhenFull::default() => String::new(),
        WhenFull::Block { at_most: Some(time) } => {
            format!(", the component waiting {} at most while the disk is full", format_duration(time))
        }
        WhenFull::Block { at_most: None } => ", the component waiting while the disk is full".to_owned(),
        _ => ", the oldest dropped while the disk is full".to_owned(),
    }
}
