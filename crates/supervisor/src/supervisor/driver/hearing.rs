//! What the driver hears of runs: from themselves, and from the thread that reads their output.

use std::time::Duration;

use polling::Events;

use super::super::handle::Command;
use super::super::runs::Owner;
use super::super::voices::Heard;
use super::Driver;
use crate::core::{Input, Said};
use crate::event::{Event, EventKind};
use crate::os::ReadEnd;
use crate::output::News;
use crate::run::RunId;

impl Driver {
    /// Hears the runs that have something to say, and those that may have ended.
    pub(super) fn hear(&mut self, events: &Events, touched: &[Owner]) {
        let mut runs: Vec<_> =
            events.iter().filter_map(|event| self.means.voices.noticed(event.key)).collect();
        runs.extend(touched.iter().filter_map(|owner| match owner {
            Owner::Run(run) => Some(*run),
            Owner::Task(_) => None,
        }));
        runs.sort_unstable();
        runs.dedup();
        for run in runs {
            self.hear_run(run);
        }
    }

    /// Hears what a run has to say.
    pub(super) fn hear_run(&mut self, run: RunId) {
        let mut looked_at = None;
        for heard in self.means.voices.hear(run) {
            match heard {
                Heard::Ready => self.tell(Input::Ready { run }),
                Heard::Notified(sender, mut said) if self.runs.may_speak(run, sender, &mut looked_at) => {
                    said.main_pid = said.main_pid.filter(|pid| self.runs.name_main(run, *pid));
                    self.tell(Input::Notified { run, said });
                }
                Heard::Notified(..) => {}
            }
        }
    }

    /// Hears what the thread of the output has to tell.
    pub(super) fn hear_of_output(&mut self, news: News) {
        let about = match &news {
            News::Ready(run) | News::LastWords { run, .. } => run.component,
            News::Stored { component, .. } | News::Rotated { component, .. } => *component,
        };
        if !self.core.has(about) {
            return;
        }
        let (component, kind) = match news {
            News::Ready(run) => return self.tell(Input::Ready { run }),
            News::Rotated { request, component: key, result } => {
                return self.tell(Input::Rotated { request, key, result });
            }
            News::Stored { component, problem } => (component, EventKind::OutputStored { problem }),
            News::LastWords { run, mut lines } => {
                let environment = &self.core.spec(run.component).environment;
                for line in &mut lines {
                    if let Some(hidden) = environment.hide_secrets(line) {
                        *line = hidden;
                    }
                }
                (run.component, EventKind::LastWords { run, lines })
            }
        };
        let component = Some(self.core.spec(component).id.clone());
        self.outbox.push(Event { at: self.now(), component, kind });
    }

    /// Takes out what must be shown nowhere: whatever a component or a command says is told to people.
    pub(super) fn hide_secrets(&self, input: &mut Input) {
        let (component, text) = match input {
            Input::Finished { task, result: Ok(text) | Err(text) } => (task.run.component, text),
            Input::Notified { run, said: Said { status: Some(text), .. } } => (run.component, text),
            _ => return,
        };
        if !self.core.has(component) {
            return;
        }
        if let Some(hidden) = self.core.spec(component).environment.hide_secrets(text) {
            *text = hidden.into();
        }
    }

    /// Has everything stored that was written, and tells what the last runs said last. Gives the pipes in which more may
    /// come for another supervisor.
    pub(super) fn finish_output(&mut self, limit: Duration) -> Vec<ReadEnd> {
        let open = self.means.pump.finish(limit);
        while let Ok(command) = self.commands.try_recv() {
            // Whoever still asks for something learns that supervision has ended.
            if let Command::Output(news) = command {
                self.hear_of_output(news);
            }
        }
        self.tell_readers();
        open
    }
}
