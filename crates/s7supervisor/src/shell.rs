//! Command lines as people may copy them into a shell.

use std::ffi::{OsStr, OsString};

use supervisor::{Command, ProcessSpec};

use crate::say;

/// The executable and its arguments, quoted where a POSIX shell needs it.
pub(crate) fn command_line(spec: &ProcessSpec) -> String {
    of(spec.executable.as_os_str(), &spec.arguments)
}

/// The same of a command that belongs to a component.
pub(crate) fn command(command: &Command) -> String {
    of(&command.program, &command.arguments)
}

fn of(program: &OsStr, arguments: &[OsString]) -> String {
    words(std::iter::once(program).chain(arguments.iter().map(AsRef::as_ref)))
}

/// The same of words.
pub(crate) fn words<T: AsRef<OsStr>>(words: impl IntoIterator<Item = T>) -> String {
    words.into_iter().map(|word| quote(word.as_ref())).collect::<Vec<_>>().join(" ")
}

fn quote(word: &OsStr) -> String {
    let text = say::printable(word.to_string_lossy());
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=+,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_shell_would_misread_is_quoted() {
        let mut spec = ProcessSpec::new("ps", "/usr/bin/java").unwrap();
        spec.arguments =
            ["-Xmx512m", "-XX:+UseG1GC", "a b", "", "it's", "$HOME", "a\nb"].map(Into::into).to_vec();
        assert_eq!(
            command_line(&spec),
            r"/usr/bin/java -Xmx512m -XX:+UseG1GC 'a b' '' 'it'\''s' '$HOME' 'a\nb'"
        );
    }
}
