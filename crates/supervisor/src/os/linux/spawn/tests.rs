use std::ffi::CString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::process::{DumpableBehavior, dumpable_behavior, geteuid};

use super::*;
use crate::os::fixture::{Component, GroupHandle, ROADS, readable};
use crate::{EventKind, Exit, Never, ProcessSpec, SpawnStep, Supervisor};

fn is_root() -> bool {
    let is_root = geteuid().is_root();
    if !is_root {
        eprintln!("skipped: it takes root");
    }
    is_root
}

/// A component that stops once it runs, with the values of lines of its `/proc/PID/status`.
struct Stopped {
    _started: crate::os::fixture::Started,
    status: String,
}

impl Stopped {
    fn new(change: impl FnOnce(&mut Component)) -> Self {
        let mut component = Component::shell("echo; kill -STOP $$");
        change(&mut component);
        let mut started = component.start();
        started.line();
        let status = fs::read_to_string(format!("/proc/{}/status", started.pid())).unwrap();
        Self { _started: started, status }
    }

    fn value(&self, name: &str) -> &str {
        self.status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim()
    }
}

#[test]
fn the_system_of_the_tests_has_the_best_road() {
    let mut pad = LaunchPad::new().unwrap();
    let started = Component::new("/bin/sleep", &["1000"]).try_start_from(&mut pad).unwrap();
    assert_eq!(pad.road, if cfg!(target_arch = "x86_64") { Road::Clone3 } else { Road::Clone });
    drop(started);
}

#[test]
fn a_pad_keeps_no_pipe_open_whether_the_program_runs_or_not() {
    for road in [Road::Clone3, Road::Clone] {
        let mut pad = LaunchPad::on_road(road);
        for (program, runs) in [("/bin/sleep", true), ("/does/not/exist", false)] {
            let mut component = Component::new(program, &["1000"]);
            component.ready = Some(3);
            let started = component.try_start_from(&mut pad);
            assert_eq!(started.is_ok(), runs);
            for descriptor in &pad.reserved[..4] {
                let path = fs::read_link(format!("/proc/self/fd/{}", descriptor.as_raw_fd())).unwrap();
                assert_eq!(path.to_str(), Some("/dev/null"));
            }
        }
    }
}

#[test]
fn a_start_changes_nothing_of_ours() {
    let ours = || {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let kept = |line: &&str| {
            let is_signals =
                line.starts_with("Sig") && !line.starts_with("SigQ") && !line.starts_with("SigPnd");
            is_signals || ["Uid:", "Gid:", "Groups:", "Umask:"].iter().any(|name| line.starts_with(name))
        };
        let folder = fs::read_link("/proc/self/cwd").unwrap();
        let limits = fs::read_to_string("/proc/self/limits").unwrap();
        let nice = rustix::process::getpriority_process(None).unwrap();
        (status.lines().filter(kept).map(str::to_owned).collect::<Vec<_>>(), folder, limits, nice)
    };
    let before = ours();
    for road in ROADS {
        for program in ["/bin/true", "/does/not/exist"] {
            let mut component = Component::new(program, &[]);
            component.road = road;
            component.spec.working_directory = Some("/usr".into());
            component.spec.umask = Some(0o077);
            component.spec.nice = Some(3);
            component.terms.open_files = Some(99);
            component.spec.user = is_root().then(|| "daemon".to_owned());
            drop(component.try_start());
            assert_eq!(ours(), before);
        }
    }
}

#[test]
fn all_of_a_components_ids_are_those_of_its_user() {
    if !is_root() {
        return;
    }
    for road in ROADS {
        let stopped = Stopped::new(|component| {
            component.road = road;
            component.spec.user = Some("nobody".to_owned());
            component.spec.group = Some("daemon".to_owned());
        });
        assert_eq!(stopped.value("Uid:"), "65534\t65534\t65534\t65534");
        assert_eq!(stopped.value("Gid:"), "1\t1\t1\t1");
        assert_eq!(stopped.value("Groups:"), "1");
        assert_eq!(stopped.value("CapEff:").trim_start_matches('0'), "");
    }
}

#[test]
fn nobody_looks_into_our_memory_while_a_child_of_another_user_lives_in_it_and_then_it_is_as_before() {
    if is_root() {
        let told = in_a_process_of_its_own("os::linux::spawn::tests::memory_that_nobody_looks_into", |_| ());
        assert!(told.status.success(), "{told:?}");
    }
}

#[test]
#[ignore = "begun by another test in a process of its own"]
fn memory_that_nobody_looks_into() {
    let before = dumpable_behavior().unwrap();
    assert_eq!(before, DumpableBehavior::Dumpable, "or this test shows nothing");
    let (one, other) = (Undumpable::new(), Undumpable::new());
    drop(one);
    assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
    drop(other);
    assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::Dumpable));
    let mut component = Component::new("/bin/true", &[]);
    component.spec.user = Some("daemon".to_owned());
    drop(component.start());
    assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::Dumpable));
}

#[test]
fn no_signal_is_ignored_or_blocked_in_a_component_whatever_we_do_with_it() {
    // In a process of its own, because what it ignores is that of all its threads.
    let name = "os::linux::spawn::tests::signals_of_a_host_that_ignores_them";
    let told = in_a_process_of_its_own(name, |_| ());
    assert!(told.status.success(), "{told:?}");
}

#[test]
#[ignore = "begun by another test in a process of its own"]
fn signals_of_a_host_that_ignores_them() {
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGUSR1, libc::SIGCHLD, 34, 64] {
        // SAFETY: what the kernel takes for "ignored". The C library would refuse two signals of its own.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, [1_u64, 0, 0, 0].as_ptr(), 0, 8) };
    }
    swap_signal_mask(&full_mask());
    for road in ROADS {
        let stopped = Stopped::new(|component| component.road = road);
        for name in ["SigBlk:", "SigIgn:"] {
            assert_eq!(u64::from_str_radix(stopped.value(name), 16), Ok(0), "{name} on {road:?}");
        }
    }
}

#[test]
fn a_component_begins_in_its_control_group() {
    let Some(group) = Group::new() else {
        eprintln!("skipped: no control group (version 2) can be made here");
        return;
    };
    for road in ROADS {
        let mut component = Component::shell("echo; exec sleep 1000");
        component.road = road;
        component.cgroup = Some(GroupHandle(File::open(&group.0).unwrap()));
        let mut started = component.start();
        started.line();
        let members = fs::read_to_string(group.0.join("cgroup.procs")).unwrap();
        assert_eq!(members.trim(), started.pid().to_string(), "{road:?}");
    }
    // A folder that is none is told as such.
    for road in ROADS {
        let mut component = Component::new("/bin/true", &[]);
        component.road = road;
        component.cgroup = Some(GroupHandle(File::open("/usr").unwrap()));
        let error = component.try_start().err().unwrap();
        assert_eq!(error.step, SpawnStep::ControlGroup, "{road:?}: {error}");
    }
}

#[test]
fn nothing_is_left_of_a_thousand_starts_that_fail() {
    let told = in_a_process_of_its_own("os::linux::spawn::tests::starts_that_fail", |_| ());
    assert!(told.status.success(), "{told:?}");
}

#[test]
#[ignore = "begun by another test in a process of its own"]
fn starts_that_fail() {
    type Change = fn(&mut ProcessSpec);
    let failures: [(Change, SpawnStep); 5] = [
        (|spec| spec.executable = "/does/not/exist".into(), SpawnStep::Executable),
        (|spec| spec.executable = "no-such-program".into(), SpawnStep::Executable),
        (|spec| spec.working_directory = Some("/does/not/exist".into()), SpawnStep::WorkingDirectory),
        (|spec| spec.nice = Some(-20), SpawnStep::Niceness),
        (|spec| spec.user = Some("daemon".to_owned()), SpawnStep::Groups),
    ];
    if is_root() {
        let nobody = rustix::process::Uid::from_raw(65_534);
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
    }
    let traces = || {
        let descriptors = fs::read_dir("/proc/self/fd").unwrap().count();
        let mappings = fs::read_to_string("/proc/self/maps").unwrap().lines().count();
        let children = fs::read_to_string("/proc/thread-self/children").unwrap();
        (descriptors, mappings, children)
    };
    for (road, count) in [(Road::Clone3, 1_000), (Road::Clone, 1_000), (Road::Std, 20)] {
        for (change, step) in failures {
            let fail = |count| {
                let mut pad = LaunchPad::on_road(road);
                for _ in 0..count {
                    let mut component = Component::new("/bin/true", &[]);
                    change(&mut component.spec);
                    assert_eq!(component.try_start_from(&mut pad).err().unwrap().step, step, "{road:?}");
                }
            };
            // The first makes the C library load what it looks for users with.
            fail(1);
            let before = traces();
            fail(count);
            let (descriptors, mappings, children) = traces();
            assert_eq!((descriptors, children.as_str()), (before.0, ""), "{step:?} on {road:?}");
            assert!(mappings <= before.1 + 2, "{step:?} on {road:?}: {} mappings, {mappings}", before.1);
        }
    }
}

#[test]
fn threads_that_start_at_once_do_not_disturb_each_other() {
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            scope.spawn(move || {
                let mut pad = LaunchPad::new().unwrap();
                for round in 0..50 {
                    let mut component = Component::shell("echo $MINE $(umask) $(id -u)");
                    let mine = format!("{thread}-{round}");
                    component.set("MINE", &mine);
                    component.spec.umask = Some(thread);
                    component.spec.user =
                        (thread % 2 == 1 && geteuid().is_root()).then(|| "daemon".to_owned());
                    let user = component.spec.user.as_ref().map_or(geteuid().as_raw(), |_| 1);
                    let mut started = component.try_start_from(&mut pad).unwrap();
                    assert_eq!(started.line(), format!("{mine} 000{thread} {user}"));
                }
            });
        }
    });
}

#[test]
fn where_clone3_is_refused_the_next_road_is_taken_and_kept_to() {
    for (refused, answers, road) in [
        ("clone3", &[libc::ENOSYS, libc::EPERM][..], Road::Clone),
        ("close_range", &[libc::ENOSYS][..], Road::Std),
    ] {
        for answer in answers {
            let told = in_a_process_of_its_own(
                "os::linux::spawn::tests::starts_where_a_call_is_refused",
                |command| {
                    command
                        .env("REFUSED", refused)
                        .env("ANSWER", answer.to_string())
                        .env("ROAD", format!("{road:?}"));
                },
            );
            assert!(told.status.success(), "{refused}, {answer}: {told:?}");
        }
    }
}

#[test]
#[ignore = "begun by another test in a process of its own"]
fn starts_where_a_call_is_refused() {
    let variable = |name| std::env::var(name).unwrap();
    let number = if variable("REFUSED") == "clone3" { libc::SYS_clone3 } else { libc::SYS_close_range };
    refuse(u32::try_from(number).unwrap(), variable("ANSWER").parse().unwrap());
    let mut pad = LaunchPad::new().unwrap();
    for _ in 0..2 {
        let mut component = Component::shell("umask; id -u");
        component.spec.umask = Some(0o027);
        component.spec.user = is_root().then(|| "daemon".to_owned());
        let mut started = component.try_start_from(&mut pad).unwrap();
        assert_eq!(started.line(), "0027");
        assert_eq!(format!("{:?}", pad.road), variable("ROAD"));
        let error = Component::new("/does/not/exist", &[]).try_start_from(&mut pad).err().unwrap();
        assert_eq!(error.to_string(), "cannot run: /does/not/exist: no such file");
    }
}

/// Has the kernel answer so to a system call of this process, for ever.
fn refuse(number: u32, errno: u32) {
    let statement =
        |code: u32, jt, jf, k| libc::sock_filter { code: u16::try_from(code).unwrap(), jt, jf, k };
    let mut filter = [
        // The number of the call is the first that the filter is given.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | errno),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
    // SAFETY: a filter of four statements, which is there during the calls.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program), 0);
    }
}

/// Runs one of the tests here, which only this one asks for.
fn in_a_process_of_its_own(
    name: &str,
    change: impl FnOnce(&mut std::process::Command),
) -> std::process::Output {
    #[expect(clippy::disallowed_methods, reason = "a test that changes the whole process has one of its own")]
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--include-ignored", "--test-threads=1"]);
    change(&mut command);
    command.output().unwrap()
}

/// A control group that goes with the test.
struct Group(PathBuf);

impl Group {
    fn new() -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let is_version_2 =
            |line: &&str| line.split(" - ").nth(1).is_some_and(|rest| rest.starts_with("cgroup2 "));
        let mount = mounts.lines().find(is_version_2)?.split(' ').nth(4)?;
        let folder = Path::new(mount).join(format!("s7-spawn-{}", std::process::id()));
        fs::create_dir(&folder).ok().map(|()| Self(folder))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// A file system that answers nothing; and once it is dropped, everything that waits for it fails.
struct Silent {
    _connection: File,
    folder: tempfile::TempDir,
}

impl Silent {
    fn new() -> Option<Self> {
        let connection = File::options().read(true).write(true).open("/dev/fuse").ok()?;
        // Beyond those that a child has until its exec: it would hold itself up.
        let connection = File::from(fcntl_dupfd_cloexec(connection, 500).ok()?);
        let folder = tempfile::tempdir().unwrap();
        let options =
            format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", connection.as_raw_fd());
        let [path, options] =
            [folder.path().to_str().unwrap(), &options].map(|text| CString::new(text).unwrap());
        // SAFETY: texts that end with null.
        let mounted = unsafe {
            libc::mount(c"silent".as_ptr(), path.as_ptr(), c"fuse".as_ptr(), 0, options.as_ptr().cast())
        };
        (mounted == 0).then_some(Self { _connection: connection, folder })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let path = CString::new(self.folder.path().to_str().unwrap()).unwrap();
        // SAFETY: a text that ends with null.
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    }
}

#[test]
fn a_file_system_that_hangs_holds_up_nobody() {
    for road in [Road::Clone3, Road::Clone] {
        let Some(silent) = Silent::new() else {
            eprintln!("skipped: it takes root, and FUSE");
            return;
        };
        let mut pad = LaunchPad::on_road(road);
        let mut on_its_way = |change: fn(&mut ProcessSpec, &Path)| {
            let mut component = Component::new("/bin/true", &[]);
            change(&mut component.spec, silent.folder.path());
            component.spec.user = Some("daemon".to_owned());
            let Spawned::OnItsWay { fledgling, over } = component.spawn_from(&mut pad).unwrap().0 else {
                panic!("it cannot have arrived")
            };
            assert!(!fledgling.has_landed());
            // Others go on meanwhile, from the same pad.
            let mut other = Component::shell("id -u");
            other.spec.user = Some("daemon".to_owned());
            assert_eq!(other.try_start_from(&mut pad).unwrap().line(), "1");
            (fledgling, over)
        };
        let (killed, killed_over) = on_its_way(|spec, folder| spec.executable = folder.join("program"));
        let (failing, failing_over) =
            on_its_way(|spec, folder| spec.working_directory = Some(folder.join("folder")));

        // What is killed is gone without having become anything.
        killed.process().kill();
        readable(killed_over.as_fd());
        assert!(killed.has_landed());
        let process = killed.outcome().unwrap();
        readable(process.as_fd());
        assert_eq!(process.reap(), Some(Exit::Signal { signal: libc::SIGKILL, core_dumped: false }));

        // What fails late tells so.
        drop(silent);
        readable(failing_over.as_fd());
        let why = failing.outcome().unwrap_err().explain();
        assert_eq!(why.step, SpawnStep::WorkingDirectory, "{why}");
    }
}

#[test]
fn a_supervisor_goes_on_while_a_component_lies_on_a_file_system_that_hangs() {
    let Some(silent) = Silent::new() else {
        eprintln!("skipped: it takes root, and FUSE");
        return;
    };
    let spec = |id: &str, program: &Path| {
        let mut spec = ProcessSpec::new(id, program).unwrap();
        spec.arguments = vec!["1000".into()];
        spec.autostart = false;
        spec.restart = std::sync::Arc::new(Never);
        spec
    };
    let (hung, well) = (spec("hung", &silent.folder.path().join("x")), spec("well", Path::new("/bin/sleep")));
    let mut builder = Supervisor::builder().components([hung, well]);
    let events = builder.subscribe();
    let supervisor = builder.start().unwrap();
    let handle = supervisor.handle();
    let pending = handle.start("hung").unwrap();
    for _ in 0..2 {
        handle.start("well").unwrap().wait().unwrap();
        assert_eq!(handle.status().unwrap().components[0].state.word(), "starting");
        handle.stop("well").unwrap().wait().unwrap();
    }
    drop(silent);
    pending.wait().unwrap();
    let why = events.iter().find_map(|event| match event.kind {
        EventKind::NotSpawned { error, .. } => Some(error),
        _ => None,
    });
    assert_eq!(why.unwrap().step, SpawnStep::Executable);
    handle.shutdown().unwrap();
    supervisor.wait().unwrap();
}
