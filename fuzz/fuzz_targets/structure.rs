//! Any bytes as a registry, up to its structure: in memory, so that many are tried.

#![no_main]

#[path = "problems.rs"]
mod problems;

use libfuzzer_sys::fuzz_target;
use supervisor::fuzzing::structure;

fuzz_target!(|registry: &[u8]| {
    let error = structure(registry);
    if let Some(error) = &error {
        problems::check(error);
    }
    assert_eq!(structure(registry), error);
});
