//! What is written down of a process for the next supervisor, and what that finds of it.
//!
//! A pid and the second in which its process began do not prove that it is that very process, and one that is not our child may be
//! gone at any moment, and its pid another's. So nothing is adopted. But nothing is begun beside it either: whoever starts a
//! supervisor is told what still runs.

use std::io;

use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::leftovers::Leftover;
use super::process::{Process, our_child};
use super::{table, time};
use crate::run::Exit;

/// Where pids and times of beginning mean what they mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// When process 1 began, as the clock of the machine has it.
    pub(crate) boot: String,
    /// There is but one that we know of.
    pub(crate) namespace: u64,
}

/// One process, in one [`Place`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) pid: u32,
    /// When it was started, in seconds since 1970.
    pub(super) started: i64,
}

#[cfg(test)]
impl Identity {
    /// That of a process that lives.
    pub(in crate::os) fn of_living(pid: u32) -> Option<Self> {
        table::beginning(pid).ok()?.map(|(started, _)| Self { pid, started })
    }
}

impl Place {
    /// Where we are. (Whoever sets the clock of the machine may have it begin at another time, and what is written down is of no
    /// use.)
    ///
    /// # Errors
    /// If the system does not tell.
    pub(crate) fn here() -> io::Result<Self> {
        match table::beginning(1) {
            Ok(Some((began, _))) => Ok(Self { boot: began.to_string(), namespace: 0 }),
            _ => Err(io::Error::other("`ps` does not say when process 1 began")),
        }
    }
}

/// What has become of a process that is known of from before.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It lives, and is a child of ours.
    Lives(Process),
    /// It has ended: so, if that is known.
    Ended(Option<Exit>),
}

impl Process {
    /// Looks for a process that may have been started by another supervisor.
    ///
    /// # Errors
    /// It lives and is no child of ours, or that cannot be told.
    pub(crate) fn find(identity: &Identity) -> io::Result<Fate> {
        let Identity { pid, started } = *identity;
        let Some(child) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
            return Ok(Fate::Ended(None));
        };
        let found = table::beginning(pid)
            .map_err(|()| io::Error::other(format!("`ps` does not tell of process {pid}")))?;
        let is_it = |(began, group)| group == pid && time::is_same(began, started);
        if let Some(process) = our_child(child) {
            let exit = process.exit();
            return Ok(exit.map_or(Fate::Lives(process), |exit| Fate::Ended(Some(exit))));
        }
        match found.filter(|found| is_it(*found)) {
            None => Ok(Fate::Ended(None)),
            Some(_) => Err(io::Error::other(format!(
                "process {pid}, which an earlier supervisor has started, still runs, and cannot be taken over on this system; \
                 end it and its group (`kill -TERM -{pid}`) and start again"
            ))),
        }
    }

    /// Nothing is adopted.
    pub(crate) fn adopt(_process: Leftover) -> Option<Self> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fixture::{Component, Orphan};

    #[test]
    fn where_we_are_is_the_same_whenever_it_is_asked_for() {
        assert_eq!(Place::here().unwrap(), Place::here().unwrap());
    }

    #[test]
    fn what_another_has_started_and_lives_is_named() {
        let orphan = Orphan::start("identity/1", "echo; exec sleep 1000");
        let identity = orphan.identity();
        let why = Process::find(&identity).unwrap_err().to_string();
        assert!(why.contains(&format!("kill -TERM -{}", orphan.pid())), "{why}");
        let earlier = Identity { started: identity.started - 60, ..identity };
        assert!(matches!(Process::find(&earlier), Ok(Fate::Ended(None))), "its pid was another's then");
    }

    #[test]
    fn what_is_gone_has_ended_and_our_own_child_is_known() {
        let started = Component::shell("exit 3").start();
        let identity = started.process().identity().unwrap();
        started.wait();
        assert!(matches!(Process::find(&identity), Ok(Fate::Ended(Some(Exit::Code(3))))));
        started.process().reap();
        assert!(matches!(Process::find(&identity), Ok(Fate::Ended(None))));
        let lives = Component::new("/bin/sleep", &["1000"]).start();
        assert!(matches!(Process::find(&lives.process().identity().unwrap()), Ok(Fate::Lives(_))));
    }
}
