//! What must be true when a run begins, is stopped or is killed, and of what people are told.

use std::time::Duration;

use super::Witness;
use super::book::Book;
use crate::core::Memory;
use crate::run::RunId;
use crate::spec::Condition;
use crate::status::{ComponentState, ComponentStatus};

impl Witness {
    /// Checks what people are told of a component, whose main process has this pid, if it lives.
    pub(in crate::testing) fn check_status(
        &self,
        component: &ComponentStatus,
        key: u32,
        main_process: Option<u32>,
    ) {
        let has_run = self.books[&key].runs > 0;
        let adrift = component.wanted && component.state == ComponentState::Stopped && has_run;
        self.check(!adrift, "L1", format_args!("{} is wanted, but will never run", component.id));
        let idle = component.state == ComponentState::Starting && component.run.is_none();
        self.check(!idle, "L1", format_args!("{} waits for nothing, and does not start", component.id));
        if component.state == ComponentState::Up {
            let true_pid = main_process.is_some() && component.pid == main_process;
            self.check(true_pid, "S17", format_args!("{} is shown as up with another pid", component.id));
        }
    }

    /// Checks that what people are told changes by nothing but the time that passes, until something happens.
    pub(in crate::testing) fn check_passing(
        &self,
        now: ComponentStatus,
        time: Duration,
        later: &ComponentStatus,
    ) {
        let then = now.after(time);
        self.check(then == *later, "S17", format_args!("after {time:?} it is not {then:?} but {later:?}"));
    }

    /// A supervisor begins that knows this of a component; or that what another has written down of it says this of the budget.
    pub(in crate::testing) fn begins_with(&mut self, key: u32, memory: Memory, written: Option<&Memory>) {
        self.full_at.insert(key, written.unwrap_or(&memory).budget_full_at());
        self.remembered.insert(key, memory.without_budget());
    }

    /// Checks that what is written down of a component is news; or, where another is no more, what the record of that one said of the
    /// budget, as long as that counts. Where all is to stop it need not be: that nobody is wanted any more is not remembered.
    pub(in crate::testing) fn check_news(&mut self, now: Duration, key: u32, memory: &Memory, stops: bool) {
        let full_at = memory.budget_full_at();
        let is_heir = full_at > now && std::mem::take(&mut self.has_no_heir);
        self.full_at.insert(key, full_at);
        let memory = memory.clone().without_budget();
        let is_news = self.remembered.get(&key) != Some(&memory);
        self.remembered.insert(key, memory);
        let id = &self.books[&key].id;
        self.check(is_news || is_heir || stops, "S14", format_args!("{id} is written down again as it was"));
    }

    /// Checks that all is written down that is to be remembered of a component: of one that was added, once there is something.
    pub(in crate::testing) fn check_memory(&self, key: u32, memory: Memory) {
        let memory = memory.without_budget();
        let is_known = self.remembered.get(&key).is_none_or(|known| *known == memory);
        let id = &self.books[&key].id;
        self.check(is_known, "S14", format_args!("{id} has changed, which is not written down"));
    }

    /// Checks that what restarts the budget has allowed is known from what is written down, as long as it counts. Where nothing is
    /// written of any component, because all have gone and others come, there is nobody to keep it.
    pub(in crate::testing) fn check_budget_memory(&self, now: Duration, full_at: Duration) {
        let counts = full_at > now && !self.full_at.is_empty();
        let is_known = !counts || self.full_at.values().any(|known| *known >= full_at);
        self.check(is_known, "S14", format_args!("the budget has changed, which is not written down"));
    }

    /// Checks that what was told to stop is killed when its time is up.
    pub(in crate::testing) fn check_deadlines(&self, now: Duration, lives: &dyn Fn(u32) -> bool) {
        for (key, book) in self.stopping.iter().map(|key| (*key, &self.books[key])) {
            let overdue = book.told_to_stop.is_some_and(|(told, timeout)| {
                now > told.saturating_add(timeout).saturating_add(book.evidence)
            });
            let forgotten = overdue && !book.killed && lives(key);
            self.check(!forgotten, "S6", format_args!("{} is not killed though its time is up", book.id));
        }
    }

    pub(super) fn check_spawn(&mut self, now: Duration, run: RunId, lives: &dyn Fn(u32) -> bool) {
        let book = &self.books[&run.component];
        let free = book.run.is_none() && !lives(run.component);
        self.check(free, "S1", format_args!("{} is started though it runs", book.id));
        let is_clean = !self.tasks.iter().any(|task| task.run.component == run.component);
        self.check(
            is_clean,
            "S1",
            format_args!("{} is started though a task of its last run is under way", book.id),
        );
        self.check(!book.forbidden, "S4", format_args!("{} is started though it was stopped", book.id));
        self.check(
            !self.stopping_everything,
            "S4",
            format_args!("{} is started while shutting down", book.id),
        );
        let on_time = book.next_try.is_none_or(|time| time == now || time < now && !book.waits_exactly);
        self.check(on_time, "S8", format_args!("{} is tried again before or after its wait", book.id));
        if self.undisturbed && book.runs == 0 {
            let unsettled =
                |other: &&Book| other.autostart && other.priority < book.priority && !other.settled;
            let first = self.books.values().find(unsettled).map_or(String::new(), |other| other.id.clone());
            self.check(
                first.is_empty(),
                "S7",
                format_args!("{} is started before {first} has settled", book.id),
            );
        }
        for (needed, condition) in &book.needs {
            let other = &self.books[needed];
            let holds = match condition {
                Condition::Started => other.started,
                Condition::Ready => other.started && other.ready,
                Condition::Completed => other.succeeded && other.run.is_none(),
            };
            self.check(
                holds,
                "S7",
                format_args!("{} is started though {} is not {condition}", book.id, other.id),
            );
        }
        if book.is_restart {
            self.check_budget(now);
        }
        let book = self.book_mut(run.component);
        book.begun_as = Some(book.spec.clone());
        book.comes_back = false;
        book.judged = false;
        book.impatient = false;
        book.run_is_restart = std::mem::take(&mut book.is_restart);
        book.runs += 1;
        book.run = Some(run);
        book.told_to_stop = None;
        book.killed = false;
        book.next_try = None;
    }

    /// In no span of time are there more restarts than the tokens that are there at its beginning, and come meanwhile.
    pub(super) fn check_budget(&mut self, now: Duration) {
        let Some(budget) = self.budget else { return };
        self.restarts.push_back(now);
        let token = budget.within / budget.max;
        let newest_first = (1..).zip(self.restarts.iter().rev());
        for (count, began) in newest_first {
            let came = (now - *began).as_nanos() / token.as_nanos().max(1);
            let allowed = u128::from(budget.max) + came;
            self.check(
                count <= allowed,
                "S8",
                format_args!("there are more restarts than the budget allows"),
            );
        }
        if self.restarts.len() > 64 {
            self.restarts.pop_front();
        }
    }

    pub(super) fn check_stop(&self, run: RunId, lives: &dyn Fn(u32) -> bool) {
        let book = &self.books[&run.component];
        self.check(book.run == Some(run), "S2", format_args!("a stop goes to an old run of {}", book.id));
        // Told before, it is told again for the sake of leftovers that have not heard of it.
        let first = book.told_to_stop.is_none() && !book.judged;
        if first && self.stopping_everything && !self.killing_everything {
            for (key, other) in &self.books {
                let lives = |key: &u32| lives(*key);
                let later = other.priority > book.priority && lives(key) && !other.unkillable;
                self.check(!later, "S7", format_args!("{} is stopped before {}", book.id, other.id));
                let needs_it = other.needs.iter().any(|(needed, _)| *needed == run.component);
                let too_early = needs_it && lives(key) && !other.unkillable;
                self.check(
                    !too_early,
                    "S7",
                    format_args!("{} is stopped though {} needs it", book.id, other.id),
                );
            }
        }
    }

    pub(super) fn check_kill(&self, now: Duration, run: RunId) {
        let book = &self.books[&run.component];
        self.check(book.run == Some(run), "S2", format_args!("a kill goes to an old run of {}", book.id));
        if let Some((told, timeout)) = book.told_to_stop {
            let early = now.saturating_add(book.early) < told.saturating_add(timeout)
                && !self.killing_everything
                && !book.impatient;
            self.check(!early, "S6", format_args!("{} is killed before its time", book.id));
        }
    }
}
