//! Whose turn it is: who may begin, who may stop, and who waits for whom.

use super::Core;
use super::budget::Budget;
use super::component::{Component, Hope, Waits};
use super::graph::Graph;
use super::message::Action;
use super::requests::Goal;
use super::sequence::{Seat, Turn, Wave};
use crate::event::{Event, EventKind};
use crate::request::Achieved;
use crate::spec::Condition;

/// Of so many that wait for each other, one after the other, it is told who is the last.
const LONGEST_CHAIN: usize = 1_000;

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
        let seat = self.graph.start_seat(key);
        // Those that leave hold up all others.
        let rank = if self.component(key).is_leaving { 0 } else { seat.rank };
        let turn = Turn { wave, seat: Seat { rank, ..seat } };
        self.component_mut(key).launching = Some(turn);
        self.changed.insert(key);
        self.launch.join(turn);
    }

    pub(super) fn leave_launch(&mut self, key: u32) {
        if let Some(turn) = self.component_mut(key).launching.take() {
            self.changed.insert(key);
            self.launch.leave(turn);
        }
    }

    pub(super) fn join_halt(&mut self, key: u32, wave: Wave) {
        self.leave_halt(key);
        let turn = Turn { wave, seat: self.order_of(wave).stop_seat(key) };
        self.component_mut(key).halting = Some(turn);
        self.changed.insert(key);
        self.halt.join(turn);
    }

    pub(super) fn leave_halt(&mut self, key: u32) {
        if let Some(turn) = self.component_mut(key).halting.take() {
            self.changed.insert(key);
            self.halt.leave(turn);
        }
    }

    /// By which order those stop that stop in this wave.
    fn order_of(&self, wave: Wave) -> &Graph {
        self.old_order.as_ref().filter(|old| old.wave == wave).map_or(&self.graph, |old| &old.graph)
    }

    /// Lets one go on that waits to begin.
    pub(super) fn go_on(&mut self, key: u32) {
        if self.component(key).is_queued() {
            self.take_turn(key);
        }
    }

    /// Does what the component waits to do, if it is its turn.
    pub(super) fn take_turn(&mut self, key: u32) {
        let component = self.component(key);
        if let Some(turn) = component.halting {
            if self.halt.has_come(turn) && !self.is_needed_yet(key, turn.wave) {
                self.transition(key, Component::stop);
            }
            return;
        }
        let is_its_turn = component.launching.is_none_or(|turn| self.launch.has_come(turn));
        if component.is_queued() && is_its_turn {
            self.begin_or_wait(key);
        }
    }

    fn begin_or_wait(&mut self, key: u32) {
        match self.obstacle(key) {
            None if self.component(key).owes_a_token() && !self.pay(key) => {}
            None => self.transition(key, Component::begin),
            Some(Obstacle::Needs(on, _)) if !self.is_on_its_way(on) => self.blocked(key),
            Some(_) => {}
        }
    }

    /// Pays for a restart with a token of the budget, or waits for one.
    fn pay(&mut self, key: u32) -> bool {
        if let Some(budget) = &mut self.budget {
            if budget.is_owed_by(key) {
                return false;
            }
            if let Err(delay) = budget.take(key, self.now) {
                self.transition(key, |component, context| component.wait_for_token(delay, context));
                return false;
            }
        }
        self.transition(key, |component, _| component.set_paid(true));
        true
    }

    /// Lets those begin for whom there are tokens now, in the order in which they came to wait for one.
    pub(super) fn give_tokens(&mut self) {
        while let Some(key) = self.budget.as_mut().and_then(|budget| budget.call(self.now)) {
            self.transition(key, |component, _| component.set_paid(true));
            self.finish_group_restart(key);
            self.go_on(key);
            // What it needs may have gone while it waited: then the next one has the token.
            if self.component(key).has_paid() {
                self.transition(key, |component, _| component.set_paid(false));
                self.budget.iter_mut().for_each(Budget::give_back);
            }
        }
    }

    /// What keeps it from beginning. Of several that it needs, that of which there is the least hope.
    fn obstacle(&self, key: u32) -> Option<Obstacle> {
        if let Some(restart) = self.groups.restart(key) {
            let leader_waits = restart.leader != key && self.is_waiting_by_itself(restart.leader);
            let running = restart.running.iter().copied().find(|other| *other != key);
            if let Some(other) = running.or(leader_waits.then_some(restart.leader)) {
                return Some(Obstacle::Group(other));
            }
        }
        let needs = self.graph.needs(key).iter();
        let missing = needs.filter(|(needed, condition)| !self.component(*needed).satisfies(*condition));
        let worst = missing.min_by_key(|(needed, _)| self.component(*needed).hope());
        worst.map(|(needed, condition)| Obstacle::Needs(*needed, *condition))
    }

    /// Whether it waits for its next try, or for a token of the budget.
    fn is_waiting_by_itself(&self, key: u32) -> bool {
        let owes = self.budget.as_ref().is_some_and(|budget| budget.is_owed_by(key));
        owes || self.component(key).is_backing_off()
    }

    /// What it is doing, in one word.
    fn state_word(&self, key: u32) -> &'static str {
        if self.is_waiting_by_itself(key) { "backoff" } else { self.component(key).state_word(self.now) }
    }

    /// Whether it is about to start, or has a run that may come to what is needed of it: until that ends, there is hope.
    fn is_on_its_way(&self, key: u32) -> bool {
        self.component(key).hope() == Hope::OnItsWay
    }

    /// Whom it needs will perhaps never be there: nobody else waits for it any longer.
    fn blocked(&mut self, key: u32) {
        if self.component(key).launching.is_none() {
            return;
        }
        let Some((on, condition)) = self.last_need(key) else { return };
        let (on, state) = (self.id(on), self.state_word(on));
        // Neither do those who need it.
        self.leave_launch(key);
        self.resolve_waiting(key, Goal::Start, &Achieved::Blocked { on: on.clone(), state });
        self.emit(key, EventKind::Blocked { on, condition, state });
    }

    /// Whom it needs in the end, and how that is needed: where one waits for whom it needs in turn, that one.
    fn last_need(&self, key: u32) -> Option<(u32, Condition)> {
        let next = |key: u32| match self.obstacle(key)? {
            Obstacle::Needs(on, condition) => Some((on, condition)),
            Obstacle::Group(_) => None,
        };
        let mut last = next(key)?;
        for _ in 0..LONGEST_CHAIN {
            let waits = self.component(last.0).hope() == Hope::Blocked;
            let Some(further) = next(last.0).filter(|(on, _)| waits && *on != key) else { break };
            last = further;
        }
        Some(last)
    }

    /// Whether one that needs it is to stop too, and has not yet.
    fn is_needed_yet(&self, key: u32, wave: Wave) -> bool {
        let order = self.order_of(wave);
        order.needed_by(key).iter().any(|other| {
            let Some(other) = self.components.get(other) else { return false };
            // Those that stop by another order do not wait for each other: they might do so for ever.
            let is_to_stop = other.halting.is_some_and(|turn| std::ptr::eq(self.order_of(turn.wave), order));
            is_to_stop && other.is_busy()
        })
    }

    /// Whom a component waits for, and what that one is doing, where it may never come to what is needed by itself.
    pub(super) fn waits_for(&self, key: u32) -> Option<Waits> {
        if let Some(turn) = self.component(key).launching
            && !self.launch.has_come(turn)
        {
            return self.launch.front(turn.wave).next().map(|first| Waits::For(self.id(first), None));
        }
        Some(match self.obstacle(key)? {
            Obstacle::Group(other) => Waits::For(self.id(other), None),
            Obstacle::Needs(on, _) if self.is_on_its_way(on) => Waits::For(self.id(on), None),
            Obstacle::Needs(on, _) => {
                let on = self.last_need(key).map_or(on, |(last, _)| last);
                Waits::For(self.id(on), Some(self.state_word(on)))
            }
        })
    }

    /// It has ended by itself and will be restarted: so are the others of its group that its strategy names.
    pub(super) fn restart_companions(&mut self, key: u32) {
        let restarts_too = |other: &u32| {
            let other = self.component(*other);
            other.wanted && other.is_busy() && other.spec.restart.restarts()
        };
        let companions: Vec<u32> = self.groups.companions(key).into_iter().filter(restarts_too).collect();
        if companions.is_empty() {
            return;
        }
        let wave = self.groups.begin(key, companions.iter().copied().collect());
        self.join_launch(key, wave);
        for other in &companions {
            self.emit(*other, EventKind::Regrouped { with: self.id(key) });
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

    /// Lets all members of a group begin, if it restarts, nothing of them runs any more, and the wait of the first is over.
    pub(super) fn finish_group_restart(&mut self, key: u32) {
        let Some(restart) = self.groups.restart(key) else { return };
        let leader = restart.leader;
        if !restart.running.is_empty() || self.component(leader).is_backing_off() {
            return;
        }
        // The wait of the first goes on until there is a token.
        if self.component(leader).owes_a_token() && !self.pay(leader) {
            return;
        }
        let members = self.groups.members(key);
        self.groups.finish(key);
        for member in members {
            self.go_on(member);
        }
        // A token is for now: one that has to wait for others of its group asks for another later.
        self.transition(leader, |component, _| component.set_paid(false));
    }

    fn emit(&mut self, key: u32, kind: EventKind) {
        self.actions.push(Action::Emit(Event { at: self.now, component: Some(self.id(key)), kind }));
    }
}
