//! What a component is started with, in so many bits: whether a run that was adopted is still what the registry says.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::spec::{Environment, Output, ProcessSpec, ReadyWhen, Stderr};
use crate::tokens::Key;

/// Differs, for all that matters, where one of these would have to be started anew to become the other. It is the same in every
/// version of this program, and with the key only: what is secret in the specification cannot be guessed from it.
pub(in crate::supervisor) fn digest(spec: &ProcessSpec, key: Key) -> String {
    // Whoever adds a field decides here.
    let ProcessSpec {
        executable,
        arguments,
        working_directory,
        environment: Environment { clear, variables },
        user,
        group,
        umask,
        nice,
        limits,
        readiness,
        watchdog,
        output,
        // How it is supervised, which may change while it runs.
        id: _,
        instance_of: _,
        description: _,
        start_priority: _,
        start_delay: _,
        stop_timeout: _,
        autostart: _,
        depends_on: _,
        restart: _,
        exits: _,
        intensity: _,
        restart_group: _,
        essential: _,
        reset_after: _,
        health: _,
        memory: _,
        stop: _,
        reload: _,
        cleanup: _,
        evidence: _,
    } = spec;
    let mut digest = Digest(key.hash(b"launch"));
    digest.text(executable.as_os_str().as_encoded_bytes());
    digest.list(arguments, |digest, argument| digest.text(argument.as_encoded_bytes()));
    digest.list(working_directory, |digest, folder| digest.text(folder.as_os_str().as_encoded_bytes()));
    digest.number(u64::from(*clear));
    digest.list(variables, |digest, variable| {
        digest.text(variable.name.as_bytes());
        digest.text(variable.value.as_encoded_bytes());
    });
    digest.list(user, |digest, user| digest.text(user.as_bytes()));
    digest.list(group, |digest, group| digest.text(group.as_bytes()));
    digest.list(umask, |digest, umask| digest.number(u64::from(*umask)));
    digest.list(nice, |digest, nice| digest.number(i64::from(*nice).cast_unsigned()));
    digest.list(limits, |digest, limit| {
        digest.text(limit.resource.name().as_bytes());
        digest.list(&limit.soft, |digest, soft| digest.number(*soft));
        digest.list(&limit.hard, |digest, hard| digest.number(*hard));
    });
    digest.list(watchdog, |digest, time| digest.text(&time.as_nanos().to_le_bytes()));
    // Where to it speaks: what is done with that at the other end may change.
    match readiness.as_ref().map(|readiness| &readiness.when) {
        Some(ReadyWhen::Notified) => digest.text(b"notify"),
        Some(ReadyWhen::Descriptor(number)) => digest.number(i64::from(*number).cast_unsigned()),
        Some(ReadyWhen::Logged(_)) if *output == Output::Null => digest.text(b"read"),
        Some(ReadyWhen::Logged(_) | ReadyWhen::Probed(_)) | None => digest.text(b""),
    }
    digest.text(match output {
        Output::Null => b"null",
        Output::Inherit => b"inherit",
        Output::File { stderr: Stderr::Join, .. } => b"join",
        Output::File { stderr: Stderr::File, .. } => b"two",
        Output::File { stderr: Stderr::Null, .. } => b"one",
    });
    format!("{:032x}", digest.0.finish128().as_u128())
}

/// What is fed begins with its length, so that nothing runs into the next.
struct Digest(SipHasher24);

impl Digest {
    fn number(&mut self, number: u64) {
        self.0.write(&number.to_le_bytes());
    }

    fn text(&mut self, text: &[u8]) {
        self.number(text.len() as u64);
        self.0.write(text);
    }

    fn list<I: IntoIterator<IntoIter: ExactSizeIterator>>(
        &mut self,
        items: I,
        each: impl Fn(&mut Self, I::Item),
    ) {
        let items = items.into_iter();
        self.number(items.len() as u64);
        items.for_each(|item| each(self, item));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use super::*;
    use crate::plan::takes_another_process;
    use crate::spec::{Readiness, Resource, ResourceLimit, Variable};

    fn with(change: impl FnOnce(&mut ProcessSpec)) -> ProcessSpec {
        let mut spec = ProcessSpec::new("ps", "/bin/ps").unwrap();
        change(&mut spec);
        spec
    }

    fn variable(name: &str, value: &str) -> Variable {
        Variable { name: name.into(), value: value.into(), secret: true }
    }

    #[test]
    fn whatever_a_process_is_started_with_changes_it() {
        let ready = |when| Some(Readiness { when, timeout: Duration::from_secs(60) });
        let limit = |soft, hard| vec![ResourceLimit { resource: Resource::Core, soft, hard }];
        let specs = [
            with(|_| {}),
            with(|spec| spec.executable = "/bin/is".into()),
            with(|spec| spec.arguments = vec!["ab".into(), "c".into()]),
            with(|spec| spec.arguments = vec!["a".into(), "bc".into()]),
            with(|spec| spec.working_directory = Some("/".into())),
            with(|spec| spec.environment.clear = true),
            with(|spec| spec.environment.variables = vec![variable("A", "1")]),
            with(|spec| spec.environment.variables = vec![variable("A", "2")]),
            with(|spec| spec.user = Some("tomcat".into())),
            with(|spec| spec.group = Some("tomcat".into())),
            with(|spec| spec.umask = Some(0)),
            with(|spec| spec.nice = Some(0)),
            with(|spec| spec.nice = Some(-1)),
            with(|spec| spec.limits = limit(Some(1), None)),
            with(|spec| spec.limits = limit(None, Some(1))),
            with(|spec| spec.watchdog = Some(Duration::from_secs(1))),
            with(|spec| spec.readiness = ready(ReadyWhen::Notified)),
            with(|spec| spec.readiness = ready(ReadyWhen::Descriptor(3))),
            with(|spec| spec.readiness = ready(ReadyWhen::Descriptor(4))),
            with(|spec| spec.readiness = ready(ReadyWhen::Logged("up".into()))),
            with(|spec| spec.output = Output::Inherit),
        ];
        let key = Key::random().unwrap();
        let digests: HashSet<_> = specs.iter().map(|spec| digest(spec, key)).collect();
        assert_eq!(digests.len(), specs.len());
        assert!(!digests.contains(&digest(&specs[0], Key::random().unwrap())), "it takes the key");
        for (one, other) in specs.iter().zip(&specs[1..]) {
            assert!(
                takes_another_process(one, other),
                "a changed registry is dealt with likewise: {other:?}"
            );
        }
    }

    #[test]
    fn how_it_is_supervised_does_not_change_it() {
        let key = Key::random().unwrap();
        let plain = digest(&with(|_| {}), key);
        let other = with(|spec| {
            spec.description = "other".into();
            spec.start_priority = 7;
            spec.stop_timeout = Duration::from_secs(1);
            spec.essential = true;
        });
        assert_eq!(digest(&other, key), plain);
        assert!(!takes_another_process(&with(|_| {}), &other));
    }

    #[test]
    fn another_version_of_the_program_comes_to_the_same() {
        let key = Key::from_hex("000102030405060708090a0b0c0d0e0f").unwrap();
        let spec = with(|spec| {
            spec.arguments = vec!["-x".into()];
            spec.environment.variables = vec![variable("A", "1")];
        });
        assert_eq!(digest(&spec, key), "2b0fb4fe05619aedbf87d0a60726eb24");
    }
}
