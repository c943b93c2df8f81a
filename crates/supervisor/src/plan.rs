//! What a changed registry would do: of each component what happens, and which of its fields make it happen.
//!
//! Some of what is known of a component its process is started with: a change of that takes another process. The rest is what
//! its supervisor goes by, which changes while it runs. [`differences`] is the one place that knows which is which.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use crate::policy::RestartPolicy;
use crate::spec::{
    ComponentId, Environment, OnGiveUp, Output, ProcessSpec, ReadyWhen, RestartBudget, Stderr, Variable,
};

/// Everything that is to be supervised, and the rules that hold for all of it: what
/// [`Handle::apply`](crate::Handle::apply) puts in the place of what there is.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Setup {
    /// The components, in the order in which those of the same priority start.
    pub components: Vec<ProcessSpec>,
    /// The most restarts over all components. Default: no limit.
    pub restart_budget: Option<RestartBudget>,
    /// What happens when an essential component is given up. Default: the others go on.
    pub on_give_up: OnGiveUp,
}

impl Setup {
    /// These components, with every default for the rest.
    #[must_use]
    pub fn new(components: impl IntoIterator<Item = ProcessSpec>) -> Self {
        Self { components: components.into_iter().collect(), ..Self::default() }
    }
}

/// What would happen if other components were to be supervised, or the same by other rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// The components that are not as they were: first those that are no more, then the others as they are given.
    pub components: Vec<Planned>,
    /// How many are as they were.
    pub unchanged: usize,
    /// The rules for all that change, by their names in a registry: `restartBudget`, `onGiveUp`. They hold at once.
    pub rules: Vec<&'static str>,
}

impl Plan {
    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.components.is_empty() && self.rules.is_empty()
    }
}

/// What would happen to one component.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Planned {
    /// Which.
    pub id: ComponentId,
    /// What is done.
    pub action: PlannedAction,
    /// What of it is not as it was. Empty for one that is new, or no more.
    pub fields: Vec<ChangedField>,
    /// Of one that is no more: those that have its name in common now (`web-1`, `web-2` for `web`), or the other way round the one that
    /// is called as they were together.
    pub becomes: Vec<ComponentId>,
}

/// What is done to a component because of a changed registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PlannedAction {
    /// Its process is not touched: it is supervised differently, or will be begun differently the next time.
    Change,
    /// It is new, and does not start by itself.
    Add,
    /// It is no more, and did not run.
    Remove,
    /// It is begun: it is new and starts by itself, or it is wanted and had failed, or waited for something.
    Start,
    /// Its run is ended, and it is no more.
    Stop,
    /// Its run is ended and another one begun.
    Restart,
}

impl PlannedAction {
    /// Whether a process is begun or ended.
    #[must_use]
    pub fn touches(self) -> bool {
        matches!(self, Self::Start | Self::Stop | Self::Restart)
    }
}

impl fmt::Display for PlannedAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Change => "change",
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        })
    }
}

/// A field of a component that is not as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct ChangedField {
    /// Its name in a registry: `arguments`.
    pub name: &'static str,
    /// How it takes effect.
    pub effect: Effect,
}

/// How the change of a field takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Effect {
    /// It takes another process: one that runs is restarted.
    Restart,
    /// At once. A stop, a wait or a rest that has begun goes on as it began.
    AtOnce,
    /// When the component is begun the next time, for whatever reason.
    NextRun,
    /// When a supervisor begins, or the component is new.
    Beginning,
}

/// What is true of a component, as far as that decides what happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is wanted, and has a run.
    Runs,
    /// It is not, and has a run, which is being ended.
    Ends,
    /// It is wanted and has none: it waits for something, or has failed.
    Tries,
    /// It has none, and is not to be begun.
    Rests,
    /// It is no more, as soon as its run has ended.
    Leaves,
}

impl Plan {
    /// From what there is to what shall be, but for the rules.
    pub(crate) fn between<'a>(
        before: impl Iterator<Item = (&'a ProcessSpec, Standing)>,
        after: &[ProcessSpec],
    ) -> Self {
        let names: HashSet<&ComponentId> = after.iter().map(|spec| &spec.id).collect();
        let present = before.filter(|(_, standing)| *standing != Standing::Leaves);
        let (stay, go): (Vec<_>, Vec<_>) = present.partition(|(spec, _)| names.contains(&spec.id));
        let known: HashMap<_, _> =
            stay.into_iter().map(|(spec, standing)| (&spec.id, (spec, standing))).collect();
        let mut plan = Self::default();
        for (spec, standing) in go {
            let action = match standing {
                Standing::Runs | Standing::Ends => PlannedAction::Stop,
                Standing::Tries | Standing::Rests | Standing::Leaves => PlannedAction::Remove,
            };
            let becomes = renamed(spec, after.iter().filter(|spec| !known.contains_key(&spec.id)));
            plan.components.push(Planned { id: spec.id.clone(), action, fields: Vec::new(), becomes });
        }
        for spec in after {
            let (action, fields) = match known.get(&spec.id) {
                Some((before, standing)) => {
                    let fields = differences(before, spec);
                    let is_forced = fields.iter().any(|field| field.effect == Effect::Restart);
                    match standing {
                        _ if fields.is_empty() => {
                            plan.unchanged += 1;
                            continue;
                        }
                        Standing::Runs if is_forced => (PlannedAction::Restart, fields),
                        Standing::Tries if is_forced => (PlannedAction::Start, fields),
                        _ => (PlannedAction::Change, fields),
                    }
                }
                // One that still leaves is begun anew when that is over.
                _ if spec.autostart => (PlannedAction::Start, Vec::new()),
                _ => (PlannedAction::Add, Vec::new()),
            };
            plan.components.push(Planned { id: spec.id.clone(), action, fields, becomes: Vec::new() });
        }
        plan
    }
}

/// Those of the new ones that have taken the name of this one: its instances, or the one that its instances have become.
fn renamed<'a>(gone: &ProcessSpec, new: impl Iterator<Item = &'a ProcessSpec>) -> Vec<ComponentId> {
    let is_heir = |spec: &&ProcessSpec| {
        spec.instance_of.as_ref() == Some(&gone.id) || gone.instance_of.as_ref() == Some(&spec.id)
    };
    new.filter(is_heir).map(|spec| spec.id.clone()).collect()
}

/// Whether one that runs by the first has to be begun anew to be what the second says.
pub(crate) fn takes_another_process(before: &ProcessSpec, after: &ProcessSpec) -> bool {
    differences(before, after).iter().any(|field| field.effect == Effect::Restart)
}

/// What a run that goes on is supervised by: what is new holds, but for what a run keeps from its beginning.
pub(crate) fn for_a_run(before: &ProcessSpec, after: &ProcessSpec) -> ProcessSpec {
    ProcessSpec { readiness: before.readiness.clone(), output: before.output.clone(), ..after.clone() }
}

/// Every field that is not the same, and how it takes effect.
pub(crate) fn differences(before: &ProcessSpec, after: &ProcessSpec) -> Vec<ChangedField> {
    use Effect::{AtOnce, Beginning, NextRun, Restart};
    // Whoever adds a field decides here; what a process is started with belongs to the digest of records too.
    let ProcessSpec {
        id: _,
        instance_of,
        description,
        executable,
        arguments,
        working_directory,
        environment,
        user,
        group,
        umask,
        nice,
        limits,
        start_priority,
        start_delay,
        stop_timeout,
        autostart,
        depends_on,
        restart,
        exits,
        intensity,
        restart_group,
        essential,
        reset_after,
        readiness,
        health,
        watchdog,
        memory,
        stop,
        reload,
        cleanup,
        evidence,
        output,
    } = before;
    let restarts_differently = !is_same_policy(restart, &after.restart)
        || *exits != after.exits
        || *intensity != after.intensity
        || *reset_after != after.reset_after;
    let fields = [
        ("executable", Restart, *executable != after.executable),
        ("arguments", Restart, *arguments != after.arguments),
        ("workingDirectory", Restart, *working_directory != after.working_directory),
        ("environment", Restart, !is_same_environment(environment, &after.environment)),
        ("user", Restart, *user != after.user),
        ("group", Restart, *group != after.group),
        ("umask", Restart, *umask != after.umask),
        ("nice", Restart, *nice != after.nice),
        ("limits", Restart, *limits != after.limits),
        ("watchdog", Restart, *watchdog != after.watchdog),
        ("readiness", Restart, mouth(before) != mouth(after)),
        ("output", Restart, ends(output) != ends(&after.output)),
        ("readiness", NextRun, *readiness != after.readiness),
        ("output", NextRun, *output != after.output),
        ("environment", AtOnce, *environment != after.environment),
        ("description", AtOnce, *description != after.description),
        ("instances", AtOnce, *instance_of != after.instance_of),
        ("startPriority", AtOnce, *start_priority != after.start_priority),
        ("startDelay", AtOnce, *start_delay != after.start_delay),
        ("stopTimeout", AtOnce, *stop_timeout != after.stop_timeout),
        ("dependsOn", AtOnce, *depends_on != after.depends_on),
        ("restart", AtOnce, restarts_differently),
        ("restartGroup", AtOnce, *restart_group != after.restart_group),
        ("essential", AtOnce, *essential != after.essential),
        ("health", AtOnce, *health != after.health),
        ("memory", AtOnce, *memory != after.memory),
        ("stop", AtOnce, *stop != after.stop),
        ("reload", AtOnce, *reload != after.reload),
        ("cleanup", AtOnce, *cleanup != after.cleanup),
        ("evidence", AtOnce, *evidence != after.evidence),
        ("autostart", Beginning, *autostart != after.autostart),
    ];
    let mut changed: Vec<ChangedField> = Vec::new();
    for (name, effect, differs) in fields {
        // One that forces more has been named before.
        if differs && changed.iter().all(|field| field.name != name) {
            changed.push(ChangedField { name, effect });
        }
    }
    changed
}

/// Policies are known by what they say of themselves.
fn is_same_policy(one: &Arc<dyn RestartPolicy>, other: &Arc<dyn RestartPolicy>) -> bool {
    let described = |policy: &Arc<dyn RestartPolicy>| (policy.describe(), policy.memory(), policy.restarts());
    Arc::ptr_eq(one, other) || described(one) == described(other)
}

/// Whether a process gets the same. What is shown of it may differ.
fn is_same_environment(one: &Environment, other: &Environment) -> bool {
    let given = |variable: &Variable| (variable.name.clone(), variable.value.clone());
    one.clear == other.clear && one.variables.iter().map(given).eq(other.variables.iter().map(given))
}

/// By what a process says that it is ready, as far as that is given to it at its birth.
#[derive(PartialEq)]
enum Mouth {
    Socket,
    Descriptor(i32),
    /// Its output is read though it goes nowhere.
    Output,
    None,
}

fn mouth(spec: &ProcessSpec) -> Mouth {
    match spec.readiness.as_ref().map(|readiness| &readiness.when) {
        Some(ReadyWhen::Notified) => Mouth::Socket,
        Some(ReadyWhen::Descriptor(number)) => Mouth::Descriptor(*number),
        Some(ReadyWhen::Logged(_)) if spec.output == Output::Null => Mouth::Output,
        Some(ReadyWhen::Logged(_) | ReadyWhen::Probed(_)) | None => Mouth::None,
    }
}

/// What its output and error output are at its birth.
#[derive(PartialEq)]
enum Ends {
    Nowhere,
    Host,
    Pipes(Stderr),
}

fn ends(output: &Output) -> Ends {
    match output {
        Output::Null => Ends::Nowhere,
        Output::Inherit => Ends::Host,
        Output::File { stderr, .. } => Ends::Pipes(*stderr),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Backoff, Never};
    use crate::spec::{Condition, Dependency};

    fn spec(id: &str) -> ProcessSpec {
        ProcessSpec::new(id, "/bin/true").unwrap()
    }

    fn with(id: &str, change: impl FnOnce(&mut ProcessSpec)) -> ProcessSpec {
        let mut spec = spec(id);
        change(&mut spec);
        spec
    }

    /// As `restart ps arguments`, with what forces it; what is in brackets does not.
    fn told(before: &[(ProcessSpec, Standing)], after: &[ProcessSpec]) -> Vec<String> {
        let plan = Plan::between(before.iter().map(|(spec, standing)| (spec, *standing)), after);
        let tell = |planned: Planned| {
            let field = |field: &ChangedField| match field.effect {
                Effect::Restart => format!(" {}", field.name),
                effect => format!(" ({} {effect:?})", field.name),
            };
            let fields: String = planned.fields.iter().map(field).collect();
            let becomes: String = planned.becomes.iter().map(|id| format!(" -> {id}")).collect();
            format!("{} {}{fields}{becomes}", planned.action, planned.id)
        };
        plan.components.into_iter().map(tell).collect()
    }

    #[test]
    fn what_happens_depends_on_what_has_changed_and_on_what_it_does() {
        let argued = || with("ps", |spec| spec.arguments = vec!["-x".into()]);
        let before = |standing| [(spec("ps"), standing)];
        assert_eq!(told(&before(Standing::Runs), &[spec("ps")]), [""; 0]);
        assert_eq!(told(&before(Standing::Runs), &[argued()]), ["restart ps arguments"]);
        assert_eq!(told(&before(Standing::Tries), &[argued()]), ["start ps arguments"]);
        assert_eq!(told(&before(Standing::Rests), &[argued()]), ["change ps arguments"]);
        let off = with("ps", |spec| spec.autostart = false);
        assert_eq!(
            told(&before(Standing::Runs), std::slice::from_ref(&off)),
            ["change ps (autostart Beginning)"]
        );
        assert_eq!(told(&[], &[spec("is"), off]), ["start is", "add ps"]);
        assert_eq!(told(&before(Standing::Runs), &[]), ["stop ps"]);
        assert_eq!(told(&before(Standing::Rests), &[]), ["remove ps"]);
    }

    #[test]
    fn what_a_supervisor_goes_by_touches_no_process() {
        let after = with("ps", |spec| {
            spec.depends_on =
                vec![Dependency { on: ComponentId::new("is").unwrap(), condition: Condition::Ready }];
            spec.restart = Arc::new(Never);
            spec.stop_timeout = std::time::Duration::from_secs(1);
        });
        let before = [(spec("ps"), Standing::Runs), (spec("is"), Standing::Runs)];
        let expected = ["change ps (stopTimeout AtOnce) (dependsOn AtOnce) (restart AtOnce)"];
        assert_eq!(told(&before, &[after, spec("is")]), expected);
        let same = with("ps", |spec| spec.restart = Arc::new(Backoff::default()));
        assert_eq!(told(&before[..1], &[same]), [""; 0], "policies are known by what they say");
    }

    #[test]
    fn what_is_only_shown_differently_touches_no_process_either() {
        let variable = |secret| Variable { name: "A".into(), value: "1".into(), secret };
        let before = with("ps", |spec| spec.environment.variables = vec![variable(false)]);
        let after = with("ps", |spec| spec.environment.variables = vec![variable(true)]);
        let told = told(&[(before, Standing::Runs)], &[after]);
        assert_eq!(told, ["change ps (environment AtOnce)"]);
    }

    #[test]
    fn instances_are_other_components_than_the_one_and_the_plan_says_so() {
        let instance = |n: u32| {
            with(&format!("web-{n}"), |spec| spec.instance_of = Some(ComponentId::new("web").unwrap()))
        };
        let (one, two) = ([(spec("web"), Standing::Runs)], [instance(1), instance(2)]);
        assert_eq!(told(&one, &two), ["stop web -> web-1 -> web-2", "start web-1", "start web-2"]);
        let two = two.map(|spec| (spec, Standing::Runs));
        let expected = ["stop web-1 -> web", "stop web-2 -> web", "start web"];
        assert_eq!(told(&two, &[spec("web")]), expected);
    }
}
