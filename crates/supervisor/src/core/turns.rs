//! Whose turn it is: who may begin, who may stop, and who waits for whom.

use std::collections::BTreeSet;

use super::Core;
use super::component::Component;
use super::message::Action;
use super::requests::Goal;
use super::sequence::{Sequence, Wave};
use crate::event::{Event, EventKind};
use crate::request::Achieved;
use crate::spec::{ComponentId, Condition};

/// What keeps a component from beginning though it is its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    /// Whom it needs is not there.
    Needs(u32, Condition),
    /// The others of its group have not all ended, or the wait of this member is not over.
    Group(u32),
}

impl Core {
    pub(super) fn join_launch(&mut self, key: u32, wave: Wave) {
        self.leave_launch(key);
        self.component_mut(key).launching = Some(wave);
        self.launch.join(wave, self.graph.rank(key), key);
    }

    pub(super) fn leave_launch(&mut self, key: u32) {
        if let Some(wave) = self.component_mut(key).launching.take() {
            self.launch.leave(wave, self.graph.rank(key), key);
        }
    }

    pub(super) fn join_halt(&mut self, key: u32, wave: Wave) {
        self.leave_halt(key);
        self.component_mut(key).halting = Some(wave);
        self.halt.join(wave, self.halt_rank(key), key);
    }

    pub(super) fn leave_halt(&mut self, key: u32) {
        if let Some(wave) = self.component_mut(key).halting.take() {
            self.halt.leave(wave, self.halt_rank(key), key);
        }
    }

    /// Components stop in descending priority.
    fn halt_rank(&self, key: u32) -> u16 {
        u16::MAX - self.graph.rank(key)
    }

    /// Lets those go on whose turn this step has brought.
    pub(super) fn give_turns(&mut self) {
        // One turn may bring another: who is blocked at once makes room.
        loop {
            let told = std::mem::take(&mut self.to_tell);
            let halting = self.halt.take_called();
            let launching = self.launch.take_called();
            if told.is_empty() && halting.is_empty() && launching.is_empty() {
                return;
            }
            for key in halting.into_iter().rev().chain(launching) {
                self.take_turn(key);
            }
            for key in told {
                for index in 0..self.graph.needed_by(key).len() {
                    self.go_on(self.graph.needed_by(key)[index]);
                }
            }
        }
    }

    /// Lets one go on that has just come to wait for its turn by itself.
    pub(super) fn go_on(&mut self, key: u32) {
        if self.component(key).is_queued() {
            self.take_turn(key);
        }
    }

    /// Does what the component waits to do, if it is its turn.
    pub(super) fn take_turn(&mut self, key: u32) {
        let component = self.component(key);
        let has_turn = |sequence: &Sequence, rank, wave| sequence.is_turn_of(wave, rank);
        if let Some(wave) = component.halting {
            if has_turn(&self.halt, self.halt_rank(key), wave) && !self.is_needed_yet(key) {
                self.transition(key, Component::stop);
            }
            return;
        }
        let is_its_turn =
            component.launching.is_none_or(|wave| has_turn(&self.launch, self.graph.rank(key), wave));
        if component.is_queued() && is_its_turn {
            self.begin_or_wait(key);
        }
    }

    fn begin_or_wait(&mut self, key: u32) {
        match self.obstacle(key) {
            None if self.component(key).owes_a_token() => self.begin_restart(key),
            None => self.transition(key, Component::begin),
            Some(Obstacle::Needs(on, condition)) if !self.is_on_its_way(on) => {
                self.blocked(key, on, condition);
            }
            Some(_) => {}
        }
    }

    /// Begins with a token of the budget, or waits for one.
    fn begin_restart(&mut self, key: u32) {
        if !self.owe_a_token(key) {
            self.transition(key, Component::begin);
        }
    }

    /// Takes the next token of the budget, and says whether that has still to come.
    fn owe_a_token(&mut self, key: u32) -> bool {
        let now = self.now;
        let at = self.budget.as_mut().map_or(now, |budget| budget.take(now));
        self.transition(key, |component, context| component.back_off(at.saturating_sub(now), true, context));
        at > now
    }

    /// What keeps it from beginning.
    fn obstacle(&self, key: u32) -> Option<Obstacle> {
        if let Some(restart) = self.groups.restart(key) {
            let leader_waits = restart.leader != key && self.component(restart.leader).is_backing_off();
            let running = restart.running.iter().copied().find(|other| *other != key);
            if let Some(other) = running.or(leader_waits.then_some(restart.leader)) {
                return Some(Obstacle::Group(other));
            }
        }
        let mut needs = self.graph.needs(key).iter();
        let unsatisfied = needs.find(|(needed, condition)| !self.component(*needed).satisfies(*condition));
        unsatisfied.map(|(needed, condition)| Obstacle::Needs(*needed, *condition))
    }

    /// Whether it is about to start, or has a run that may come to what is needed of it: until that ends, there is hope.
    fn is_on_its_way(&self, key: u32) -> bool {
        let component = self.component(key);
        component.launching.is_some() || component.run().is_some() && !component.is_ending()
    }

    /// Whom it needs will perhaps never be there: nobody else waits for it any longer.
    fn blocked(&mut self, key: u32, on: u32, condition: Condition) {
        if self.component(key).launching.is_none() {
            return;
        }
        let (id, state) = (self.id(on), self.component(on).state_word(self.now));
        self.leave_launch(key);
        self.resolve_waiting(key, Goal::Start, &Achieved::Blocked { on: id.clone(), state });
        let kind = EventKind::Blocked { on: id, condition, state };
        self.actions.push(Action::Emit(Event { at: self.now, component: Some(self.id(key)), kind }));
        // And neither do those who need it.
        self.tell_dependants(key);
    }

    /// What has become of it may let those begin that need it, or show that they will have to wait for long: they are looked at
    /// when the rest of this step has been done.
    pub(super) fn tell_dependants(&mut self, key: u32) {
        if !self.graph.needed_by(key).is_empty() {
            self.to_tell.push(key);
        }
    }

    /// Whether one that needs it is to stop too, and has not yet.
    fn is_needed_yet(&self, key: u32) -> bool {
        self.graph.needed_by(key).iter().any(|other| {
            let other = self.component(*other);
            other.halting.is_some() && other.is_busy()
        })
    }

    /// Those that it needs may stop now.
    pub(super) fn let_needed_stop(&mut self, key: u32) {
        for index in 0..self.graph.needs(key).len() {
            let (needed, _) = self.graph.needs(key)[index];
            if self.component(needed).halting.is_some() {
                self.take_turn(needed);
            }
        }
    }

    /// Whom a component waits for, and what that one is doing, where it may never come to what is needed by itself.
    pub(super) fn waits_for(&self, key: u32) -> Option<(ComponentId, Option<&'static str>)> {
        if let Some(wave) = self.component(key).launching
            && !self.launch.is_turn_of(wave, self.graph.rank(key))
        {
            return self.launch.front(wave).next().map(|first| (self.id(first), None));
        }
        Some(match self.obstacle(key)? {
            Obstacle::Group(other) => (self.id(other), None),
            Obstacle::Needs(on, _) if self.is_on_its_way(on) => (self.id(on), None),
            Obstacle::Needs(on, _) => (self.id(on), Some(self.component(on).state_word(self.now))),
        })
    }

    /// It has ended by itself and will be restarted: so are the others of its group that its strategy names.
    pub(super) fn restart_companions(&mut self, key: u32) {
        let restarts_too = |other: &u32| {
            let other = self.component(*other);
            other.wanted && other.is_busy() && other.spec.restart.restarts()
        };
        let companions: BTreeSet<u32> =
            self.groups.companions(key).into_iter().filter(restarts_too).collect();
        if companions.is_empty() {
            return;
        }
        let wave = self.groups.begin(key, companions.clone());
        self.join_launch(key, wave);
        for other in &companions {
            let kind = EventKind::Regrouped { with: self.id(key) };
            self.actions.push(Action::Emit(Event { at: self.now, component: Some(self.id(*other)), kind }));
            self.join_halt(*other, wave);
            // One that has not settled yet still does so for those that wait for it.
            if self.component(*other).launching.is_none() {
                self.join_launch(*other, wave);
            }
        }
        for other in companions.into_iter().rev() {
            self.take_turn(other);
        }
    }

    /// Nothing of a member of a group runs any more. If it was the last that a restart waited for, and the wait of the first is
    /// over, all begin.
    pub(super) fn group_member_ended(&mut self, key: u32) {
        self.groups.ended(key);
        self.finish_group_restart(key);
    }

    pub(super) fn finish_group_restart(&mut self, key: u32) {
        let Some(restart) = self.groups.restart(key) else { return };
        if !restart.running.is_empty() || self.component(restart.leader).is_backing_off() {
            return;
        }
        let leader = restart.leader;
        if self.component(leader).owes_a_token() && self.owe_a_token(leader) {
            // The wait of the first goes on until there is a token.
            return;
        }
        let members = self.groups.members(key);
        self.groups.finish(key);
        for member in members {
            self.go_on(member);
        }
        self.component_mut(leader).lose_token();
    }
}
