//! Command lines as people may copy them into a shell.

use std::ffi::OsStr;

use supervisor::ProcessSpec;

use crate::say;

/// The executable and its arguments, quoted where a POSIX shell needs it.
pub(crate) fn command_line(spec: &ProcessSpec) -> String {
    let words = std::iter::once(spec.executable.as_os_str()).chain(spec.arguments.iter().map(AsRef::as_ref));
    words.map(quote).collect::<Vec<_>>().join(" ")
}

fn quote(word: &OsStr) -> String {
    let text = say::printable(&word.to_string_lossy());
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
