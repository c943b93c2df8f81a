//! Every fault that the supervisor promises to survive, done to a real one with real components: docs/promises.md is the
//! list.
//!
//! `S7_FAULTS=all` makes the rounds as many as promised; without it there are a few of each. What takes root or a program
//! that is not here says so and passes; in CI (`CI` is set) it fails.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "the tests start programs and give them deadlines")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod first;
mod going_on;
mod ground;
mod hostile;
#[path = "../command_line/house.rs"]
#[expect(dead_code, reason = "the tests of the command line need more of it")]
mod house;
mod killed;
mod leftovers;
#[path = "../command_line/place.rs"]
mod place;
mod promises;
mod starved;
