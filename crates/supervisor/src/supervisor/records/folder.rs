//! The folder of records: ours alone, opened and locked once, and from then on reached only through its descriptor.
//!
//! Who writes there decides which processes are taken for components, and signalled. So it must belong to us, and nobody else
//! may write to it; no link is followed, and only regular files are read.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::os::{self, words};

const NAME: &str = "runs";

/// A file that is being written. No component is called so: a name cannot begin with a dot.
const NEW: &str = ".new";

/// No record is larger: the longest history that a policy may ask for is a tenth of that.
const LARGEST: u64 = 16 << 20;

/// The open folder. It is locked for as long as this lives.
#[derive(Debug)]
pub(super) struct Folder {
    open: os::Folder,
    path: PathBuf,
}

impl Folder {
    /// Opens the folder below `state`, after making what is missing of both, and locks it.
    ///
    /// # Errors
    /// What could not be done, to which folder, why, and what to do.
    pub(super) fn open(state: &Path) -> Result<Self, String> {
        let path = state.join(NAME);
        let cannot = |why: &str| format!("cannot keep records of runs in {}: {why}", path.display());
        let refused = |error: io::Error| {
            if error.kind() == io::ErrorKind::NotADirectory || os::is_link(&error) {
                cannot("it is no folder, or a link to one; remove it")
            } else {
                cannot(&format!("{}; mend that", words(&error)))
            }
        };
        let mut open = os::Folder::open_private(state, NAME).map_err(refused)?;
        if let Some(strangers) = open.strangers().map_err(refused)? {
            return Err(cannot(&format!("{strangers}; remove it")));
        }
        // Who may only read it may not any more.
        open.close_to_others().map_err(refused)?;
        if !open.lock().map_err(refused)? {
            return Err(cannot("another supervisor does; name another folder, or stop it"));
        }
        Ok(Self { open, path })
    }

    /// Opens the folder anew, where somebody has removed it. Says whether that was so, and it is there again.
    ///
    /// # Errors
    /// As [`Folder::open`].
    pub(super) fn make_again(&mut self) -> Result<bool, String> {
        let is_removed = self.open.is_removed();
        let Some(state) = self.path.parent().filter(|_| is_removed) else { return Ok(false) };
        *self = Self::open(state)?;
        Ok(true)
    }

    /// Where it is, for messages.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The names of all that is in it.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        // What is not even text is not ours.
        Ok(self.open.names()?.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    /// All of a regular file. `None` if there is none of that name.
    pub(super) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match self.open.read(name.as_ref()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if os::is_link(&error) => return Err(io::Error::other("it is a symbolic link")),
            Err(error) => return Err(error),
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut content = Vec::new();
        let length = file.take(LARGEST + 1).read_to_end(&mut content)?;
        let is_too_large = u64::try_from(length).is_ok_and(|length| length > LARGEST);
        if is_too_large { Err(io::Error::other("it is too large")) } else { Ok(Some(content)) }
    }

    /// Replaces a file: who reads it finds the old content or the new one, even if we are killed now. (If the machine
    /// stops, nothing in it is worth reading any more, so that nothing waits for the disk.)
    pub(super) fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        // What an earlier supervisor was writing when it was killed.
        self.remove(NEW)?;
        let mut file = self.open.create_private(NEW.as_ref())?;
        let written = file.write_all(content);
        drop(file);
        let replaced = written.and_then(|()| self.open.rename(NEW.as_ref(), name.as_ref()));
        replaced.inspect_err(|_| {
            // Half a file only takes up room.
            let _ = self.remove(NEW);
        })
    }

    /// Removes a file. One that is gone is removed.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        match self.open.remove(name.as_ref()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn the_folder_and_its_files_are_for_their_owner_alone() {
        let place = tempfile::tempdir().unwrap();
        let state = place.path().join("state");
        let folder = Folder::open(&state).unwrap();
        folder.replace("ps.run", b"one").unwrap();
        assert_eq!(
            (mode(&state), mode(folder.path()), mode(&folder.path().join("ps.run"))),
            (0o700, 0o700, 0o600)
        );
        folder.replace("ps.run", b"two").unwrap();
        assert_eq!(folder.read("ps.run").unwrap().unwrap(), b"two");
        assert_eq!(folder.names().unwrap().iter().filter(|name| !name.starts_with('.')).count(), 1);
        folder.remove("ps.run").unwrap();
        folder.remove("ps.run").unwrap();
        assert_eq!(folder.read("ps.run").unwrap(), None);
        drop(folder);
        fs::set_permissions(state.join("runs"), PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(mode(Folder::open(&state).unwrap().path()), 0o700);
    }

    #[test]
    fn two_supervisors_do_not_keep_their_records_in_one_folder() {
        let place = tempfile::tempdir().unwrap();
        let first = Folder::open(place.path()).unwrap();
        let refused = Folder::open(place.path()).unwrap_err();
        assert!(refused.contains("another supervisor"), "{refused}");
        drop(first);
        Folder::open(place.path()).unwrap();
    }

    #[test]
    fn a_folder_that_was_removed_is_made_again_and_one_that_is_there_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(place.path()).unwrap();
        assert_eq!(folder.make_again(), Ok(false));
        fs::remove_dir(place.path().join("runs")).unwrap();
        assert!(folder.replace("ps.run", b"one").is_err());
        assert_eq!(folder.make_again(), Ok(true));
        folder.replace("ps.run", b"one").unwrap();
        assert_eq!(folder.make_again(), Ok(false));
        // Somebody else's is not taken for it.
        fs::remove_dir_all(place.path().join("runs")).unwrap();
        symlink(place.path(), place.path().join("runs")).unwrap();
        assert!(folder.make_again().is_err());
    }

    #[test]
    fn a_folder_that_somebody_else_has_put_there_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let runs = place.path().join("runs");
        let refused = |expected: &str| {
            let told = Folder::open(place.path()).unwrap_err();
            assert!(told.starts_with("cannot keep records of runs in ") && told.contains(expected), "{told}");
        };
        fs::write(&runs, "").unwrap();
        refused("no folder");
        fs::remove_file(&runs).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(elsewhere.path(), &runs).unwrap();
        refused("a link");
        fs::remove_file(&runs).unwrap();
        fs::create_dir(&runs).unwrap();
        for bad in [0o770, 0o702, 0o1777] {
            fs::set_permissions(&runs, PermissionsExt::from_mode(bad)).unwrap();
            refused("others may write");
        }
        fs::set_permissions(&runs, PermissionsExt::from_mode(0o700)).unwrap();
        if rustix::process::geteuid().is_root() {
            chown(&runs, Some(65534), None).unwrap();
            refused("user 65534");
        }
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_planted_is_neither_followed_nor_read() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let victim = place.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        for name in ["ps.run", NEW] {
            symlink(&victim, folder.path().join(name)).unwrap();
        }
        assert!(folder.read("ps.run").unwrap_err().to_string().contains("symbolic link"));
        folder.replace("ps.run", b"ours").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
        assert_eq!(folder.read("ps.run").unwrap().unwrap(), b"ours");

        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into()).unwrap();
        assert!(folder.read("pipe").unwrap_err().to_string().contains("regular"));
        let large = fs::File::create(folder.path().join("large")).unwrap();
        large.set_len(LARGEST + 1).unwrap();
        assert!(folder.read("large").unwrap_err().to_string().contains("too large"));
    }
}
