//! `examples/tomcat`: the documented registry, running nginx, a Java program and Apache Tomcat.
//!
//! The documented ports are fixed, so the test runs in a network of its own, which takes root. Where root or a package is
//! missing the test says so and passes; in CI (`CI` is set) it fails.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "the test starts programs and gives them deadlines")]

mod site;

use std::fs;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use site::{DEADLINE, Site, can_run, copy_folder, http, timeout};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/tomcat");

const FILES: [(&str, &str); 4] = [
    ("/usr/sbin/nginx", "package nginx-light"),
    ("/usr/bin/javac", "package default-jdk-headless"),
    ("/usr/share/tomcat10/bin/bootstrap.jar", "package tomcat10-common"),
    ("/usr/share/java/batik-all.jar", "package libbatik-java"),
];

#[test]
fn real_servers_answer_come_back_after_sigkill_and_stop_in_order() {
    if !can_run("examples/tomcat", &FILES) {
        return;
    }
    let mut example = Site::run(|folder| copy_folder(Path::new(EXAMPLE), folder));

    // Each of the three writes to its log once it listens.
    for id in ["is", "svg", "ps"] {
        example.wait_until(&format!("{id}-"), |example| answers(example, id));
    }
    for id in ["is", "svg", "ps"] {
        let mut before = example.pids();
        let killed = before[id];
        kill_process(killed, Signal::KILL).expect("it lives");
        let is_new = |pid: &Pid| *pid != killed;
        example.wait_until(&format!("{id}-"), |example| {
            example.pids().get(id).is_some_and(is_new) && answers(example, id)
        });
        let mut after = example.pids();
        for pids in [&mut before, &mut after] {
            pids.remove(id);
        }
        assert_eq!(after, before, "{id} was killed, and another has a new pid");
    }
    for component in example.status() {
        assert_eq!(component["restarts"], 1, "{component}");
    }

    let pids = example.pids();
    let [is, svg, ps] =
        ["is", "svg", "ps"].map(|id| pidfd_open(pids[id], PidfdFlags::empty()).expect("it lives"));
    example.stop(|example| {
        // The kernel looks at them in this order: where it finds `is` or `svg` ended, it has yet to look at `ps`.
        let mut ends = [&is, &svg, &ps].map(|process| PollFd::new(process, PollFlags::IN));
        let ended = poll(&mut ends, Some(&timeout(DEADLINE))).expect("they can be polled");
        assert_ne!(ended, 0, "nothing ends; the logs are\n{}", example.logs());
        assert!(!ends[2].revents().is_empty(), "another ended before ps, which started last");
    });
}

/// Whether the component does its work.
fn answers(example: &Site, id: &str) -> bool {
    let image = |name: &str| fs::read(example.path("images").join(name)).expect("the example has it");
    let answer = match id {
        "is" => http(27345, "GET /sample.png", &[]),
        "svg" => http(27346, "POST /", &image("sample.svg")),
        _ => http(8080, "GET /", &[]),
    };
    let Ok(answer) = answer else { return false };
    answer.starts_with(b"HTTP/1.1 200")
        && match id {
            "is" => answer.ends_with(&image("sample.png")),
            "svg" => contains(&answer, b"\r\n\r\n\x89PNG\r\n\x1a\n"),
            // The Platform Server has asked the other two.
            _ => contains(&answer, b"data:image/png;base64,iVBOR"),
        }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
