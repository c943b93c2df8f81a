//! The restart engine with real programs: PostgreSQL, Redis and nginx, programs that speak `sd_notify`, a Java program in
//! deadlock.
//!
//! Each test runs in a network of its own, which takes root. Where root or a package is missing it says so and passes;
//! in CI (`CI` is set) it fails.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "the tests start programs")]

mod java;
mod notify;
mod servers;
#[path = "../site.rs"]
mod site;
mod story;
