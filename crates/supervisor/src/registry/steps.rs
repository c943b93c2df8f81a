//! `<stop>`, `<reload>`, `<evidence>` and `<cleanup>`: signals and commands, in the order in which they stand.

use std::time::Duration;

use super::layers::Layers;
use super::reading::Reading;
use super::structure::Node;
use crate::spec::{Cleanup, Command, ProcessSpec, Recipient, Step};

const DEFAULT_WAIT: Duration = Duration::from_secs(10);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads the steps of a component.
pub(super) fn read(spec: &mut ProcessSpec, layers: &Layers<'_>, reading: &mut Reading<'_>) {
    spec.stop = steps("stop", Recipient::Group, layers, reading);
    spec.reload = steps("reload", Recipient::Main, layers, reading);
    spec.evidence = steps("evidence", Recipient::Main, layers, reading);
    spec.cleanup = layers.element("cleanup").and_then(|node| command(node, reading)).map(|command| {
        let timeout = layers.attribute("cleanup", "timeout").and_then(|value| reading.duration(value));
        Cleanup { command, timeout: timeout.unwrap_or(DEFAULT_TIMEOUT) }
    });
}

/// How long all these steps may take together.
pub(super) fn limit(steps: &[Step]) -> Duration {
    steps.iter().fold(Duration::ZERO, |sum, step| sum.saturating_add(step.limit()))
}

fn steps(name: &str, usually_to: Recipient, layers: &Layers<'_>, reading: &mut Reading<'_>) -> Vec<Step> {
    let steps = layers.element(name).map(|element| element.children.as_slice()).unwrap_or_default();
    steps.iter().filter_map(|node| step(node, usually_to, reading)).collect()
}

fn step(node: &Node, usually_to: Recipient, reading: &mut Reading<'_>) -> Option<Step> {
    if node.rule.name == "exec" {
        let timeout = node.attribute("timeout").and_then(|value| reading.duration(value));
        let timeout = timeout.unwrap_or(DEFAULT_TIMEOUT);
        return Some(Step::Run { command: command(node, reading)?, timeout });
    }
    let signal = reading.signal(node.attribute("name")?)?;
    let wait = node.attribute("wait").and_then(|value| reading.duration(value)).unwrap_or(DEFAULT_WAIT);
    let to = match node.attribute("to").and_then(|value| reading.text(value)).as_deref() {
        Some("group") => Recipient::Group,
        Some("main") => Recipient::Main,
        _ => usually_to,
    };
    Some(Step::Signal { signal, wait, to })
}

/// The command that the `<argument>`s of an element make: a program, and what it is given.
pub(super) fn command(node: &Node, reading: &mut Reading<'_>) -> Option<Command> {
    let mut words = node.children.iter().filter_map(|argument| argument.value.as_ref());
    let program = words.next()?;
    let program = match reading.program(program) {
        Some(path) if path.as_os_str().is_empty() => {
            let message = "the first <argument> is the program, and empty once its settings are put in";
            reading.problems.add(program.place, message);
            None
        }
        path => path,
    };
    let arguments: Option<Vec<_>> = words.map(|word| Some(reading.text(word)?.as_ref().into())).collect();
    Some(Command { program: program?.into(), arguments: arguments? })
}
