//! `examples/services`: PostgreSQL, Redis and nginx of Debian.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::site::{Site, can_run, copy_folder, http};
use crate::story::{Story, component, is_up};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/services");

const FILES: [(&str, &str); 5] = [
    ("/usr/lib/postgresql/15/bin/postgres", "package postgresql-15"),
    ("/usr/bin/redis-server", "package redis-server"),
    ("/usr/bin/redis-cli", "package redis-tools"),
    ("/usr/sbin/nginx", "package nginx-light"),
    ("/usr/bin/setpriv", "package util-linux"),
];

/// The example, once all of it is up.
fn example() -> Option<Site> {
    can_run("examples/services", &FILES).then(|| {
        let site = Site::run(|folder| copy_folder(Path::new(EXAMPLE), folder));
        site.wait_until("journal", |site| is_up(site, "nginx", 0));
        site
    })
}

#[test]
fn each_server_starts_when_what_it_needs_is_ready_and_stops_before_it() {
    let Some(mut site) = example() else { return };
    assert_eq!(component(&site, "cluster")["state"], "completed");
    for id in ["postgres", "redis"] {
        assert!(is_up(&site, id, 0), "{}", component(&site, id));
    }
    let page = http(18080, "GET /", &[]).expect("nginx is ready");
    assert!(page.starts_with(b"HTTP/1.1 200"));
    assert_eq!(sql(&site, "SELECT 6 * 7"), "42");

    let story = Story::once(&site, "nginx", "started", 1);
    story.assert_order([("cluster", "completed"), ("postgres", "spawned"), ("postgres", "started")]);
    for needed in ["postgres", "redis"] {
        story.assert_order([
            (needed, "spawned"),
            (needed, "started"),
            ("nginx", "spawned"),
            ("nginx", "started"),
        ]);
    }

    site.stop(|_| {});
    let story = Story::of(&site);
    for needed in ["postgres", "redis"] {
        story.assert_order([
            ("nginx", "stopping"),
            ("nginx", "exited"),
            (needed, "stopping"),
            (needed, "exited"),
        ]);
    }
    for id in ["nginx", "postgres", "redis"] {
        assert_eq!(story.first(id, "exited")["exit"]["code"], 0, "{id} did not end in order");
    }
}

#[test]
fn a_redis_that_hangs_is_found_out_and_restarted_and_why_tells_the_story() {
    let Some(mut site) = example() else { return };
    let before = site.pids();
    kill_process(before["redis"], Signal::STOP).expect("it lives");
    site.wait_until("journal", |site| is_up(site, "redis", 1));

    let after = site.pids();
    assert_ne!(after["redis"], before["redis"]);
    for id in ["nginx", "postgres"] {
        assert_eq!(after[id], before[id], "{id} was restarted for what happened to redis");
    }
    let story = Story::once(&site, "redis", "started", 2);
    story.assert_order(["probeFailed", "judged", "facts", "step", "exited"].map(|event| ("redis", event)));

    let why: Value =
        serde_json::from_str(&site.ask(&["why", "redis", "--json"])).expect("it answers in JSON");
    assert_eq!(why["state"], "up");
    let causes = why["causes"].as_array().expect("a list");
    let newest: Vec<_> = causes.iter().map(|cause| &cause["event"]).take(3).collect();
    assert_eq!(newest, ["started", "exited", "judged"], "{why:#}");
    assert_eq!(causes[2]["fault"]["kind"], "unhealthy", "{why:#}");
    // What the kernel said of it, and what the registry's command found out.
    assert_eq!(why["lastRun"]["facts"]["state"], "T (stopped)", "{why:#}");
    assert!(why["lastRun"]["evidence"][0]["answer"].is_string(), "{why:#}");
    let mut evidence = fs::read_dir(site.path("temp/evidence")).expect("it was taken");
    let file = evidence.next().expect("it was written").expect("it can be read").path();
    let taken = fs::read_to_string(file).expect("it is text");
    assert!(taken.contains("State:\tT (stopped)"), "{taken}");
    site.stop(|_| {});
}

#[test]
fn a_database_that_is_killed_is_back_with_what_it_was_told() {
    let Some(mut site) = example() else { return };
    sql(&site, "CREATE TABLE kept AS SELECT 42 AS answer");
    let before = site.pids();
    kill_process(before["postgres"], Signal::KILL).expect("it lives");
    site.wait_until("journal", |site| is_up(site, "postgres", 1));

    assert_eq!(sql(&site, "SELECT answer FROM kept"), "42");
    let after = site.pids();
    assert_ne!(after["postgres"], before["postgres"]);
    for id in ["nginx", "redis"] {
        assert_eq!(after[id], before[id], "{id} was restarted for what happened to postgres");
    }
    site.stop(|_| {});
}

/// What the database answers.
fn sql(site: &Site, statement: &str) -> String {
    let output = Command::new("/usr/lib/postgresql/15/bin/psql")
        .args(["--host=127.0.0.1", "--port=15432", "--username=postgres", "--no-psqlrc"])
        .args(["--tuples-only", "--no-align", "--command", statement])
        .current_dir(site.path("."))
        .output()
        .expect("it starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}\nthe logs are\n{}", site.logs());
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
