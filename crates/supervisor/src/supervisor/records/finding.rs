//! What a supervisor finds when it begins: the processes of the one before, which was killed.
//!
//! What is written down of a main process is believed only if it is that very process. And the one before may have been killed
//! between starting a process and writing that down: so everything that bears one of our tokens is looked for as well.

use std::collections::HashMap;
use std::io;

use crate::os::{self, Bearer, Fate, Leftover, Process};
use crate::run::Exit;
use crate::spec::ComponentId;
use crate::tokens::Tokens;

use super::Recorded;

/// A component of which something may run: one of the registry, or one that is only written down.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Sought<'a> {
    pub(in super::super) id: &'a ComponentId,
    /// How many runs of it there have been, as far as is written down.
    pub(in super::super) runs: u64,
    /// The number of the run that was under way, if one was.
    pub(in super::super) run: Option<u64>,
    /// Its main process, if that is written down.
    pub(in super::super) process: Option<&'a Recorded>,
}

/// What was found of one component.
#[derive(Debug)]
pub(in super::super) struct Found {
    /// Its place among those that were sought.
    pub(in super::super) index: usize,
    /// The number of its last run: it may be higher than what is written down.
    pub(in super::super) run: u64,
    pub(in super::super) main: Main,
    /// Processes beside that, which nobody supervises: of a run of which the main process has ended, of an earlier run, or of a
    /// command that was run for the component. What a run has started whose main process lives is not among them.
    pub(in super::super) leftovers: Vec<Leftover>,
}

/// What has become of the main process of a run.
#[derive(Debug)]
pub(in super::super) enum Main {
    /// It lives, and is to be adopted.
    Lives(Process),
    /// It has ended: so, if that can be known.
    Ended(Option<Exit>),
}

/// Looks for the processes of these components. Gives what it finds of those that had a run, or of which something is there,
/// and how many processes could not be looked at. Takes no more than a few seconds, whatever hangs.
///
/// # Errors
/// If it cannot be told of a main process whether it lives: to begin another would be wrong.
pub(in super::super) fn find(sought: &[Sought<'_>], tokens: Tokens) -> io::Result<(Vec<Found>, usize)> {
    let (mut traces, mut unsure) = (Vec::with_capacity(sought.len()), Vec::new());
    for sought in sought {
        match Trace::of(sought) {
            Ok(trace) => traces.push(trace),
            Err(error) => unsure.push(format!("{}: {error}", sought.id)),
        }
    }
    if !unsure.is_empty() {
        return Err(io::Error::other(unsure.join("; ")));
    }
    let by_id: HashMap<_, _> = (0..).zip(sought).map(|(index, sought)| (sought.id.as_str(), index)).collect();
    let unread = os::bearers(|bearer| {
        let id = bearer.token.split(|byte| *byte == b'/').next().and_then(|id| str::from_utf8(id).ok());
        let Some(index) = id.and_then(|id| by_id.get(id).copied()) else { return };
        let Sought { id, runs, .. } = sought[index];
        if let Some(number) = tokens.number_of(id, runs, &bearer.token) {
            traces[index].add(number, bearer);
        }
    });
    let found = (0..).zip(traces).filter_map(|(index, trace)| trace.into_found(index)).collect();
    Ok((found, unread))
}

/// What is known of one component.
struct Trace {
    /// The run that is written down, and what has become of its main process, if that is written down too.
    run: Option<u64>,
    main: Option<Main>,
    bearers: Vec<(u64, Bearer)>,
}

impl Trace {
    fn of(sought: &Sought<'_>) -> io::Result<Self> {
        let recorded = sought.process.filter(|process| Some(process.run) == sought.run);
        let fate = recorded.map(|process| Process::find(&process.identity)).transpose()?;
        let main = fate.map(|fate| match fate {
            Fate::Lives(process) => Main::Lives(process),
            Fate::Ended(exit) => Main::Ended(exit),
        });
        Ok(Self { run: sought.run, main, bearers: Vec::new() })
    }

    fn add(&mut self, number: u64, bearer: Bearer) {
        // The family of what lives is found again when somebody looks for it.
        let is_family = matches!(self.main, Some(Main::Lives(_))) && Some(number) == self.run;
        if !is_family || bearer.is_errand {
            self.bearers.push((number, bearer));
        }
    }

    fn into_found(mut self, index: usize) -> Option<Found> {
        let is_alive = matches!(self.main, Some(Main::Lives(_)));
        let highest =
            self.bearers.iter().filter(|(_, bearer)| !bearer.is_errand).map(|(number, _)| *number).max();
        // Nothing is newer than what lives.
        let newest = if is_alive { self.run } else { self.run.max(highest) };
        let run = newest.or_else(|| self.bearers.iter().map(|(number, _)| *number).max())?;
        let known = self.main.take().filter(|_| self.run == Some(run));
        let main = known.or_else(|| self.take_main(run).map(Main::Lives)).unwrap_or(Main::Ended(None));
        let main_pid = if let Main::Lives(process) = &main { Some(process.pid()) } else { None };
        if main_pid.is_some() {
            // It is its family, which was not known before.
            self.bearers.retain(|(number, bearer)| *number != run || bearer.is_errand);
        }
        let left = self.bearers.into_iter().map(|(_, bearer)| bearer.process).collect();
        let leftovers = os::families(left, |pid| Some(pid) == main_pid);
        Some(Found { index, run, main, leftovers })
    }

    /// The main process of a run that was never written down: everything of it descends from that, so it is the oldest, and it
    /// leads a group, as it did when it began.
    fn take_main(&mut self, run: u64) -> Option<Process> {
        let age = |place: &usize| {
            let (number, bearer) = &self.bearers[*place];
            let is_its = *number == run && !bearer.is_errand;
            is_its.then_some((bearer.started, bearer.process.pid()))
        };
        let its = (0..self.bearers.len()).filter(|place| age(place).is_some());
        let oldest = its.min_by_key(age)?;
        let (_, bearer) =
            self.bearers[oldest].1.process.leads_a_group().then(|| self.bearers.swap_remove(oldest))?;
        Process::adopt(bearer.process)
    }
}

// Of what is adopted, which is so only on Linux.
#[cfg(all(target_os = "linux", not(s7_posix)))]
#[cfg(test)]
mod tests {
    use super::super::tests::id;
    use super::*;
    use crate::os::fixture::Orphan;
    use crate::signal::Signal;
    use crate::tokens::Key;

    /// A supervisor that was killed.
    struct Before {
        tokens: Tokens,
        id: ComponentId,
    }

    impl Before {
        fn new() -> Self {
            Self { tokens: Tokens::with(Key::random().unwrap()), id: id("ps") }
        }

        /// A main process that it has started. Where it has to be known by its token it executes nothing more once it has
        /// spoken: while it did, it would have no environment.
        fn start(&self, number: u64, script: &str) -> Orphan {
            Orphan::start(&self.tokens.of(&self.id, number), script)
        }

        fn find(&self, runs: u64, process: Option<&Recorded>) -> Option<Found> {
            let run = (runs > 0).then_some(runs);
            let sought = Sought { id: &self.id, runs, run, process };
            let (mut found, _) = find(&[sought], self.tokens).unwrap();
            assert!(found.len() <= 1);
            found.pop()
        }
    }

    fn recorded(run: u64, process: &Orphan) -> Recorded {
        Recorded { run, identity: process.identity() }
    }

    /// The number of the run, the pid of the main process that lives, and those of what is left.
    fn told(found: &Found) -> (u64, Option<u32>, Vec<u32>) {
        let main = if let Main::Lives(process) = &found.main { Some(process.pid()) } else { None };
        let mut pids: Vec<_> = found.leftovers.iter().map(Leftover::pid).collect();
        pids.sort_unstable();
        (found.run, main, pids)
    }

    #[test]
    fn what_is_written_down_and_lives_is_found_and_its_family_is_left_to_it() {
        let before = Before::new();
        let main = before.start(3, "sleep 1000 & (setsid sleep 1000 &); echo; exec sleep 1000");
        let found = before.find(3, Some(&recorded(3, &main))).unwrap();
        assert_eq!(told(&found), (3, Some(main.pid()), vec![]));
    }

    #[test]
    fn what_was_never_written_down_is_found_by_its_token() {
        let before = Before::new();
        let main = before.start(5, "(setsid sleep 1000 &); echo; kill -STOP $$");
        for runs in [0, 4, 5] {
            let found = before.find(runs, None).unwrap();
            assert_eq!(told(&found), (5, Some(main.pid()), vec![]), "{runs}");
        }
        let stranger = Before::new();
        assert!(stranger.find(0, None).is_none(), "another supervisor has no such run");
        assert!(matches!(stranger.find(5, None), Some(Found { main: Main::Ended(None), .. })));
    }

    #[test]
    fn what_a_run_has_left_whose_main_process_has_ended_is_told_with_its_descendants() {
        let before = Before::new();
        let daemon = "env -i sleep 1000 & echo; echo $!; echo $$; wait";
        let mut main = before.start(2, &format!("(setsid sh -c '{daemon}' & ); exec sleep 1000"));
        let mut left: [u32; 2] = [main.line().parse().unwrap(), main.line().parse().unwrap()];
        left.sort_unstable();
        let recorded = recorded(2, &main);
        let Ok(Fate::Lives(process)) = Process::find(&recorded.identity) else { panic!("it lives") };
        process.forward(Signal::KILL);
        crate::os::fixture::end_of(main.pid());
        let found = before.find(2, Some(&recorded)).unwrap();
        assert_eq!(told(&found), (2, None, left.to_vec()));
        let Main::Ended(exit) = found.main else { panic!("{found:?}") };
        // Whoever has inherited it may have reaped it by now.
        assert!(matches!(exit, None | Some(Exit::Signal { signal: 9, .. })), "{exit:?}");
    }

    #[test]
    fn a_command_that_was_under_way_and_an_older_run_are_left_over_beside_what_lives() {
        let before = Before::new();
        let older = before.start(3, "echo; kill -STOP $$");
        let mut main = before.start(4, "S7_TASK=x sh -c 'echo; echo $$; kill -STOP $$' & kill -STOP $$");
        let errand = main.line().parse().unwrap();
        let mut left = vec![older.pid(), errand];
        left.sort_unstable();
        for recorded in [Some(recorded(4, &main)), None] {
            let found = before.find(4, recorded.as_ref()).unwrap();
            assert_eq!(told(&found), (4, Some(main.pid()), left.clone()));
        }
    }

    #[test]
    fn what_is_written_down_of_another_run_or_of_an_earlier_process_of_that_pid_is_not_believed() {
        let before = Before::new();
        let earlier = before.start(1, "echo; kill -STOP $$");
        let mut record = recorded(1, &earlier);
        assert_eq!(told(&before.find(2, Some(&record)).unwrap()), (2, None, vec![earlier.pid()]));
        // Its pid is that of a process that began later: ours.
        record.identity.pid = std::process::id();
        let found = before.find(1, Some(&record)).unwrap();
        assert_eq!(told(&found), (1, None, vec![earlier.pid()]), "what bears the token has another identity");
    }
}
