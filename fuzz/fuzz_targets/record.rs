//! Any bytes as what an earlier supervisor has written down of a component.

#![no_main]

use libfuzzer_sys::fuzz_target;
use supervisor::fuzzing::{goes_on, is_a_record};
use supervisor::{ComponentId, ProcessSpec};

fuzz_target!(|bytes: &[u8]| {
    let id = ComponentId::new("ps").expect("a name");
    let _ = is_a_record(bytes, &id);
    for lives in [true, false] {
        let component = ProcessSpec::new("ps", "/bin/ps").expect("a component");
        assert_ne!(goes_on(bytes, component, lives), Some(false), "whatever was remembered, a stop ends it");
    }
});
