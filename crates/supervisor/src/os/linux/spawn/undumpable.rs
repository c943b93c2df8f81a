//! Keeps strangers out of our memory while a child with another user lives in it.
//!
//! Who has the same user as a process may otherwise look into its memory, and write to it: and until it executes its
//! program, the child's is ours. The kernel itself takes "dumpable" from us when the child changes its user, and does not
//! give it back. And before Linux 5.16 a child that dumped core would take with it whoever shares its memory. What is dumpable belongs to the whole process, hence the count of all threads together.

use std::sync::{Mutex, PoisonError};

use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};

/// While one of these lives, nobody but root may look into our memory.
#[derive(Debug)]
pub(super) struct Undumpable(());

/// How many there are, and whether we were dumpable before.
static STATE: Mutex<(usize, bool)> = Mutex::new((0, false));

impl Undumpable {
    pub(super) fn new() -> Self {
        let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0 == 0 {
            state.1 = dumpable_behavior() == Ok(DumpableBehavior::Dumpable);
            // It is not refused.
            let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
        }
        state.0 += 1;
        Self(())
    }
}

impl Drop for Undumpable {
    fn drop(&mut self) {
        let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 -= 1;
        if state.0 == 0 && state.1 {
            let _ = set_dumpable_behavior(DumpableBehavior::Dumpable);
        }
    }
}
