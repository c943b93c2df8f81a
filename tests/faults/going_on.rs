//! What the next supervisor knows of the components that the one before has left.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;

use crate::ground::{Supervisor, component, ends_within, events, family, held, pid, plain, recorded};
use crate::house::{House, code, kill, server, stdout};

/// A component that ends with the code that is written to the FIFO `ID.end`.
fn ends_as_told(id: &str, elements: &str) -> String {
    let script = format!("echo {id} $$ &gt; BELL; read -r code &lt;FOLDER/{id}.end; exit $code");
    server(id, &script, elements)
}

fn make_fifo(house: &House, name: &str) {
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, house.path(name), rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

#[test]
fn the_exit_code_of_an_adopted_component_is_learnt_and_judged_by_its_rules() {
    let rules = "<restart delay=\"0\"><exit code=\"78\" action=\"giveUp\"/></restart>";
    let house = House::with(&(ends_as_told("a", "<restart delay=\"0\"/>") + &ends_as_told("b", rules)));
    make_fifo(&house, "a.end");
    make_fifo(&house, "b.end");
    let supervisor = Supervisor::run(&house);
    for id in ["a", "b"] {
        house.bell(id);
    }
    supervisor.kill();
    let supervisor = Supervisor::run(&house);
    supervisor.until_up(["a", "b"]);
    fs::write(house.path("a.end"), "7\n").unwrap();
    fs::write(house.path("b.end"), "78\n").unwrap();
    supervisor.until(|house| component(house, "b")["state"] == "failed");
    supervisor.until(|house| component(house, "a")["restarts"] == 1);
    house.bell("a");
    let last = component(&house, "a")["lastExit"].clone();
    assert_eq!(
        (&last["code"], &component(&house, "b")["lastExit"]["code"]),
        (&7.into(), &78.into()),
        "{last}"
    );
    supervisor.stop();
}

#[test]
fn what_dies_while_there_is_no_supervisor_is_told_so_and_restarted_once() {
    let house = House::with(&(plain("dies", "", "") + &plain("lives", "", "")));
    let supervisor = Supervisor::run(&house);
    let [dies, lives] = supervisor.until_up(["dies", "lives"]);
    supervisor.until_recorded(["dies", "lives"]);
    supervisor.kill();
    // Gone before anybody could adopt it.
    let dying = held(dies);
    kill(dies, Signal::KILL);
    assert!(ends_within(&dying, Duration::from_secs(60)));
    let supervisor = Supervisor::run(&house);
    supervisor.until(|house| component(house, "dies")["restarts"] == 1);
    let [again, still] = supervisor.until_up(["dies", "lives"]);
    assert!(again != dies && still == lives);
    assert_eq!(family(&house, "dies"), [again]);
    // The journal is written a moment after the status is told.
    for (id, kind) in [("dies", "endedUnattended"), ("lives", "adopted")] {
        supervisor.until(|house| events(house, id, kind).len() == 1);
    }
    assert_eq!(component(&house, "dies")["lastExit"]["signal"], "KILL");
}

#[test]
fn uptimes_restarts_and_what_has_tripped_go_on_from_one_supervisor_to_the_next() {
    let trips = "<restart delay=\"0\" maxDelay=\"0.01s\" max=\"2\" within=\"60s\" retryAfter=\"1h\"/>";
    let house = House::with(&(plain("trips", "--crash-after 0", trips) + &plain("lives", "", "")));
    let supervisor = Supervisor::run(&house);
    let [lives] = supervisor.until_up(["lives"]);
    kill(lives, Signal::KILL);
    supervisor.until(|house| component(house, "lives")["restarts"] == 1);
    supervisor.until_up(["lives"]);
    supervisor.until(|house| component(house, "trips")["state"] == "tripped");
    supervisor.until(|house| recorded(house, "trips")["life"]["Tripped"].is_object());
    supervisor.until(|house| recorded(house, "lives")["restarts"] == 1);
    let before = (component(&house, "trips"), component(&house, "lives"));
    supervisor.kill();

    let supervisor = Supervisor::run(&house);
    let after = (component(&house, "trips"), component(&house, "lives"));
    assert_eq!((&after.0["state"], &after.0["restarts"]), (&"tripped".into(), &before.0["restarts"]));
    assert!(after.0["nextTry"].as_f64() < before.0["nextTry"].as_f64(), "the rest goes on: {}", after.0);
    assert!(after.0["nextTry"].as_f64() > Some(3500.0), "{}", after.0);
    assert_eq!((&after.1["pid"], &after.1["restarts"]), (&before.1["pid"], &before.1["restarts"]));
    assert!(after.1["uptime"].as_f64() > before.1["uptime"].as_f64(), "{} {}", before.1, after.1);
    assert_eq!(code(&house.s7(&["status", "trips"])), 1);
    supervisor.stop();
    house.assert_nothing_lives();
}

#[test]
fn a_registry_that_changed_meanwhile_restarts_what_changed_stops_what_is_gone_and_starts_what_is_new() {
    let house = House::with(&(plain("same", "", "") + &plain("changed", "", "") + &plain("gone", "", "")));
    let supervisor = Supervisor::run(&house);
    let [same, changed, _] = supervisor.until_up(["same", "changed", "gone"]);
    supervisor.until_recorded(["same", "changed", "gone"]);
    supervisor.kill();
    house.write_registry(
        &(plain("same", "", "") + &plain("changed", "--print new", "") + &plain("new", "", "")),
    );
    let supervisor = Supervisor::run(&house);
    supervisor.until(|house| !family(house, "new").is_empty() && family(house, "gone").is_empty());
    supervisor.until(|house| !family(house, "changed").contains(&changed));
    let [still, other, _] = supervisor.until_up(["same", "changed", "new"]);
    assert!(still == same && other != changed);
    assert_eq!([family(&house, "same"), family(&house, "changed")], [[same], [other]]);
    assert_eq!(code(&house.s7(&["status"])), 0);
    let started = house.s7(&["start"]);
    assert_eq!(code(&started), 0);
    assert_eq!(pid(&house, "same"), same);
    assert!(stdout(&house.s7(&["why", "same"])).contains("same: up"));
}

#[test]
fn a_registry_that_is_broken_meanwhile_touches_nothing_until_it_is_mended() {
    let house = House::with(&plain("same", "", ""));
    let supervisor = Supervisor::run(&house);
    let [same] = supervisor.until_up(["same"]);
    supervisor.kill();
    house.write_registry("<server>");
    assert_eq!(Supervisor::begin(&house).end(), 2);
    assert_eq!(family(&house, "same"), [same]);
    house.write_registry(&plain("same", "", ""));
    let supervisor = Supervisor::run(&house);
    assert_eq!(supervisor.until_up(["same"]), [same]);
}

#[test]
fn what_is_said_by_sd_notify_is_refused_without_a_supervisor_and_heard_again_at_the_same_path_afterwards() {
    let script = "echo \"$NOTIFY_SOCKET\" &gt; FOLDER/address.new; mv FOLDER/address.new FOLDER/address; \
                  echo speaker $$ &gt; BELL; exec sleep 3600";
    let house = House::with(&server("speaker", script, "<readiness timeout=\"60s\"><notify/></readiness>"));
    let mut supervisor = Supervisor::run(&house);
    let its_pid = house.bell("speaker");
    let address = fs::read_to_string(house.path("address")).unwrap().trim().to_owned();
    for note in ["one", "two"] {
        // Nobody has to be connected, and nothing is to be opened again.
        let (unconnected, connected) = (UnixDatagram::unbound().unwrap(), UnixDatagram::unbound().unwrap());
        connected.connect(&address).unwrap();
        supervisor.kill();
        for _ in 0..2 {
            let refused = unconnected.send_to(b"READY=1", &address).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        }
        assert_eq!(connected.send(b"READY=1").unwrap_err().kind(), ErrorKind::ConnectionRefused);
        supervisor = Supervisor::run(&house);
        assert_eq!(component(&house, "speaker")["state"], "starting", "what was refused was not said");
        unconnected.send_to(format!("STATUS={note}").as_bytes(), &address).unwrap();
        supervisor.until(|house| component(house, "speaker")["note"] == note);
        assert!(connected.send(b"READY=1").is_err(), "a connection was one to the socket of before");
    }
    UnixDatagram::unbound().unwrap().send_to(b"READY=1", &address).unwrap();
    assert_eq!(supervisor.until_up(["speaker"]), [its_pid]);
    assert_eq!(component(&house, "speaker")["restarts"], 0);
    supervisor.stop();
}
