//! A server that keeps a helper process running: `cargo run -p supervisor --example embed`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use supervisor::{EventKind, ProcessSpec, Supervisor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut helper = ProcessSpec::new("helper", "sh")?;
    helper.arguments = ["-c", "sleep 0.3; exit 1"].map(Into::into).to_vec();
    helper.stop_timeout = Duration::from_secs(5);

    let mut builder = Supervisor::builder().components([helper]);
    let events = builder.subscribe();
    let supervisor = builder.start()?;

    // The host does its own work; here it watches the helper crash and come back twice.
    for event in events.iter().take(9) {
        println!("{:>6.3} s  {:?}", event.at.as_secs_f64(), event.kind);
        if let EventKind::Backoff { delay, .. } = event.kind {
            println!("          (the next try comes in {delay:?})");
        }
    }
    println!("now: {}", supervisor.handle().status()?.components[0].state);
    Ok(()) // Dropping the supervisor stops the helper and waits for its end.
}
