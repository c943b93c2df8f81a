//! What somebody asks for, and what that means for each component.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::component::Component;
use super::message::{Action, Ask};
use super::requests::Goal;
use super::sequence::Wave;
use super::{Core, RequestId, Shutdown};
use crate::event::{Event, EventKind};
use crate::request::{Achieved, Dependants, RequestError, Until};
use crate::signal::Signal;
use crate::spec::{ComponentId, Condition};

/// So much later than the first, a second request to stop means at once; until then it is taken for the same wish.
pub(super) const IMPATIENCE: Duration = Duration::from_secs(1);

/// What stops everything when no request does.
pub(super) const NOBODY: RequestId = RequestId(u64::MAX);

impl Core {
    pub(super) fn request(&mut self, request: RequestId, ask: Ask, by: &Arc<str>) {
        if let Some(why) = self.refusal(&ask) {
            self.actions.push(Action::Refused { request, why });
            return;
        }
        if let Ask::Apply { .. } = ask {
            // Before anybody can be told that it is so.
            self.actions.push(Action::Lineup);
        }
        self.actions.push(Action::Accepted { request });
        self.tell_of(&ask, by);
        match ask {
            Ask::Start(keys) => {
                let all = self.graph.closure(keys.clone(), |key| self.missing(key));
                self.tell_of_others("start", &all, &keys, by);
                let keys = all;
                self.for_each(request, keys, Self::want);
            }
            Ask::Stop { keys, dependants } => {
                self.hurry(&keys);
                let keys = match dependants {
                    Dependants::Stop => {
                        let all = self.graph.closure(keys.clone(), |key| self.running_dependants(key));
                        self.tell_of_others("stop", &all, &keys, by);
                        all
                    }
                    Dependants::Refuse | Dependants::Leave => keys,
                };
                self.for_each(request, keys, Self::stop);
            }
            Ask::Restart(keys) => {
                // A restart ends as a start does, which begins with whom it needs and does not find.
                let all = self.graph.closure(keys.clone(), |key| self.missing(key));
                self.tell_of_others("start", &all, &keys, by);
                let named: BTreeSet<_> = keys.into_iter().collect();
                self.for_each(request, all, |core, request, key| {
                    if named.contains(&key) { core.want_anew(request, key) } else { core.want(request, key) }
                });
            }
            Ask::Reset(keys) => self.for_each(request, keys, Self::reset),
            Ask::Reload(keys) => self.for_each(request, keys, Self::reload),
            Ask::Signal { keys, signal } => self.signal(request, &keys, signal),
            Ask::Rotate(keys) => self.rotate(request, &keys),
            Ask::Wait { keys, until } => self.wait(request, &keys, until),
            Ask::Apply { setup, confirm } => self.apply(request, &setup, confirm, by),
            Ask::Shutdown { immediately } => self.shut_down(request, immediately, None),
            Ask::Leave => {
                // What is to be remembered is written down already: nothing has changed since.
                self.shutdown = Shutdown::Over;
                self.actions.push(Action::Leave);
            }
        }
    }

    fn refusal(&self, ask: &Ask) -> Option<RequestError> {
        // A shutdown is refused only where it would change nothing: nothing may stand in the way of the end.
        let changes_nothing = match ask {
            Ask::Shutdown { immediately: false } => self.shutdown != Shutdown::No,
            Ask::Shutdown { immediately: true } => self.shutdown == Shutdown::Immediate,
            _ => true,
        };
        if self.requests.is_full() && changes_nothing {
            return Some(RequestError::TooMany);
        }
        // Whoever has looked up their names may have done so a moment before others were there.
        if ask.keys().is_some_and(|keys| keys.iter().any(|key| !self.has(*key))) {
            return Some(RequestError::Changed);
        }
        match ask {
            Ask::Start(_) | Ask::Restart(_) | Ask::Apply { .. } | Ask::Leave
                if self.shutdown != Shutdown::No =>
            {
                Some(RequestError::ShuttingDown)
            }
            Ask::Start(keys) | Ask::Restart(keys) => {
                let leaving = keys.iter().find(|key| self.component(**key).is_leaving);
                leaving.map(|key| RequestError::Leaving { id: self.id(*key) })
            }
            Ask::Leave if !self.rules.remembers => Some(RequestError::Forgetful),
            Ask::Leave if self.rules.ends_with_us => Some(RequestError::Bound),
            Ask::Leave if self.trial.is_some() => Some(RequestError::OnTrial),
            Ask::Stop { keys, dependants: Dependants::Refuse } => self.dependants_in_the_way(keys),
            Ask::Reload(keys) => {
                let speechless = keys.iter().find(|key| self.component(**key).spec.reload.is_empty());
                speechless.map(|key| RequestError::NoReload { id: self.id(*key) })
            }
            _ => None,
        }
    }

    /// Whom these need and do not find as they need them.
    fn missing(&self, key: u32) -> Vec<u32> {
        let missing = |needed: &&(u32, Condition)| !self.component(needed.0).satisfies(needed.1);
        self.graph.needs(key).iter().filter(missing).map(|(needed, _)| *needed).collect()
    }

    /// Those that run and need this one to go on running.
    fn running_dependants(&self, key: u32) -> Vec<u32> {
        if self.component(key).run().is_none() {
            return Vec::new();
        }
        let needs_it_alive = |other: u32| {
            let mut needs = self.graph.needs(other).iter();
            needs.any(|(needed, condition)| *needed == key && *condition != Condition::Completed)
        };
        let others = self.graph.needed_by(key).iter().copied();
        others.filter(|other| self.component(*other).run().is_some() && needs_it_alive(*other)).collect()
    }

    fn dependants_in_the_way(&self, keys: &[u32]) -> Option<RequestError> {
        let all = self.graph.closure(keys.to_vec(), |key| self.running_dependants(key));
        if all.len() == keys.len() {
            return None;
        }
        let named: BTreeSet<_> = keys.iter().copied().collect();
        let others = |key: u32| -> Vec<ComponentId> {
            let all = self.graph.closure(vec![key], |key| self.running_dependants(key));
            let others = all.into_iter().filter(|other| *other != key && !named.contains(other));
            others.map(|other| self.id(other)).collect()
        };
        let needed = |key: &u32| Some((*key, others(*key))).filter(|(_, others)| !others.is_empty());
        let (key, dependants) = keys.iter().find_map(needed)?;
        Some(RequestError::Dependants { id: self.id(key), dependants })
    }

    fn tell_of(&mut self, ask: &Ask, by: &Arc<str>) {
        let signal = if let Ask::Signal { signal, .. } = ask { Some(*signal) } else { None };
        let verb = match ask {
            Ask::Start(_) => "start",
            Ask::Stop { .. } => "stop",
            Ask::Restart(_) => "restart",
            Ask::Reset(_) => "reset",
            Ask::Reload(_) => "reload",
            Ask::Signal { .. } => "signal",
            Ask::Rotate(_) => "rotate",
            // It changes nothing, and so explains nothing.
            Ask::Wait { .. } => return,
            Ask::Apply { .. } => "apply",
            Ask::Shutdown { immediately: false } => "shutdown",
            Ask::Shutdown { immediately: true } => "shutdown now",
            Ask::Leave => "leave",
        };
        let some = ask.keys().filter(|keys| keys.len() != self.graph.order().len());
        let about = some.map_or(vec![None], |keys| keys.iter().map(|key| Some(self.id(*key))).collect());
        for component in about {
            let kind = EventKind::Requested { verb, signal, by: Arc::clone(by) };
            self.actions.push(Action::Emit(Event { at: self.now, component, kind }));
        }
    }

    /// Tells of those that nobody has named, but that those who were named bring with them.
    fn tell_of_others(&mut self, verb: &'static str, all: &[u32], named: &[u32], by: &Arc<str>) {
        let Some(first) = named.first() else { return };
        let with = self.id(*first);
        let named: BTreeSet<_> = named.iter().collect();
        for key in all.iter().filter(|key| !named.contains(key)) {
            let by = format!("{by}, with {with}").into();
            let kind = EventKind::Requested { verb, signal: None, by };
            self.actions.push(Action::Emit(Event { at: self.now, component: Some(self.id(*key)), kind }));
        }
    }

    /// Does this to each component first, and only then lets each take its turn: so that they go in order.
    pub(super) fn for_each(
        &mut self,
        request: RequestId,
        keys: Vec<u32>,
        what: impl Fn(&mut Self, RequestId, u32),
    ) {
        let mut keys = keys;
        self.graph.sort(&mut keys);
        if request != NOBODY {
            self.open(request, &keys);
        }
        self.carry_out(request, keys, what);
    }

    /// The same, where the request is open already and the components are in start order.
    pub(super) fn carry_out(
        &mut self,
        request: RequestId,
        keys: Vec<u32>,
        what: impl Fn(&mut Self, RequestId, u32),
    ) {
        for key in &keys {
            what(self, request, *key);
        }
        for key in &keys {
            if std::mem::take(&mut self.component_mut(*key).hurry) {
                let milestone = self.transition(*key, Component::kill);
                self.reached(*key, milestone);
            }
        }
        // Those of one rank start in order, and hear of a stop in reverse order.
        let (halting, others): (Vec<_>, Vec<_>) =
            keys.into_iter().partition(|key| self.component(*key).halting.is_some());
        for key in halting.into_iter().rev().chain(others) {
            self.take_turn(key);
        }
        self.requests.answer_if_complete(request, &mut self.actions);
    }

    fn want(&mut self, request: RequestId, key: u32) {
        self.resolve_waiting(key, Goal::Stop, &Achieved::Overtaken);
        let was_wanted = self.component(key).wanted;
        self.want_it(key, true);
        let component = self.component(key);
        if let Some(pids) = component.survivors() {
            return self.resolve(request, key, Achieved::Unkillable(pids));
        }
        if component.is_ending() {
            // This run is over: what is asked for is the next one.
            self.join_halt(key, Wave::Request(request));
        } else if component.halting.is_some() && !was_wanted {
            // A stop that has not been carried out yet is taken back.
            self.leave_halt(key);
        }
        let component = self.component(key);
        if component.has_started() && component.halting.is_none() {
            return self.resolve(request, key, Achieved::AlreadySo);
        }
        self.requests.wait(request, key, Goal::Start);
        self.launch_anew(request, key);
    }

    pub(super) fn want_anew(&mut self, request: RequestId, key: u32) {
        self.resolve_waiting(key, Goal::Stop, &Achieved::Overtaken);
        self.want_it(key, true);
        let component = self.component(key);
        if let Some(pids) = component.survivors() {
            return self.resolve(request, key, Achieved::Unkillable(pids));
        }
        self.requests.wait(request, key, Goal::Start);
        if self.component(key).run().is_some() {
            self.join_halt(key, Wave::Request(request));
        }
        self.launch_anew(request, key);
    }

    /// Takes part in the start sequence with its past forgiven, now or when its run is gone.
    fn launch_anew(&mut self, request: RequestId, key: u32) {
        self.join_launch(key, Wave::Request(request));
        self.transition(key, |component, _| component.forgive());
        if self.component(key).run().is_none() {
            self.transition(key, Component::queue);
        }
    }

    /// Asked a second time, a stop does not wait any more. That is said of those who are named, and not of those that depend on
    /// them.
    fn hurry(&mut self, keys: &[u32]) {
        for key in keys {
            let component = self.component(*key);
            let waits_for = component.was_told_to_stop_for(self.now).filter(|_| !component.wanted);
            self.component_mut(*key).hurry = waits_for.is_some_and(|time| time >= IMPATIENCE);
        }
    }

    fn stop(&mut self, request: RequestId, key: u32) {
        // Somebody means this one, and not only the supervisor: another supervisor does not start it again.
        if self.wanted_before.remove(&key) && self.rules.remembers {
            self.to_remember.insert(key);
        }
        // While everything stops, each keeps its place in the order of that.
        self.end_wish(request, key, self.shutdown != Shutdown::No);
    }

    pub(super) fn unwant(&mut self, request: RequestId, key: u32) {
        self.end_wish(request, key, false);
    }

    fn end_wish(&mut self, request: RequestId, key: u32, keeps_its_place: bool) {
        self.resolve_waiting(key, Goal::Start, &Achieved::Overtaken);
        self.want_it(key, false);
        let component = self.component(key);
        if let Some(pids) = component.survivors() {
            self.resolve(request, key, Achieved::Unkillable(pids));
        } else if component.run().is_some() {
            self.requests.wait(request, key, Goal::Stop);
            if !keeps_its_place || self.component(key).halting.is_none() {
                self.join_halt(key, Wave::Request(request));
            }
        } else {
            let achieved = if component.is_down() { Achieved::AlreadySo } else { Achieved::Done };
            self.transition(key, Component::rest);
            self.resolve(request, key, achieved);
        }
        self.leave_launch(key);
    }

    fn reset(&mut self, request: RequestId, key: u32) {
        let had_failed = self.transition(key, Component::reset);
        if had_failed {
            self.leave_launch(key);
            self.resolve_waiting(key, Goal::Start, &Achieved::Overtaken);
        }
        self.resolve(request, key, if had_failed { Achieved::Done } else { Achieved::AlreadySo });
    }

    fn reload(&mut self, request: RequestId, key: u32) {
        let component = self.component(key);
        if !component.has_started() {
            // One that lives has been told nothing, for another reason than one that does not.
            let why = if component.is_ending() { "it is ending" } else { "it has not started yet" };
            let lives = component.run().is_some();
            let achieved = if lives { Achieved::Failed(why.into()) } else { Achieved::NotRunning };
            return self.resolve(request, key, achieved);
        }
        self.requests.wait(request, key, Goal::Reload);
        let milestone = self.transition(key, Component::reload);
        self.reached(key, milestone);
    }

    fn signal(&mut self, request: RequestId, keys: &[u32], signal: Signal) {
        self.open(request, keys);
        for key in keys {
            let is_told = self.transition(*key, |component, context| component.forward(signal, context));
            self.resolve(request, *key, if is_told { Achieved::Done } else { Achieved::NotRunning });
        }
        self.requests.answer_if_complete(request, &mut self.actions);
    }

    fn wait(&mut self, request: RequestId, keys: &[u32], until: Until) {
        let goal = match until {
            Until::Started => Goal::Started,
            Until::Ready => Goal::Ready,
            Until::Stopped => Goal::Down,
        };
        self.open(request, keys);
        for key in keys {
            if self.is_so(*key, goal) {
                self.resolve(request, *key, Achieved::AlreadySo);
            } else {
                self.requests.wait(request, *key, goal);
            }
        }
        self.requests.answer_if_complete(request, &mut self.actions);
    }

    pub(super) fn open(&mut self, request: RequestId, keys: &[u32]) {
        let components = &self.components;
        self.requests.open(request, keys.iter().map(|key| (*key, components[key].spec.id.clone())));
    }

    pub(super) fn resolve(&mut self, request: RequestId, key: u32, achieved: Achieved) {
        self.requests.resolve(request, key, achieved, &mut self.actions);
    }

    /// Tells those who wait for this what has come of it.
    pub(super) fn resolve_waiting(&mut self, key: u32, goal: Goal, achieved: &Achieved) {
        for request in self.requests.take_waiting(key, goal) {
            self.resolve(request, key, achieved.clone());
        }
    }
}
