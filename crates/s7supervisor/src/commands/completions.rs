//! `completions`: what makes a shell complete command lines of this program.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::exit::{Ended, Exit};
use crate::{completing, say};

/// `completions`
#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

/// The shells that can be told.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    /// 4.4 or newer
    Bash,
    /// After `compinit`
    Zsh,
    /// 3.0 or newer
    Fish,
}

pub(crate) const HELP: &str = "\
Commands, options and files are completed, and the ids of the components of the
running supervisor, with their states where the shell shows them. It is asked at
each TAB, for 200 ms at most; where none runs, there are no ids to choose from.
Which one is asked is said by --temp and --registry, if they stand before the
cursor, and by the environment otherwise.

What is printed belongs to this version of the program: let the shell read it
anew at each start, as in the examples.

Examples:
  eval \"$(s7supervisor completions bash)\"          in ~/.bashrc
  eval \"$(s7supervisor completions zsh)\"           in ~/.zshrc, after compinit
  s7supervisor completions fish | source           in ~/.config/fish/config.fish";

/// Prints it.
pub(crate) fn completions(asked: &Completions) -> Ended {
    let shell = match asked.shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
    };
    say::answer_bytes(&completing::registration(shell, &program())?);
    Ok(Exit::Done)
}

/// How the shell is to call this program: as it was called now, but from any folder.
fn program() -> String {
    let called = PathBuf::from(std::env::args_os().next().unwrap_or_default());
    let is_path = called.components().count() > 1;
    let path = if is_path { std::path::absolute(&called).unwrap_or(called) } else { called };
    path.to_string_lossy().into_owned()
}
