//! What is not written down: a component may say what it is doing as often as it likes, and the journal is for causes.

use std::collections::HashMap;
use std::time::Duration;

use supervisor::{ComponentId, Event, EventKind, RunId};

/// Of what a run says of itself, so much time lies between what is written down and the next.
const INTERVAL: Duration = Duration::from_secs(10);

/// When which run of a component was last quoted.
#[derive(Debug, Default)]
pub(super) struct Sparing {
    quoted: HashMap<ComponentId, (RunId, Duration)>,
}

impl Sparing {
    /// Whether this is worth a line. All is but what a run says of itself soon after it was quoted.
    pub(super) fn is_worth_a_line(&mut self, event: &Event) -> bool {
        let (Some(id), EventKind::Noted { run, .. }) = (&event.component, &event.kind) else { return true };
        let was_quoted =
            |&(quoted, at): &(RunId, Duration)| quoted == *run && event.at.saturating_sub(at) < INTERVAL;
        if self.quoted.get(id).is_some_and(was_quoted) {
            return false;
        }
        self.quoted.insert(id.clone(), (*run, event.at));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use supervisor::{ProcessSpec, Supervisor};

    #[test]
    fn a_run_that_talks_without_end_is_quoted_every_ten_seconds_and_the_next_run_at_once() {
        let mut component = ProcessSpec::new("talker", "/bin/sleep").unwrap();
        component.arguments = vec!["1000".into()];
        let mut builder = Supervisor::builder().components([component]);
        let events = builder.subscribe();
        let supervisor = builder.start().unwrap();
        supervisor.handle().start("talker").unwrap().wait().unwrap();
        supervisor.handle().restart("talker").unwrap().wait().unwrap();
        supervisor.handle().shutdown().unwrap();
        supervisor.wait().unwrap();
        let real: Vec<_> = events.iter().collect();
        let mut sparing = Sparing::default();
        assert!(
            real.iter().all(|event| sparing.is_worth_a_line(event)),
            "what happens is always written down"
        );

        let births: Vec<_> =
            real.iter().filter(|event| matches!(event.kind, EventKind::Spawned { .. })).collect();
        let mut says = |birth: usize, second: u64| {
            let run = births[birth].kind.run().unwrap();
            let mut event = births[birth].clone();
            event.at = Duration::from_secs(second);
            event.kind = EventKind::Noted { run, text: "42% done".into() };
            sparing.is_worth_a_line(&event)
        };
        let quoted: Vec<_> = (0..30).filter(|second| says(0, *second)).collect();
        assert_eq!(quoted, [0, 10, 20]);
        assert!(says(1, 30), "another run, though the first one was quoted just now");
        assert!(!says(1, 39));
        assert!(says(1, 40));
    }
}
