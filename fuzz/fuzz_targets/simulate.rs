//! Any text as a script of `simulate`, about a registry that has everything that decides about restarts.
//!
//! The command line is a program and no library, so its modules are taken in as they are.

#![no_main]
#![expect(dead_code, reason = "this uses less of the modules than the command does")]

#[path = "../../crates/s7supervisor/src/duration.rs"]
mod duration;
#[path = "../../crates/s7supervisor/src/exit.rs"]
mod exit;
#[path = "../../crates/s7supervisor/src/naming.rs"]
mod naming;
#[path = "../../crates/s7supervisor/src/table.rs"]
mod table;

#[path = "../../crates/s7supervisor/src/commands/simulate"]
mod simulate {
    mod line;
    mod play;
    mod reader;
    mod script;
    mod tally;
    mod timeline;
    mod words;

    use std::time::Duration;

    use supervisor::registry::Registry;

    use self::script::Script;

    /// More would only be slow.
    const LONGEST: Duration = Duration::from_secs(10);

    /// What the script does to the registry, for people and for programs; or what is wrong with it.
    pub fn simulate(registry: &Registry, text: &str) -> Result<[String; 2], Vec<String>> {
        let script = Script::read(text, &registry.components);
        let mut script = script.map_err(|problems| {
            problems.iter().for_each(|problem| assert!(problem.line >= 1 && problem.column >= 1));
            problems.into_iter().map(|problem| problem.message).collect::<Vec<_>>()
        })?;
        script.length = script.length.min(LONGEST);
        script.requests.retain(|request| request.at <= LONGEST);
        let timeline = play::play(registry, &script);
        Ok([timeline.for_people(), timeline.for_programs().expect("it is JSON")])
    }
}

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use supervisor::registry::{LoadOptions, Registry};

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets/simulate.xml");
    let options = LoadOptions { check_ownership: false, ..LoadOptions::default() };
    Registry::load(&path, &options).unwrap_or_else(|error| panic!("{error}"))
});

fuzz_target!(|text: &str| {
    let simulated = simulate::simulate(&REGISTRY, text);
    let shown = match &simulated {
        Ok(timelines) => timelines.as_slice(),
        Err(problems) => problems.as_slice(),
    };
    assert!(!shown.is_empty());
    for text in shown {
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }
    assert_eq!(simulate::simulate(&REGISTRY, text), simulated, "the same script gives the same timeline");
});
