//! What a child does on all roads and all systems before it becomes its program.
//!
//! It makes system calls, by `calls`, and nothing else: it allocates nothing, takes no lock and cannot panic.

use std::os::fd::RawFd;

use rustix::io::Errno;

use super::{Attributes, Image};
use crate::os::calls;

/// What of it could not be done, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::os) struct Failure {
    pub(in crate::os) step: Step,
    pub(in crate::os) errno: Errno,
}

/// What the child does, in this order.
#[cfg_attr(
    any(not(target_os = "linux"), s7_posix),
    expect(dead_code, reason = "only Linux has tables of their own and control groups")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::os) enum Step {
    /// To get a table of descriptors of its own.
    Table,
    /// To pass on the descriptor of this number.
    Descriptor(RawFd),
    ControlGroup,
    ProcessGroup,
    Folder,
    /// The limit of open descriptors that is not the specification's.
    OpenFiles,
    /// The limit at this place of the specification.
    Limit(usize),
    Niceness,
    Groups,
    Group,
    User,
    LastSignal,
    Program,
}

impl Step {
    /// It, with the reason of its failure.
    pub(in crate::os) fn failed(self) -> impl Fn(Errno) -> Failure {
        move |errno| Failure { step: self, errno }
    }
}

impl Attributes {
    /// Applies them to the calling process, which is a child: first what may need rights, then the ids, which give the rights
    /// away.
    pub(in crate::os) fn apply(&self) -> Result<(), Failure> {
        if let Some(folder) = &self.folder {
            calls::change_to(folder).map_err(Step::Folder.failed())?;
        }
        if let Some(limit) = self.open_files {
            calls::set_limit(libc::RLIMIT_NOFILE as usize, limit).map_err(Step::OpenFiles.failed())?;
        }
        for (place, (resource, limit)) in self.limits.iter().enumerate() {
            calls::set_limit(*resource, *limit).map_err(Step::Limit(place).failed())?;
        }
        if let Some(nice) = self.nice {
            calls::set_niceness(nice).map_err(Step::Niceness.failed())?;
        }
        if let Some(umask) = self.umask {
            calls::set_umask(umask);
        }
        self.change_ids()?;
        // After the ids, a change of which takes the wish back.
        let Some((signal, parent)) = self.last_signal else { return Ok(()) };
        calls::end_with_parent(signal, parent).map_err(Step::LastSignal.failed())
    }

    fn change_ids(&self) -> Result<(), Failure> {
        let Some(change) = &self.change else { return Ok(()) };
        calls::set_groups(&change.groups).map_err(Step::Groups.failed())?;
        calls::set_group(change.group).map_err(Step::Group.failed())?;
        change.user.map_or(Ok(()), calls::set_user).map_err(Step::User.failed())
    }
}

impl Image {
    /// Becomes the program: tries one after the other, as `execvp` does, but hands no file without a first line to a shell. It
    /// comes back only with what has failed.
    pub(in crate::os) fn execute(&self) -> Errno {
        let mut answer = Errno::NOENT;
        for program in self.programs() {
            // SAFETY: a text that ends with null, and two lists of such texts that end with null, alive with the image.
            match unsafe { calls::execute(program, self.arguments(), self.environment()) } {
                Errno::ACCESS => answer = Errno::ACCESS,
                errno if self.is_looked_for() && is_elsewhere(errno) => {}
                errno => return errno,
            }
        }
        answer
    }
}

/// Whether a program that is looked for in several folders may be in the next one.
fn is_elsewhere(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::NODEV | Errno::STALE | Errno::TIMEDOUT)
}
