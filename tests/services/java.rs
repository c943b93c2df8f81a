//! A Java program in deadlock.

use std::fs;

use crate::site::{Site, can_run, http};
use crate::story::{Story, is_up};

/// `java` compiles the source file in memory and runs it.
const REGISTRY: &str = r#"<supervisor><servers>
    <server id="shop">
        <executable>/usr/bin/java</executable>
        <arguments>
            <argument>-XX:+PerfDisableSharedMem</argument>
            <argument>Deadlock.java</argument>
            <argument>18181</argument>
        </arguments>
        <readiness timeout="80s"><tcp port="18181"/></readiness>
        <health interval="1s" timeout="5s" failures="2"><http url="http://127.0.0.1:18181/"/></health>
        <evidence><signal name="QUIT" wait="5s"/></evidence>
    </server>
</servers></supervisor>"#;

#[test]
fn a_java_program_in_deadlock_leaves_its_thread_dump_before_it_is_restarted() {
    if !can_run("a Java program", &[("/usr/bin/javac", "package default-jdk-headless")]) {
        return;
    }
    let mut site = Site::run(|folder| {
        fs::create_dir(folder.join("conf")).expect("the folder is new");
        fs::write(folder.join("conf/SupervisorRegistry.xml"), REGISTRY).expect("it can be written");
        fs::write(folder.join("Deadlock.java"), include_str!("Deadlock.java")).expect("it can be written");
    });
    site.wait_until("journal", |site| is_up(site, "shop", 0));
    http(18181, "GET /deadlock", &[]).expect("it answers before it hangs");
    site.wait_until("journal", |site| is_up(site, "shop", 1));

    // What it has said is stored in its own time.
    site.wait_until("shop-", |site| site.logs().matches("listening, pid").count() == 2);
    // In this order: the first run begins, its dump, which has found the cause, and the second run.
    let logs = site.logs();
    let (first, rest) = logs.split_once("listening, pid").expect("the first run says so");
    assert!(!first.contains("Full thread dump"));
    let (hung, second) = rest.split_once("listening, pid").expect("the second run says so");
    assert!(hung.contains("Full thread dump"), "{logs}");
    assert!(hung.contains("Found one Java-level deadlock"), "{logs}");
    assert!(!second.contains("Full thread dump"), "{logs}");

    let story = Story::once(&site, "shop", "started", 2);
    assert_eq!(story.first("shop", "judged")["fault"]["kind"], "unhealthy");
    assert_eq!(story.first("shop", "step")["step"], "SIGQUIT");
    story.assert_order(["judged", "step", "exited"].map(|event| ("shop", event)));
    site.stop(|_| {});
}
