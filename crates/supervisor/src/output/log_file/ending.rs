//! The end of a file: for its size, or because somebody asks for it.

use std::io;
use std::sync::Arc;

use super::super::clock::{Calendar, unix_now};
use super::super::folder::Folder;
use super::super::housekeeping::Housekeeper;
use super::super::names::with_end;
use super::super::retention::retain;
use super::super::{LogSettings, failed};
use super::current::Current;
use super::{LogFile, made_absolute};

impl LogFile {
    /// Ends the current file, as if it had reached its size: it gets the next number, and another takes its name. A line that was
    /// begun and not ended moves to that one. Says whether there was anything to end: a file without a whole line goes on.
    ///
    /// # Errors
    /// The file cannot be renamed, or the next one not be made: then all goes on as before.
    pub fn rotate(&mut self) -> io::Result<bool> {
        self.rotate_at(unix_now())
    }

    pub(in super::super) fn rotate_at(&mut self, now: i64) -> io::Result<bool> {
        let date = self.current.date;
        self.turn_day(now)?;
        if self.current.date != date {
            return Ok(true);
        }
        self.current.look_again()?;
        if self.current.unfinished_line() == self.current.size {
            return Ok(false);
        }
        self.end_current(now)?;
        Ok(true)
    }

    /// Likewise of a log that nobody has open, and to which nobody writes: makes no file where there is none.
    pub(in super::super) fn rotate_unopened(
        settings: Arc<LogSettings>,
        housekeeper: Housekeeper,
    ) -> io::Result<bool> {
        let now = unix_now();
        let settings = made_absolute(settings)?;
        let folder = match Folder::existing(&settings.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            folder => folder?,
        };
        let name = settings.names().current(Calendar::default().date(now));
        if folder.look_at(&name).is_none_or(|file| file.len() == 0) {
            return Ok(false);
        }
        let mut log = Self::open_with(settings, housekeeper, now)?;
        // Where the disk has no room for its end, the last line moves on to the next file.
        let _ = log.end_line(now);
        log.rotate_at(now)
    }

    /// Ends the current file: it is renamed, and a new one takes its name.
    pub(super) fn end_current(&mut self, now: i64) -> io::Result<()> {
        let folder = Folder::of(&self.settings.path)?;
        if !self.is_in_place(&folder)? {
            // Somebody has ended it already, as logrotate does: what has its name is not ours to rename.
            return self.reopen();
        }
        let mut existing = folder.names()?;
        let names = self.settings.names();
        let number = names.highest_number(&self.current.name, &existing) + 1;
        let ended = with_end(&self.current.name, &format!(".{number}"));
        if names.parse(&ended).is_none() {
            let reason = io::Error::other("no higher number is left; remove the file that has the highest");
            return Err(failed("rename", &self.path(), &reason));
        }
        folder.rename(&self.current.name, &ended)?;
        let next =
            Current::open(&folder, self.current.name.clone(), self.current.date).inspect_err(|_| {
                // All is as before, and is tried again.
                let _ = folder.rename(&ended, &self.current.name);
            })?;
        self.switch_to(next);
        existing.push(ended);
        // At once, not in the background, so that a flood cannot outrun it. What cannot be removed now is tried again in
        // the background, which reports it.
        let _ = retain(&folder, &self.settings, &existing, Some(&self.current.name));
        self.tidy(now);
        Ok(())
    }

    /// Takes a line along that an earlier life left in the file that it had just ended: whoever is killed
    /// there has stored none of it in the current file, or the beginning, or all. It is best effort: what cannot be read
    /// or written stays torn, or doubled.
    pub(super) fn mend(&mut self) {
        // Where files end only because somebody asks, no folder is listed for one that holds whole lines: it is older.
        if self.settings.max_size.is_none() && self.current.unfinished_line() != self.current.size {
            return;
        }
        let Ok(folder) = Folder::of(&self.settings.path) else { return };
        let Ok(existing) = folder.names() else { return };
        let number = self.settings.names().highest_number(&self.current.name, &existing);
        let ended = with_end(&self.current.name, &format!(".{number}"));
        if folder.look_at(&ended).is_none() {
            return;
        }
        let Ok(ended) = Current::open(&folder, ended, self.current.date) else { return };
        let unfinished = ended.unfinished_line();
        if unfinished == 0 || unfinished == ended.size {
            return;
        }
        let moved = self.current.size.min(unfinished);
        if self.current.begins_as_ended(&ended, unfinished, moved)
            && (moved == unfinished || ended.copy_end_to(&mut self.current, unfinished - moved).is_ok())
        {
            let _ = ended.file.set_len(ended.size - unfinished);
        }
    }
}
