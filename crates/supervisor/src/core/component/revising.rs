//! What a component is changes while it lives.

use super::guards::Guards;
use super::probing::Probe;
use super::{Component, Context, Rest, State};
use crate::core::Action;
use crate::plan::{Standing, differences, for_a_run, takes_another_process};
use crate::spec::ProcessSpec;

impl Component {
    /// What it is to be: what its next run is by.
    pub(in crate::core) fn latest(&self) -> &ProcessSpec {
        self.next.as_deref().unwrap_or(&self.spec)
    }

    /// What is true of it, as far as that decides what a change of it means.
    pub(in crate::core) fn standing(&self) -> Standing {
        match (self.run().is_some(), self.wanted) {
            _ if self.is_leaving => Standing::Leaves,
            (true, true) => Standing::Runs,
            (true, false) => Standing::Ends,
            (false, true) if !matches!(self.state, State::Down(Rest::Completed)) => Standing::Tries,
            (false, _) => Standing::Rests,
        }
    }

    /// This is what it is to be. A run that ends does so as it began to, and one that has to be begun anew goes by what it was
    /// begun with until then.
    pub(in crate::core) fn revise(&mut self, spec: ProcessSpec, context: &mut Context<'_>) {
        if self.run().is_none() {
            self.spec = spec;
            return;
        }
        let goes_on = matches!(self.state, State::Spawning { .. } | State::Up { .. });
        if goes_on && !takes_another_process(&self.spec, &spec) {
            let now = for_a_run(&self.spec, &spec);
            let before = std::mem::replace(&mut self.spec, now);
            self.reconsider(&before, context);
        }
        let is_whole = differences(&self.spec, &spec).is_empty();
        self.next = (!is_whole).then(|| Box::new(spec));
    }

    /// Has its run watched as it is now to be.
    fn reconsider(&mut self, before: &ProcessSpec, context: &mut Context<'_>) {
        let State::Up { run, started, .. } = &self.state else { return };
        let (run, has_started) = (run.id, started.is_some());
        let was_ill = self.guards().fault().is_some();
        if self.spec.health != before.health {
            self.watch_health(has_started, context);
        }
        if self.spec.memory != before.memory {
            let mut guards = self.guards.take().unwrap_or_default();
            guards.watch_memory(&self.spec, context);
            self.guards = Some(guards);
        }
        if self.spec.reload != before.reload
            && let Some(reload) = self.guards.as_mut().and_then(|guards| guards.reload.take())
        {
            context.actions.extend(reload.task.map(|task| Action::Abandon { task }));
            self.broken_reload = Some("how it is done has changed meanwhile");
        }
        if was_ill && self.guards().fault().is_none() {
            self.since = context.now;
        }
        self.tell_if_well(was_ill, run, context);
    }

    /// The questions about its health begin anew.
    fn watch_health(&mut self, has_started: bool, context: &mut Context<'_>) {
        let guards: &mut Guards = self.guards.get_or_insert_default();
        guards.unhealthy = None;
        guards.failures = 0;
        if !has_started {
            return;
        }
        guards.again = None;
        if let Some(Probe::UnderWay { task, .. }) = guards.probe.take() {
            context.actions.push(Action::Abandon { task });
        }
        let health = self.spec.health.as_ref();
        guards.probe = health.map(|health| Probe::of_health(&self.spec, health, context.now, context.seed));
    }
}
