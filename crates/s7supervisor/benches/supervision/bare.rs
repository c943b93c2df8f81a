//! The bare loop: nothing but pidfd, epoll and spawn. What it takes is what the operating system takes.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, WaitId, WaitIdOptions, getrlimit, pidfd_open, setrlimit, waitid,
};

use crate::Failure;

/// The arguments by which the benchmark runs itself as the bare loop.
pub(crate) fn arguments(
    fifo: &OsString,
    crashing: &OsString,
    program: &OsString,
    count: usize,
) -> Vec<OsString> {
    vec![HIDDEN.into(), program.clone(), fifo.clone(), crashing.clone(), count.to_string().into()]
}

/// Becomes the bare loop if the arguments ask for it.
pub(crate) fn become_if_asked() -> Result<(), Failure> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [hidden, program, fifo, crashing, count] = arguments.as_slice() else { return Ok(()) };
    if hidden != HIDDEN {
        return Ok(());
    }
    let count = count.to_str().and_then(|count| count.parse().ok()).ok_or("the count is no number")?;
    let commands = (0..count).map(|number: usize| {
        let mut command = Command::new(program);
        command.arg(fifo).arg(number.to_string()).arg(crashing);
        command
    });
    match supervise(commands.collect())? {}
}

const HIDDEN: &str = "bare-loop";

fn supervise(mut commands: Vec<Command>) -> io::Result<Infallible> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let poller = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut pidfds = Vec::with_capacity(commands.len());
    for (number, command) in (0..).zip(&mut commands) {
        pidfds.push(start(command, number, &poller)?);
    }
    let mut events = Vec::with_capacity(1_024);
    loop {
        events.clear();
        epoll::wait(&poller, spare_capacity(&mut events), None)?;
        for event in &events {
            let number = event.data.u64();
            let index = usize::try_from(number).map_err(io::Error::other)?;
            waitid(WaitId::PidFd(pidfds[index].as_fd()), WaitIdOptions::EXITED)?;
            epoll::delete(&poller, &pidfds[index])?;
            pidfds[index] = start(&mut commands[index], number, &poller)?;
        }
    }
}

/// Spawns as the standard library does where nothing is asked for: by `posix_spawn`.
fn start(command: &mut Command, number: u64, poller: &OwnedFd) -> io::Result<OwnedFd> {
    let pidfd = pidfd_open(Pid::from_child(&command.spawn()?), PidfdFlags::empty())?;
    epoll::add(poller, &pidfd, epoll::EventData::new_u64(number), epoll::EventFlags::IN)?;
    Ok(pidfd)
}
