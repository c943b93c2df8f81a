//! What handles tell of components, with what the operating system tells of their processes.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

use super::{Command, Handle, Known};
use crate::os::{self, Meter};
use crate::request::{RequestError, Targets};
use crate::spec::{ComponentId, ProcessSpec};
use crate::status::{ComponentStatus, Detail, Status, Usage};

impl Handle {
    /// What is true of every component now. What their processes use is measured in the calling thread.
    ///
    /// # Errors
    /// [`RequestError::Ended`] if the supervisor has ended.
    pub fn status(&self) -> Result<Status, RequestError> {
        self.status_of(Targets::All)
    }

    /// What is true of these components now. What their processes use is measured in the calling thread.
    ///
    /// # Errors
    /// [`RequestError`] if a name means nothing or the supervisor has ended.
    pub fn status_of(&self, targets: impl Into<Targets>) -> Result<Status, RequestError> {
        let mut status = self.states_of(targets)?;
        let running = || status.components.iter().filter_map(|component| component.pid);
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        let usages = meter.usages(&running().collect::<Vec<_>>());
        let by_pid: HashMap<u32, Usage> =
            running().zip(usages).filter_map(|(pid, usage)| Some((pid, usage?))).collect();
        for component in &mut status.components {
            component.usage = component.pid.and_then(|pid| by_pid.get(&pid).copied());
        }
        Ok(status)
    }

    /// Likewise, but what their processes use is not measured, so that it costs much less: `usage` is `None`.
    ///
    /// # Errors
    /// As [`Handle::status_of`].
    pub fn states_of(&self, targets: impl Into<Targets>) -> Result<Status, RequestError> {
        let names = self.names.now();
        let keys = match targets.into() {
            Targets::All => names.all_and_leaving(),
            targets => names.resolve(&targets)?,
        };
        self.call(|answer| Command::Status { keys, answer })
    }

    /// How these components were declared, in start order.
    ///
    /// # Errors
    /// As [`Handle::status_of`].
    pub fn specs(&self, targets: impl Into<Targets>) -> Result<Vec<ProcessSpec>, RequestError> {
        let keys = self.names.now().resolve(&targets.into())?;
        self.call(|answer| Command::Specs { keys, answer })
    }

    /// What is true of one component now, and how long the supervisor has been running, from which its times count. What its
    /// processes use is measured in the calling thread. If that was asked a moment ago, and nothing has happened since, the
    /// supervisor's thread is not woken up for it.
    ///
    /// # Errors
    /// [`RequestError`] if there is no component of this id or the supervisor has ended.
    pub fn component(&self, id: &ComponentId) -> Result<(ComponentStatus, Duration), RequestError> {
        self.seen(id, |(known, _), age| {
            let mut component = known.component.clone().after(age);
            component.usage = component.pid.and_then(|pid| Meter::default().usages(&[pid]).pop().flatten());
            (component.usage, (component, known.uptime.saturating_add(age)))
        })
    }

    /// One component from all sides, likewise.
    ///
    /// # Errors
    /// As [`Handle::component`].
    pub fn detail(&self, id: &ComponentId) -> Result<Detail, RequestError> {
        self.seen(id, |(known, group), age| {
            let mut detail = known.clone().after(age);
            if let Some(pid) = detail.component.pid {
                (detail.component.usage, detail.processes) = os::processes(pid, group.as_deref());
            }
            (detail.component.usage, detail)
        })
    }

    /// What the driver knows of a component, as it is after some time in which nothing has happened, with what can be `seen` of
    /// its processes: at first what they use, if they live.
    fn seen<T>(
        &self,
        id: &ComponentId,
        seen: impl Fn(&Known, Duration) -> (Option<Usage>, T),
    ) -> Result<T, RequestError> {
        let key = self.names.now().key(id)?;
        if let Some((known, age)) = self.recent.known(key) {
            let (usage, seen) = seen(&known, age);
            // What was answered before is not true of one that has ended in this moment.
            if known.0.component.pid.is_none() || usage.is_some() {
                return Ok(seen);
            }
        }
        let known = self
            .recent
            .ask(key, || self.call(|answer| Command::Detail { key, answer })?.ok_or(RequestError::Changed))?;
        Ok(seen(&known, Duration::ZERO).1)
    }
}
