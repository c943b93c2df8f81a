use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use polling::Events;

use super::answer::LONGEST_ANSWER;
use super::*;
use crate::os::fixture::readable;
use crate::os::{Account, LaunchPad, Terms};
use crate::spec::{Cleanup, Health, Readiness, Variable};
use crate::supervisor::handle::command_queue;
use crate::supervisor::measuring::Measuring;
use crate::supervisor::runs::Look;
use crate::tokens::{Key, Tokens};

/// What the driver does for tasks, and no core that would decide anything.
struct Bench {
    spec: ProcessSpec,
    pad: LaunchPad,
    poller: Arc<Poller>,
    runs: Runs,
    tasks: Tasks,
    measuring: Measuring,
    queue: Receiver<Command>,
    /// What was found out of the run of the component.
    looks: Vec<Look>,
    last: u32,
    /// Its own, because tests look at the processes of the whole machine.
    token: String,
}

const RUN: RunId = RunId { component: 0, number: 3 };

impl Bench {
    fn new() -> Self {
        Self::with(None, None)
    }

    fn with(prober: Option<Arc<dyn Prober>>, state: Option<PathBuf>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let token = format!("ps/{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let poller = Arc::new(Poller::new().unwrap());
        let (commands, queue) = command_queue();
        let mailbox = Mailbox::new(&commands, &poller);
        Self {
            spec: ProcessSpec::new("ps", "/bin/sleep").unwrap(),
            pad: LaunchPad::new().unwrap(),
            runs: Runs::new(Arc::clone(&poller), mailbox.clone(), false),
            tasks: Tasks::new(Arc::clone(&poller), mailbox.clone(), prober, state.map(Arc::from)),
            measuring: Measuring::new(mailbox),
            poller,
            queue,
            looks: Vec::new(),
            last: 0,
            token,
        }
    }

    fn probing(probe: Probe) -> Self {
        let mut bench = Self::new();
        bench.probe_with(probe);
        bench
    }

    fn probe_with(&mut self, probe: Probe) {
        self.spec.health = Some(Health {
            probe,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(2),
            failures: 3,
            start_after: Duration::ZERO,
            action: crate::GuardAction::Restart,
        });
    }

    /// Asks for the health of the component by a shell script.
    fn script(script: &str) -> Self {
        Self::probing(Probe::Exec(shell(script)))
    }

    fn begin(&mut self, task: Task) -> (TaskId, Option<Input>) {
        self.last += 1;
        let task = TaskId { run: RUN, task, number: self.last };
        let inherited: [(OsString, OsString); 1] = [("PATH".into(), "/usr/bin:/bin".into())];
        let launcher = Launcher {
            spec: &self.spec,
            inherited: &inherited,
            account: Account::find(self.spec.user.as_deref(), None).unwrap().map(Arc::new),
            terms: Terms::default(),
            pad: &mut self.pad,
            runs: &mut self.runs,
            tokens: Tokens::with(Key::random().unwrap()),
        };
        (task, self.tasks.begin(task, launcher))
    }

    /// Does a task to its end.
    fn answer(&mut self, task: Task) -> Result<String, String> {
        let Input::Finished { result, .. } = self.come_of(task) else { panic!("not finished") };
        result.map(|text| text.to_string()).map_err(|text| text.to_string())
    }

    /// What a task comes to.
    fn come_of(&mut self, task: Task) -> Input {
        let (task, at_once) = self.begin(task);
        let mut inputs = at_once.map_or_else(|| self.next_inputs(), |input| vec![input]);
        let come_of = inputs.remove(0);
        let (Input::Finished { task: its, .. } | Input::NotBegun { task: its, .. }) = &come_of else {
            panic!("{come_of:?}");
        };
        assert_eq!(*its, task);
        assert!(self.tasks.serials.is_empty() && self.tasks.under_way.is_empty());
        come_of
    }

    /// What comes next: a round may bring nothing.
    fn next_inputs(&mut self) -> Vec<Input> {
        loop {
            let inputs = self.round();
            if !inputs.is_empty() {
                return inputs;
            }
        }
    }

    /// Waits until nothing is left of any command.
    fn settle(&mut self) {
        while self.runs.has_tasks() {
            assert!(self.round().is_empty(), "nobody wants to know");
        }
        self.runs.reap_ended();
    }

    fn round(&mut self) -> Vec<Input> {
        let mut events = Events::new();
        self.poller.wait(&mut events, Some(Duration::from_secs(20))).unwrap();
        let mut inputs = Vec::new();
        let touched: Vec<_> = events.iter().filter_map(|event| self.runs.noticed(event.key)).collect();
        for owner in &touched {
            match (self.runs.take_exit(*owner, Duration::ZERO), *owner) {
                (Some(ended), Owner::Task(serial)) => {
                    self.runs.kill(*owner);
                    inputs.extend(self.tasks.ended(serial, ended));
                }
                (Some(_), Owner::Run(run)) => self.tasks.remember(run, &self.runs, &self.spec),
                (None, _) => {}
            }
        }
        inputs.extend(events.iter().filter_map(|event| self.tasks.noticed(event.key)));
        let mut looks = self.runs.look(&touched, Duration::ZERO);
        for command in self.queue.try_iter().collect::<Vec<_>>() {
            inputs.extend(match command {
                Command::Answered { serial, result } => self.tasks.answered(serial, result),
                Command::Resolved { serial, addresses } => self.tasks.resolved(serial, addresses),
                Command::Measured { run, memory } => Some(Input::Measured { run, memory }),
                Command::Looked(looked) => {
                    looks.extend(self.runs.looked(looked, Duration::ZERO));
                    None
                }
                _ => None,
            });
        }
        for (owner, look) in looks {
            match owner {
                Owner::Run(_) => self.looks.push(look),
                Owner::Task(_) => self.runs.kill(owner),
            }
        }
        inputs
    }

    /// The figure that comes next, which is the only one.
    fn measured(&mut self) -> u64 {
        let inputs = self.next_inputs();
        let [Input::Measured { run: RUN, memory }] = inputs[..] else { panic!("{inputs:?}") };
        self.measuring.done(RUN);
        memory
    }

    /// Waits until the run of the component is gone.
    fn wait_for_end(&mut self) {
        while self.looks.last() != Some(&Look::Gone) {
            self.round();
        }
        self.runs.reap_ended();
    }

    /// Gives the component a main process.
    fn start_component(&mut self, script: &str) -> u32 {
        self.spec.arguments = vec!["-c".into(), script.into()];
        self.spec.executable = "/bin/sh".into();
        let nowhere = os::nowhere().unwrap();
        let launch = os::Launch {
            spec: &self.spec,
            environment: &[("PATH".into(), "/usr/bin:/bin".into())],
            added: &[],
            token: &self.token,
            account: None,
            terms: Terms::default(),
            cgroup: None,
            errand: None,
            stdout: &nowhere,
            stderr: &nowhere,
            ready: None,
        };
        let process = os::spawn(&launch, &mut self.pad).unwrap().into_process(&mut self.pad);
        self.runs.add(Owner::Run(RUN), self.token.as_str().into(), process).unwrap()
    }
}

impl Drop for Bench {
    /// Whatever has become of the test, no process is left.
    fn drop(&mut self) {
        self.tasks.abandon_all(&mut self.runs);
        let has_run = |bench: &Self| bench.runs.living(RUN).is_some();
        self.runs.kill(Owner::Run(RUN));
        while !std::thread::panicking() && (self.runs.has_tasks() || has_run(self)) {
            self.round();
        }
        self.runs.reap_ended();
    }
}

fn shell(script: &str) -> spec::Command {
    spec::Command { program: "sh".into(), arguments: vec!["-c".into(), script.into()] }
}

fn step(script: &str) -> Step {
    Step::Run { command: shell(script), timeout: Duration::from_secs(5) }
}

/// Whether a process has ended, reaped or not.
fn is_dead(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || [") Z ", ") X "].iter().any(|state| stat.contains(state))
}

#[test]
fn the_answer_of_a_command_is_its_last_line_made_fit_to_be_shown() {
    for (script, answer) in [
        ("echo one; echo two >&2; echo", "two"),
        ("printf '  accepting connections\\n\\n \\n'", "accepting connections"),
        ("printf 'a\\033[31mb\\tc'", "a [31mb c"),
        ("true", "exit code 0"),
        ("printf '%s\\n' first; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last", "last"),
    ] {
        assert_eq!(Bench::script(script).answer(Task::Health).as_deref(), Ok(answer), "{script}");
    }
    let long = Bench::script("head -c 3000 /dev/zero | tr '\\0' x").answer(Task::Health).unwrap();
    assert_eq!(long, "x".repeat(LONGEST_ANSWER));
}

#[test]
fn why_a_command_failed_is_told_with_its_last_line() {
    for (script, answer) in [
        ("echo no response; exit 2", "exit code 2: no response"),
        ("exit 1", "exit code 1"),
        ("echo going; kill -KILL $$", "SIGKILL: going"),
        ("ulimit -c 0; kill -SEGV $$", "SIGSEGV"),
    ] {
        assert_eq!(Bench::script(script).answer(Task::Health), Err(answer.to_owned()));
    }
    let missing = spec::Command { program: "/no/such/program".into(), arguments: Vec::new() };
    let answer = Bench::probing(Probe::Exec(missing)).answer(Task::Health);
    assert_eq!(answer, Err("cannot run: /no/such/program: no such file".to_owned()));
}

#[test]
fn a_command_runs_as_its_component_does_and_is_told_whose_it_is() {
    let mut bench = Bench::script("");
    let script = "echo $(pwd) $(umask) $MINE $S7_ID $S7_PID $S7_RUN $(readlink /proc/self/fd/0) $(ulimit -n)";
    bench.spec.working_directory = Some("/usr".into());
    bench.spec.umask = Some(0o027);
    bench.spec.environment.variables =
        vec![Variable { name: "MINE".into(), value: "mine".into(), secret: false }];
    let limit = crate::ResourceLimit { resource: crate::Resource::OpenFiles, soft: Some(99), hard: Some(99) };
    bench.spec.limits = vec![limit];
    let pid = bench.start_component("exec sleep 1000");
    bench.spec.stop = vec![step("exit 9"), step(script)];
    let expected = format!("/usr 0027 mine ps {pid} {} /dev/null 99", bench.token);
    assert_eq!(bench.answer(Task::Stop(1)), Ok(expected));
}

#[test]
fn a_command_runs_as_the_components_user() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: it takes root");
        return;
    }
    let mut bench = Bench::new();
    bench.spec.user = Some("daemon".to_owned());
    bench.spec.reload = vec![step("echo $(id -un) $HOME")];
    assert_eq!(bench.answer(Task::Reload(0)), Ok("daemon /usr/sbin".to_owned()));
}

#[test]
fn cleanup_knows_the_run_that_is_gone() {
    let mut bench = Bench::new();
    bench.spec.cleanup =
        Some(Cleanup { command: shell("echo $S7_ID $S7_PID $S7_RUN"), timeout: Duration::from_secs(1) });
    let pid = bench.start_component("exit 0");
    bench.wait_for_end();
    let expected = format!("ps {pid} {}", bench.token);
    assert_eq!(bench.answer(Task::Cleanup), Ok(expected));
}

#[test]
fn cleanup_is_told_nothing_of_another_run() {
    let mut bench = Bench::new();
    bench.spec.cleanup =
        Some(Cleanup { command: shell("echo ${S7_PID-none}"), timeout: Duration::from_secs(1) });
    let last = LastRun { run: RunId { number: RUN.number - 1, ..RUN }, token: "ps/old".into(), pid: 1 };
    bench.tasks.last_runs.insert(RUN.component, last);
    assert_eq!(bench.answer(Task::Cleanup), Ok("none".to_owned()));
}

// What has left the group and lost its parent is found by its token, which only Linux tells.
#[cfg(all(target_os = "linux", not(s7_posix)))]
#[test]
fn what_a_command_leaves_behind_is_killed() {
    // The daemon has come to where it executes nothing more: while it did, it would have no environment. It speaks, and closes
    // what it has spoken to, so that the shell goes on.
    let daemon = "$(setsid sh -c 'echo $$; exec >&-; kill -STOP $$' &)";
    let mut bench = Bench::script(&format!("daemon={daemon}; sleep 1000 & echo $! $daemon"));
    let pids = bench.answer(Task::Health).unwrap();
    bench.settle();
    assert_eq!(pids.split(' ').count(), 2);
    assert!(pids.split(' ').all(is_dead), "{pids}");
}

#[test]
fn a_command_that_is_given_up_is_killed_with_all_that_it_has_started() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("pids");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    let script = format!(
        "trap '' TERM; exec 9>{}; echo $$ >&9; setsid sh -c 'trap \"\" TERM; echo $$ >&9; sleep 1000' & wait",
        fifo.display()
    );
    let mut bench = Bench::script(&script);
    let (task, _) = bench.begin(Task::Health);
    let lines = BufReader::new(File::open(&fifo).unwrap()).lines();
    let pids: Vec<String> = lines.take(2).map(|line| line.unwrap()).collect();
    bench.tasks.abandon(task, &mut bench.runs);
    bench.tasks.abandon(task, &mut bench.runs);
    bench.settle();
    assert!(pids.iter().all(|pid| is_dead(pid)), "{pids:?}");
}

#[test]
fn a_command_is_no_part_of_the_run_that_it_is_for() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("ready");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    let mut bench = Bench::script(&format!("echo > {}; exec sleep 1000", fifo.display()));
    bench.start_component("exit 0");
    bench.begin(Task::Health);
    fs::read(&fifo).unwrap();
    bench.wait_for_end();
    assert_eq!(bench.looks, [Look::Gone], "the command lives, and nothing of the run was found");
}

#[test]
fn a_port_that_takes_connections_is_told_from_one_that_does_not() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let tcp = |host: &str, port| Bench::probing(Probe::Tcp { host: host.to_owned(), port });
    for host in ["127.0.0.1", "localhost", "LOCALHOST"] {
        assert_eq!(tcp(host, port).answer(Task::Health).as_deref(), Ok("connected"), "{host}");
    }
    drop(listener);
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        let refused = Err("connection refused".to_owned());
        assert_eq!(tcp(host, port).answer(Task::Health), refused, "{host}");
    }
}

#[test]
fn a_connection_that_takes_its_time_is_waited_for() {
    use rustix::net::{AddressFamily, SocketType, bind, listen, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    // There is room for one who waits to be accepted, and that is taken: the next has to ask again, a second later.
    listen(&socket, 0).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let first = std::net::TcpStream::connect(address).unwrap();
    readable(listener.as_fd());
    let mut bench = Bench::probing(Probe::Tcp { host: address.ip().to_string(), port: address.port() });
    let (_, at_once) = bench.begin(Task::Health);
    assert!(at_once.is_none());
    listener.accept().unwrap();
    drop(first);
    let inputs = bench.next_inputs();
    assert!(matches!(&inputs[..], [Input::Finished { result: Ok(_), .. }]), "{inputs:?}");
}

#[test]
fn a_name_is_looked_up_beside_the_driver() {
    // Too long for any name service to be asked.
    let host = format!("{}.invalid", "x".repeat(70));
    let mut bench = Bench::probing(Probe::Tcp { host: host.clone(), port: 1 });
    let (task, at_once) = bench.begin(Task::Health);
    assert!(at_once.is_none());
    // What was given up is not answered any more.
    bench.tasks.abandon(task, &mut bench.runs);
    let why = bench.answer(Task::Health).unwrap_err();
    assert!(why.starts_with(&format!("cannot look up {host:?}: ")), "{why}");
}

#[test]
fn readiness_is_probed_too() {
    let mut bench = Bench::new();
    let when = ReadyWhen::Probed(Probe::Exec(shell("echo ready")));
    bench.spec.readiness = Some(Readiness { when, timeout: Duration::from_secs(1) });
    assert_eq!(bench.answer(Task::Readiness).as_deref(), Ok("ready"));
}

/// Does with a question what the test wants.
struct Puppet<F>(F);

impl<F> std::fmt::Debug for Puppet<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Puppet")
    }
}

impl<F: Fn(HttpQuestion, ProbeAnswer) + Send + Sync> Prober for Puppet<F> {
    fn probe(&self, question: HttpQuestion, answer: ProbeAnswer) {
        (self.0)(question, answer);
    }
}

fn http(prober: impl Fn(HttpQuestion, ProbeAnswer) + Send + Sync + 'static) -> Bench {
    let mut bench = Bench::with(Some(Arc::new(Puppet(prober))), None);
    bench.probe_with(Probe::Http { url: "http://localhost/is".to_owned(), status: 200..=399 });
    bench
}

#[test]
fn http_is_asked_by_the_hosts_prober() {
    let mut bench = http(|question, answer| {
        assert_eq!((question.url.as_str(), question.status), ("http://localhost/is", 200..=399));
        answer.give(Ok("200 OK\n".to_owned()));
    });
    assert_eq!(bench.answer(Task::Health).as_deref(), Ok("200 OK"));
    let mut bench = http(|_, answer| answer.give(Err("503".to_owned())));
    assert_eq!(bench.answer(Task::Health), Err("503".to_owned()));

    let probe = bench.spec.health.take().unwrap().probe;
    let none = Bench::probing(probe).answer(Task::Health);
    assert_eq!(none, Err("no prober: this supervisor speaks no HTTP".to_owned()));
}

#[test]
fn what_a_prober_could_not_ask_or_drops_or_breaks_over_is_no_failure_of_the_component() {
    let why = |mut bench: Bench| match bench.come_of(Task::Health) {
        Input::NotBegun { why, .. } => why.to_string(),
        other => panic!("{other:?}"),
    };
    let silent = "the prober gave no answer";
    assert_eq!(why(http(|_, answer| answer.cannot_ask("too many wait"))), "too many wait");
    assert_eq!(why(http(|_, _| ())), silent);
    // The panic is told on standard error, as panics are.
    assert_eq!(why(http(|_, _| panic!("a test wants it so"))), silent);
    let no_more = |_, answer: ProbeAnswer| answer.fail(&io::Error::from_raw_os_error(libc::ENFILE));
    assert_eq!(why(http(no_more)), "too many open files in system (raise fs.file-max of the system)");
    let refused = |_, answer: ProbeAnswer| answer.fail(&io::Error::from_raw_os_error(libc::ECONNREFUSED));
    assert_eq!(http(refused).answer(Task::Health), Err("connection refused".to_owned()));
}

#[test]
fn a_prober_hears_that_its_answer_is_not_wanted_any_more() {
    let (sender, asked) = bounded(1);
    let mut bench = http(move |_, answer| sender.send(answer).unwrap());
    let (task, _) = bench.begin(Task::Health);
    let answer: ProbeAnswer = asked.recv().unwrap();
    let (told, heard) = bounded(2);
    let again = told.clone();
    answer.when_abandoned(move || told.send("abandoned").unwrap());
    assert!(!answer.is_abandoned() && heard.is_empty());
    bench.tasks.abandon(task, &mut bench.runs);
    assert!(answer.is_abandoned());
    answer.when_abandoned(move || again.send("at once").unwrap());
    assert_eq!(heard.iter().collect::<Vec<_>>(), ["abandoned", "at once"]);
    answer.give(Ok("too late".to_owned()));
    assert!(bench.queue.is_empty());
}

#[expect(clippy::disallowed_methods, reason = "a deadline that only a fault reaches")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

fn evidence(script: &str) -> (tempfile::TempDir, Bench) {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::with(None, Some(folder.path().join("state")));
    bench.spec.evidence = vec![step("exit 9"), step(script)];
    (folder, bench)
}

#[test]
fn evidence_is_kept_whole_and_the_answer_says_where() {
    let (folder, mut bench) = evidence("seq 1000; exit 3");
    let answer = bench.answer(Task::Evidence(1)).unwrap_err();
    let path = answer.strip_prefix("exit code 3: 1000; all of it is in ").unwrap();
    assert!(path.starts_with(folder.path().join("state/evidence/ps-run3-2-").to_str().unwrap()), "{path}");
    let numbers: Vec<String> = (1..=1000).map(|number| number.to_string()).collect();
    assert_eq!(fs::read_to_string(path).unwrap().lines().collect::<Vec<_>>(), numbers);
}

#[test]
fn evidence_without_end_is_cut() {
    let (_folder, mut bench) = evidence("head -c 3000000 /dev/zero");
    let answer = bench.answer(Task::Evidence(1)).unwrap();
    let path = answer.split_once("all of it is in ").unwrap().1;
    let text = fs::read(path).unwrap();
    let cut = 3_000_000 - (1 << 20);
    assert_eq!(text[1 << 20..], *format!("\n[{cut} more bytes were not stored]\n").as_bytes());
}

#[test]
fn evidence_that_cannot_be_kept_is_evidence_nevertheless() {
    let (folder, mut bench) = evidence("echo all well");
    symlink(folder.path().join("nowhere"), folder.path().join("state")).unwrap();
    let answer = bench.answer(Task::Evidence(1)).unwrap();
    assert!(answer.starts_with("all well; cannot open the folder "), "{answer}");
    // Without a folder for state, and for other tasks, nothing is kept at all.
    let mut bench = Bench::new();
    bench.spec.evidence = vec![step("echo thread dump")];
    assert_eq!(bench.answer(Task::Evidence(0)).as_deref(), Ok("thread dump"));
}

#[test]
fn what_evidence_that_was_given_up_had_said_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("ready");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    let mut bench = Bench::with(None, Some(folder.path().into()));
    bench.spec.evidence = vec![step(&format!("echo half of it; echo > {}; exec sleep 1000", fifo.display()))];
    let (task, _) = bench.begin(Task::Evidence(0));
    fs::read(&fifo).unwrap();
    bench.tasks.abandon(task, &mut bench.runs);
    let kept = || {
        let file = fs::read_dir(folder.path().join("evidence")).ok()?.next()?.ok()?;
        fs::read_to_string(file.path()).ok()
    };
    drop(bench);
    // A thread that is halted is not waited for any longer than for one that hangs.
    let deadline = now() + Duration::from_secs(90);
    while kept().as_deref() != Some("half of it\n") {
        assert!(now() < deadline, "{:?}", kept());
        std::thread::yield_now();
    }
}

#[test]
fn the_memory_of_a_run_is_measured_once_at_a_time() {
    let mut bench = Bench::new();
    bench.measuring.begin(RUN, &bench.runs);
    bench.start_component("exec sleep 1000");
    bench.measuring.begin(RUN, &bench.runs);
    bench.measuring.begin(RUN, &bench.runs);
    // A program that has only just begun has no memory yet.
    while bench.measured() == 0 {
        bench.measuring.begin(RUN, &bench.runs);
    }
    bench.measuring.begin(RUN, &bench.runs);
    bench.measured();
    assert!(bench.queue.is_empty());
}
