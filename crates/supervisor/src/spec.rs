//! What to run: a component and everything that is known of it before it starts.

mod checks;
mod relations;
mod restarts;
mod steps;

use std::borrow::Borrow;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::output::LogSettings;
use crate::policy::{Backoff, RestartPolicy};

pub(crate) use checks::log_pattern;
pub use checks::{GuardAction, Health, MemoryLimit, Probe, Readiness, ReadyWhen};
pub use relations::{Condition, Dependency, RestartGroup, Strategy};
pub use restarts::{ExitAction, ExitMatch, ExitRule, Intensity, OnCrash, OnGiveUp, RestartBudget};
pub use steps::{Cleanup, Command, Recipient, Step};

/// The name of a component, as people type it.
///
/// ASCII letters, digits, `-`, `_` and `.`, beginning with a letter or digit, at most 64 characters, and none of
/// the names that Windows reserves for devices (an id is part of file names on every system). Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ComponentId(Arc<str>);

impl ComponentId {
    /// The most characters that an id may have.
    pub const MAX_LENGTH: usize = 64;

    /// Checks the name.
    ///
    /// # Errors
    /// [`InvalidId`] says which rule the name breaks.
    pub fn new(name: &str) -> Result<Self, InvalidId> {
        let broken = |rule| Err(InvalidId { name: name.chars().take(80).collect(), rule });
        if name.is_empty() {
            return broken("must not be empty");
        }
        if name.len() > Self::MAX_LENGTH {
            return broken("must have at most 64 characters");
        }
        if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return broken("must begin with an ASCII letter or a digit");
        }
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
            return broken("may contain only ASCII letters, digits, '-', '_' and '.'");
        }
        if is_reserved_by_windows(name) {
            return broken("is a device's name on Windows");
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether Windows takes a file of this name, with whatever suffix, for a device.
/// <https://learn.microsoft.com/windows/win32/fileio/naming-a-file>
fn is_reserved_by_windows(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).to_ascii_uppercase();
    match stem.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" => true,
        _ => {
            let numbered = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
            numbered.is_some_and(|n| n.len() == 1 && n.as_bytes()[0].is_ascii_digit())
        }
    }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AsRef<str> for ComponentId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ComponentId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for ComponentId {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl PartialEq<&str> for ComponentId {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

/// A name that cannot be the id of a component, and the rule that it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} cannot be the id of a component: it {rule}")]
pub struct InvalidId {
    /// The name, or its first 80 characters.
    pub name: String,
    /// The rule, as the end of a sentence: "must not be empty".
    pub rule: &'static str,
}

/// What to run, how, and what to do when it ends.
///
/// [`ProcessSpec::new`] gives every field its default; change what you need:
///
/// ```
/// use std::time::Duration;
/// use supervisor::ProcessSpec;
///
/// let mut spec = ProcessSpec::new("ps", "/usr/bin/java")?;
/// spec.arguments = vec!["-Xmx512m".into(), "-jar".into(), "server.jar".into()];
/// spec.stop_timeout = Duration::from_secs(20);
/// # Ok::<(), supervisor::InvalidId>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProcessSpec {
    /// The name by which people and requests know the component.
    pub id: ComponentId,
    /// The name that it shares with its like, where it is one of several instances: `web` for `web-2`. Requests
    /// for that name mean all of them. Default: none.
    pub instance_of: Option<ComponentId>,
    /// A line for people. Default: empty.
    pub description: String,
    /// A path, or a bare name that is looked up in the component's `PATH` at each start.
    pub executable: PathBuf,
    /// The arguments after the program's own name. Default: none.
    pub arguments: Vec<OsString>,
    /// The folder in which it runs. Default: that of the supervisor.
    pub working_directory: Option<PathBuf>,
    /// What its environment has beside, or instead of, the supervisor's.
    pub environment: Environment,
    /// The account it runs as, by name or number. Default: the supervisor's own.
    ///
    /// With it come the account's group, supplementary groups and `HOME`, `USER`, `LOGNAME` and `SHELL`. On Windows it is logged on
    /// without a password, which another account than the supervisor's own takes `LocalSystem` for; with it come its rights and what
    /// an environment tells of an account there (`USERNAME`, `USERPROFILE`, `TEMP` and the like).
    pub user: Option<String>,
    /// The group it runs as, by name or number. Default: that of `user`, else the supervisor's own.
    pub group: Option<String>,
    /// The permission bits that files it creates do not get. Default: the supervisor's own.
    pub umask: Option<u32>,
    /// Its niceness, from -20 to 19. Default: the supervisor's own.
    pub nice: Option<i32>,
    /// Limits of the operating system. Default: the supervisor's own.
    pub limits: Vec<ResourceLimit>,
    /// Components start in ascending priority and stop in descending. Default: 1.
    pub start_priority: u16,
    /// How long it must be up before it counts as started, where no readiness is declared. Default: zero.
    pub start_delay: Duration,
    /// How long it is given to stop before what is left of it is killed. Default: 60 s.
    pub stop_timeout: Duration,
    /// Whether it is wanted from the beginning. Default: yes.
    pub autostart: bool,
    /// Whom it needs: none of its runs begins unless all conditions hold. Default: nobody.
    pub depends_on: Vec<Dependency>,
    /// What to do when it has ended though wanted. Default: [`Backoff::default`].
    pub restart: Arc<dyn RestartPolicy>,
    /// What to do after certain ends, whatever the policy says; the first that matches. Default: none.
    pub exits: Vec<ExitRule>,
    /// How often it may be restarted before it is tripped. Default: as often as the policy says.
    pub intensity: Option<Intensity>,
    /// With whom it restarts. Default: with nobody.
    pub restart_group: Option<RestartGroup>,
    /// Whether the supervisor cannot do without it; see [`Builder::on_give_up`](crate::Builder::on_give_up). Default: no.
    pub essential: bool,
    /// How long it must be up beyond its start for the run to count as stable, which forgives the failures before
    /// it. Default: 1 s.
    pub reset_after: Duration,
    /// How it is known that it is ready, and thus has started. Default: it has started after its start delay.
    pub readiness: Option<Readiness>,
    /// How it is known that it is still well, once it has started. Default: as long as it lives.
    pub health: Option<Health>,
    /// How often it must send `WATCHDOG=1` to its `NOTIFY_SOCKET` once it has started. It
    /// finds this time in `WATCHDOG_USEC`, and no `WATCHDOG_PID`: any of its processes may send that. Default: not at all.
    pub watchdog: Option<Duration>,
    /// The most memory it may use. Default: no limit of ours.
    pub memory: Option<MemoryLimit>,
    /// The steps by which it is stopped, within [`stop_timeout`](Self::stop_timeout). Default (empty): SIGTERM to the
    /// group.
    pub stop: Vec<Step>,
    /// The steps by which it reads its configuration again. Default: it cannot.
    pub reload: Vec<Step>,
    /// A command that is run after every end of it. Default: none.
    pub cleanup: Option<Cleanup>,
    /// What is done to find out why it hangs, before it is stopped for that, or killed. Default: nothing; what the
    /// operating system tells is recorded always.
    pub evidence: Vec<Step>,
    /// Where its standard output and standard error go. Default: nowhere.
    pub output: Output,
}

impl ProcessSpec {
    /// The component `id`, which runs `executable`, with every default.
    ///
    /// # Errors
    /// [`InvalidId`] if the id breaks a rule of [`ComponentId`].
    pub fn new(id: &str, executable: impl Into<PathBuf>) -> Result<Self, InvalidId> {
        Ok(Self {
            id: ComponentId::new(id)?,
            instance_of: None,
            description: String::new(),
            executable: executable.into(),
            arguments: Vec::new(),
            working_directory: None,
            environment: Environment::default(),
            user: None,
            group: None,
            umask: None,
            nice: None,
            limits: Vec::new(),
            start_priority: 1,
            start_delay: Duration::ZERO,
            stop_timeout: Duration::from_secs(60),
            autostart: true,
            depends_on: Vec::new(),
            restart: Arc::new(Backoff::default()),
            exits: Vec::new(),
            intensity: None,
            restart_group: None,
            essential: false,
            reset_after: Duration::from_secs(1),
            readiness: None,
            health: None,
            watchdog: None,
            memory: None,
            stop: Vec::new(),
            reload: Vec::new(),
            cleanup: None,
            evidence: Vec::new(),
            output: Output::default(),
        })
    }
}

/// What a component's environment has beside, or instead of, the supervisor's.
///
/// A component inherits the environment of the supervisor less `NOTIFY_*`, `WATCHDOG_*`, `LISTEN_*` and `S7_*`, which
/// are meant for the supervisor itself; `variables` come on top.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Inherit nothing. Default: false.
    pub clear: bool,
    /// Set after what is inherited; the last of the same name wins.
    pub variables: Vec<Variable>,
}

impl Environment {
    /// Values shorter than this, in bytes, are not looked for in texts: they would be found everywhere.
    const SHORTEST_SECRET: usize = 4;

    /// The text with `(secret)` in the place of each secret value, if one stands in it.
    pub(crate) fn hide_secrets(&self, text: &str) -> Option<String> {
        let secrets = self.variables.iter().filter(|variable| variable.secret);
        let values = secrets.filter_map(|variable| variable.value.to_str());
        let long = values.filter(|value| value.len() >= Self::SHORTEST_SECRET);
        long.fold(None, |hidden: Option<String>, value| {
            let text = hidden.as_deref().unwrap_or(text);
            if text.contains(value) { Some(text.replace(value, "(secret)")) } else { hidden }
        })
    }
}

/// A variable of a component's environment.
#[derive(Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name, without `=`.
    pub name: String,
    /// Its value.
    pub value: OsString,
    /// Whether the value must be shown nowhere.
    pub secret: bool,
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Variable");
        shown.field("name", &self.name);
        if self.secret {
            shown.field("value", &"(secret)")
        } else {
            shown.field("value", &self.value)
        };
        shown.field("secret", &self.secret).finish()
    }
}

/// A limit of the operating system on one resource of each of the component's processes.
/// <https://man7.org/linux/man-pages/man2/getrlimit.2.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceLimit {
    /// What is limited.
    pub resource: Resource,
    /// The limit in force; `None` is no limit.
    pub soft: Option<u64>,
    /// How far the process may raise it; `None` is no limit.
    pub hard: Option<u64>,
}

/// What a [`ResourceLimit`] limits. Sizes are in bytes, times in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// `as`: address space.
    AddressSpace,
    /// `core`: size of a core dump.
    Core,
    /// `cpu`: processor time.
    Cpu,
    /// `data`: data segment and heap.
    Data,
    /// `fsize`: size of a file that it writes.
    FileSize,
    /// `memlock`: memory locked into RAM.
    LockedMemory,
    /// `nofile`: one more than the highest descriptor.
    OpenFiles,
    /// `nproc`: processes of its user.
    Processes,
    /// `stack`: size of the main thread's stack.
    Stack,
}

impl Resource {
    /// Every resource.
    pub const ALL: [Self; 9] = [
        Self::AddressSpace,
        Self::Core,
        Self::Cpu,
        Self::Data,
        Self::FileSize,
        Self::LockedMemory,
        Self::OpenFiles,
        Self::Processes,
        Self::Stack,
    ];

    /// The name in a registry and in `limits.conf`: `nofile`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AddressSpace => "as",
            Self::Core => "core",
            Self::Cpu => "cpu",
            Self::Data => "data",
            Self::FileSize => "fsize",
            Self::LockedMemory => "memlock",
            Self::OpenFiles => "nofile",
            Self::Processes => "nproc",
            Self::Stack => "stack",
        }
    }
}

/// Where a component's standard output and standard error go. Its standard input is always empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Nowhere.
    #[default]
    Null,
    /// To the standard output and standard error of the host.
    Inherit,
    /// Through the supervisor into files of their own.
    File {
        /// The file, its rotation and its retention.
        log: LogSettings,
        /// Where standard error goes.
        stderr: Stderr,
    },
}

/// Where a component's standard error goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stderr {
    /// To the same file as standard output, in the order in which it was written.
    #[default]
    Join,
    /// To a file of its own beside that of standard output, `-stderr` added to the base name.
    File,
    /// Nowhere.
    Null,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_checked_by_the_rules_that_its_error_names() {
        for good in ["is", "ps-1", "A.b_c", "9", "comet", "com10", &"x".repeat(64)] {
            assert_eq!(ComponentId::new(good).unwrap().as_str(), good);
        }
        for (bad, rule) in [
            ("", "empty"),
            ("-a", "begin"),
            (".", "begin"),
            ("a b", "only"),
            ("ä", "begin"),
            ("aä", "only"),
            ("a/b", "only"),
            ("nul", "Windows"),
            ("Com1", "Windows"),
            ("lpt9.log", "Windows"),
            (&"x".repeat(65), "64"),
        ] {
            let error = ComponentId::new(bad).unwrap_err();
            assert!(error.rule.contains(rule), "{bad}: {error}");
        }
    }

    #[test]
    fn secrets_are_hidden_in_texts_wherever_they_stand() {
        let variable = |value: &str, secret| Variable { name: "TOKEN".into(), value: value.into(), secret };
        let variables = vec![variable("hunter2", true), variable("open", false), variable("x", true)];
        let environment = Environment { clear: false, variables };
        assert_eq!(
            environment.hide_secrets("hunter2, and hunter2 again").as_deref(),
            Some("(secret), and (secret) again")
        );
        assert_eq!(environment.hide_secrets("x is too short, and open is none"), None);
    }

    #[test]
    fn a_secret_is_not_in_the_debug_text() {
        let variable = Variable { name: "TOKEN".into(), value: "hunter2".into(), secret: true };
        assert!(!format!("{variable:?}").contains("hunter2"));
    }
}
