//! A changed registry is read, compared with what runs, and applied: by a thread of its own each, since files may hang.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::Sender;
use supervisor::registry::{Config, Registry, RegistryError};
use supervisor::{ApplyError, Handle, Outcome, Setup};
use supervisor_control::wire::PlanDocument;
use supervisor_control::{Change, ChangeRefusal, ChangeRequest};
use tracing::{error, info, warn};

use super::Supervision;
use super::fingerprint::Fingerprint;
use crate::arguments::Place;
use crate::commands::logs::Also;
use crate::own_log::TraceLevel;

/// What the files held by which the supervisor goes: `None` where no file says so.
pub(super) type Source = Arc<Mutex<Option<Fingerprint>>>;

/// Tells whoever has asked what has come of it.
type Answer = Box<dyn FnOnce()>;

/// Reads registries, compares and applies them.
pub(super) struct Applier {
    pub(super) handle: Handle,
    /// How the first registry was read.
    pub(super) place: Place,
    /// What `SV::supervisorExecutable` stands for.
    pub(super) executable: Option<PathBuf>,
    /// The registry that the supervisor was started with.
    pub(super) registry: PathBuf,
    pub(super) source: Source,
    /// What it says of the supervisor itself.
    pub(super) config: Mutex<Config>,
    pub(super) level: TraceLevel,
    /// What passes on what components write, if anything does.
    pub(super) echo: Option<Arc<Also>>,
    pub(super) news: Sender<News>,
    pub(super) is_busy: AtomicBool,
}

/// What the main thread is told.
pub(super) enum News {
    /// Somebody wants a registry applied: `Refused` or `Over` follows.
    Applying,
    /// It was refused, and has changed nothing.
    Refused,
    /// This holds of the supervisor itself from now on.
    Config(Box<Config>),
    /// What was applied by somebody has come to this.
    Over { by: Arc<str>, outcome: Outcome },
}

impl Applier {
    /// Compares or applies what somebody asks for, and answers.
    pub(super) fn change(self: &Arc<Self>, request: ChangeRequest) {
        let applier = Arc::clone(self);
        let work = move |request: ChangeRequest| match request.change {
            Change::Plan => applier.plan_for(request),
            Change::Apply { confirm_ready } => applier.apply_asked(request, confirm_ready),
        };
        if let Err((request, why)) = self.in_a_thread(request, work) {
            request.answer(Err(ChangeRefusal::NotNow(why)));
        }
    }

    /// Applies the registry as it is now, because of a signal.
    #[cfg(unix)]
    pub(super) fn apply_for(self: &Arc<Self>, signal: &'static str) {
        // Also of what cannot even begin: whoever sends the signal may wait for the end.
        self.tell(News::Applying);
        let applier = Arc::clone(self);
        let apply = move |()| -> Answer {
            let registry = applier.load(&applier.registry);
            let applied =
                registry.and_then(|registry| applier.apply(registry, None, &Arc::from(signal), drop));
            Box::new(move || {
                if let Err(refusal) = applied {
                    error!("{signal}: the registry is not applied: {}", sentence(&refusal));
                    applier.tell(News::Refused);
                }
            })
        };
        if let Err(((), why)) = self.in_a_thread((), apply) {
            self.tell(News::Refused);
            warn!("{signal}: the registry is not applied: {why}");
        }
    }

    /// Does this in a thread of its own, unless another one is at work, and answers. Otherwise gives back what it was to work on,
    /// and why.
    fn in_a_thread<T: Send + 'static>(
        self: &Arc<Self>,
        with: T,
        work: impl FnOnce(T) -> Answer + Send + 'static,
    ) -> Result<(), (T, String)> {
        if self.is_busy.swap(true, Ordering::AcqRel) {
            return Err((with, "another registry is being read; try again".to_owned()));
        }
        let applier = Arc::clone(self);
        let (hand, taken) = crossbeam_channel::bounded(1);
        #[expect(clippy::disallowed_methods, reason = "files that hang must hold nobody up")]
        let thread = std::thread::Builder::new().name("registry".to_owned()).spawn(move || {
            let answer = taken.recv().map(work);
            // Whoever is answered may ask for the next thing at once.
            applier.is_busy.store(false, Ordering::Release);
            answer.into_iter().for_each(|answer| answer());
        });
        match thread {
            // There is room for it, and somebody who waits.
            Ok(_) => hand.send(with).map_err(|with| (with.0, "the supervisor is ending".to_owned())),
            Err(error) => {
                self.is_busy.store(false, Ordering::Release);
                Err((with, format!("there is no thread to read it: {error}")))
            }
        }
    }

    fn plan_for(&self, request: ChangeRequest) -> Answer {
        let plan = self.load(self.asked(&request)).and_then(|registry| self.plan(&registry));
        Box::new(move || request.answer(plan))
    }

    fn apply_asked(&self, mut request: ChangeRequest, confirm_ready: Option<Duration>) -> Answer {
        self.tell(News::Applying);
        let applied = self.load(self.asked(&request)).and_then(|registry| {
            let (by, done) = (Arc::clone(&request.by), request.when_done());
            let plan = self.plan(&registry)?;
            self.apply(registry, confirm_ready, &by, done).map(|()| plan)
        });
        if applied.is_err() {
            self.tell(News::Refused);
        }
        Box::new(move || request.answer(applied))
    }

    /// The registry that somebody asks about.
    fn asked<'a>(&'a self, request: &'a ChangeRequest) -> &'a Path {
        request.registry.as_deref().unwrap_or(&self.registry)
    }

    fn tell(&self, news: News) {
        let _nobody_waits = self.news.try_send(news);
    }

    fn load(&self, path: &Path) -> Result<Registry, ChangeRefusal> {
        let options = supervisor::registry::LoadOptions {
            supervisor_executable: self.executable.clone(),
            ..self.place.options()
        };
        Registry::load(path, &options).map_err(|error| invalid(path, &error))
    }

    fn plan(&self, registry: &Registry) -> Result<PlanDocument, ChangeRefusal> {
        let plan = self.handle.plan(setup(registry)).map_err(|error| refused(&registry.path, error))?;
        let config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        let (at_once, beginning) = differences(&config, &registry.config);
        Ok(PlanDocument::new(registry.path.display().to_string(), &plan, &at_once, &beginning))
    }

    fn apply(
        &self,
        registry: Registry,
        confirm_ready: Option<Duration>,
        by: &Arc<str>,
        done: impl FnOnce(Outcome) + Send + 'static,
    ) -> Result<(), ChangeRefusal> {
        let path = registry.path.clone();
        let is_ours = path == self.registry;
        let files = is_ours.then(|| Fingerprint::of_registry(&registry));
        let before = std::mem::replace(&mut *self.source(), files);
        let config = self.config.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (source, news, told_before, told_by) =
            (Arc::clone(&self.source), self.news.clone(), before.clone(), Arc::clone(by));
        let over = move |outcome: Outcome| {
            if outcome.gone_back.is_some() {
                *source.lock().unwrap_or_else(PoisonError::into_inner) = told_before;
                let _nobody_waits = news.try_send(News::Config(Box::new(config)));
            }
            let _nobody_waits = news.try_send(News::Over { by: told_by, outcome: outcome.clone() });
            done(outcome);
        };
        let setup = setup(&registry);
        let submitted = self
            .pass_on(&registry)
            .and_then(|()| self.handle.submit_apply(setup, confirm_ready, Arc::clone(by), over));
        if let Err(error) = submitted {
            *self.source() = before;
            return Err(refused(&path, error));
        }
        info!("the registry {} is applied, asked for by {by}", path.display());
        self.heed(registry.config);
        Ok(())
    }

    /// Passes on what its components write, before anything new is written, unless it is refused.
    fn pass_on(&self, registry: &Registry) -> Result<(), ApplyError> {
        if let Some(echo) = &self.echo {
            self.handle.plan(setup(registry))?;
            echo.pass_on(&registry.components);
        }
        Ok(())
    }

    /// What of this holds at once does.
    fn heed(&self, config: Config) {
        let mut known = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        known.trace_level = config.trace_level;
        known.trace_stats_interval = config.trace_stats_interval;
        known.restart_budget = config.restart_budget;
        known.on_give_up = config.on_give_up;
        drop(known);
        self.tell(News::Config(Box::new(config)));
    }

    fn source(&self) -> std::sync::MutexGuard<'_, Option<Fingerprint>> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Supervision {
    /// Takes note of what was applied, and of what came of it.
    pub(super) fn note_change(&mut self, news: News) {
        match news {
            News::Applying => self.manager.reload_begins(),
            News::Refused => self.manager.reload_ends(),
            News::Config(config) => {
                self.applier.level.set(config.trace_level);
                if self.statistics_interval != config.trace_stats_interval {
                    self.statistics_interval = config.trace_stats_interval;
                    self.await_statistics();
                }
            }
            News::Over { by, outcome } => {
                self.manager.reload_ends();
                let failed = outcome.components.iter().filter(|(_, achieved)| !achieved.is_success());
                let failed: Vec<_> = failed.map(|(id, _)| id.as_str()).collect();
                match &outcome.gone_back {
                    Some(why) => error!("what {by} had applied was taken back: {why}"),
                    None if failed.is_empty() => info!("what {by} had applied is so"),
                    None => warn!("what {by} had applied is so but for {}", failed.join(", ")),
                }
            }
        }
    }
}

fn setup(registry: &Registry) -> Setup {
    let mut setup = Setup::new(registry.components.iter().cloned());
    setup.restart_budget = registry.config.restart_budget;
    setup.on_give_up = registry.config.on_give_up;
    setup
}

/// What of the supervisor itself changes at once, beside what holds for components, and what when it is started the next time.
fn differences(before: &Config, after: &Config) -> (Vec<&'static str>, Vec<&'static str>) {
    let named = |fields: &[(&'static str, bool)]| -> Vec<_> {
        fields.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect()
    };
    let at_once = named(&[
        ("tracelevel", before.trace_level != after.trace_level),
        ("tracestatsinterval", before.trace_stats_interval != after.trace_stats_interval),
    ]);
    let beginning = named(&[
        ("tcpport", before.tcp_port != after.tcp_port),
        ("log", before.log != after.log),
        ("temp", before.temp != after.temp),
        ("logDays", before.log_days != after.log_days),
        ("logFormat", before.log_format != after.log_format),
    ]);
    (at_once, beginning)
}

fn invalid(path: &Path, error: &RegistryError) -> ChangeRefusal {
    let problems: Vec<_> = error.problems().iter().map(ToString::to_string).collect();
    let detail = format!("the registry {} is not in order, and changes nothing", path.display());
    ChangeRefusal::Invalid { detail, problems }
}

fn refused(path: &Path, error: ApplyError) -> ChangeRefusal {
    match error {
        ApplyError::Request(error) => ChangeRefusal::Refused(error),
        error => ChangeRefusal::Invalid {
            detail: format!("the registry {} is not in order, and changes nothing", path.display()),
            problems: vec![error.to_string()],
        },
    }
}

#[cfg(unix)]
fn sentence(refusal: &ChangeRefusal) -> String {
    match refusal {
        ChangeRefusal::Invalid { detail, problems } => format!("{detail}: {}", problems.join("; ")),
        ChangeRefusal::NotNow(why) => why.clone(),
        ChangeRefusal::Refused(error) => error.to_string(),
    }
}
