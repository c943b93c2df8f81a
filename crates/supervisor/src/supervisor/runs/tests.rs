use std::fs::{self, File};
use std::sync::atomic::{AtomicU32, Ordering};

use crossbeam_channel::Receiver;
use polling::Events;

use super::*;
use crate::os::{Launch, LaunchPad};
use crate::spec::ProcessSpec;
use crate::supervisor::handle::{Command, command_queue};

/// The processes, and where the thread that looks at them tells what it has found.
struct Bench {
    poller: Arc<Poller>,
    runs: Runs,
    queue: Receiver<Command>,
}

impl Bench {
    fn new(orphans_come_to_us: bool) -> Self {
        let poller = Arc::new(Poller::new().unwrap());
        let (commands, queue) = command_queue();
        let mailbox = Mailbox::new(&commands, &poller);
        Self { runs: Runs::new(Arc::clone(&poller), mailbox, orphans_come_to_us), poller, queue }
    }

    /// What is found out of these, and of those that are to be looked at again, however long that takes.
    fn look(&mut self, owners: &[Owner]) -> Vec<(Owner, Look)> {
        let now = self.runs.deadline().unwrap_or_default();
        let looks = self.runs.look(owners, now);
        if looks.is_empty() { self.looked() } else { looks }
    }

    /// What the thread has found.
    fn looked(&mut self) -> Vec<(Owner, Look)> {
        match self.queue.recv().unwrap() {
            Command::Looked(looked) => self.runs.looked(looked, Duration::ZERO),
            _ => panic!("only the thread tells anything"),
        }
    }

    /// Waits for the main process to end.
    fn exit(&mut self, owner: Owner) -> Exit {
        loop {
            if let Some(ended) = self.runs.take_exit(owner, Duration::ZERO) {
                return ended.exit;
            }
            self.poller.wait(&mut Events::new(), None).unwrap();
        }
    }

    /// Kills all that is left, and waits until it is gone.
    fn end(&mut self, owner: Owner) {
        self.runs.kill(owner);
        while self.look(&[owner]) != [(owner, Look::Gone)] {
            let mut events = Events::new();
            self.poller.wait(&mut events, None).unwrap();
            for event in events.iter() {
                self.runs.noticed(event.key);
            }
        }
        self.runs.reap_ended();
    }
}

fn start(runs: &mut Runs, run: RunId, program: &str, arguments: &[&str]) {
    // No two runs have the same, or one test would find what another has left behind.
    static STARTED: AtomicU32 = AtomicU32::new(0);
    let token = format!("runs/{}/{}", std::process::id(), STARTED.fetch_add(1, Ordering::Relaxed));
    let mut spec = ProcessSpec::new("ps", program).unwrap();
    spec.arguments = arguments.iter().map(Into::into).collect();
    let nowhere = os::nowhere().unwrap();
    let (stdout, stderr) = (&nowhere, &nowhere);
    let launch = Launch {
        spec: &spec,
        environment: &[("PATH".into(), "/usr/bin:/bin".into())],
        added: &[],
        token: &token,
        account: None,
        terms: os::Terms::default(),
        cgroup: None,
        errand: None,
        ready: None,
        stdout,
        stderr,
    };
    let mut pad = LaunchPad::new().unwrap();
    let process = os::spawn(&launch, &mut pad).unwrap().into_process(&mut pad);
    runs.add(Owner::Run(run), token.into(), process).unwrap();
}

/// How a sleeper ends that is killed while the kernel counts so many that it has killed for memory.
fn end_of_killed(kill: impl FnOnce(&mut Runs, RunId), counted: u32) -> Exit {
    let folder = tempfile::tempdir().unwrap();
    let count = folder.path().join("memory.events");
    fs::write(&count, "oom_kill 7\n").unwrap();
    let mut bench = Bench::new(false);
    bench.runs.out_of_memory = OutOfMemory::in_file(Some(&count));

    let run = RunId { component: 0, number: 1 };
    start(&mut bench.runs, run, "/bin/sleep", &["1000"]);

    fs::write(&count, format!("oom_kill {}\n", 7 + counted)).unwrap();
    kill(&mut bench.runs, run);
    let exit = bench.exit(Owner::Run(run));
    bench.end(Owner::Run(run));
    exit
}

fn by_a_stranger(runs: &mut Runs, run: RunId) {
    let pid = i32::try_from(runs.living(run).unwrap()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn killed_for_memory_is_said_only_when_the_kernel_says_so_and_it_was_not_us() {
    let plain = Exit::Signal { signal: 9, core_dumped: false };
    assert_eq!(end_of_killed(by_a_stranger, 1), Exit::OutOfMemory);
    assert_eq!(end_of_killed(by_a_stranger, 0), plain);
    assert_eq!(end_of_killed(|runs, run| runs.kill(Owner::Run(run)), 1), plain);
    assert_eq!(end_of_killed(|runs, run| runs.forward(run, Signal::KILL), 1), plain);
    let terminate = |runs: &mut Runs, run| runs.signal(run, Signal::TERM, Recipient::Group);
    assert_eq!(end_of_killed(terminate, 1), Exit::Signal { signal: 15, core_dumped: false });
}

#[test]
fn only_one_stranger_is_looked_at_in_a_round_and_members_of_any_user_are_heard() {
    let mut runs = Bench::new(false).runs;
    let run = RunId { component: 7, number: 1 };
    start(&mut runs, run, "/bin/sleep", &["1000"]);
    let main = runs.living(run).unwrap();
    let ours = rustix::process::geteuid().as_raw();
    let other = ours + 4242;
    let mut senders = |all: &[(u32, u32)]| {
        let mut looked_at = None;
        let speak = |&(pid, user)| runs.may_speak(run, os::Sender { pid, user }, &mut looked_at);
        all.iter().map(speak).collect::<Vec<_>>()
    };
    assert_eq!(senders(&[(main, other), (main, other), (1, other)]), [true, true, false]);
    assert_eq!(senders(&[(1, other), (main, other), (0, ours), (0, 0)]), [false, false, true, true]);
    for nobody in [0, std::process::id()] {
        assert_eq!(senders(&[(nobody, other)]), [false]);
    }
}

/// It takes every descriptor that there is: so the scenario runs in a process of its own.
#[test]
fn where_descriptors_are_wanting_no_run_is_said_to_be_gone_while_something_of_it_lives() {
    const NAME: &str = "supervisor::runs::tests::\
        where_descriptors_are_wanting_no_run_is_said_to_be_gone_while_something_of_it_lives";
    if std::env::var_os("TEST_WITHOUT_DESCRIPTORS").is_some() {
        return looks_without_descriptors();
    }
    #[expect(clippy::disallowed_methods, reason = "a test runs itself in a process of its own")]
    let mut scenario = std::process::Command::new(std::env::current_exe().unwrap());
    scenario.args(["--exact", NAME]).env("TEST_WITHOUT_DESCRIPTORS", "1");
    let output = scenario.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn looks_without_descriptors() {
    const RUNS: u32 = 8;
    let mut bench = Bench::new(false);
    let owners: Vec<_> = (0..RUNS).map(|component| Owner::Run(RunId { component, number: 1 })).collect();
    for component in 0..RUNS {
        start(&mut bench.runs, RunId { component, number: 1 }, "/bin/sh", &["-c", "sleep 1000 &"]);
    }
    for owner in &owners {
        bench.exit(*owner);
    }

    let limit = rustix::process::Rlimit { current: Some(64), maximum: Some(64) };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    let taken: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let is_left = |looks: &[(Owner, Look)]| {
        looks.iter().all(|(_, look)| matches!(look, Look::Left(pids) if pids.len() == 1))
    };
    let is_unsure = |bench: &Bench| bench.runs.deadline().is_some();
    let first = bench.look(&owners);
    assert!(is_left(&first) && first.len() < owners.len() && is_unsure(&bench), "{first:?}");
    let again = bench.look(&[]);
    assert!(is_left(&again) && is_unsure(&bench), "{again:?}");
    drop(taken);
    let last = bench.look(&[]);
    assert!(is_left(&last) && !is_unsure(&bench), "{last:?}");
    assert_eq!(first.len() + again.len() + last.len(), owners.len());

    owners.iter().for_each(|owner| bench.end(*owner));
}

/// Starts a run whose main process leaves a daemon behind that is known by its token alone; gives the daemon's pid.
fn start_daemon(bench: &mut Bench, run: RunId) -> u32 {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("pid");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    let script = format!("(setsid sh -c 'echo $$ > {}; kill -STOP $$' & )", fifo.display());
    start(&mut bench.runs, run, "/bin/sh", &["-c", &script]);
    let pid = fs::read_to_string(&fifo).unwrap().trim().parse().unwrap();
    bench.exit(Owner::Run(run));
    pid
}

#[test]
fn environments_are_read_beside_the_driver() {
    let mut bench = Bench::new(false);
    let run = RunId { component: 0, number: 1 };
    let daemon = start_daemon(&mut bench, run);
    assert_eq!(bench.runs.look(&[Owner::Run(run)], Duration::ZERO), [], "that takes its time");
    assert_eq!(bench.looked(), [(Owner::Run(run), Look::Left(vec![daemon]))]);
    assert_eq!((bench.runs.deadline(), bench.runs.condition()), (None, None));
    bench.end(Owner::Run(run));
}

#[test]
fn an_environment_that_cannot_be_read_holds_nothing_up_and_what_it_hid_is_killed_later() {
    let mut bench = Bench::new(false);
    let [hidden, other] = [0, 1].map(|component| RunId { component, number: 1 });
    let daemon = start_daemon(&mut bench, hidden);
    let (release, released) = crossbeam_channel::bounded::<()>(0);
    bench.runs.hang(released);

    assert_eq!(bench.runs.look(&[Owner::Run(hidden)], Duration::ZERO), []);
    let patience = bench.runs.deadline().unwrap();
    assert_eq!(bench.runs.look(&[], patience - Duration::from_millis(1)), [], "it is waited for");
    assert_eq!(bench.runs.condition(), None);
    assert_eq!(bench.runs.look(&[], patience), [(Owner::Run(hidden), Look::Gone)]);
    assert!(bench.runs.condition().unwrap().starts_with("cannot tell in full what runs have left behind"));
    assert_eq!(bench.runs.deadline(), None);

    // The next is not held up at all, and nothing is asked beside what hangs.
    start(&mut bench.runs, other, "/bin/true", &[]);
    bench.exit(Owner::Run(other));
    assert_eq!(bench.runs.look(&[Owner::Run(other)], patience), [(Owner::Run(other), Look::Gone)]);

    let held = rustix::process::Pid::from_raw(daemon.try_into().unwrap()).unwrap();
    let held = rustix::process::pidfd_open(held, rustix::process::PidfdFlags::empty()).unwrap();
    drop(release);
    assert_eq!(bench.looked(), [], "its run is over");
    assert_eq!(bench.runs.condition(), None);
    let mut dead = [rustix::event::PollFd::new(&held, rustix::event::PollFlags::IN)];
    assert_eq!(rustix::event::poll(&mut dead, None), Ok(1));
    bench.runs.reap_ended();
}
