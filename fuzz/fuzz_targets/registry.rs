//! Any bytes as a registry, and as the files beside it that it may include.
//!
//! An input is the registry; after a line `%%`, if there is one, `SupervisorProfiles.xml`; after the next `part.xml`,
//! and after the next `part.env`.

#![no_main]

#[path = "problems.rs"]
mod problems;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use supervisor::registry::{LoadOptions, Registry, lenient_temp};
use supervisor::testing::{Circumstances, Mock, World};
use supervisor::{Builder, fuzzing};
use tempfile::TempDir;

/// One folder for all inputs: a process of the fuzzer has one thread.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("there is room for a folder"));

/// More than so many would only make the simulated world slow.
const MOST_LIVES: usize = 20;

fuzz_target!(|input: &[u8]| {
    let folder = FOLDER.path();
    write(folder, input);
    let options = LoadOptions {
        install_folder: Some(folder.to_owned()),
        check_ownership: false,
        ..LoadOptions::default()
    };
    let path = folder.join("registry.xml");
    let loaded = Registry::load(&path, &options);
    assert!(lenient_temp(&path, &options).is_absolute());
    match &loaded {
        Ok(registry) => check(registry),
        Err(error) => problems::check(error),
    }
    let again = Registry::load(&path, &options);
    assert_eq!(format!("{loaded:?}"), format!("{again:?}"), "the same files say something else");
});

/// Those that this input does not name are gone.
fn write(folder: &Path, input: &[u8]) {
    let mut rest = Some(input);
    for name in ["registry.xml", "SupervisorProfiles.xml", "part.xml", "part.env"] {
        let path = folder.join(name);
        let Some(text) = rest else {
            let _ = fs::remove_file(path);
            continue;
        };
        const SEPARATOR: &[u8] = b"\n%%\n";
        let end = text.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
        fs::write(path, &text[..end.unwrap_or(text.len())]).expect("there is room for a file");
        rest = end.map(|end| &text[end + SEPARATOR.len()..]);
    }
}

/// What loads can be supervised, and lives.
fn check(registry: &Registry) {
    assert!(registry.components.len() <= Builder::MAX_COMPONENTS);
    assert_eq!(fuzzing::takes(&registry.components), Ok(()));
    if registry.components.len() > MOST_LIVES {
        return;
    }
    let circumstances = Circumstances {
        restart_budget: registry.config.restart_budget,
        on_give_up: registry.config.on_give_up,
        ..Circumstances::default()
    };
    // The world itself checks after every step what must always be true.
    let mut world = World::under(registry.components.iter().cloned().map(Mock::of), circumstances);
    world.run_until(Duration::from_secs(60), |world| world.events().len() > 200);
    world.shutdown();
    world.run_until(Duration::from_secs(60), |world| world.has_ended() || world.events().len() > 2_000);
}
