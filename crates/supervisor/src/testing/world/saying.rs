//! What the programs of the simulated world say of themselves, and whether they say anything.

use std::time::Duration;

use super::{Happening, World};
use crate::core::{Input, Said};
use crate::said;

impl World {
    /// Has the main process of a component say this by `sd_notify`: lines of `NAME=value`. Does nothing if there is none, and
    /// passes over a `MAINPID` that is of none of its processes.
    pub fn notify(&mut self, id: &str, datagram: &str) {
        let said = said::parse(datagram.as_bytes());
        let alive = self.alive(id);
        let main_pid = said.main_pid.filter(|pid| alive.contains(pid));
        self.tell_said(id, Said { main_pid, ..said });
    }

    /// Has the main process of a component ask for so much time from now on, for what it is doing (`EXTEND_TIMEOUT_USEC`). Does
    /// nothing if there is none.
    pub fn extend(&mut self, id: &str, time: Duration) {
        self.tell_said(id, Said { extend: Some(time), ..Said::default() });
    }

    /// Has the main process of a component that hangs answer again, and give signs of life. Does nothing if there is none.
    pub fn revive(&mut self, id: &str) {
        let watchdog = self.mocks[&self.key(id)].spec.watchdog;
        for serial in self.alive_of(id, |process| process.is_main.then_some(process.serial)) {
            if let Some(process) = self.processes.get_mut(serial) {
                process.behaviour.hangs_after = None;
            }
            if let Some(timeout) = watchdog {
                self.foresee(Duration::ZERO, Happening::SignOfLife { process: serial, again: timeout / 2 });
            }
        }
    }

    fn tell_said(&mut self, id: &str, said: Said) {
        if let Some(run) = self.component(id).run {
            if let Some(pid) = said.main_pid {
                self.processes.has_main(run, pid);
            }
            if let Some(time) = said.extend {
                self.witness.extended(self.now, run, time);
            }
            self.tell(Input::Notified { run, said });
        }
    }
}
