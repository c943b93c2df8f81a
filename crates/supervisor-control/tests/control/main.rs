//! The control interface over real supervisors, and what it refuses.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests may panic, read the clock and have threads"
)]

mod common;
mod events;
mod limits;
mod past;
mod requests;
mod tcp;
mod verbs;
