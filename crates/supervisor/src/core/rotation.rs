//! The files of the output end because somebody asked for that. Whoever asks a second time meanwhile gets an answer of its own.

use std::sync::Arc;

use super::requests::Goal;
use super::{Action, Core, RequestId};
use crate::request::Achieved;
use crate::spec::Output;

impl Core {
    pub(super) fn rotate(&mut self, request: RequestId, keys: &[u32]) {
        self.open(request, keys);
        for key in keys {
            match self.component(*key).spec.output {
                Output::File { .. } => {
                    self.requests.wait(request, *key, Goal::Rotate);
                    self.actions.push(Action::Rotate { request, key: *key });
                }
                Output::Null | Output::Inherit => self.resolve(request, *key, Achieved::NotStored),
            }
        }
        self.requests.answer_if_complete(request, &mut self.actions);
    }

    pub(super) fn rotated(&mut self, request: RequestId, key: u32, result: Result<bool, Arc<str>>) {
        if self.requests.take(request, key, Goal::Rotate) {
            let achieved = match result {
                Ok(true) => Achieved::Done,
                Ok(false) => Achieved::AlreadySo,
                Err(why) => Achieved::Failed(why),
            };
            self.resolve(request, key, achieved);
        }
    }

    /// Answers those who still wait when all is over: a disk that hangs holds up no end.
    pub(super) fn give_up_rotations(&mut self) {
        let why = Achieved::Failed("the supervisor has ended meanwhile".into());
        for key in self.keys() {
            self.resolve_waiting(key, Goal::Rotate, &why);
        }
    }
}
