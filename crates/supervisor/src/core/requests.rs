//! Requests that have been taken up but not yet answered.

use std::collections::HashMap;

use super::RequestId;
use super::component::Component;
use super::message::Action;
use crate::request::{Achieved, Outcome};

/// What a request waits for at one component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// That a run has started, or come to something else, because this was asked for.
    Start,
    /// That nothing of it is left, and it is not wanted, because this was asked for.
    Stop,
    /// That it has been told to read its configuration again.
    Reload,
    /// That the files of its output have ended.
    Rotate,
    /// That it has started, whoever asks for that.
    Started,
    /// That it is ready, whoever asks for that.
    Ready,
    /// That nothing of it runs, or will by itself, whoever asks for that.
    Down,
}

/// All open requests, and who waits for which component.
#[derive(Debug)]
pub(super) struct Requests {
    open: HashMap<RequestId, Open>,
    waiting: Vec<Vec<(RequestId, Goal)>>,
    /// Those of which a start has failed in this step.
    failed: Vec<RequestId>,
}

/// An open request: what has come of each of its components so far.
#[derive(Debug)]
struct Open {
    components: Vec<(u32, Option<Achieved>)>,
    missing: usize,
}

impl Requests {
    /// The most requests that may be open at once; beyond that, more are refused.
    const MAX_OPEN: usize = 1_024;

    /// Whether no more can be opened.
    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= Self::MAX_OPEN
    }

    /// For so many components, with none open.
    pub(super) fn new(components: usize) -> Self {
        Self { open: HashMap::new(), waiting: vec![Vec::new(); components], failed: Vec::new() }
    }

    /// Opens a request about these components, given in start order.
    pub(super) fn open(&mut self, request: RequestId, components: &[u32]) {
        let components: Vec<_> = components.iter().map(|component| (*component, None)).collect();
        self.open.insert(request, Open { missing: components.len(), components });
    }

    /// Notes that the request waits for the component.
    pub(super) fn wait(&mut self, request: RequestId, component: u32, goal: Goal) {
        self.waiting[component as usize].push((request, goal));
    }

    /// Nobody waits for the answer to this request any more.
    pub(super) fn forget(&mut self, request: RequestId) {
        let Some(open) = self.open.remove(&request) else { return };
        for (component, _) in open.components {
            self.waiting[component as usize].retain(|(its, _)| *its != request);
        }
    }

    /// Notes what has come of the component for one request, and answers the request if that was the last one.
    pub(super) fn resolve(
        &mut self,
        request: RequestId,
        component: u32,
        achieved: Achieved,
        names: &[Component],
        actions: &mut Vec<Action>,
    ) {
        let Some(open) = self.open.get_mut(&request) else { return };
        let Ok(index) = open.components.binary_search_by_key(&component, |(key, _)| *key) else { return };
        if matches!(achieved, Achieved::FailedStart(_)) {
            self.failed.push(request);
        }
        let slot = &mut open.components[index].1;
        if slot.replace(achieved).is_none() {
            open.missing -= 1;
        }
        self.answer_if_complete(request, names, actions);
    }

    /// Answers those of which a start has failed, when all that follows from that has been told: whoever waits is not kept
    /// waiting for the others, whose starts go on.
    pub(super) fn answer_failed(&mut self, names: &[Component], actions: &mut Vec<Action>) {
        for request in std::mem::take(&mut self.failed) {
            let Some(open) = self.open.get_mut(&request) else { continue };
            for (component, achieved) in &mut open.components {
                if achieved.is_none() {
                    *achieved = Some(Achieved::UnderWay);
                    self.waiting[*component as usize].retain(|(its, _)| *its != request);
                }
            }
            open.missing = 0;
            self.answer_if_complete(request, names, actions);
        }
    }

    /// Answers the request if nothing of it is missing.
    pub(super) fn answer_if_complete(
        &mut self,
        request: RequestId,
        names: &[Component],
        actions: &mut Vec<Action>,
    ) {
        if self.open.get(&request).is_none_or(|open| open.missing > 0) {
            return;
        }
        let Some(open) = self.open.remove(&request) else { return };
        let named =
            |(key, achieved): (u32, Option<Achieved>)| Some((names[key as usize].spec.id.clone(), achieved?));
        let components = open.components.into_iter().filter_map(named).collect();
        actions.push(Action::Done { request, outcome: Outcome { components, ..Outcome::default() } });
    }

    /// Takes this request if it waits for this of the component; says whether it did.
    pub(super) fn take(&mut self, request: RequestId, component: u32, goal: Goal) -> bool {
        let waiting = &mut self.waiting[component as usize];
        let found = waiting.iter().position(|waits| *waits == (request, goal));
        found.map(|index| waiting.swap_remove(index)).is_some()
    }

    /// Takes those that wait for this of the component.
    pub(super) fn take_waiting(&mut self, component: u32, goal: Goal) -> Vec<RequestId> {
        let waiting = &mut self.waiting[component as usize];
        if waiting.is_empty() {
            return Vec::new();
        }
        let taken = waiting.iter().filter(|(_, its)| *its == goal).map(|(request, _)| *request).collect();
        waiting.retain(|(_, its)| *its != goal);
        taken
    }
}
