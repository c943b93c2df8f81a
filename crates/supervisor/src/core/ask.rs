//! What somebody asks for, and what that means for each component.

use std::sync::Arc;

use super::component::Component;
use super::requests::Goal;
use super::sequence::Wave;
use super::{Action, Ask, Core, RequestId, Shutdown};
use crate::event::{Event, EventKind};
use crate::request::{Achieved, RequestError};

impl Core {
    pub(super) fn request(&mut self, request: RequestId, ask: Ask, by: &Arc<str>) {
        if let Some(why) = self.refusal(&ask) {
            self.actions.push(Action::Refused { request, why });
            return;
        }
        self.actions.push(Action::Accepted { request });
        self.tell_of(&ask, by);
        match ask {
            Ask::Start(keys) => self.for_each(request, keys, Self::want),
            Ask::Stop { keys, .. } => self.for_each(request, keys, Self::unwant),
            Ask::Reset(_) | Ask::Reload(_) | Ask::Signal { .. } | Ask::Wait { .. } => {}
            Ask::Restart(keys) => self.for_each(request, keys, Self::want_anew),
            Ask::Shutdown { immediately } => self.shut_down(request, immediately),
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
        let starts = matches!(ask, Ask::Start(_) | Ask::Restart(_));
        (starts && self.shutdown != Shutdown::No).then_some(RequestError::ShuttingDown)
    }

    fn tell_of(&mut self, ask: &Ask, by: &Arc<str>) {
        let (verb, keys) = match ask {
            Ask::Start(keys) => ("start", Some(keys)),
            Ask::Stop { keys, .. } => ("stop", Some(keys)),
            Ask::Reset(keys) => ("reset", Some(keys)),
            Ask::Reload(keys) => ("reload", Some(keys)),
            Ask::Signal { keys, .. } => ("signal", Some(keys)),
            Ask::Wait { keys, .. } => ("wait", Some(keys)),
            Ask::Restart(keys) => ("restart", Some(keys)),
            Ask::Shutdown { immediately: false } => ("shutdown", None),
            Ask::Shutdown { immediately: true } => ("shutdown now", None),
        };
        let some = keys.filter(|keys| keys.len() != self.components.len());
        let about = some.map_or(vec![None], |keys| keys.iter().map(|key| Some(self.id(*key))).collect());
        for component in about {
            let kind = EventKind::Requested { verb, by: Arc::clone(by) };
            self.actions.push(Action::Emit(Event { at: self.now, component, kind }));
        }
    }

    /// Does this to each component first, and only then lets each take its turn: so that they go in order.
    fn for_each(&mut self, request: RequestId, keys: Vec<u32>, what: fn(&mut Self, RequestId, u32)) {
        self.requests.open(request, &keys);
        for key in &keys {
            what(self, request, *key);
        }
        // Those of one rank start in order, and hear of a stop in reverse order.
        let (halting, others): (Vec<_>, Vec<_>) =
            keys.into_iter().partition(|key| self.component(*key).halting.is_some());
        for key in halting.into_iter().rev().chain(others) {
            self.take_turn(key);
        }
        self.requests.answer_if_complete(request, &self.components, &mut self.actions);
    }

    fn want(&mut self, request: RequestId, key: u32) {
        self.resolve_waiting(key, Goal::Stopped, &Achieved::Overtaken);
        let component = self.component_mut(key);
        let was_wanted = std::mem::replace(&mut component.wanted, true);
        if let Some(pids) = component.survivors() {
            return self.resolve(request, key, Achieved::Unkillable(pids));
        }
        if component.is_ending() {
            // This run is over: what is asked for is the next one.
            self.join_halt(key, Wave(request.0));
        } else if component.halting.is_some() && !was_wanted {
            // A stop that has not been carried out yet is taken back.
            self.leave_halt(key);
        }
        let component = self.component(key);
        if component.has_started() && component.halting.is_none() {
            return self.resolve(request, key, Achieved::AlreadySo);
        }
        self.requests.wait(request, key, Goal::Started);
        self.launch_anew(request, key);
    }

    fn want_anew(&mut self, request: RequestId, key: u32) {
        self.resolve_waiting(key, Goal::Stopped, &Achieved::Overtaken);
        let component = self.component_mut(key);
        component.wanted = true;
        if let Some(pids) = component.survivors() {
            return self.resolve(request, key, Achieved::Unkillable(pids));
        }
        self.requests.wait(request, key, Goal::Started);
        if self.component(key).run().is_some() {
            self.join_halt(key, Wave(request.0));
        }
        self.launch_anew(request, key);
    }

    /// Takes part in the start sequence with its past forgiven, now or when its run is gone.
    fn launch_anew(&mut self, request: RequestId, key: u32) {
        self.join_launch(key, Wave(request.0));
        let component = self.component_mut(key);
        component.forgive();
        if component.run().is_none() {
            self.transition(key, Component::queue);
        }
    }

    fn unwant(&mut self, request: RequestId, key: u32) {
        self.resolve_waiting(key, Goal::Started, &Achieved::Overtaken);
        self.component_mut(key).wanted = false;
        let component = self.component(key);
        if let Some(pids) = component.survivors() {
            self.resolve(request, key, Achieved::Unkillable(pids));
        } else if component.run().is_some() {
            self.requests.wait(request, key, Goal::Stopped);
            self.join_halt(key, Wave(request.0));
        } else {
            let achieved = if component.is_down() { Achieved::AlreadySo } else { Achieved::Done };
            self.transition(key, Component::rest);
            self.resolve(request, key, achieved);
        }
        self.leave_launch(key);
    }

    /// Stops everything; the last step of it is `End`.
    fn shut_down(&mut self, request: RequestId, immediately: bool) {
        if self.shutdown == Shutdown::No {
            self.shutdown = Shutdown::InOrder;
            let event =
                Event { at: self.now, component: None, kind: EventKind::ShuttingDown { given_up: None } };
            self.actions.push(Action::Emit(event));
        }
        if immediately {
            self.shutdown = Shutdown::Immediate;
        }
        self.for_each(request, self.keys().collect(), Self::unwant);
        if immediately {
            for key in self.keys() {
                self.transition(key, Component::kill);
            }
        }
    }

    fn resolve(&mut self, request: RequestId, key: u32, achieved: Achieved) {
        self.requests.resolve(request, key, achieved, &self.components, &mut self.actions);
    }

    /// Tells those who wait for this what has come of it.
    pub(super) fn resolve_waiting(&mut self, key: u32, goal: Goal, achieved: &Achieved) {
        for request in self.requests.take_waiting(key, goal) {
            self.resolve(request, key, achieved.clone());
        }
    }
}
