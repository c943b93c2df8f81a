//! How the driver has runs begin.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::super::launches::{Arrival, Named};
use super::super::runs::Owner;
use super::Driver;
use crate::core::Input;
use crate::environment;
use crate::error::{SpawnError, SpawnStep};
use crate::os::{self, Account, ControlGroup, Launch, Spawned};
use crate::run::RunId;

impl Driver {
    /// Begins a run; what has come of that, if it is known at once.
    pub(super) fn spawn(&mut self, run: RunId, now: Duration) -> Option<Input> {
        let spec = self.core.spec(run.component);
        if !Account::is_needed(spec) {
            return self.spawn_as(run, None);
        }
        let sought = self.means.launches.seek(run, spec, now);
        sought.err().map(|error| Input::NotSpawned { run, error })
    }

    /// An account has been looked up.
    pub(super) fn found(&mut self, named: &Named, account: &Result<Option<Arc<Account>>, SpawnError>) {
        for run in self.means.launches.found(named, account) {
            let come_of = match account.clone() {
                Ok(account) => self.spawn_as(run, account),
                Err(error) => Some(Input::NotSpawned { run, error }),
            };
            self.tell_of(come_of);
        }
    }

    /// Tells of the runs that have come to their programs meanwhile.
    pub(super) fn welcome(&mut self) {
        for Arrival { run, token, process } in self.means.launches.arrivals() {
            let pid = self.runs.add(Owner::Run(run), token, process);
            let begun = pid.map_err(|error| failed(SpawnStep::Process, &error));
            let input = self.begun(run, begun);
            self.tell(input);
        }
    }

    /// It is known why a run has not come to its program.
    pub(super) fn fell(&mut self, run: RunId, why: SpawnError) {
        if self.means.launches.fell(run) {
            let input = self.begun(run, Err(why));
            self.tell(input);
        }
    }

    /// Gives up the runs that have been on their way for too long.
    pub(super) fn give_up_overdue(&mut self) {
        let now = self.now();
        let core = &self.core;
        let spec = |run: RunId| core.spec(run.component).clone();
        let overdue: Vec<_> = std::iter::from_fn(|| self.means.launches.overdue(spec, now)).collect();
        for (run, error) in overdue {
            let input = self.begun(run, Err(error));
            self.tell(input);
        }
    }

    fn spawn_as(&mut self, run: RunId, account: Option<Arc<Account>>) -> Option<Input> {
        let begun = self.try_spawn(run, account).transpose()?;
        Some(self.begun(run, begun))
    }

    fn begun(&mut self, run: RunId, begun: Result<u32, SpawnError>) -> Input {
        match begun {
            Ok(pid) => Input::Spawned { run, pid },
            Err(error) => {
                self.means.voices.close(run.component);
                Input::NotSpawned { run, error }
            }
        }
    }

    /// The pid of its main process; `None` if that is on its way.
    fn try_spawn(&mut self, run: RunId, account: Option<Arc<Account>>) -> Result<Option<u32>, SpawnError> {
        let spec = self.core.spec(run.component);
        let token: Arc<str> = Arc::from(self.means.tokens.of(&spec.id, run.number));
        let owner = account.as_ref().and_then(|account| account.other_user());
        let no_output = |error| failed(SpawnStep::Output, &error);
        let ends = self.means.pump.open(run, spec, owner).map_err(no_output)?;
        if os::descriptors_are_scarce(&ends.stdout) {
            return Err(no_output(os::scarcity()));
        }
        let no_process = |error| failed(SpawnStep::Process, &error);
        let mouth = self.means.voices.open(run, &token, spec).map_err(no_process)?;
        let environment = environment::of(&spec.environment, &self.inherited);
        let mut group = self.runs.group_for(run.component, &spec.id);
        let spawned = loop {
            let launch = Launch {
                spec,
                environment: &environment,
                added: &mouth.variables,
                token: &token,
                account: account.as_deref(),
                terms: self.means.launches.terms,
                cgroup: group.as_deref().map(ControlGroup::folder),
                errand: None,
                stdout: &ends.stdout,
                stderr: &ends.stderr,
                ready: mouth.ready(),
            };
            match os::spawn(&launch, &mut self.means.pad) {
                // Somebody has removed it, or has made it one that takes no processes.
                Err(error) if error.step == SpawnStep::ControlGroup && group.is_some() => {
                    group = self.runs.instead_of_group(run.component, &spec.id, &error);
                }
                spawned => break spawned,
            }
        };
        // Only now, so that the start does not wait while another thread wakes up.
        self.means.pump.wake();
        self.means.launches.remember(run, account);
        match spawned? {
            Spawned::Running(process) => {
                let pid = self.runs.add(Owner::Run(run), token, process);
                pid.map(Some).map_err(no_process)
            }
            Spawned::OnItsWay { fledgling, over } => {
                let now = self.now();
                let awaited = self.means.launches.await_program(run, token, fledgling, over, now);
                awaited.map(|()| None).map_err(no_process)
            }
        }
    }
}

fn failed(step: SpawnStep, error: &io::Error) -> SpawnError {
    SpawnError { step, reason: os::in_words(error), os_error: error.raw_os_error() }
}
