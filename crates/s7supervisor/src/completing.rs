//! What may come next on a command line that is being typed: a shell asks at each TAB.
//!
//! `s7supervisor completions SHELL` prints what makes a shell ask. It then calls this program with the words typed so far, and
//! the variable [`VARIABLE`] says for which shell they are to be completed. Nothing is told then but completions: whatever goes
//! wrong, the line that somebody is typing must not be garbled.

use std::ffi::OsStr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches};
use clap_complete::engine::{
    ArgValueCandidates, ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter,
};
use clap_complete::env::{CompleteEnv, Shells};
use crossbeam_channel::bounded;
use supervisor::Signal;

use supervisor_control::wire::ComponentDocument;

use crate::arguments::{Arguments, Place};
use crate::exit::Failure;
use crate::os::door;

/// Where a shell says that it wants completions, and which shell it is.
const VARIABLE: &str = "S7_COMPLETE";

/// Somebody is waiting at a prompt: a supervisor that takes longer to answer counts as none.
const LIMIT: Duration = Duration::from_millis(200);

/// Answers the shell, if one asks.
pub(crate) fn answer() -> Option<ExitCode> {
    let folder = std::env::current_dir().ok();
    let completing = CompleteEnv::with_factory(Arguments::command).var(VARIABLE);
    match completing.try_complete(std::env::args_os(), folder.as_deref()) {
        Ok(false) => None,
        Ok(true) => Some(ExitCode::SUCCESS),
        Err(_) => Some(ExitCode::FAILURE),
    }
}

/// What makes a shell ask `program` for completions of its command lines.
pub(crate) fn registration(shell: &str, program: &str) -> Result<Vec<u8>, Failure> {
    let cannot = |why: &str| Failure::failed(format!("cannot make completions for {shell}: {why}"));
    let shells = Shells::builtins();
    let completer = shells.completer(shell).ok_or_else(|| cannot("it is no shell that is known here"))?;
    let mut script = Vec::new();
    let name = env!("CARGO_PKG_NAME");
    let written = completer.write_registration(VARIABLE, name, name, program, &mut script);
    written.map_err(|error| cannot(&error.to_string()))?;
    Ok(script)
}

/// The components of the running supervisor.
pub(crate) fn ids() -> ArgValueCompleter {
    ArgValueCompleter::new(ids_like)
}

/// The same, and files: where the first name may be a registry.
pub(crate) fn ids_and_files() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let mut candidates = ids_like(typed);
        candidates.extend(PathCompleter::file().complete(typed));
        candidates
    })
}

/// The signals that have a name.
pub(crate) fn signals() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let named = (1..=64).filter_map(|number| Signal::from_number(number)?.name());
        named.map(CompletionCandidate::new).collect()
    })
}

fn ids_like(typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    let candidate = |component: ComponentDocument| {
        let state = component.detail.unwrap_or(component.state);
        CompletionCandidate::new(component.id).help(Some(state.into()))
    };
    let components = running_components().into_iter();
    components.filter(|component| component.id.starts_with(typed)).map(candidate).collect()
}

/// The components of the supervisor that is meant by what has been typed so far; none if it does not say so soon.
fn running_components() -> Vec<ComponentDocument> {
    let Some(place) = typed_place() else { return Vec::new() };
    let (answer, answered) = bounded(1);
    // Anything may hang: a file system with the registry on it, or the supervisor. This process ends then without that thread.
    #[expect(clippy::disallowed_methods, reason = "whatever hangs must not hold up the prompt")]
    let asking = std::thread::Builder::new().name("asking".to_owned()).spawn(move || {
        let components = components_of(&place).unwrap_or_default();
        drop(answer.send(components));
    });
    let answered = asking.ok().and_then(|_| answered.recv_timeout(LIMIT).ok());
    answered.unwrap_or_default()
}

fn components_of(place: &Place) -> Option<Vec<ComponentDocument>> {
    let client = door::connect(&place.find_temp().ok()?).ok()?;
    Some(client.status(&[]).ok()?.components)
}

/// Which supervisor is meant: by the options that stand on the command line already, else by the environment.
fn typed_place() -> Option<Place> {
    let words = std::env::args_os().skip_while(|word| word != "--").skip(1);
    let matches = Arguments::command().ignore_errors(true).try_get_matches_from(words).ok()?;
    Place::from_arg_matches(&matches).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wherever_an_id_may_stand_ids_are_offered() {
        let program = Arguments::command();
        let of_ids = |argument: &&clap::Arg| {
            let names = argument.get_value_names().unwrap_or_default();
            names.iter().any(|name| name.split('|').any(|name| name == "ID"))
        };
        let mut found = 0;
        for command in program.get_subcommands() {
            for argument in command.get_arguments().filter(of_ids) {
                let its = argument.get::<ArgValueCompleter>();
                assert!(its.is_some(), "{} of {}", argument.get_id(), command.get_name());
                found += 1;
            }
        }
        assert!(found > 10, "{found}");
    }
}
