//! Private doors for the targets in `fuzz/`. They are built by `cargo fuzz` alone, and no part of the interface.

use std::sync::Arc;
use std::time::Duration;

use crate::core::{Action, Ask, Core, Found, Input, Memory, RequestId, Rules};
use crate::registry::{RegistryError, problems_of_structure};
use crate::run::Exit;
use crate::said::parse;
use crate::spec::{ComponentId, ProcessSpec};
use crate::supervisor::{StartError, check, is_record};

/// What a datagram of `sd_notify` is taken to say.
#[derive(Debug, PartialEq, Eq)]
pub struct Heard {
    /// The `NAME=value` of those that are said or not.
    pub words: Vec<&'static str>,
    /// `STATUS=`
    pub status: Option<Arc<str>>,
    /// `WATCHDOG_USEC=`
    pub watchdog: Option<Duration>,
    /// `EXTEND_TIMEOUT_USEC=`
    pub extend: Option<Duration>,
    /// `MAINPID=`
    pub main_pid: Option<u32>,
}

/// Hears a datagram.
#[must_use]
pub fn hear(datagram: &[u8]) -> Heard {
    let said = parse(datagram);
    let words = [
        (said.ready, "READY=1"),
        (said.reloading, "RELOADING=1"),
        (said.stopping, "STOPPING=1"),
        (said.alive, "WATCHDOG=1"),
        (said.hangs, "WATCHDOG=trigger"),
    ];
    Heard {
        words: words.into_iter().filter_map(|(is_said, word)| is_said.then_some(word)).collect(),
        status: said.status,
        watchdog: said.watchdog,
        extend: said.extend,
        main_pid: said.main_pid,
    }
}

/// What is wrong with the text and the structure of a registry, of which no file is read.
#[must_use]
pub fn structure(registry: &[u8]) -> Option<RegistryError> {
    problems_of_structure(registry)
}

/// Whether a supervisor takes these components.
///
/// # Errors
/// Why it does not.
pub fn takes(components: &[ProcessSpec]) -> Result<(), StartError> {
    check(components)
}

/// Whether these bytes are the record of a component, in a machine that draws no random bits.
#[must_use]
pub fn is_a_record(content: &[u8], id: &ComponentId) -> bool {
    is_record(content, id)
}

/// Goes on with a component of which these bytes were remembered, lets some of what it plans come due, and stops it. Says whether
/// the bytes were a memory, and everything came to its end.
#[must_use]
pub fn goes_on(memory: &[u8], component: ProcessSpec, lives: bool) -> Option<bool> {
    let memory: Memory = serde_json::from_slice(memory).ok()?;
    let found = match memory.run() {
        Some((number, Some(pid))) if lives => Found::Alive { number, pid, is_outdated: false },
        Some((number, Some(_))) => Found::Dead { number, exit: Exit::Unknown },
        _ => Found::Nothing,
    };
    let rules = Rules { remembers: true, ..Rules::default() };
    let mut core = Core::new(vec![component], Vec::new(), rules, 0);
    let mut inputs = vec![Input::Recalled { key: 0, memory: Box::new(memory), found }, Input::Begin];
    if let Found::Dead { number, .. } = found {
        inputs.push(Input::Gone { run: crate::run::RunId { component: 0, number } });
    }
    let stop = Input::Request {
        request: RequestId(1),
        ask: Ask::Shutdown { immediately: true },
        by: Arc::from("the target"),
    };
    let mut now = Duration::ZERO;
    let mut has_ended = false;
    for round in 0..64 {
        if round == 32 {
            inputs.push(stop.clone());
        }
        inputs.push(Input::Tick);
        for input in std::mem::take(&mut inputs) {
            for action in core.step(now, input) {
                match action {
                    Action::Spawn { run } => inputs.push(Input::Spawned { run, pid: 7 }),
                    Action::Kill { run } => inputs.push(Input::Gone { run }),
                    Action::Remember { key } => {
                        assert!(
                            serde_json::to_vec(&core.memory(key)).is_ok(),
                            "what is remembered can be written"
                        );
                    }
                    Action::End { .. } => has_ended = true,
                    _ => {}
                }
            }
        }
        now = core.deadline().map_or(now, |deadline| deadline.max(now));
    }
    Some(has_ended)
}
