//! What descends from processes that live: cheap, for only their own trees are read.

use std::os::fd::{AsFd, BorrowedFd};

use super::leftovers::{Leftover, MOST};
use super::proc::Reader;

/// What descends from these processes, each a pid and its pidfd, beyond themselves: at most 256, and no more than one
/// where descriptors are scarce. `is_main` names the main processes of all runs, which are none of them.
pub(crate) fn descendants(roots: &[(u32, BorrowedFd<'_>)], is_main: impl Fn(u32) -> bool) -> Vec<Leftover> {
    let mut reader = Reader::default();
    let mut found: Vec<Leftover> = Vec::new();
    let mut parents = 0;
    while let Some((pid, pidfd)) = roots.get(parents).copied().or_else(|| {
        let parent = found.get(parents.checked_sub(roots.len())?)?;
        Some((parent.pid(), parent.as_fd()))
    }) {
        let threads = reader.stat(pid).map_or(1, |stat| stat.threads);
        let mut children = reader.children(pid, threads);
        let is_root = |pid| roots.iter().any(|(root, _)| *root == pid);
        let is_found = |pid| found.iter().any(|held| held.pid() == pid);
        children.retain(|child| !is_main(*child) && !is_root(*child) && !is_found(*child));
        let children: Vec<_> = children
            .into_iter()
            .filter_map(|child| Leftover::child_of(&mut reader, child, pid, pidfd))
            .take(MOST - found.len())
            .take_while(|child| found.is_empty() || !child.is_among_the_last())
            .collect();
        found.extend(children);
        parents += 1;
    }
    found
}
