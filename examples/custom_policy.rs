//! A restart policy of one's own, tried out in virtual time: `cargo run -p supervisor --example custom_policy`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::time::Duration;

use supervisor::testing::{Behaviour, Mock, World};
use supervisor::{Decision, End, Exit, History, Jitter, RestartPolicy};

/// Exit code 75 (`EX_TEMPFAIL` of sysexits.h) means "try again in a minute"; anything else is tried three times.
#[derive(Debug)]
struct Sysexits;

impl RestartPolicy for Sysexits {
    fn decide(&self, history: &History, jitter: Jitter) -> Decision {
        match history.last().map(|run| &run.end) {
            Some(End::Exited(Exit::Code(0))) => Decision::Complete,
            Some(End::Exited(Exit::Code(75))) => {
                Decision::Restart { after: jitter.spread(Duration::from_secs(60), 0.2) }
            }
            _ if history.in_a_row() <= 3 => Decision::Restart { after: Duration::from_secs(1) },
            _ => Decision::GiveUp,
        }
    }
}

fn main() {
    let ends_with = |id: &str, code| {
        Mock::new(id)
            .with(|spec| spec.restart = Arc::new(Sysexits))
            .behaves(Behaviour::steady().ends_after(Duration::from_millis(500), Exit::Code(code)))
    };
    let mut world = World::new([ends_with("busy", 75), ends_with("broken", 1), ends_with("job", 0)]);
    world.run_for(Duration::from_secs(600));
    for component in world.status().components {
        println!("{:<8} {:<16} restarts: {}", component.id, component.state.to_string(), component.restarts);
    }
}
