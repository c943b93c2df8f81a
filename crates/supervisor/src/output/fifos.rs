//! The folder of the pipes that outlive us: one for each stream of each run, by name.
//!
//! ```text
//! STATE_DIR/output/ps.7.out       standard output of the seventh run of ps, and standard error where that joins it
//!                  ps.7.err       its standard error
//!                  ps.7.ready     where it says that it is ready
//!                  ps.7~2.out     the same, where something else stood under that name
//! ```
//!
//! A pipe is made when its run begins, and removed when the last that had it open has gone. A supervisor that is begun
//! again finds those of the runs that go on.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::failed;
use crate::os;
use crate::spec::ComponentId;

/// How many names are tried for a pipe.
const MOST_NAMES: u32 = 9;

/// What a pipe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
    /// The descriptor on which readiness is told.
    Ready,
}

/// A folder of pipes: everything in it is reached relative to its descriptor.
#[derive(Debug)]
pub(crate) struct Fifos {
    folder: RwLock<OwnedFd>,
    path: PathBuf,
}

/// The end of a named pipe that is read.
#[derive(Debug)]
pub(crate) struct Fifo {
    pub(crate) reader: OwnedFd,
    pub(crate) name: Box<str>,
}

impl Fifos {
    /// Where pipes can outlive us: in a folder for state, if there is one.
    pub(crate) fn within(state_dir: Option<&Path>) -> io::Result<Option<Arc<Self>>> {
        state_dir.map(Self::open).transpose().map(|fifos| fifos.map(Arc::new))
    }

    /// Opens `output/` in this folder. Both are made, for nobody else, if they are missing.
    ///
    /// # Errors
    /// Neither can be opened or made; or `output/` is a link, belongs to somebody else, or others may write in it.
    pub(crate) fn open(state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join("output");
        Ok(Self { folder: RwLock::new(open_folder(state_dir, &path)?), path })
    }

    /// Makes a pipe for a run: the end that is read, and the component's, which this user owns.
    ///
    /// # Errors
    /// The folder does not let us, or there are no descriptors left, or too much stands under the names for it.
    pub(crate) fn make(
        &self,
        (id, run): (&ComponentId, u64),
        purpose: Purpose,
        owner: Option<u32>,
    ) -> io::Result<(Fifo, OwnedFd)> {
        self.make_again()?;
        for name in (1..=MOST_NAMES).map(|attempt| name_of((id.as_str(), run), purpose, attempt)) {
            match os::make_fifo(&*self.folder(), &name) {
                Ok(()) => {}
                // Whatever it is, it is not of this run.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(failed("make the pipe", &self.path.join(name), &error)),
            }
            let opened = os::open_fifo(&*self.folder(), &name).and_then(|(reader, writer)| {
                owner.map_or(Ok(()), |user| os::give_to(user, &writer))?;
                Ok((reader, writer))
            });
            let (reader, writer) = opened.map_err(|error| {
                self.remove(&name);
                failed("open the pipe", &self.path.join(&name), &error)
            })?;
            return Ok((Fifo { reader, name: name.into() }, writer));
        }
        let name = name_of((id.as_str(), run), purpose, 1);
        let reason = io::Error::other("that name and those tried instead are taken (remove the files)");
        Err(failed("make the pipe", &self.path.join(name), &reason))
    }

    /// Opens the pipe of a run that was begun before us. `None` if there is none.
    ///
    /// # Errors
    /// There is one, and it cannot be opened.
    pub(crate) fn find(&self, (id, run): (&ComponentId, u64), purpose: Purpose) -> io::Result<Option<Fifo>> {
        // What was there before is under the names that were tried before.
        for name in (1..=MOST_NAMES).rev().map(|attempt| name_of((id.as_str(), run), purpose, attempt)) {
            match os::open_fifo(&*self.folder(), &name) {
                // Its own end was only needed to be told when the last one has gone.
                Ok((reader, _)) => return Ok(Some(Fifo { reader, name: name.into() })),
                Err(error) if is_no_pipe(&error) => {}
                Err(error) => return Err(failed("open the pipe", &self.path.join(name), &error)),
            }
        }
        Ok(None)
    }

    /// The runs of which pipes stand in the folder, by the ids of their components.
    pub(crate) fn standing(&self) -> io::Result<Vec<(ComponentId, u64)>> {
        let names = self.names().map_err(|error| failed("list the folder", &self.path, &error.into()))?;
        let mut runs: Vec<_> = names.iter().filter_map(|name| parse(name)).collect();
        runs.sort_unstable_by(|one, other| (one.0.as_str(), one.1).cmp(&(other.0.as_str(), other.1)));
        runs.dedup();
        Ok(runs)
    }

    /// Removes a pipe, which whoever has it open keeps.
    pub(crate) fn remove(&self, name: &str) {
        // It may have been removed by somebody else, and what cannot be removed now is found again at the next start.
        let _ = rustix::fs::unlinkat(&*self.folder(), name, AtFlags::empty());
    }

    /// Removes all pipes of a run.
    pub(crate) fn discard(&self, id: &ComponentId, run: u64) {
        for name in self.names().unwrap_or_default() {
            if parse(&name).is_some_and(|(of, number)| of == *id && number == run) {
                self.remove(&name);
            }
        }
    }

    /// Opens the folder anew, where somebody has removed it. What was in it then is out of reach for the next supervisor.
    fn make_again(&self) -> io::Result<()> {
        let is_removed = rustix::fs::fstat(&*self.folder()).is_ok_and(|stat| stat.st_nlink == 0);
        let Some(state_dir) = self.path.parent().filter(|_| is_removed) else { return Ok(()) };
        let folder = open_folder(state_dir, &self.path)?;
        *self.folder.write().unwrap_or_else(PoisonError::into_inner) = folder;
        Ok(())
    }

    fn folder(&self) -> RwLockReadGuard<'_, OwnedFd> {
        self.folder.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn names(&self) -> Result<Vec<String>, Errno> {
        let entries = Dir::read_from(self.folder().as_fd())?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }
}

/// Opens the folder at `path`, which is `output/` in the other; makes what is missing of them.
fn open_folder(state_dir: &Path, path: &Path) -> io::Result<OwnedFd> {
    match rustix::fs::mkdir(state_dir, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(failed("make the folder", state_dir, &error.into())),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let above = rustix::fs::open(state_dir, flags, Mode::empty())
        .map_err(|error| failed("open the folder", state_dir, &error.into()))?;
    match rustix::fs::mkdirat(&above, "output", Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(failed("make the folder", path, &error.into())),
    }
    let refused = |error: io::Error| failed("use the folder", path, &error);
    let folder = rustix::fs::openat(&above, "output", flags | OFlags::NOFOLLOW, Mode::empty())
        .map_err(|error| refused(error.into()))?;
    let stat = rustix::fs::fstat(&folder).map_err(|error| refused(error.into()))?;
    let wrong = if stat.st_uid != geteuid().as_raw() {
        "it belongs to somebody else (remove it, or name another folder)"
    } else if Mode::from_raw_mode(stat.st_mode).intersects(Mode::WGRP | Mode::WOTH) {
        "others may write in it (take that right away, or name another folder)"
    } else {
        return Ok(folder);
    };
    Err(refused(io::Error::new(io::ErrorKind::PermissionDenied, wrong)))
}

/// Whether there is nothing of use under a name: nothing at all, or something that we did not make.
fn is_no_pipe(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    error.kind() == io::ErrorKind::InvalidInput
        || matches!(errno, Some(Errno::NOENT | Errno::LOOP | Errno::ISDIR | Errno::NXIO | Errno::NODEV))
}

fn name_of((id, run): (&str, u64), purpose: Purpose, attempt: u32) -> String {
    let purpose = match purpose {
        Purpose::Out => "out",
        Purpose::Err => "err",
        Purpose::Ready => "ready",
    };
    if attempt == 1 { format!("{id}.{run}.{purpose}") } else { format!("{id}.{run}~{attempt}.{purpose}") }
}

/// Whose pipe this is by its name.
fn parse(name: &str) -> Option<(ComponentId, u64)> {
    let (rest, purpose) = name.rsplit_once('.')?;
    let (id, number) = rest.rsplit_once('.')?;
    let (run, attempt) = number.split_once('~').unwrap_or((number, "1"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_ours = matches!(purpose, "out" | "err" | "ready") && is_number(run) && is_number(attempt);
    Some((ComponentId::new(id).ok().filter(|_| is_ours)?, run.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};

    use super::super::testbench::names_in;
    use super::*;

    fn id(name: &str) -> ComponentId {
        ComponentId::new(name).unwrap()
    }

    #[test]
    fn each_run_has_pipes_of_its_own_which_only_its_user_can_open() {
        let folder = tempfile::tempdir().unwrap();
        let fifos = Fifos::open(&folder.path().join("state")).unwrap();
        let output = folder.path().join("state/output");
        assert_eq!(fs::metadata(&output).unwrap().mode() & 0o7777, 0o700);
        let owner = geteuid().is_root().then_some(12_345);
        let _out = fifos.make((&id("ps.a"), 7), Purpose::Out, owner).unwrap();
        let _ready = fifos.make((&id("ps.a"), 7), Purpose::Ready, None).unwrap();
        let _err = fifos.make((&id("is"), 1), Purpose::Err, None).unwrap();
        assert_eq!(names_in(&output), ["is.1.err", "ps.a.7.out", "ps.a.7.ready"]);
        let metadata = fs::metadata(output.join("ps.a.7.out")).unwrap();
        assert!(metadata.file_type().is_fifo());
        assert_eq!(metadata.mode() & 0o777, 0o600);
        assert_eq!(metadata.uid(), owner.unwrap_or(geteuid().as_raw()));
        assert_eq!(fifos.standing().unwrap(), [(id("is"), 1), (id("ps.a"), 7)]);
        fifos.discard(&id("ps.a"), 7);
        assert_eq!(names_in(&output), ["is.1.err"]);
    }

    #[test]
    fn what_stands_in_the_way_is_left_alone_and_another_name_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let fifos = Fifos::open(folder.path()).unwrap();
        let output = folder.path().join("output");
        let victim = folder.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, output.join("ps.1.out")).unwrap();
        fs::create_dir(output.join("ps.1~2.out")).unwrap();
        let (made, _end) = fifos.make((&id("ps"), 1), Purpose::Out, None).unwrap();
        assert_eq!(&*made.name, "ps.1~3.out");
        fs::write(output.join("ps.1~4.out"), "").unwrap();
        let found = fifos.find((&id("ps"), 1), Purpose::Out).unwrap().unwrap();
        assert_eq!(found.name, made.name);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        for attempt in 5..=MOST_NAMES {
            fs::write(output.join(format!("ps.1~{attempt}.out")), "").unwrap();
        }
        let error = fifos.make((&id("ps"), 1), Purpose::Out, None).unwrap_err().to_string();
        assert!(error.starts_with("cannot make the pipe ") && error.contains("ps.1.out: "), "{error}");
        assert!(fifos.find((&id("ps"), 2), Purpose::Out).unwrap().is_none());
    }

    #[test]
    fn a_folder_that_others_could_have_prepared_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |state: &Path| Fifos::open(state).unwrap_err().to_string();
        let (linked, open) = (folder.path().join("linked"), folder.path().join("open"));
        for state in [&linked, &open] {
            fs::create_dir(state).unwrap();
        }
        symlink(&open, linked.join("output")).unwrap();
        assert!(refused(&linked).starts_with("cannot use the folder "));
        fs::create_dir(open.join("output")).unwrap();
        fs::set_permissions(open.join("output"), fs::Permissions::from_mode(0o770)).unwrap();
        assert!(refused(&open).contains("others may write in it"));
        if geteuid().is_root() {
            let foreign = folder.path().join("foreign");
            fs::create_dir_all(foreign.join("output")).unwrap();
            std::os::unix::fs::chown(foreign.join("output"), Some(12_345), None).unwrap();
            assert!(refused(&foreign).contains("belongs to somebody else"));
        }
        assert!(refused(&folder.path().join("no/state")).starts_with("cannot make the folder "));
    }

    #[test]
    fn only_names_that_we_give_are_ours() {
        for (name, run) in [("ps.1.out", 1), ("a.b.2.10.err", 10), ("ps.3~2.ready", 3)] {
            assert_eq!(parse(name).unwrap().1, run, "{name}");
        }
        for name in [
            "ps.out",
            "ps.1.txt",
            "ps.+1.out",
            "ps..out",
            ".1.out",
            "ps.1~.out",
            "ps.1~x.out",
            "..",
            "ps.99999999999999999999.out",
        ] {
            assert!(parse(name).is_none(), "{name}");
        }
    }
}
