//! Other components are to be supervised, or the same in another way: what is done about each, and in which order.
//!
//! What is no more, and what has to be begun anew, stops by the order that held until then; from that moment on, all else goes
//! by the new one. What is no more is a component until nothing of it is left, and nothing begins because of the change before
//! that: it may need the same port.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::budget::Budget;
use super::component::Component;
use super::graph::Graph;
use super::message::Action;
use super::requests::Goal;
use super::sequence::Wave;
use super::{Core, RequestId};
use crate::event::{Event, EventKind};
use crate::plan::{Plan, Planned, PlannedAction, Setup};
use crate::request::Achieved;
use crate::spec::{ComponentId, ProcessSpec};

/// The order that held before a change, and the wave of those that stop by it because of that change.
#[derive(Debug)]
pub(super) struct OldOrder {
    pub(super) wave: Wave,
    pub(super) graph: Graph,
}

impl Core {
    /// What would happen if this were to be supervised.
    pub(crate) fn plan(&self, setup: &Setup) -> Plan {
        let before = self.members().map(|component| (component.latest(), component.standing()));
        let mut plan = Plan::between(before, &setup.components);
        if self.rules.budget != setup.restart_budget {
            plan.rules.push("restartBudget");
        }
        if self.rules.on_give_up != setup.on_give_up {
            plan.rules.push("onGiveUp");
        }
        plan
    }

    /// What is supervised now.
    pub(super) fn setup(&self) -> Setup {
        let components = self.graph.order().iter().map(|key| self.component(*key).latest().clone());
        Setup {
            components: components.collect(),
            restart_budget: self.rules.budget,
            on_give_up: self.rules.on_give_up,
        }
    }

    /// Changes what has to be changed, and touches nothing else. Whom it has begin, or begin anew. `hold`: it takes more to answer
    /// the request.
    pub(super) fn change(
        &mut self,
        request: RequestId,
        setup: &Setup,
        hold: bool,
        by: &Arc<str>,
    ) -> BTreeSet<u32> {
        let plan = self.plan(setup);
        let members = self.enlist(&setup.components);
        self.reorder(Wave::Request(request), &members);
        self.replace_rules(setup);
        let ids = self.components.iter().map(|(key, component)| (component.spec.id.clone(), *key));
        let (keys, specs): (HashMap<_, _>, HashMap<_, _>) = (ids.collect(), members.into_iter().collect());
        let (mut touched, mut begun) = (Vec::new(), BTreeSet::new());
        for Planned { id, action, fields, .. } in plan.components {
            let Some(key) = keys.get(&id).copied() else { continue };
            let fields = fields.iter().map(|field| field.name).collect();
            let kind = EventKind::Applied { action, fields, by: Arc::clone(by) };
            self.actions.push(Action::Emit(Event { at: self.now, component: Some(id), kind }));
            if let Some(spec) = specs.get(&key) {
                self.component_mut(key).is_leaving = false;
                self.transition(key, |component, context| component.revise((*spec).clone(), context));
            }
            match action {
                PlannedAction::Start | PlannedAction::Restart => drop(begun.insert(key)),
                PlannedAction::Stop | PlannedAction::Remove => {}
                PlannedAction::Change | PlannedAction::Add => continue,
            }
            touched.push(key);
        }
        self.graph.sort(&mut touched);
        self.open(request, &touched);
        if hold {
            self.requests.hold(request);
        }
        self.carry_out(request, touched, |core, request, key| {
            if begun.contains(&key) { core.want_anew(request, key) } else { core.let_go(request, key) }
        });
        // It may mean something for anybody.
        self.changed.extend(self.components.keys());
        begun
    }

    /// The keys of these: those that they have, and new ones for those that are new.
    fn enlist<'a>(&mut self, specs: &'a [ProcessSpec]) -> Vec<(u32, &'a ProcessSpec)> {
        let ids = self.components.iter().map(|(key, component)| (component.spec.id.clone(), *key));
        let known: HashMap<ComponentId, u32> = ids.collect();
        let mut enlist = |spec: &'a ProcessSpec| {
            let key = known.get(&spec.id).copied().unwrap_or_else(|| {
                let key = self.next_key;
                self.next_key += 1;
                self.components.insert(key, Component::new(key, spec.clone()));
                key
            });
            (key, spec)
        };
        specs.iter().map(&mut enlist).collect()
    }

    /// Has all go by the order of these from now on, but for those that will stop in this wave.
    fn reorder(&mut self, wave: Wave, members: &[(u32, &ProcessSpec)]) {
        let specs: HashMap<_, _> = members.iter().copied().collect();
        let mut leaving: Vec<_> =
            self.components.keys().copied().filter(|key| !specs.contains_key(key)).collect();
        self.graph.sort(&mut leaving);
        let graph = Graph::new(members).with_leaving(&leaving, &self.graph);
        let before = std::mem::replace(&mut self.graph, graph);
        self.groups.regroup(self.graph.order().iter().map(|key| (*key, specs[key])));
        self.old_order = None;
        for key in self.keys() {
            let component = self.component(key);
            let (launching, halting) = (component.launching, component.halting);
            launching.into_iter().for_each(|turn| self.join_launch(key, turn.wave));
            halting.into_iter().for_each(|turn| self.join_halt(key, turn.wave));
        }
        self.old_order = Some(OldOrder { wave, graph: before });
    }

    /// The old order is of no interest any more when all have stopped that stop by it.
    pub(super) fn forget_old_order(&mut self) {
        self.old_order.take_if(|old| self.halt.front(old.wave).next().is_none());
    }

    fn replace_rules(&mut self, setup: &Setup) {
        if self.rules.budget != setup.restart_budget {
            let before = self.budget.take();
            self.budget = setup.restart_budget.and_then(Budget::new);
            if let (Some(budget), Some(before)) = (&mut self.budget, before) {
                budget.follow(before, self.now);
            }
        }
        self.rules.budget = setup.restart_budget;
        self.rules.on_give_up = setup.on_give_up;
    }

    /// It is no more, as soon as nothing of it is left. Until then, nothing begins that is to begin by the same request.
    fn let_go(&mut self, request: RequestId, key: u32) {
        for goal in [Goal::Started, Goal::Ready] {
            self.resolve_waiting(key, goal, &Achieved::Overtaken);
        }
        self.component_mut(key).is_leaving = true;
        self.unwant(request, key);
        if self.component(key).is_busy() {
            self.join_launch(key, Wave::Request(request));
        }
    }

    /// It is no component any more.
    pub(super) fn dismiss(&mut self, key: u32) {
        self.leave_launch(key);
        self.leave_halt(key);
        let goals =
            [Goal::Start, Goal::Stop, Goal::Reload, Goal::Rotate, Goal::Started, Goal::Ready, Goal::Down];
        for goal in goals {
            self.resolve_waiting(key, goal, &Achieved::Overtaken);
        }
        self.components.remove(&key);
        self.graph.remove(key);
        self.deadlines.set(key, None);
        self.to_remember.remove(&key);
        self.changed.remove(&key);
        // What restarts the budget has allowed stood in its record, which goes with it.
        let counts = self.budget.as_ref().is_some_and(|budget| budget.full_at() > self.now);
        let heir = self.components.keys().next().filter(|_| self.rules.remembers && counts);
        self.to_remember.extend(heir);
        self.actions.push(Action::Dismiss { key });
        self.actions.push(Action::Lineup);
    }
}
