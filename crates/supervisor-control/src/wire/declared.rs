//! What is declared of components, as `show --json` and `GET /v1/registry` tell it to programs.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use supervisor::{
    Command, Dependency, ExitMatch, Health, Output, Probe, ProcessSpec, Readiness, ReadyWhen, RestartBudget,
    Signal, Step, Variable,
};

/// All that is declared of a component, under the names of the registry. The values of secret variables are `null`.
#[must_use]
pub fn declared(spec: &ProcessSpec) -> Value {
    let arguments = spec.arguments.iter().map(|argument| argument.to_string_lossy());
    let log = if let Output::File { log, .. } = &spec.output { Some(text(&log.path)) } else { None };
    let limits = spec
        .limits
        .iter()
        .map(|limit| json!({"name": limit.resource.name(), "soft": limit.soft, "hard": limit.hard}));
    let environment = variables_in_force(spec).map(|variable| {
        let value = (!variable.secret).then(|| variable.value.to_string_lossy());
        json!({"name": variable.name, "value": value, "secret": variable.secret})
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
        "dependsOn": spec.depends_on.iter().map(declared_dependency).collect::<Vec<_>>(),
        "restart": restart(spec),
        "restartGroup": spec.restart_group.as_ref().map(|group| {
            json!({"name": group.name, "strategy": group.strategy.to_string()})
        }),
        "essential": spec.essential,
        "readiness": spec.readiness.as_ref().map(readiness),
        "health": spec.health.as_ref().map(health),
        "watchdog": spec.watchdog.map(|timeout| timeout.as_secs_f64()),
        "memory": spec.memory.map(|it| json!({"max": it.max, "action": it.action.to_string()})),
        "stop": spec.stop.iter().map(step).collect::<Vec<_>>(),
        "reload": spec.reload.iter().map(step).collect::<Vec<_>>(),
        "evidence": spec.evidence.iter().map(step).collect::<Vec<_>>(),
        "cleanup": spec.cleanup.as_ref().map(|it| run(&it.command, it.timeout)),
        "output": log,
    })
}

/// The variables beside what is inherited: of the same name the last, which wins.
pub fn variables_in_force(spec: &ProcessSpec) -> impl Iterator<Item = &Variable> {
    let all = &spec.environment.variables;
    let is_last = |(place, variable): &(usize, &Variable)| {
        !all[place + 1..].iter().any(|later| later.name == variable.name)
    };
    all.iter().enumerate().filter(is_last).map(|(_, variable)| variable)
}

/// The most restarts over all components; `null`: there may be any number.
#[must_use]
pub fn declared_budget(budget: Option<RestartBudget>) -> Value {
    budget.map_or(Value::Null, |it| json!({"max": it.max, "within": it.within.as_secs_f64()}))
}

/// Whom a component needs, and what must be true of that one.
#[must_use]
pub fn declared_dependency(dependency: &Dependency) -> Value {
    json!({"ref": dependency.on.as_str(), "condition": dependency.condition.to_string()})
}

fn restart(spec: &ProcessSpec) -> Value {
    let exits = spec.exits.iter().map(|rule| {
        let action = rule.action.to_string();
        match rule.exit {
            ExitMatch::Code(code) => json!({"code": code, "action": action}),
            ExitMatch::Signal(signal) => json!({"signal": name(signal), "action": action}),
            other => json!({"end": other.to_string(), "action": action}),
        }
    });
    json!({
        "policy": spec.restart.describe(),
        "max": spec.intensity.map(|it| it.max),
        "within": spec.intensity.map(|it| it.within.as_secs_f64()),
        "retryAfter": spec.intensity.map(|it| it.retry_after.as_secs_f64()),
        "exits": exits.collect::<Vec<_>>(),
    })
}

fn readiness(readiness: &Readiness) -> Value {
    let way = match &readiness.when {
        ReadyWhen::Notified => json!({"notify": true}),
        ReadyWhen::Descriptor(number) => json!({"notifyFd": number}),
        ReadyWhen::Probed(it) => probe(it),
        ReadyWhen::Logged(pattern) => json!({"log": {"pattern": pattern}}),
        other => json!({"other": format!("{other:?}")}),
    };
    with(way, json!({"timeout": readiness.timeout.as_secs_f64()}))
}

fn health(health: &Health) -> Value {
    let rest = json!({
        "interval": health.interval.as_secs_f64(),
        "timeout": health.timeout.as_secs_f64(),
        "failures": health.failures,
        "startAfter": health.start_after.as_secs_f64(),
        "action": health.action.to_string(),
    });
    with(probe(&health.probe), rest)
}

fn probe(probe: &Probe) -> Value {
    match probe {
        Probe::Tcp { host, port } => json!({"tcp": {"host": host, "port": port}}),
        Probe::Http { url, status } => {
            json!({"http": {"url": url, "status": format!("{}-{}", status.start(), status.end())}})
        }
        Probe::Exec(command) => json!({"exec": words(command)}),
        other => json!({"other": format!("{other:?}")}),
    }
}

fn step(step: &Step) -> Value {
    match step {
        Step::Signal { signal, wait, to } => {
            json!({"signal": name(*signal), "wait": wait.as_secs_f64(), "to": to.to_string()})
        }
        Step::Run { command, timeout } => run(command, *timeout),
        other => json!({"other": format!("{other:?}")}),
    }
}

fn run(command: &Command, timeout: Duration) -> Value {
    json!({"exec": words(command), "timeout": timeout.as_secs_f64()})
}

fn words(command: &Command) -> Vec<Cow<'_, str>> {
    std::iter::once(&command.program).chain(&command.arguments).map(|word| word.to_string_lossy()).collect()
}

/// As a registry may name it: `TERM`, or the number of one without a name.
fn name(signal: Signal) -> String {
    signal.name().map_or_else(|| signal.number().to_string(), str::to_owned)
}

/// One object with the fields of both.
fn with(mut object: Value, more: Value) -> Value {
    if let (Value::Object(fields), Value::Object(more)) = (&mut object, more) {
        fields.extend(more);
    }
    object
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
