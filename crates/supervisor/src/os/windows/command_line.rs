//! Which program is run, and the one text that its arguments are.

use std::ffi::{OsStr, OsString};
use std::os::windows::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::{SpawnError, SpawnStep};
use crate::os::Launch;

/// A program, and the command line with which it is run: both end with zero.
#[derive(Debug)]
pub(super) struct CommandLine {
    pub(super) program: Vec<u16>,
    pub(super) text: Vec<u16>,
}

const QUOTE: u16 = b'"' as u16;
const BACKSLASH: u16 = b'\\' as u16;

/// What the interpreter of batch files would take for something else, however it is quoted.
const UNSAFE_IN_BATCH: [u16; 4] = [QUOTE, b'%' as u16, b'\r' as u16, b'\n' as u16];

impl CommandLine {
    /// That of this launch, where `path` is the component's own `PATH`.
    pub(super) fn of(launch: &Launch<'_>, path: Option<&OsStr>) -> Result<Self, SpawnError> {
        let refused = |step, reason| Err(SpawnError { step, reason, os_error: None });
        let name = launch.program();
        if name.is_empty() {
            return refused(SpawnStep::Executable, "the name of the executable is empty".to_owned());
        }
        let texts = [name].into_iter().chain(launch.arguments().iter().map(OsString::as_os_str));
        if let Some(text) = texts.clone().find(|text| text.encode_wide().any(|unit| unit == 0)) {
            return refused(SpawnStep::Process, format!("{} contains a NUL", text.display()));
        }
        let Some(program) = find(Path::new(name), launch.spec.working_directory.as_deref(), path) else {
            let reason = format!("{}: no such file, here or in PATH", name.display());
            return refused(SpawnStep::Executable, reason);
        };
        if !is_batch(&program) {
            let mut text = Vec::new();
            let all =
                [program.as_os_str()].into_iter().chain(launch.arguments().iter().map(OsString::as_os_str));
            all.for_each(|argument| push(&mut text, argument));
            text.push(0);
            return Ok(Self { program: super::handle::wide(&program), text });
        }
        let mut inner = Vec::new();
        for argument in
            [program.as_os_str()].into_iter().chain(launch.arguments().iter().map(OsString::as_os_str))
        {
            if argument.encode_wide().any(|unit| UNSAFE_IN_BATCH.contains(&unit)) {
                let reason = format!(
                    "{}: a batch file cannot be given the argument {}",
                    program.display(),
                    argument.display()
                );
                return refused(SpawnStep::Executable, reason);
            }
            push_quoted(&mut inner, argument);
        }
        let system = std::env::var_os("SystemRoot").unwrap_or_else(|| r"C:\Windows".into());
        let interpreter = Path::new(&system).join(r"System32\cmd.exe");
        let mut text = Vec::new();
        push(&mut text, interpreter.as_os_str());
        // No commands of the registry, extensions on, no delayed expansion; the outer quotes are stripped.
        text.extend(r#" /d /e:ON /v:OFF /c ""#.encode_utf16());
        text.extend(inner);
        text.extend([QUOTE, 0]);
        Ok(Self { program: super::handle::wide(&interpreter), text })
    }
}

/// The file of this program. A bare name is looked for in `path`; any other begins, if it is relative, at the component's folder.
/// Without a suffix, `.exe` is meant.
fn find(program: &Path, folder: Option<&Path>, path: Option<&OsStr>) -> Option<PathBuf> {
    let folder = folder.unwrap_or(Path::new(""));
    if program.components().count() > 1 || program.is_absolute() {
        return with_suffix(folder.join(program));
    }
    let entries = path.map(std::env::split_paths).into_iter().flatten();
    entries.filter(|entry| !entry.as_os_str().is_empty()).find_map(|entry| {
        // Relative ones begin there too.
        with_suffix(folder.join(entry).join(program))
    })
}

fn with_suffix(file: PathBuf) -> Option<PathBuf> {
    let found = file.is_file().then(|| file.clone());
    let found = found.or_else(|| {
        let mut longer = file.into_os_string();
        longer.push(".exe");
        Some(PathBuf::from(longer)).filter(|file| file.is_file())
    })?;
    std::path::absolute(found).ok()
}

fn is_batch(program: &Path) -> bool {
    program
        .extension()
        .is_some_and(|suffix| suffix.eq_ignore_ascii_case("bat") || suffix.eq_ignore_ascii_case("cmd"))
}

/// Adds an argument, so that programs which take their command line apart as C does find it unchanged.
/// <https://learn.microsoft.com/cpp/c-language/parsing-c-command-line-arguments>
fn push(text: &mut Vec<u16>, argument: &OsStr) {
    let blank = |unit: u16| unit == u16::from(b' ') || unit == u16::from(b'\t') || unit == QUOTE;
    if argument.is_empty() || argument.encode_wide().any(blank) {
        return push_quoted(text, argument);
    }
    separate(text);
    text.extend(argument.encode_wide());
}

fn push_quoted(text: &mut Vec<u16>, argument: &OsStr) {
    separate(text);
    text.push(QUOTE);
    let mut backslashes = 0;
    for unit in argument.encode_wide() {
        if unit == QUOTE {
            // Those before a quote count for half, and one more makes it a quote of the text.
            text.extend(std::iter::repeat_n(BACKSLASH, backslashes + 1));
        }
        backslashes = if unit == BACKSLASH { backslashes + 1 } else { 0 };
        text.push(unit);
    }
    text.extend(std::iter::repeat_n(BACKSLASH, backslashes));
    text.push(QUOTE);
}

fn separate(text: &mut Vec<u16>) {
    if !text.is_empty() {
        text.push(u16::from(b' '));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(arguments: &[&str]) -> String {
        let mut text = Vec::new();
        arguments.iter().for_each(|argument| push(&mut text, OsStr::new(argument)));
        String::from_utf16(&text).unwrap()
    }

    #[test]
    fn an_argument_is_quoted_where_it_would_be_taken_apart_and_only_there() {
        assert_eq!(line(&["a", r"C:\b\", ""]), r#"a C:\b\ """#);
        assert_eq!(line(&["a b", r"C:\b c\"]), r#""a b" "C:\b c\\""#);
        assert_eq!(line(&[r#"say "hi""#, r#"\""#]), r#""say \"hi\"" "\\\"""#);
    }
}
