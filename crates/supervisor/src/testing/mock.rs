//! Mock components: a specification, and what each run of it does.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{SpawnError, SpawnStep};
use crate::run::Exit;
use crate::signal::Signal;
use crate::spec::{ComponentId, ProcessSpec};

/// A component that is not there: it does what its [`Behaviour`] says.
#[derive(Clone)]
pub struct Mock {
    pub(super) spec: ProcessSpec,
    pub(super) behaviour: Arc<dyn Fn(u64) -> Behaviour + Send + Sync>,
}

impl Mock {
    /// A component of this name with every default, which runs for ever and stops at once when told to.
    ///
    /// # Panics
    /// If the name breaks a rule of [`ComponentId`](crate::ComponentId).
    #[must_use]
    pub fn new(id: &str) -> Self {
        match ProcessSpec::new(id, "/mock") {
            Ok(spec) => Self::of(spec),
            Err(error) => panic!("{error}"),
        }
    }

    /// A component of this specification, which runs for ever and stops at once when told to.
    #[must_use]
    pub fn of(spec: ProcessSpec) -> Self {
        Self { spec, behaviour: Arc::new(|_| Behaviour::steady()) }
    }

    /// Changes its specification.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut ProcessSpec)) -> Self {
        change(&mut self.spec);
        self
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> ComponentId {
        self.spec.id.clone()
    }

    /// Behaves so in every run.
    #[must_use]
    pub fn behaves(self, behaviour: Behaviour) -> Self {
        self.behaves_by_run(move |_| behaviour.clone())
    }

    /// Behaves in its n-th run, beginning with 1, as this says.
    #[must_use]
    pub fn behaves_by_run(mut self, behaviour: impl Fn(u64) -> Behaviour + Send + Sync + 'static) -> Self {
        self.behaviour = Arc::new(behaviour);
        self
    }
}

impl fmt::Debug for Mock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mock").field("spec", &self.spec).finish_non_exhaustive()
    }
}

/// What one run of a mock component does.
#[derive(Clone, Debug)]
#[must_use]
pub struct Behaviour {
    pub(super) spawn_error: Option<SpawnError>,
    pub(super) ends: Option<(Duration, Exit)>,
    /// How long after the stop signal it ends; `None`: never.
    pub(super) obeys_after: Option<Duration>,
    /// How long after a kill it ends: it may sleep where no signal reaches it. `None`: never.
    pub(super) dies_after: Option<Duration>,
    pub(super) children: Vec<Behaviour>,
    /// How long after its start it is ready, where its readiness is declared. `None`: never.
    pub(super) ready_after: Option<Duration>,
    /// How long after its start it hangs: it lives on, but answers no probe and gives no sign of life.
    pub(super) hangs_after: Option<Duration>,
    /// How long a probe of it, or a command that is run for it, takes.
    pub(super) answers_after: Duration,
    /// How much memory it uses, in bytes.
    pub(super) memory: u64,
    /// The signal by which it stops.
    pub(super) stops_by: Signal,
    /// The supervisor cannot watch it.
    pub(super) unwatched: bool,
}

impl Behaviour {
    /// Runs for ever, and stops at once when told to.
    pub fn steady() -> Self {
        Self {
            spawn_error: None,
            ends: None,
            obeys_after: Some(Duration::ZERO),
            dies_after: Some(Duration::ZERO),
            children: Vec::new(),
            ready_after: Some(Duration::ZERO),
            hangs_after: None,
            answers_after: Duration::ZERO,
            memory: 1 << 20,
            stops_by: Signal::TERM,
            unwatched: false,
        }
    }

    /// Is ready so long after its start, where its readiness is declared. Otherwise it is ready at once.
    pub fn ready_after(mut self, time: Duration) -> Self {
        self.ready_after = Some(time);
        self
    }

    /// Is never ready, where its readiness is declared.
    pub fn never_ready(mut self) -> Self {
        self.ready_after = None;
        self
    }

    /// Hangs so long after its start: it lives on, but answers no probe, gives no sign of life, and still does as told when
    /// it is to stop.
    pub fn hangs_after(mut self, time: Duration) -> Self {
        self.hangs_after = Some(time);
        self
    }

    /// Takes so long to answer a probe, and so do the commands that are run for it. Otherwise they take no time.
    pub fn answers_after(mut self, time: Duration) -> Self {
        self.answers_after = time;
        self
    }

    /// Stops when it gets this signal; others do nothing to it. Otherwise it stops by SIGTERM.
    pub fn stops_by(mut self, signal: Signal) -> Self {
        self.stops_by = signal;
        self
    }

    /// Uses so much memory, in bytes. Otherwise it uses 1 MiB.
    pub fn uses(mut self, memory: u64) -> Self {
        self.memory = memory;
        self
    }

    /// Ends so long after its start with exit code 1.
    pub fn crashes_after(self, time: Duration) -> Self {
        self.ends_after(time, Exit::Code(1))
    }

    /// Ends so long after its start, and so.
    pub fn ends_after(mut self, time: Duration, exit: Exit) -> Self {
        self.ends = Some((time, exit));
        self
    }

    /// Cannot be spawned.
    pub fn fails_to_start(mut self) -> Self {
        let reason = "out of mock processes".to_owned();
        self.spawn_error = Some(SpawnError { step: SpawnStep::Process, reason, os_error: None });
        self
    }

    /// Does not end when told to stop.
    pub fn ignores_stop(mut self) -> Self {
        self.obeys_after = None;
        self
    }

    /// Takes so long to end when told to stop.
    pub fn slow_to_stop(mut self, time: Duration) -> Self {
        self.obeys_after = Some(time);
        self
    }

    /// Takes so long to end even when killed, as in an uninterruptible sleep.
    pub fn slow_to_die(mut self, time: Duration) -> Self {
        self.dies_after = Some(time);
        self
    }

    /// Does not end even when killed.
    pub fn unkillable(mut self) -> Self {
        self.dies_after = None;
        self
    }

    /// Cannot be watched, because the system lacks something: its end is not noticed, but only found by a look. That is so only of one that
    /// another has started.
    pub fn unwatched(mut self) -> Self {
        self.unwatched = true;
        self
    }

    /// Starts another process that behaves so and outlives it.
    pub fn forks(mut self, child: Behaviour) -> Self {
        self.children.push(child);
        self
    }

    /// Starts another process that behaves so, and ends at once with success, as daemons do.
    pub fn forks_away(self, child: Behaviour) -> Self {
        self.forks(child).ends_after(Duration::ZERO, Exit::Code(0))
    }
}
