//! `s7supervisor`: starts, stops and keeps healthy the components named in a `SupervisorRegistry.xml`.
//!
//! The command line is thin: `supervisor` supervises, `supervisor-control` carries requests. Here are the commands
//! (one file each under `commands/`), the `temp` folder with its locks, and the supervisor's own log.

mod arguments;
mod commands;
mod completing;
mod control;
mod duration;
mod exit;
mod holder;
mod naming;
mod os;
mod own_log;
mod past;
mod place;
mod progress;
mod say;
mod shell;
mod table;
mod waiting;

use std::process::ExitCode;

use clap::Parser;
use supervisor_control::Action;

use crate::arguments::{Arguments, Command};
use crate::commands::{
    apply, check, completions, events, logs, man, plan, restart, rotate, run, service, show, simulate,
    stand_in, start, status, stop, takeover_check, tracelevel, upgrade, why,
};
use crate::exit::Exit;

fn main() -> ExitCode {
    if let Some(ended) = completing::answer() {
        return ended;
    }
    say::choose_colours();
    let Arguments { place, command } = Arguments::parse();
    let ended = match &command {
        Command::Run(asked) => run::run(&place, asked),
        Command::Check(asked) => check::check(&place, asked),
        Command::Show(asked) => show::show(&place, asked),
        Command::Simulate(asked) => simulate::simulate(&place, asked),
        Command::Start(asked) => start::start(&place, asked),
        Command::Stop(asked) => stop::stop(&place, asked),
        Command::Reset(asked) => control::act(&place, Action::Reset, &asked.ids, asked.patience),
        Command::Reload(asked) => control::act(&place, Action::Reload, &asked.ids, asked.patience),
        Command::Rotate(asked) => rotate::rotate(&place, asked),
        Command::Signal(asked) => {
            control::act(&place, Action::Signal(asked.signal), &asked.to.ids, asked.to.patience)
        }
        Command::Wait(asked) => control::act(&place, asked.action(), &asked.ids, asked.patience()),
        Command::Restart(asked) => restart::restart(&place, asked),
        Command::Status(asked) => status::status(&place, asked),
        Command::Events(asked) => events::events(&place, asked),
        Command::Logs(asked) => logs::logs(&place, asked),
        Command::Why(asked) => why::why(&place, asked),
        Command::Tracelevel(asked) => tracelevel::tracelevel(&place, asked),
        Command::Plan(asked) => plan::plan(&place, asked),
        Command::Apply(asked) => apply::apply(&place, asked),
        Command::Upgrade(asked) => upgrade::upgrade(&place, asked),
        Command::Service(asked) => service::service(&place, asked),
        Command::Completions(asked) => completions::completions(asked),
        Command::Man(asked) => man::man(asked),
        Command::TakeoverCheck => takeover_check::takeover_check(),
        Command::StandIn(told) => stand_in::run(told),
    };
    match ended {
        Ok(exit) => match say::lost() {
            None => exit.into(),
            Some(error) => {
                say::tell(&format!("cannot write the answer to standard output: {error}"));
                Exit::Failed.into()
            }
        },
        Err(failure) => {
            say::tell(&failure.message);
            failure.exit.into()
        }
    }
}
