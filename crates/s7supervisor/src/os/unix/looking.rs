//! News of folders and files, where the system tells nobody of them: whoever waits looks again after a moment.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::waiting;
pub(crate) use crate::os::folders::{End, Ender, Folders, News};

/// How long it is between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// What there may be news of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kinds {
    /// What is written to a file.
    Written,
    /// What is made in a folder, and what somebody says by the times of a file there.
    Appeared,
}

/// News of what a descriptor stands for, from now on.
#[derive(Debug)]
pub(crate) struct Watch;

impl Watch {
    /// News of these kinds: it may be any.
    pub(crate) fn of(_watched: BorrowedFd<'_>, _kinds: Kinds) -> io::Result<Self> {
        Ok(Self)
    }

    /// Waits for news, or until one of the descriptors is readable: `false` if neither comes within `limit`.
    pub(crate) fn comes(&self, beside: &[BorrowedFd<'_>], limit: Option<Duration>) -> io::Result<bool> {
        let is_last = limit.is_some_and(|limit| limit <= PAUSE);
        let pause = if is_last { limit } else { Some(PAUSE) };
        Ok(waiting::any_readable(beside, pause)? || !is_last)
    }

    /// Takes all the news there is. There may be some.
    pub(crate) fn take(&self, _name: Option<&str>) -> io::Result<bool> {
        Ok(true)
    }
}
