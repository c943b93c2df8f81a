//! A server that is made again, because somebody has removed its socket, or goes on after an upgrade that was not to be.

use supervisor_control::HandedOver;
use tracing::error;

use crate::commands::run::Supervision;
use crate::commands::run::serving::{Served, serve};

impl Supervision {
    /// Makes the control socket again, or goes on with this one.
    pub(crate) fn serve(&mut self, listeners: HandedOver) {
        // Its ports are not free before.
        drop(self.server.take());
        let served = Served {
            registry: &self.registry,
            about: &self.about,
            journal: &self.journal,
            status_asked: &self.status_asked.0,
            examiner: &self.examiner,
            applier: &self.applier,
            upgrade: self.upgrade.as_ref(),
        };
        match serve(&self.handle, &self.home, &served, listeners) {
            Ok(server) => self.server = Some(server),
            Err(error) => error!("cannot make the control socket again: {error}"),
        }
    }
}
