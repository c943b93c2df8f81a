//! Programs that speak systemd's protocol, unmodified: `systemd-notify`, and one with the crate `sd-notify`.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Signal, kill_process};

use crate::site::{Site, can_run};
use crate::story::{Story, component, is_up};

/// `examples/sd_notify.rs`, which `cargo test` builds with the tests; `cargo test --test services` alone does not.
fn sd_notify() -> String {
    let programs = Path::new(env!("CARGO_BIN_EXE_s7supervisor")).parent().expect("a program is in a folder");
    programs.join("examples/sd_notify").to_str().expect("it is UTF-8").to_owned()
}

/// A site of one component, `speaker`, and the FIFO that it reads its configuration from.
fn site_of(speaker: &str) -> (Site, File) {
    let mut configuration = None;
    let site = Site::run(|folder| {
        let fifo = folder.join("configuration");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o644), 0).expect("the folder is new");
        fs::set_permissions(&fifo, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("it is ours");
        // Open for both, so that neither side ever waits for the other to open it.
        configuration = Some(File::options().read(true).write(true).open(fifo).expect("it is there"));
        fs::create_dir(folder.join("conf")).expect("the folder is new");
        let registry = format!("<supervisor><servers>{speaker}</servers></supervisor>");
        fs::write(folder.join("conf/SupervisorRegistry.xml"), registry).expect("it can be written");
    });
    (site, configuration.expect("it was opened"))
}

fn says(site: &Site, note: &str) -> bool {
    component(site, "speaker")["note"] == note
}

#[test]
fn a_script_is_up_when_systemd_notify_says_so() {
    if !can_run("systemd-notify", &[("/usr/bin/systemd-notify", "package systemd")]) {
        return;
    }
    // `systemd-notify` sends as a process of its own, which is gone before anybody could look at it, and waits until
    // what it sent was read: where nobody does that, it fails after 5 s, and the script with it.
    let (mut site, mut configuration) = site_of(
        r#"<server id="speaker">
             <executable>/bin/sh</executable>
             <arguments>
               <argument>-euc</argument>
               <argument>systemd-notify --status='reads its configuration'
                         read -r name &lt;configuration
                         systemd-notify --ready --status="serves $name"
                         echo heard
                         exec sleep 3600</argument>
             </arguments>
             <user>nobody</user>
             <readiness timeout="60s"><notify/></readiness>
           </server>"#,
    );
    site.wait_until("journal", |site| says(site, "reads its configuration"));
    assert_eq!(component(&site, "speaker")["state"], "starting", "it has not said that it is ready");

    configuration.write_all(b"wool\n").expect("the FIFO is open");
    site.wait_until("journal", |site| is_up(site, "speaker", 0));
    assert!(says(&site, "serves wool"), "{}", component(&site, "speaker"));
    site.wait_until("speaker-", |site| site.logs().contains("heard\n"));
    site.stop(|_| {});
}

#[test]
fn a_program_with_the_sd_notify_crate_is_up_when_ready_and_restarted_when_its_watchdog_goes_silent() {
    let program = sd_notify();
    if !can_run("examples/sd_notify", &[(&program, "cargo build --package s7supervisor --example sd_notify")])
    {
        return;
    }
    let (mut site, mut configuration) = site_of(&format!(
        r#"<server id="speaker">
             <executable>{program}</executable>
             <arguments><argument>configuration</argument></arguments>
             <readiness timeout="60s"><notify/></readiness>
             <watchdog timeout="5s"/>
           </server>"#
    ));
    site.wait_until("journal", |site| says(site, "reads its configuration"));
    assert_eq!(component(&site, "speaker")["state"], "starting", "it has not said that it is ready");
    configuration.write_all(b"wool\n").expect("the FIFO is open");
    site.wait_until("journal", |site| is_up(site, "speaker", 0));
    assert!(says(&site, "serves wool"), "{}", component(&site, "speaker"));

    let hung = site.pids()["speaker"];
    kill_process(hung, Signal::STOP).expect("it lives");
    // The next run reads a line of its own.
    configuration.write_all(b"silk\n").expect("the FIFO is open");
    site.wait_until("journal", |site| is_up(site, "speaker", 1));
    assert!(says(&site, "serves silk"), "{}", component(&site, "speaker"));
    assert_ne!(site.pids()["speaker"], hung);

    let story = Story::once(&site, "speaker", "started", 2);
    assert_eq!(story.first("speaker", "judged")["fault"]["kind"], "silent");
    story.assert_order(["started", "judged", "exited"].map(|event| ("speaker", event)));
    site.stop(|_| {});
}
