//! What the change of one component means: for those who asked for it, and for the others.
//!
//! Whatever changes, by whatever way, is noted in `Core::changed` ([`Core::transition`] and the sequences see to that), and
//! what follows from it is worked out in one place, from what is true then: [`Core::consider`].

use super::Core;
use super::component::{Component, Milestone, Rest};
use super::requests::Goal;
use super::sequence::Wave;
use crate::request::Achieved;
use crate::spec::{Condition, OnGiveUp};

impl Core {
    /// What one component has reached is answered, and where it was an end, that may be one for others as well.
    pub(super) fn reached(&mut self, key: u32, milestone: Option<Milestone>) {
        self.note_for_trial(key);
        match milestone {
            None => {}
            Some(Milestone::Started) => {
                self.settled(key, &Achieved::Done);
                // At once: it may end again within this step.
                self.answer_waits(key);
            }
            Some(Milestone::Ended(end)) => {
                let achieved = if end.is_success() { Achieved::Done } else { Achieved::FailedStart(end) };
                self.settled(key, &achieved);
                self.ended(key);
            }
            Some(Milestone::NotSpawned(end)) => self.settled(key, &Achieved::FailedStart(end)),
            Some(Milestone::Stopped) => self.stopped(key),
            Some(Milestone::Unkillable(pids)) => {
                let unkillable = Achieved::Unkillable(pids);
                self.leave_halt(key);
                self.resolve_waiting(key, Goal::Stop, &unkillable);
                self.settled(key, &unkillable);
            }
            Some(Milestone::Reloaded(result)) => {
                let achieved = result.map_or_else(Achieved::Failed, |()| Achieved::Done);
                self.resolve_waiting(key, Goal::Reload, &achieved);
            }
        }
    }

    /// Its start has come to something: the first of started, completed or failed.
    fn settled(&mut self, key: u32, achieved: &Achieved) {
        // What is to be ended first, because somebody asked for another run, settles with that one.
        if self.component(key).halting.is_none() {
            self.leave_launch(key);
            self.resolve_waiting(key, Goal::Start, achieved);
        }
    }

    /// A run that nobody asked to end is gone.
    fn ended(&mut self, key: u32) {
        let component = self.component(key);
        let is_fatal = component.rests_as(Rest::Failed)
            && component.spec.essential
            && self.rules.on_give_up == OnGiveUp::Shutdown;
        if component.will_restart() {
            self.restart_companions(key);
        }
        if is_fatal {
            self.shut_down_for(self.id(key));
        }
    }

    /// The run that was to end is gone.
    fn stopped(&mut self, key: u32) {
        self.leave_halt(key);
        self.resolve_waiting(key, Goal::Stop, &Achieved::Done);
        let component = self.component(key);
        if component.wanted {
            // One whose start was answered while its old run could not be killed begins by itself.
            let wave = component.launching.map_or(Wave::Later, |turn| turn.wave);
            self.join_launch(key, wave);
            self.transition(key, Component::queue);
        }
    }

    /// Does what follows from all that has changed in this step, until nothing more does. Only when the whole fact has been taken
    /// in: in the middle of a request that stops everything, nobody is to begin.
    pub(super) fn follow_up(&mut self) {
        loop {
            // Before anybody else begins for what does not hold.
            self.go_back_if_failed();
            let halting = self.halt.take_called();
            let launching = self.launch.take_called();
            let changed = std::mem::take(&mut self.changed);
            if changed.is_empty() && halting.is_empty() && launching.is_empty() {
                // Not before: in the middle of a change, those that will stop by it have not joined yet.
                return self.forget_old_order();
            }
            for key in halting.into_iter().rev().chain(launching) {
                self.take_turn(key);
            }
            for key in changed {
                self.consider(key);
            }
        }
    }

    /// Everything that may follow from a change of this component.
    fn consider(&mut self, key: u32) {
        self.answer_waits(key);
        self.note_for_trial(key);
        if !self.component(key).is_busy() {
            self.groups.ended(key);
        }
        self.finish_group_restart(key);
        self.take_turn(key);
        // Those that need it may begin, or will have to wait for long.
        for index in 0..self.graph.needed_by(key).len() {
            self.go_on(self.graph.needed_by(key)[index]);
        }
        // Those that it needs may stop, or that it needed when it was begun.
        let old = self.old_order.iter().flat_map(|old| old.graph.needs(key));
        let needs: Vec<_> = self.graph.needs(key).iter().chain(old).map(|(needed, _)| *needed).collect();
        for needed in needs {
            if self.components.get(&needed).is_some_and(|needed| needed.halting.is_some()) {
                self.take_turn(needed);
            }
        }
        if self.component(key).is_leaving && self.component(key).run().is_none() {
            self.dismiss(key);
        }
    }

    /// Answers those who wait for what is so now, whoever brought it about.
    fn answer_waits(&mut self, key: u32) {
        for goal in [Goal::Started, Goal::Ready, Goal::Down] {
            if self.is_so(key, goal) {
                self.resolve_waiting(key, goal, &Achieved::Done);
            }
        }
    }

    /// Whether this, for which anybody may wait, is true of a component. What has completed was started, and was ready.
    pub(super) fn is_so(&self, key: u32, goal: Goal) -> bool {
        let component = self.component(key);
        match goal {
            Goal::Started => component.has_started() || component.rests_as(Rest::Completed),
            Goal::Ready => component.satisfies(Condition::Ready) || component.rests_as(Rest::Completed),
            Goal::Down => component.is_down(),
            Goal::Start | Goal::Stop | Goal::Reload | Goal::Rotate => false,
        }
    }
}
