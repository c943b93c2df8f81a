//! The supervisor of the simulated world dies, and another goes on from what it has written down.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::{Happening, Reported, World, draws_of};
use crate::core::{Ask, Core, Found, Input, Memory};
use crate::plan::takes_another_process;
use crate::request::RequestError;
use crate::run::{Exit, RunId};
use crate::spec::ProcessSpec;

/// What has been written down of components.
#[derive(Debug, Default)]
pub(super) struct Memories {
    written: BTreeMap<u32, Memory>,
    /// What will be, if the supervisor lives long enough.
    pending: BTreeMap<u32, Memory>,
    /// Of whom nothing is to be known any more.
    forgotten: BTreeSet<u32>,
}

impl Memories {
    pub(super) fn write(&mut self) {
        self.written.append(&mut self.pending);
        for key in std::mem::take(&mut self.forgotten) {
            self.written.remove(&key);
        }
    }

    pub(super) fn forget(&mut self, key: u32) {
        self.pending.remove(&key);
        self.forgotten.insert(key);
    }

    fn rekey(&mut self, key_of: &dyn Fn(u32) -> Option<u32>) {
        let written = std::mem::take(&mut self.written);
        self.written = written.into_iter().filter_map(|(key, memory)| Some((key_of(key)?, memory))).collect();
        self.forgotten.clear();
    }
}

impl World {
    /// Kills the supervisor, as by SIGKILL, and starts it again after so long. Components live on meanwhile; whoever has
    /// asked for something and has no answer yet gets none.
    pub fn kill_supervisor(&mut self, away: Duration) {
        if self.has_ended() {
            return;
        }
        self.check_memories();
        let end = self.now + away;
        self.memories.pending.clear();
        for answer in self.answers.values_mut().filter(|answer| matches!(answer, Ok(None))) {
            *answer = Err(RequestError::Ended);
        }
        self.reported.clear();
        self.live_without_supervisor(end);
        self.now = end;
        self.witness.supervisor_was_killed(self.now, self.hostility.forgetful);
        self.trace.push(format!("{:?} the supervisor was killed, and is started again", self.now));
        self.go_on();
        self.run_for(Duration::ZERO);
    }

    /// Has the supervisor leave everything running, and starts it again after so long, as an upgrade does. Says whether it was
    /// willing to.
    pub fn replace_supervisor(&mut self, away: Duration) -> bool {
        let ticket = self.ask(Ask::Leave);
        if self.refusal(ticket).is_some() {
            return false;
        }
        // Whoever leaves has time to write.
        self.memories.write();
        self.kill_supervisor(away);
        true
    }

    /// What is to be remembered is written down at once, or a little later.
    pub(super) fn remember(&mut self, key: u32) {
        if !self.core.has(key) {
            return;
        }
        let memory = self.core.memory(key);
        let stops = self.core.status(self.now, &[]).shutting_down;
        self.witness.check_news(self.now, key, &memory, stops);
        self.memories.pending.insert(key, memory);
        if !self.hostility.forgetful || draws_of(&mut self.draws, key).one_in(2) {
            self.memories.write();
        }
    }

    /// A supervisor begins, which knows nothing yet but what is written down.
    pub(super) fn begin_books(&mut self) {
        for key in self.names.all_and_leaving() {
            self.witness.begins_with(key, self.core.memory(key), self.memories.written.get(&key));
        }
    }

    /// Checks that all that is to be remembered is written down, or will be.
    pub(super) fn check_memories(&self) {
        for key in self.names.all_and_leaving() {
            let memory = self.core.memory(key);
            self.witness.check_budget_memory(self.now, memory.budget_full_at());
            self.witness.check_memory(key, memory);
        }
    }

    /// Processes go on ending; nobody hears of it.
    fn live_without_supervisor(&mut self, end: Duration) {
        // What a run has said on its descriptor or in its output waits there to be read.
        let waits = |happening: &Happening| match happening {
            Happening::News(input) => matches!(input, Input::Ready { .. }),
            Happening::Ends { .. } | Happening::SignOfLife { .. } => true,
        };
        self.agenda.retain(|_, happening| waits(happening));
        let mut later = Vec::new();
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= end) {
            let ((time, _), happening) = entry.remove_entry();
            match happening {
                Happening::News(_) => later.push(happening),
                Happening::Ends { process, exit } => {
                    if let Some(process) = self.processes.get_mut(process) {
                        process.ended.get_or_insert(exit);
                    }
                }
                Happening::SignOfLife { process, again } => {
                    // Its next one after the new supervisor is there.
                    self.now = self.now.max(time);
                    self.foresee(
                        end.saturating_sub(self.now) + again,
                        Happening::SignOfLife { process, again },
                    );
                }
            }
        }
        self.now = end;
        later.into_iter().for_each(|happening| self.foresee(Duration::ZERO, happening));
    }

    /// Another supervisor finds what is there, and goes on.
    fn go_on(&mut self) {
        let before: BTreeMap<_, _> =
            self.mocks.iter().map(|(key, mock)| (*key, mock.spec.id.clone())).collect();
        let specs = self.core.specs().map(|(_, spec)| spec.clone()).collect();
        // By whatever is written down of what is no more, it is found.
        let strangers = self.core.leaving().filter(|(key, _)| self.memories.written.contains_key(key));
        let strangers = strangers.filter_map(|(_, spec)| stranger(spec.id.as_str())).collect();
        let core = Core::new(specs, strangers, *self.core.rules(), self.seed);
        let all = core.specs().chain(core.leaving());
        let keys: HashMap<_, _> = all.map(|(key, spec)| (spec.id.clone(), key)).collect();
        self.core = core;
        self.rekey(&|key| keys.get(before.get(&key)?).copied());
        let leaving: BTreeSet<_> = self.core.leaving().map(|(key, _)| key).collect();
        let mut keys: Vec<_> = self.core.specs().map(|(key, _)| key).collect();
        keys.extend(&leaving);
        self.recast();
        self.begin_books();
        let all: Vec<_> = keys.into_iter().map(|key| (key, self.find(key))).collect();
        for (key, found) in &all {
            let memory = self.memories.written.get(key).cloned();
            let memory = match (memory, found) {
                (None, Found::Nothing) => continue,
                (None, _) => Memory::of_nobody(),
                (Some(memory), _) => memory,
            };
            let memory = if leaving.contains(key) { memory.unwanted() } else { memory };
            self.decide(Input::Recalled { key: *key, memory: Box::new(memory), found: *found });
        }
        self.tell(Input::Begin);
        for (key, found) in all {
            if let Found::Dead { number, .. } = found {
                let run = RunId { component: key, number };
                self.reported.insert(run, Reported { exit: true, ..Reported::default() });
                self.look(run);
            }
        }
    }

    /// Another supervisor knows the components by other keys. What runs of those that it does not know, nobody will ever look for.
    fn rekey(&mut self, key_of: &dyn Fn(u32) -> Option<u32>) {
        fn rekeyed<T>(map: &mut BTreeMap<u32, T>, key_of: &dyn Fn(u32) -> Option<u32>) {
            let all = std::mem::take(map).into_iter();
            *map = all.filter_map(|(key, its)| Some((key_of(key)?, its))).collect();
        }
        rekeyed(&mut self.mocks, key_of);
        rekeyed(&mut self.begun_as, key_of);
        rekeyed(&mut self.draws, key_of);
        self.memories.rekey(key_of);
        self.processes.rekey(key_of);
        self.witness.rekey(key_of);
        self.agenda.retain(|_, happening| match happening {
            Happening::News(Input::Ready { run }) => match key_of(run.component) {
                Some(key) => {
                    run.component = key;
                    true
                }
                None => false,
            },
            _ => true,
        });
    }

    /// What there is of a component, by its processes and what is written down. What has ended was reaped by init.
    fn find(&mut self, key: u32) -> Found {
        let main = self.processes.of(key).find(|process| process.is_main);
        let main = main.map(|process| (process.run.number, process.pid, process.ended));
        let left = self.processes.of(key).filter(|process| process.lives());
        let left = left.map(|process| process.run.number).max();
        self.processes.reap_all_of(key);
        let remembered = self.memories.written.get(&key).and_then(Memory::run);
        let remembered = remembered.and_then(|(number, pid)| pid.map(|_| number));
        let run = |number| RunId { component: key, number };
        match (main, left.or(remembered)) {
            (Some((number, pid, None)), _) => {
                self.witness.is_found(key, Some(run(number)));
                self.reported.insert(run(number), Reported::default());
                let is_outdated = self.begun_as.get(&key).is_some_and(|begun| {
                    self.mocks.get(&key).is_none_or(|mock| takes_another_process(begun, &mock.spec))
                });
                Found::Alive { number, pid, is_outdated }
            }
            (main, Some(number)) => {
                self.witness.is_found(key, Some(run(number)));
                let is_told = draws_of(&mut self.draws, key).one_in(2);
                let exit = main.and_then(|(_, _, exit)| exit).filter(|_| is_told).unwrap_or(Exit::Unknown);
                Found::Dead { number, exit }
            }
            (_, None) => {
                self.witness.is_found(key, None);
                Found::Nothing
            }
        }
    }
}

/// What a supervisor knows of one that is in no registry: that it is to be stopped.
fn stranger(id: &str) -> Option<ProcessSpec> {
    let mut spec = ProcessSpec::new(id, "").ok()?;
    spec.autostart = false;
    Some(spec)
}
