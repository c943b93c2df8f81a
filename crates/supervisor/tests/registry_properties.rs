//! Whatever a registry's file holds, it gives a value or an error.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use proptest::prelude::*;
use supervisor::registry::{LoadOptions, Registry, RegistryError, lenient_temp};

const EVERYTHING: &str = include_str!("registry/good/everything.xml");
const NUMBERS: &str = include_str!("registry/good/settings_in_numbers.xml");
const RESTART_ENGINE: &str = include_str!("registry/good/restart_engine.xml");
const DOCUMENTED: &str = include_str!("../../../examples/image-serving/conf/SupervisorRegistry.xml");

/// Loads these bytes, and asserts what must hold whatever comes of it.
fn load(bytes: &[u8]) -> Result<Registry, RegistryError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.xml");
    std::fs::write(&path, bytes).unwrap();
    let options = LoadOptions { check_ownership: false, ..LoadOptions::default() };
    assert!(lenient_temp(&path, &options).is_absolute());
    let loaded = Registry::load(&path, &options);
    match &loaded {
        Ok(registry) => assert_sound(registry, &path),
        Err(error) => assert_told(error, bytes),
    }
    loaded
}

fn assert_sound(registry: &Registry, path: &Path) {
    assert_eq!(registry.path, path);
    let mut ids: Vec<_> = registry.components.iter().map(|c| c.id.as_str().to_lowercase()).collect();
    ids.sort();
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]));
    for component in &registry.components {
        assert!(!component.executable.as_os_str().is_empty());
        assert!(component.working_directory.as_ref().is_some_and(|folder| folder.is_absolute()));
    }
}

fn assert_told(error: &RegistryError, bytes: &[u8]) {
    assert!(!error.problems().is_empty());
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
    for problem in error.problems() {
        assert!(problem.line >= 1 && problem.line <= lines && problem.column >= 1);
        assert!(!problem.message.contains('\n'), "{}", problem.message);
    }
    let told = error.to_string();
    assert_eq!(told.lines().count(), error.problems().len() + usize::from(error.more() > 0));
    assert!(!error.render(true).is_empty());
    assert!(!error.render(false).contains('\u{1b}'));
}

/// Pieces of which registries are made, well and badly.
fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("<supervisor>".to_owned()),
        Just("</supervisor>".to_owned()),
        Just("<servers><server id='a'>".to_owned()),
        Just("</server></servers>".to_owned()),
        Just("<settings><setting name='SV::a'>SV::b</setting></settings>".to_owned()),
        Just("<executable>SV::a</executable>".to_owned()),
        Just("<include href='*.xml'/>".to_owned()),
        Just("<![CDATA[".to_owned()),
        Just("]]>".to_owned()),
        Just("<!--".to_owned()),
        Just("-->".to_owned()),
        Just("<?xml version='1.0'?>".to_owned()),
        Just("<!DOCTYPE a [<!ENTITY b 'c'>]>".to_owned()),
        Just("&lt;&#x41;&b;".to_owned()),
        "[<>/='\"&; a-zA-Z:{}\u{e9}\u{1F600}\n]{0,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_give_a_value_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = load(&bytes);
    }

    #[test]
    fn any_pieces_of_registries_give_a_value_or_an_error(pieces in prop::collection::vec(fragment(), 0..30)) {
        let _ = load(pieces.concat().as_bytes());
    }

    #[test]
    fn any_mutation_of_a_good_registry_gives_a_value_or_an_error(
        (text, at, remove, insert) in (
            prop_oneof![Just(EVERYTHING), Just(NUMBERS), Just(RESTART_ENGINE), Just(DOCUMENTED)],
            any::<prop::sample::Index>(),
            0usize..40,
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..4),
                fragment().prop_map(String::into_bytes),
            ],
        )
    ) {
        let mut bytes = text.as_bytes().to_vec();
        let at = at.index(bytes.len());
        let end = (at + remove).min(bytes.len());
        bytes.splice(at..end, insert);
        if let Err(error) = load(&bytes) {
            // Its secret stands on a line of its own, which is not shown, unless the mark itself is gone.
            let marked = String::from_utf8_lossy(&bytes).contains("secret=\"true\">hunter2");
            prop_assert!(!marked || !error.render(false).contains("hunter2"), "{}", error.render(false));
        }
    }

    #[test]
    fn what_is_written_is_what_is_loaded(
        servers in prop::collection::btree_map(
            "[a-z][a-z0-9]{0,8}",
            (
                "[ -~\u{e0}-\u{ff}]{0,20}[!-~]",
                prop::collection::vec("[!-~][ -~\u{400}-\u{4ff}]{0,20}[!-~]", 0..5),
                any::<u16>(),
                0u64..31_536_000_000,
                any::<bool>(),
            ),
            0..6,
        )
    ) {
        prop_assume!(!servers.keys().any(|id| supervisor::ComponentId::new(id).is_err() || id == "supervisor"));
        let mut text = String::from("<supervisor><servers>");
        for (id, (description, arguments, priority, delay, autostart)) in &servers {
            let escaped = |text: &str| {
                let text = text.replace("SV::", "SV::SV").replace('&', "&amp;").replace('<', "&lt;");
                text.replace('>', "&gt;").trim().to_owned()
            };
            text.push_str(&format!("<server id='{id}'><executable>x</executable>"));
            text.push_str(&format!("<description>{}</description><arguments>", escaped(description)));
            for argument in arguments {
                text.push_str(&format!("\n  <argument>\n{}\n</argument>", escaped(argument)));
            }
            text.push_str(&format!("</arguments><startPriority>{priority}</startPriority>"));
            text.push_str(&format!("<startDelay>{delay}ms</startDelay>"));
            text.push_str(&format!("<autostart>{autostart}</autostart></server>"));
        }
        text.push_str("</servers></supervisor>");
        let registry = load(text.as_bytes()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(registry.components.len(), servers.len());
        for (component, (id, (description, arguments, priority, delay, autostart))) in
            registry.components.iter().zip(&servers)
        {
            prop_assert_eq!(component.id.as_str(), id);
            prop_assert_eq!(&component.description, description.trim());
            let loaded: Vec<_> = component.arguments.iter().map(|a| a.to_str().unwrap()).collect();
            let written: Vec<_> = arguments.iter().map(|argument| argument.trim()).collect();
            prop_assert_eq!(loaded, written);
            prop_assert_eq!(component.start_priority, *priority);
            prop_assert_eq!(component.start_delay.as_millis(), u128::from(*delay));
            prop_assert_eq!(component.autostart, *autostart);
        }
    }
}
