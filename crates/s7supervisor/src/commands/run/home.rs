//! What makes a supervisor the only one in its place: folders, locks, the pid file and the log.

use std::path::Path;

use supervisor::registry::Registry;
use tracing::{debug, warn};

use super::reach::Reach;
use super::report;
use super::system::NotifyFolder;
use crate::arguments::Serving;
use crate::exit::Failure;
use crate::holder::{Holder, Refused};
use crate::os::lock::Lock;
use crate::os::temp_folder::{ITS_FILES, LOCK, PID_FILE, TempFolder};
use crate::os::{self, Dir, HeldLock, OpenFolder};
use crate::own_log::{self, OwnLog};
use crate::say;

/// The place of a running supervisor, for as long as it runs.
pub(super) struct Home {
    /// The `temp` folder.
    pub(super) temp: TempFolder,
    /// The supervisor's own log.
    pub(super) log: OwnLog,
    /// Where components find the sockets of `sd_notify`, where that can be had.
    #[cfg_attr(windows, expect(dead_code, reason = "nobody speaks there"))]
    pub(super) notify: Option<NotifyFolder>,
    /// Whom the supervisor answers beside its own user.
    pub(super) reach: Reach,
    /// Given back last of all.
    #[cfg_attr(any(not(target_os = "linux"), s7_posix), expect(dead_code, reason = "they are only held"))]
    locks: [Lock; 2],
}

impl Home {
    /// Sets everything up, unless another supervisor is there.
    ///
    /// `held`: the locks that this process holds already, of an earlier supervisor that it was. `is_heard`: likewise the sockets on which
    /// components speak.
    pub(super) fn open(
        temp: &Path,
        registry: &Registry,
        (background, serving): (bool, &Serving),
        (held, is_heard): (Option<[HeldLock; 2]>, bool),
    ) -> Result<Self, Failure> {
        let holder =
            Holder { pid: std::process::id(), registry: registry.path.display().to_string(), background };
        let temp = TempFolder::create(temp)?;
        let goes_on = held.is_some();
        let [held, held_log] = held.map_or([None, None], |held| held.map(Some));
        let lock = take_or_resume(temp.folder(), LOCK, &holder, held);
        if background && matches!(lock, Err(Refused::Held(_))) {
            say::answer(report::HELD);
        }
        let lock = lock.map_err(|refused| refusal(refused, &temp.path().join(LOCK), "with --temp"))?;
        let log_lock = lock_log(&registry.config.log, &holder, held_log)?;
        let config = &registry.config;
        let settings = own_log::settings(&config.log, Some(config.log_days));
        let log = OwnLog::start(&settings, config.log_format, config.trace_level).map_err(|error| {
            let advice =
                "let the supervisor's user write there, or name another place as `log` in the registry";
            Failure::failed(format!("cannot open the log {}: {error}; {advice}", settings.path.display()))
        })?;
        temp.replace(PID_FILE, &format!("{}\n", holder.pid), 0o640)?;
        let reach = Reach::open(&temp, config, serving, goes_on)?;
        let notify = NotifyFolder::make(&temp, is_heard);
        if let Err(error) = &notify {
            debug!("no folder for the sockets of sd_notify: {error}; they have abstract addresses");
        }
        let notify = notify.ok();
        Ok(Self { temp, log, notify, reach, locks: [lock, log_lock] })
    }

    /// What holds the place for as long as it is open anywhere.
    #[cfg(all(target_os = "linux", not(s7_posix)))]
    pub(super) fn locks(&self) -> &[Lock; 2] {
        &self.locks
    }
}

impl Drop for Home {
    /// While the locks are still held, so that it is our own pid file and token that go.
    fn drop(&mut self) {
        for name in ITS_FILES {
            if let Err(failure) = self.temp.remove(name) {
                warn!("{failure}");
            }
        }
    }
}

/// Two supervisors with one log would delete and compress each other's files.
fn lock_log(log: &Path, holder: &Holder, held: Option<HeldLock>) -> Result<Lock, Failure> {
    let folder_path = log.parent().unwrap_or(Path::new("/"));
    let cannot = |what: &str, error: &dyn std::fmt::Display| {
        let (path, advice) =
            (folder_path.display(), "make it, or name another place as `log` in the registry");
        Failure::failed(format!("cannot {what} the folder {path} of the log: {error}; {advice}"))
    };
    os::make_log_folder(folder_path).map_err(|error| cannot("make", &error))?;
    let folder = OpenFolder::open(folder_path).map_err(|error| cannot("open", &error))?;
    let name = log.file_name().unwrap_or_default().to_string_lossy();
    let lock = format!(".{name}.lock");
    take_or_resume(folder.dir(), &lock, holder, held)
        .map_err(|refused| refusal(refused, &folder_path.join(lock), "as `log` in the registry"))
}

fn take_or_resume(
    folder: Dir<'_>,
    name: &str,
    holder: &Holder,
    held: Option<HeldLock>,
) -> Result<Lock, Refused> {
    match held {
        // If somebody has removed the file meanwhile, that lock keeps nobody out any more, and we take the other.
        Some(held) => Lock::resume(folder, name, held).or_else(|_| Lock::take(folder, name, holder)),
        None => Lock::take(folder, name, holder),
    }
}

fn refusal(refused: Refused, path: &Path, elsewhere: &str) -> Failure {
    let path = path.display();
    Failure::failed(match refused {
        Refused::Held(Some(Holder { pid, registry, .. })) => format!(
            "cannot start: another supervisor is running there, pid {pid} with the registry {registry}, and holds \
             {path}; stop it, or name another place {elsewhere}"
        ),
        Refused::Held(None) => format!(
            "cannot start: another supervisor is running there and holds {path}; stop it, or name another place \
             {elsewhere}"
        ),
        Refused::System(error) => {
            format!("cannot lock {path}: {error}; permit it, or name another place {elsewhere}")
        }
    })
}
