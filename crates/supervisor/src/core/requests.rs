//! Requests that have been taken up but not yet answered.

use std::collections::{BTreeMap, HashMap};

use super::RequestId;
use super::message::Action;
use crate::request::{Achieved, GoneBack, Outcome};
use crate::spec::ComponentId;

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
#[derive(Debug, Default)]
pub(super) struct Requests {
    open: HashMap<RequestId, Open>,
    waiting: BTreeMap<u32, Vec<(RequestId, Goal)>>,
    /// Those of which a start has failed in this step.
    failed: Vec<RequestId>,
    /// Those by which a request is taken back, which they answer if somebody still waits for that.
    turned_back: BTreeMap<RequestId, (Option<RequestId>, GoneBack)>,
    turns: u64,
}

/// An open request.
#[derive(Debug)]
struct Open {
    /// By key.
    parts: Vec<Part>,
    missing: usize,
    /// It takes more to answer it than what comes of its components.
    is_held: bool,
}

/// What has come of one of its components so far.
#[derive(Debug)]
struct Part {
    key: u32,
    /// Where it is told.
    place: usize,
    id: ComponentId,
    achieved: Option<Achieved>,
}

impl Requests {
    /// The most requests that may be open at once; beyond that, more are refused.
    const MAX_OPEN: usize = 1_024;

    /// Whether no more can be opened.
    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= Self::MAX_OPEN
    }

    /// Opens a request about these components, which are told of in this order.
    pub(super) fn open(
        &mut self,
        request: RequestId,
        components: impl IntoIterator<Item = (u32, ComponentId)>,
    ) {
        let part = |(place, (key, id))| Part { key, place, id, achieved: None };
        let mut parts: Vec<_> = components.into_iter().enumerate().map(part).collect();
        parts.sort_unstable_by_key(|part| part.key);
        self.open.insert(request, Open { missing: parts.len(), parts, is_held: false });
    }

    /// Notes that the request waits for the component.
    pub(super) fn wait(&mut self, request: RequestId, component: u32, goal: Goal) {
        self.waiting.entry(component).or_default().push((request, goal));
    }

    /// Nobody waits for the answer to this request any more.
    pub(super) fn forget(&mut self, request: RequestId) {
        for (waits, _) in self.turned_back.values_mut() {
            waits.take_if(|waits| *waits == request);
        }
        let Some(open) = self.open.remove(&request) else { return };
        for part in open.parts {
            self.retain_waiting(part.key, |(its, _)| *its != request);
        }
    }

    /// It takes more to answer the request than what comes of its components.
    pub(super) fn hold(&mut self, request: RequestId) {
        self.open.get_mut(&request).into_iter().for_each(|open| open.is_held = true);
    }

    /// That is there now.
    pub(super) fn release(&mut self, request: RequestId, actions: &mut Vec<Action>) {
        self.open.get_mut(&request).into_iter().for_each(|open| open.is_held = false);
        self.answer_if_complete(request, actions);
    }

    /// What was asked for is taken back for this reason. Gives the request by which that is done: when it is complete, whoever has asked
    /// is answered.
    pub(super) fn turn_back(&mut self, request: RequestId, why: GoneBack) -> RequestId {
        /// Far from all that anybody makes.
        const FIRST: u64 = 1 << 62;
        self.turns += 1;
        let back = RequestId(FIRST + self.turns);
        let waits = self.open.contains_key(&request).then_some(request);
        self.forget(request);
        self.turned_back.insert(back, (waits, why));
        back
    }

    /// Notes what has come of the component for one request, and answers the request if that was the last one.
    pub(super) fn resolve(
        &mut self,
        request: RequestId,
        component: u32,
        achieved: Achieved,
        actions: &mut Vec<Action>,
    ) {
        let Some(open) = self.open.get_mut(&request) else { return };
        let Ok(index) = open.parts.binary_search_by_key(&component, |part| part.key) else { return };
        if matches!(achieved, Achieved::FailedStart(_)) {
            self.failed.push(request);
        }
        if open.parts[index].achieved.replace(achieved).is_none() {
            open.missing -= 1;
        }
        self.answer_if_complete(request, actions);
    }

    /// Answers those of which a start has failed, when all that follows from that has been told: whoever waits is not kept
    /// waiting for the others, whose starts go on.
    pub(super) fn answer_failed(&mut self, actions: &mut Vec<Action>) {
        for request in std::mem::take(&mut self.failed) {
            let Some(open) = self.open.get_mut(&request).filter(|open| !open.is_held) else { continue };
            open.missing = 0;
            let unsettled = open.parts.iter_mut().filter(|part| part.achieved.is_none());
            let unsettled: Vec<_> =
                unsettled.map(|part| (part.achieved.insert(Achieved::UnderWay), part.key).1).collect();
            for key in unsettled {
                self.retain_waiting(key, |(its, _)| *its != request);
            }
            self.answer_if_complete(request, actions);
        }
    }

    /// Answers the request if nothing of it is missing.
    pub(super) fn answer_if_complete(&mut self, request: RequestId, actions: &mut Vec<Action>) {
        if self.open.get(&request).is_none_or(|open| open.missing > 0 || open.is_held) {
            return;
        }
        let Some(Open { mut parts, .. }) = self.open.remove(&request) else { return };
        parts.sort_unstable_by_key(|part| part.place);
        let components = parts.into_iter().filter_map(|part| Some((part.id, part.achieved?))).collect();
        let (waits, gone_back) = self
            .turned_back
            .remove(&request)
            .map_or((Some(request), None), |(waits, why)| (waits, Some(why)));
        let outcome = Outcome { components, gone_back, ..Outcome::default() };
        actions.extend(waits.map(|request| Action::Done { request, outcome }));
    }

    /// Takes this request if it waits for this of the component; says whether it did.
    pub(super) fn take(&mut self, request: RequestId, component: u32, goal: Goal) -> bool {
        let waits = |waiting: &Vec<_>| waiting.contains(&(request, goal));
        let is_waiting = self.waiting.get(&component).is_some_and(waits);
        self.retain_waiting(component, |waits| *waits != (request, goal));
        is_waiting
    }

    /// Takes those that wait for this of the component.
    pub(super) fn take_waiting(&mut self, component: u32, goal: Goal) -> Vec<RequestId> {
        let Some(waiting) = self.waiting.get(&component) else { return Vec::new() };
        let taken = waiting.iter().filter(|(_, its)| *its == goal).map(|(request, _)| *request).collect();
        self.retain_waiting(component, |(_, its)| *its != goal);
        taken
    }

    fn retain_waiting(&mut self, component: u32, keep: impl FnMut(&(RequestId, Goal)) -> bool) {
        let Some(waiting) = self.waiting.get_mut(&component) else { return };
        waiting.retain(keep);
        if waiting.is_empty() {
            self.waiting.remove(&component);
        }
    }
}
