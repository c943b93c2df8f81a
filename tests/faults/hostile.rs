//! Surroundings that are against us: what others have planted, and what components and operators do.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;

use crate::ground::{
    Supervisor, alone, can_try, component, family, few_or_all, numbered_lines, output, plain, recorded,
    some_time, status,
};
use crate::house::{House, PROGRAM, code, kill, server, stderr, stdout};

/// Everything that is written in `temp`, and what is written beside it for a moment.
const IN_TEMP: [&str; 10] = [
    "s7supervisor.lock",
    "s7supervisor.pid",
    "s7supervisor.pid.new",
    "s7supervisor.sock",
    "journal.jsonl",
    "journal.1.jsonl",
    "runs",
    "output",
    "evidence",
    "notify",
];

fn make_folder(path: &Path, mode: u32) {
    fs::create_dir(path).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

fn make_fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

/// A component that has evidence taken, whose output is kept, and that ends with everything that was planted in place.
fn uses_everything() -> String {
    let evidence = "<argument>/bin/echo</argument><argument>evidence</argument>";
    let health = "<argument>/bin/false</argument>";
    let elements = format!(
        "<health interval=\"0.05s\" failures=\"1\"><exec>{health}</exec></health><evidence><exec>{evidence}</exec></evidence>"
    );
    plain("sick", "--print hello", &elements) + &plain("well", "--print hello", "")
}

/// A supervisor either refuses to start at once, or answers; it never hangs. Whether it answers.
fn refuses_or_answers(supervisor: &Supervisor<'_>) -> bool {
    for _ in 0..600 {
        if status(supervisor.house)["supervisor"]["pid"] == supervisor.pid() {
            return true;
        }
        if supervisor.ends_within(Duration::from_millis(50)) {
            return false;
        }
    }
    panic!("it neither ends nor answers: {}", supervisor.said());
}

#[test]
fn a_temp_folder_that_others_may_write_to_or_that_is_a_link_is_refused() {
    let house = House::with(&plain("a", "", ""));
    make_folder(&house.path("temp"), 0o777);
    assert_eq!(Supervisor::begin(&house).end(), 1);
    fs::remove_dir(house.path("temp")).unwrap();
    make_folder(&house.path("real"), 0o700);
    symlink(house.path("real"), house.path("temp")).unwrap();
    assert_eq!(Supervisor::begin(&house).end(), 1);
    assert_eq!(fs::read_dir(house.path("real")).unwrap().count(), 0);
    fs::remove_file(house.path("temp")).unwrap();
    house.assert_nothing_lives();
}

#[test]
fn no_link_that_was_planted_where_something_is_written_is_followed() {
    for name in IN_TEMP.map(|name| format!("temp/{name}")).into_iter().chain(log_names()) {
        for is_folder in [false, true] {
            let house = House::with(&uses_everything());
            make_folder(&house.path("temp"), 0o700);
            make_folder(&house.path("logs"), 0o750);
            make_folder(&house.path("victims"), 0o755);
            fs::write(house.path("victims/file"), "untouched").unwrap();
            let victim = if is_folder { "victims" } else { "victims/file" };
            symlink(house.path(victim), house.path(&name)).unwrap();
            let supervisor = Supervisor::begin(&house);
            if refuses_or_answers(&supervisor) {
                supervisor.until(|house| {
                    component(house, "sick")["restarts"].as_u64() > Some(0)
                        && component(house, "well")["state"] == "up"
                });
                supervisor.stop();
            } else {
                assert_eq!(supervisor.end(), 1, "{name}");
            }
            let there: Vec<_> = fs::read_dir(house.path("victims")).unwrap().collect();
            assert_eq!(there.len(), 1, "{name}: {there:?}");
            assert_eq!(fs::read(house.path("victims/file")).unwrap(), b"untouched", "{name}");
            assert_eq!(mode(&house.path("victims")), 0o755, "{name}");
            house.assert_nothing_lives();
        }
    }
}

/// The logs as they are called today, and tomorrow, should that begin meanwhile.
fn log_names() -> impl Iterator<Item = String> {
    let date = |day: &str| {
        let date = Command::new("date").args(["-d", day, "+%Y-%m-%d"]).output().unwrap().stdout;
        String::from_utf8(date).unwrap().trim().to_owned()
    };
    let today = date("today");
    [".Supervisor.lock".to_owned(), format!("Supervisor-{today}.log"), format!("well-{today}.log")]
        .map(|name| format!("logs/{name}"))
        .into_iter()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn pipes_and_sockets_that_others_have_put_where_something_is_written_hold_nobody_up() {
    let names = IN_TEMP.map(|name| format!("temp/{name}")).into_iter().chain(log_names());
    for name in names {
        for is_socket in [false, true] {
            let house = House::with(&uses_everything());
            make_folder(&house.path("temp"), 0o700);
            make_folder(&house.path("logs"), 0o750);
            let path = house.path(&name);
            let _squatter = is_socket.then(|| UnixListener::bind(&path).unwrap());
            if !is_socket {
                make_fifo(&path);
            }
            if rustix::process::geteuid().is_root() {
                chown(&path, Some(65534), Some(65534)).unwrap();
            }
            let supervisor = Supervisor::begin(&house);
            if refuses_or_answers(&supervisor) {
                supervisor.until_up(["well"]);
                supervisor.stop();
            } else {
                assert_eq!(supervisor.end(), 1, "{name}");
                let said = fs::read_to_string(house.path("said")).unwrap();
                let file = path.file_name().unwrap().to_str().unwrap();
                assert!(said.contains(file), "{name}: {said}");
            }
            house.assert_nothing_lives();
        }
    }
}

#[test]
fn a_stale_lock_pid_and_socket_harm_neither_the_next_start_nor_whoever_has_that_pid_now() {
    let house = House::with(&plain("a", "", ""));
    let supervisor = Supervisor::run(&house);
    supervisor.until_up(["a"]);
    supervisor.kill();
    let mut stranger = Command::new("sleep").arg("3600").spawn().unwrap();
    let pid = stranger.id();
    fs::write(house.path("temp/s7supervisor.pid"), format!("{pid}\n")).unwrap();
    let lock = format!(r#"{{"pid":{pid},"registry":"/conf/SupervisorRegistry.xml","background":true}}"#);
    fs::write(house.path("temp/s7supervisor.lock"), lock).unwrap();
    assert_eq!(code(&house.s7(&["status"])), 3);
    assert_eq!(code(&house.s7(&["stop"])), 0, "nobody is there");
    assert!(fs::metadata(house.path("temp/s7supervisor.sock")).unwrap().file_type().is_socket());
    let supervisor = Supervisor::run(&house);
    supervisor.until_up(["a"]);
    supervisor.stop();
    assert!(stranger.try_wait().unwrap().is_none(), "it has been taken for the supervisor");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn of_many_supervisors_that_begin_at_once_one_stays_and_no_component_runs_twice() {
    for _ in 0..few_or_all(3, 20) {
        let house = House::with(&(alone("a", "", "") + &alone("b", "", "")));
        let many: Vec<_> = (0..8).map(|_| Supervisor::begin(&house)).collect();
        let is_first = |supervisor: &Supervisor<'_>| status(&house)["supervisor"]["pid"] == supervisor.pid();
        house.until(|| many.iter().any(is_first));
        let (mut first, others): (Vec<_>, Vec<_>) = many.into_iter().partition(is_first);
        for other in others {
            assert_eq!(other.end(), 1);
        }
        let first = first.pop().unwrap();
        first.until_up(["a", "b"]);
        first.stop();
        assert!(!house.path("doubled").exists());
    }
}

#[test]
fn a_wall_clock_that_jumps_by_years_either_way_changes_nothing() {
    if !can_try_clock() {
        return;
    }
    let quick = "<restart delay=\"0.2s\" maxDelay=\"0.2s\"/><startDelay>0.1</startDelay>";
    let house = House::with(&(plain("a", "--flood --rate 1000", quick) + &plain("b", "", quick)));
    let shim = house.path("clock.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/faults/clock.c");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&shim).arg(source).status().unwrap();
    assert!(built.success());
    let offset = house.path("offset");
    let jump = |years: i64| fs::write(&offset, (years * 365 * 86_400).to_le_bytes()).unwrap();
    jump(0);
    let begin = |house| {
        let mut command = House::command(house, PROGRAM);
        command.env("LD_PRELOAD", &shim).env("CLOCK_OFFSET", &offset);
        let supervisor = Supervisor::begin_with(house, &mut command, &[]);
        supervisor.until_it_answers();
        supervisor
    };
    let mut supervisor = begin(&house);
    let [a, _] = supervisor.until_up(["a", "b"]);
    for (round, years) in [20, -30, 0].into_iter().enumerate() {
        let uptime = component(&house, "a")["uptime"].as_f64().unwrap();
        jump(years);
        let [b] = supervisor.until_up(["b"]);
        kill(b, Signal::KILL);
        // It is restarted as soon as ever.
        supervisor.until(|house| component(house, "b")["restarts"] == round + 1);
        supervisor.until(|house| recorded(house, "b")["restarts"] == round + 1);
        let now = component(&house, "a");
        let passed = now["uptime"].as_f64().unwrap() - uptime;
        assert!((0.0..60.0).contains(&passed), "its uptime has jumped by {passed} s");
        assert_eq!((&now["pid"], &now["restarts"]), (&a.into(), &0.into()));
        let date = supervisor_log_years(&house);
        assert!(date.len() > round.min(1), "the jump was not noticed at all: {date:?}");
        supervisor.kill();
        supervisor = begin(&house);
        assert_eq!(supervisor.until_up(["a", "b"])[0], a);
    }
    supervisor.stop();
    house.assert_nothing_lives();
}

fn can_try_clock() -> bool {
    if Command::new("cc").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return true;
    }
    can_try("a wall clock that jumps", &["cc"])
}

/// The years of the supervisor's logs, by their names.
fn supervisor_log_years(house: &House) -> Vec<String> {
    let names = fs::read_dir(house.path("logs")).unwrap().map(|file| file.unwrap().file_name());
    let year = |name: String| Some(name.strip_prefix("Supervisor-")?.get(..4)?.to_owned());
    let mut years: Vec<_> = names.filter_map(|name| year(name.into_string().unwrap())).collect();
    years.sort();
    years.dedup();
    years
}

#[test]
fn a_supervisor_that_was_halted_hears_what_was_said_before_it_judges_and_makes_up_for_what_has_happened() {
    // It is found by its house's name, should the test fail.
    let this = std::env::current_exe().unwrap();
    let beats =
        format!("exec {} --ignored --exact hostile::beats --skip FOLDER/beats/stand-in", this.display());
    let beats = server("beats", &beats, "<watchdog timeout=\"4s\"/>");
    let house =
        House::with(&(plain("dies", "", "<restart delay=\"0\"/>") + &plain("lives", "", "") + &beats));
    let supervisor = Supervisor::run(&house);
    let [mut dies, lives, beats] = supervisor.until_up(["dies", "lives", "beats"]);
    for round in 1..=few_or_all(2, 50) {
        assert!(!supervisor.ends_within(some_time(150)));
        supervisor.signal(Signal::STOP);
        kill(dies, Signal::KILL);
        // Longer than the watchdog waits.
        assert!(!supervisor.ends_within(Duration::from_millis(4500)));
        supervisor.signal(Signal::CONT);
        supervisor.until(|house| component(house, "dies")["restarts"] == round);
        let [again, still, beating] = supervisor.until_up(["dies", "lives", "beats"]);
        assert!(again != dies && still == lives);
        assert_eq!(beating, beats, "in round {round}: {}", stdout(&house.s7(&["why", "beats"])));
        dies = again;
    }
    supervisor.stop();
}

/// Says ten times a second that it lives. It waits for no answer: what is said while nobody hears it is kept or, if it is much,
/// refused. It starts no process for that, which might take its time.
#[test]
#[ignore = "a component"]
fn beats() {
    let socket = UnixDatagram::unbound().unwrap();
    socket.set_nonblocking(true).unwrap();
    let address = std::env::var_os("NOTIFY_SOCKET").unwrap();
    loop {
        let _refused = socket.send_to(b"WATCHDOG=1", &address);
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn components_that_flood_or_close_their_output_hold_up_neither_us_nor_others() {
    let closes = server("closes", "exec &gt;&amp;- 2&gt;&amp;-; exec sleep 3600", "");
    let limited = "<output maxSize=\"1m\" keep=\"1\"/>";
    let floods: String = ["one", "two"].map(|id| plain(id, "--flood", limited)).concat();
    let house = House::with(&(floods + &closes + &plain("steady", "--flood --rate 100", "")));
    let supervisor = Supervisor::run(&house);
    let before = supervisor.until_up(["one", "two", "closes", "steady"]);
    let restarted = house.s7(&["restart", "one", "--timeout", "60"]);
    assert_eq!(code(&restarted), 0, "{}", stderr(&restarted));
    supervisor.until(|house| output(house, "steady").lines().count() > 100);
    let after = supervisor.until_up(["one", "two", "closes", "steady"]);
    assert_eq!(before[1..], after[1..]);
    supervisor.stop();
    house.assert_nothing_lives();
    numbered_lines(&house, "steady");
}

#[test]
fn what_a_stranger_says_in_a_components_name_is_not_believed() {
    if !can_try("what a stranger says", &[]) {
        return;
    }
    let script = "echo \"$NOTIFY_SOCKET\" &gt; FOLDER/address.new; mv FOLDER/address.new FOLDER/address; \
                  echo victim $$ &gt; BELL; exec sleep 3600";
    let house = House::with(&server("victim", script, "<readiness timeout=\"60s\"><notify/></readiness>"));
    let supervisor = Supervisor::run(&house);
    house.bell("victim");
    let address = PathBuf::from(fs::read_to_string(house.path("address")).unwrap().trim());
    let ours = address.clone();
    // Of this thread alone.
    let stranger = std::thread::spawn(move || {
        rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(54_321)).unwrap();
        let socket = UnixDatagram::unbound().unwrap();
        for forged in ["READY=1\nSTATUS=forged", "MAINPID=1", "STOPPING=1"] {
            // Refused by the kernel or by us: both will do.
            let _ = socket.send_to(forged.as_bytes(), &address);
        }
    });
    stranger.join().unwrap();
    let socket = UnixDatagram::unbound().unwrap();
    socket.send_to(b"STATUS=true", &ours).unwrap();
    supervisor.until(|house| component(house, "victim")["note"] == "true");
    assert_eq!(component(&house, "victim")["state"], "starting");
    supervisor.stop();
}

#[test]
fn a_script_with_an_interpreter_that_does_not_exist_is_told_as_such_and_ends_nothing() {
    let script = "<server id=\"script\"><executable>FOLDER/script</executable></server>";
    let house = House::with(&(script.to_owned() + &plain("other", "", "")));
    house.write_executable("script", b"#!/no/such/interpreter\n");
    let supervisor = Supervisor::run(&house);
    supervisor.until_up(["other"]);
    supervisor.until(|house| component(house, "script")["state"].as_str() == Some("backoff"));
    let told = component(&house, "script")["lastExit"].to_string();
    assert!(told.contains("/no/such/interpreter"), "{told}");
    supervisor.stop();
}

#[test]
fn a_storm_of_signals_in_the_middle_of_starting_leaves_nothing_behind() {
    let servers: String = (1..=8).map(|n| plain(&format!("s{n}"), "--fork-children 1", "")).collect();
    let house = House::with(&servers);
    for round in 0..few_or_all(6, 100) {
        let supervisor = Supervisor::begin(&house);
        for signal in [Signal::HUP, Signal::USR1, Signal::HUP, Signal::TERM, Signal::HUP, Signal::TERM] {
            if supervisor.ends_within(some_time(60)) {
                break;
            }
            // Before it listens to signals, the first ends it; it has started nothing by then.
            for _ in 0..20 {
                supervisor.signal(signal);
            }
        }
        let ended = supervisor.end();
        assert!([0, 11, 128 + 1, 128 + 10, 128 + 15].contains(&ended), "round {round}: {ended}");
        house.assert_nothing_lives();
    }
}

#[test]
fn records_and_pipes_that_somebody_removes_are_made_again() {
    let house = House::with(&(alone("a", "", "") + &alone("b", "", "") + &alone("c", "", "")));
    let supervisor = Supervisor::run(&house);
    let [a, b, _] = supervisor.until_up(["a", "b", "c"]);
    fs::remove_dir_all(house.path("temp/runs")).unwrap();
    fs::remove_dir_all(house.path("temp/output")).unwrap();
    // Whatever is written next finds out.
    assert_eq!(code(&house.s7(&["restart", "b"])), 0);
    assert_eq!(code(&house.s7(&["stop", "c"])), 0);
    let [_, b_again] = supervisor.until_up(["a", "b"]);
    assert_ne!(b_again, b);
    supervisor.until(|house| status(house)["supervisor"]["conditions"].as_array().unwrap().is_empty());
    supervisor.kill();
    let supervisor = Supervisor::run(&house);
    assert_eq!(supervisor.until_up(["a", "b"]), [a, b_again]);
    assert_eq!(component(&house, "c")["state"], "stopped");
    assert_eq!(family(&house, "c").len(), 0);
    assert!(!house.path("doubled").exists());
    supervisor.stop();
    house.assert_nothing_lives();
}
