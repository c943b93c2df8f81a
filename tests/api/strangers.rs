//! What another user of the machine can do: nothing; and the members of the group that reads: read.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use super::*;
use crate::house::{PROGRAM, code, stand_in, stderr, stdout};

/// Whom nothing here belongs to, and a group that it is in.
const STRANGER: u32 = 65_533;
const READERS: u32 = 64_999;

fn is_root(test: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        skip(test, "only root can become another user");
    }
    is_root
}

/// Runs this as the stranger, who is in these groups.
fn as_stranger(mut command: Command, groups: &[u32]) -> Output {
    // A program that everybody may execute.
    let groups: Vec<_> = groups.iter().map(ToString::to_string).collect();
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let program = command.get_program().to_owned();
    let folder = command.get_current_dir().map(ToOwned::to_owned);
    let environment: Vec<_> =
        command.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
    command = Command::new("setpriv");
    for (name, value) in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.args(["--reuid", &STRANGER.to_string(), "--regid", &STRANGER.to_string()]);
    match groups.as_slice() {
        [] => command.arg("--clear-groups"),
        groups => command.args(["--groups", &groups.join(",")]),
    };
    command.arg("--").arg(program).args(arguments).process_group(0);
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    command.output().unwrap()
}

/// A shell script as the stranger.
fn script(served: &Served, groups: &[u32], script: &str) -> Output {
    let mut command = served.house.command("/bin/sh");
    command.args(["-c", script]);
    as_stranger(command, groups)
}

/// A copy of the program where everybody finds it.
fn program_for_everybody(served: &Served) -> String {
    let copy = served.house.write_executable("s7supervisor", &fs::read(PROGRAM).unwrap());
    copy.to_str().unwrap().to_owned()
}

#[test]
fn another_user_can_do_nothing_by_socket_port_or_files() {
    if !is_root("what another user can do") {
        return;
    }
    let served = Served::with(&stand_in("ps", "", ""));
    served.house.open_to_everybody();
    let program = program_for_everybody(&served);
    served.house.start();
    served.until_listening();
    let before = served.house.pids_of(["ps"]);

    for arguments in [&["status"][..], &["stop"], &["stop", "ps"], &["events"], &["why", "ps"], &["upgrade"]]
    {
        let mut command = served.house.command(&program);
        command.args(arguments);
        let refused = as_stranger(command, &[]);
        assert_eq!(code(&refused), 4, "{arguments:?} {}{}", stdout(&refused), stderr(&refused));
    }
    // The folder keeps everything in it from being read, and written.
    let secrets = script(
        &served,
        &[],
        "ls temp; cat temp/* temp/*/* logs/*; : > temp/new; rm -rf temp; mv temp temp2; true",
    );
    let token = served.token();
    assert_eq!(stdout(&secrets), "");
    assert!(served.house.path("temp/s7supervisor.sock").exists());

    // By the port, what needs no token, and that tells no names.
    let port = served.port;
    let asked = script(
        &served,
        &[],
        &format!(
            "exec 3<>/dev/tcp/127.0.0.1/{port} 2>/dev/null || true; tr '\\0' ' ' < /proc/{}/cmdline; cat /proc/{0}/environ",
            served.house.supervisor_pid()
        ),
    );
    assert!(!stdout(&asked).contains(&token), "the token is in no argument");
    assert_eq!(ask(served.tcp().unwrap(), "GET /v1/status", "").unwrap().0, 401);
    let (status, health) = ask(served.tcp().unwrap(), "GET /readyz", "").unwrap();
    assert!(status == 200 && !health.contains("ps"), "{health}");

    // The secret stands in its file alone.
    let logs = fs::read_dir(served.house.path("logs")).unwrap().map(|entry| entry.unwrap().path());
    let temp = fs::read_dir(served.house.path("temp")).unwrap().map(|entry| entry.unwrap().path());
    for path in logs.chain(temp).filter(|path| path.is_file() && !path.ends_with("control-token")) {
        let text = fs::read(&path).unwrap();
        assert!(!String::from_utf8_lossy(&text).contains(&token), "{}", path.display());
    }
    let shown = served.house.s7(&["status", "--json"]);
    assert!(!stdout(&shown).contains(&token));
    let (_, registry) = ask(served.unix(), "GET /v1/registry", "").unwrap();
    assert!(registry.contains("\"ps\"") && !registry.contains(&token));
    assert_eq!(served.house.pids_of(["ps"]), before);
}

#[test]
fn what_others_have_planted_in_the_place_of_files_is_neither_followed_nor_believed() {
    let served = Served::with(&stand_in("ps", "", ""));
    let victim = served.house.path("victim");
    fs::write(&victim, "untouched").unwrap();
    fs::create_dir(served.house.path("temp")).unwrap();
    fs::set_permissions(served.house.path("temp"), PermissionsExt::from_mode(0o700)).unwrap();
    for name in ["control-token", "control-token.new", "s7supervisor.pid"] {
        symlink(&victim, served.house.path("temp").join(name)).unwrap();
    }
    served.house.start();
    served.until_listening();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    let found = fs::symlink_metadata(served.house.path("temp/control-token")).unwrap();
    assert!(found.is_file() && found.permissions().mode() & 0o7777 == 0o600);
    assert_eq!(served.by_tcp("GET /v1/status", "untouched"), Some(401));

    // A folder in which somebody else may plant is not used at all.
    let other = Served::with(&stand_in("ps", "", ""));
    fs::create_dir(other.house.path("temp")).unwrap();
    fs::set_permissions(other.house.path("temp"), PermissionsExt::from_mode(0o770)).unwrap();
    assert_eq!(code(&other.house.s7(&["run"])), 1);
    fs::set_permissions(other.house.path("temp"), PermissionsExt::from_mode(0o700)).unwrap();
    if rustix::process::geteuid().is_root() {
        chown(other.house.path("temp"), Some(STRANGER), None).unwrap();
        assert_eq!(code(&other.house.s7(&["run"])), 1);
    }
}

#[test]
fn the_group_reads_everything_and_changes_nothing() {
    if !is_root("what the group that reads can do") {
        return;
    }
    let served = Served::with(&stand_in("ps", "", ""));
    served.house.open_to_everybody();
    let program = program_for_everybody(&served);
    let started = served.house.s7(&["start", "--group", &READERS.to_string()]);
    assert_eq!(code(&started), 0, "{}", stderr(&started));
    let mode = |name: &str| fs::metadata(served.house.path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("temp"), mode("temp/s7supervisor.sock")), (0o710, 0o660));
    served.until_listening();

    let s7 = |groups: &[u32], arguments: &[&str]| {
        let mut command = served.house.command(&program);
        command.args(arguments);
        as_stranger(command, groups)
    };
    let status = s7(&[READERS], &["status"]);
    assert_eq!(code(&status), 0, "{}", stderr(&status));
    assert!(stdout(&status).contains("ps"));
    for arguments in [&["stop"][..], &["restart", "ps"], &["signal", "TERM", "ps"], &["tracelevel", "4"]] {
        let refused = s7(&[READERS], arguments);
        assert_eq!(code(&refused), 4, "{arguments:?} {}{}", stdout(&refused), stderr(&refused));
    }
    let files =
        script(&served, &[READERS], "ls temp; cat temp/control-token temp/journal.jsonl temp/runs/*; true");
    assert_eq!(stdout(&files), "");
    assert_eq!(code(&s7(&[], &["status"])), 4, "who is not in the group is a stranger");

    // However many of them wait, nobody else is kept out.
    let socket = served.house.path("temp/s7supervisor.sock");
    let waiting = std::thread::scope(|scope| {
        let connect = || {
            let group = rustix::process::Gid::from_raw(READERS);
            let user = rustix::process::Uid::from_raw(STRANGER);
            rustix::thread::set_thread_groups(&[group]).unwrap();
            rustix::thread::set_thread_res_uid(user, user, user).unwrap();
            let wait = |_| {
                let mut stream = UnixStream::connect(&socket).unwrap();
                stream.write_all(b"GET /v1/status?wait=stopped HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
                stream
            };
            (0..100).map(wait).collect::<Vec<_>>()
        };
        scope.spawn(connect).join().unwrap()
    });
    assert_eq!(code(&served.house.s7(&["status"])), 0);
    drop(waiting);

    // An upgrade changes nothing in that.
    let upgrade = served.house.s7(&["upgrade"]);
    assert_eq!(code(&upgrade), 0, "{}", stderr(&upgrade));
    assert_eq!(code(&s7(&[READERS], &["status"])), 0);
    assert_eq!(code(&s7(&[READERS], &["stop"])), 4);
    assert_eq!(code(&served.house.s7(&["status"])), 0);
}
