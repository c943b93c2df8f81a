//! `<restart>`: what happens after an end.

use std::sync::Arc;
use std::time::Duration;

use super::layers::Layers;
use super::reading::Reading;
use super::structure::Node;
use crate::policy::{Backoff, Never, OnFailure, RestartPolicy};
use crate::spec::{ExitAction, ExitMatch, ExitRule, Intensity, ProcessSpec};

const DEFAULT_WITHIN: Duration = Duration::from_secs(60);
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(300);

/// Reads what `<restart>` says.
pub(super) fn read(spec: &mut ProcessSpec, layers: &Layers<'_>, reading: &mut Reading<'_>) {
    let attribute = |name| layers.attribute("restart", name);
    let backoff = backoff(layers, reading);
    if let Some(after) = attribute("resetAfter").and_then(|value| reading.duration(value)) {
        spec.reset_after = after;
    }
    let policy = attribute("policy").and_then(|value| reading.text(value));
    let policy: Arc<dyn RestartPolicy> = match policy.as_deref() {
        Some("never") => Arc::new(Never),
        Some("onFailure") => Arc::new(OnFailure(backoff)),
        _ => Arc::new(backoff),
    };
    spec.restart = policy;
    spec.intensity = intensity(layers, reading);
    spec.exits = exits(layers, reading);
}

fn backoff(layers: &Layers<'_>, reading: &mut Reading<'_>) -> Backoff {
    let attribute = |name| layers.attribute("restart", name);
    let mut backoff = Backoff::default();
    let (delay, max_delay) = (attribute("delay"), attribute("maxDelay"));
    if let Some(delay) = delay.and_then(|value| reading.duration(value)) {
        backoff.delay = delay;
        // Who asks for a long wait wants it, and the default must not cut it short.
        backoff.max_delay = backoff.max_delay.max(delay);
    }
    if let Some(max_delay) = max_delay.and_then(|value| reading.duration(value)) {
        backoff.max_delay = max_delay;
    }
    if let (Some(delay), Some(max_delay)) = (delay, max_delay)
        && backoff.delay > backoff.max_delay
        && !backoff.max_delay.is_zero()
    {
        let at = reading.problems.position(max_delay.place);
        let message = format!(
            "delay ({:?}) must not be longer than maxDelay ({:?}, {at})",
            backoff.delay, backoff.max_delay
        );
        reading.problems.add(delay.place, message);
    }
    if let Some(factor) = attribute("factor").and_then(|value| reading.decimal(value)) {
        backoff.factor = factor;
    }
    if let Some(jitter) = attribute("jitter").and_then(|value| reading.decimal(value)) {
        backoff.jitter = jitter;
    }
    backoff
}

/// How often it may be restarted; none at all is no limit.
fn intensity(layers: &Layers<'_>, reading: &mut Reading<'_>) -> Option<Intensity> {
    let attribute = |name| layers.attribute("restart", name);
    let max = attribute("max").and_then(|value| reading.number(value)).unwrap_or(0);
    let within = attribute("within").and_then(|value| reading.duration(value)).unwrap_or(DEFAULT_WITHIN);
    let retry_after = attribute("retryAfter").and_then(|value| reading.duration(value));
    let retry_after = retry_after.unwrap_or(DEFAULT_RETRY_AFTER);
    (max > 0).then_some(Intensity { max, within, retry_after })
}

/// What `<exit>` says of certain ends: of the same end, what the stronger layer says.
fn exits(layers: &Layers<'_>, reading: &mut Reading<'_>) -> Vec<ExitRule> {
    let mut rules: Vec<ExitRule> = Vec::new();
    for restart in layers.0.iter().filter_map(|layer| layer.child("restart")) {
        let mut own: Vec<ExitMatch> = Vec::new();
        for node in restart.all("exit") {
            let Some(rule) = exit_rule(node, reading) else { continue };
            if own.contains(&rule.exit) {
                let message = format!("{} has an <exit> in this <restart> already", rule.exit);
                reading.problems.add(node.place, message);
                continue;
            }
            own.push(rule.exit);
            rules.retain(|weaker| weaker.exit != rule.exit);
            rules.push(rule);
        }
    }
    rules
}

fn exit_rule(node: &Node, reading: &mut Reading<'_>) -> Option<ExitRule> {
    let action = node.attribute("action").and_then(|value| reading.text(value));
    let action = match action.as_deref() {
        Some("stop") => ExitAction::Stop,
        Some("giveUp") => ExitAction::GiveUp,
        _ => ExitAction::Restart,
    };
    let exit = match (node.attribute("code"), node.attribute("signal")) {
        (Some(code), None) => ExitMatch::Code(reading.number(code)?),
        (None, Some(signal)) => ExitMatch::Signal(reading.signal(signal)?),
        _ => {
            reading.problems.add(node.place, "<exit> must have one of the attributes code and signal");
            return None;
        }
    };
    Some(ExitRule { exit, action })
}
