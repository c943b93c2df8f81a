//! `<readiness>`, `<health>`, `<watchdog>` and `<memory>`: how a component is watched.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::layers::Layers;
use super::reading::Reading;
use super::steps;
use super::structure::{Node, Value};
use crate::spec::{GuardAction, Health, MemoryLimit, Probe, ProcessSpec, Readiness, ReadyWhen};

const DEFAULT_READINESS_TIMEOUT: Duration = Duration::from_secs(60);
const DEFAULT_HEALTH_INTERVAL: Duration = Duration::from_secs(10);
const DEFAULT_HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
const DEFAULT_HEALTH_FAILURES: u32 = 3;
const DEFAULT_HOST: &str = "127.0.0.1";
const DEFAULT_STATUS: RangeInclusive<u16> = 200..=399;

/// Reads how a component is watched.
pub(super) fn read(spec: &mut ProcessSpec, layers: &Layers<'_>, reading: &mut Reading<'_>) {
    spec.readiness = readiness(layers, reading);
    spec.health = health(layers, reading);
    spec.watchdog = layers.attribute("watchdog", "timeout").and_then(|value| reading.duration(value));
    let max = layers.attribute("memory", "max").and_then(|value| reading.size(value));
    let action = guard_action(layers.attribute("memory", "action"), reading);
    spec.memory = max.map(|max| MemoryLimit { max, action });
}

fn readiness(layers: &Layers<'_>, reading: &mut Reading<'_>) -> Option<Readiness> {
    let way = layers.element("readiness")?.children.first()?;
    let when = match way.rule.name {
        "notify" => ReadyWhen::Notified,
        "notifyFd" => ReadyWhen::Descriptor(reading.number(way.value.as_ref()?)?),
        "log" => ReadyWhen::Logged(reading.text(way.attribute("pattern")?)?.as_ref().to_owned()),
        _ => ReadyWhen::Probed(probe(way, reading)?),
    };
    let timeout = layers.attribute("readiness", "timeout").and_then(|value| reading.duration(value));
    Some(Readiness { when, timeout: timeout.unwrap_or(DEFAULT_READINESS_TIMEOUT) })
}

fn health(layers: &Layers<'_>, reading: &mut Reading<'_>) -> Option<Health> {
    let way = layers.element("health")?.children.first()?;
    let attribute = |name| layers.attribute("health", name);
    let mut time = |name| attribute(name).and_then(|value| reading.duration(value));
    let (interval, timeout, start_after) = (time("interval"), time("timeout"), time("startAfter"));
    let failures = attribute("failures").and_then(|value| reading.number(value));
    Some(Health {
        probe: probe(way, reading)?,
        interval: interval.unwrap_or(DEFAULT_HEALTH_INTERVAL),
        timeout: timeout.unwrap_or(DEFAULT_HEALTH_TIMEOUT),
        failures: failures.unwrap_or(DEFAULT_HEALTH_FAILURES),
        start_after: start_after.unwrap_or(Duration::ZERO),
        action: guard_action(attribute("action"), reading),
    })
}

/// `<tcp>`, `<http>` or `<exec>`.
fn probe(way: &Node, reading: &mut Reading<'_>) -> Option<Probe> {
    match way.rule.name {
        "tcp" => {
            let host = way.attribute("host").map(|host| reading.text(host));
            let host = host.map_or_else(|| Some(DEFAULT_HOST.into()), |host| host.map(|host| (*host).into()));
            Some(Probe::Tcp { host: host?, port: reading.number(way.attribute("port")?)? })
        }
        "http" => {
            let url = reading.text(way.attribute("url")?)?.as_ref().to_owned();
            let status = way.attribute("status").and_then(|status| reading.http_status(status));
            Some(Probe::Http { url, status: status.unwrap_or(DEFAULT_STATUS) })
        }
        _ => Some(Probe::Exec(steps::command(way, reading)?)),
    }
}

fn guard_action(written: Option<&Value>, reading: &mut Reading<'_>) -> GuardAction {
    match written.and_then(|value| reading.text(value)).as_deref() {
        Some("report") => GuardAction::Report,
        _ => GuardAction::Restart,
    }
}
