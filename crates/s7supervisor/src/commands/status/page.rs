//! A single component, from all sides: what `status ID` shows people.

use std::collections::HashMap;
use std::path::Path;
use std::time::SystemTime;

use supervisor::Short;
use supervisor_control::wire::{
    ComponentDocument, DetailDocument, PastRunDocument, ProcessDocument, RelatedDocument,
};

use super::{memory, remarks, short, state};
use crate::commands::{logs, why};
use crate::past::{local_time, time_between, time_since, wall_clock};
use crate::say::{self, printable};
use crate::shell;

/// So many lines of its output are shown.
const LINES: u64 = 10;

/// Shows the page. `began`: when the supervisor began.
pub(super) fn show(temp: &Path, detail: &DetailDocument, began: Option<&str>) {
    let now = wall_clock();
    let why = why::in_a_line(temp, &detail.component, began, now);
    say::answer(&page(detail, why.as_deref(), now));
    if let Some(log) = &detail.log
        && let Err(failure) = logs::last_lines(&detail.component.id, log, LINES)
    {
        say::tell(&failure.message);
    }
}

/// All but the output.
fn page(detail: &DetailDocument, why: Option<&str>, now: SystemTime) -> String {
    let mut page = Page(String::new());
    let component = &detail.component;
    let since = format!(
        "since {} ({} ago)",
        local_time(&component.since, now),
        Short(time_since(&component.since, now))
    );
    page.line("", &format!("{}: {}, {since}", component.id, state(component)));
    for text in component.description.iter() {
        page.line("  ", text);
    }
    remarks(component).iter().for_each(|remark| page.line("  ", remark));
    page.row("command", &shell::words(detail.command.iter().map(String::as_str)));
    page.facts(component);
    page.relations(detail);
    page.row("why", &why.map_or_else(|| format!("see `s7supervisor why {}`", component.id), str::to_owned));
    page.processes(&detail.processes);
    page.exits(&detail.last_exits, now);
    page.0
}

/// Lines for people. What came from outside can neither break one nor order a terminal about.
struct Page(String);

impl Page {
    fn line(&mut self, indent: &str, line: &str) {
        self.0.push_str(indent);
        self.0.push_str(&printable(line));
        self.0.push('\n');
    }

    fn row(&mut self, name: &str, value: &str) {
        self.line("  ", &format!("{name:<14}{value}"));
    }

    fn facts(&mut self, component: &ComponentDocument) {
        if let (Some(pid), Some(uptime)) = (component.pid, component.uptime) {
            self.row("pid", &format!("{pid}, for {}", short(uptime)));
        }
        if let (Some(memory_used), Some(cpu)) = (component.memory, component.cpu) {
            self.row("memory", &memory(memory_used));
            self.row("CPU", &short(cpu));
        }
        self.row("restarts", &component.restarts.to_string());
    }

    fn relations(&mut self, detail: &DetailDocument) {
        let with_state = |other: &RelatedDocument| {
            let condition = other.condition.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
            format!("{}{condition}: {}", other.id, other.detail.as_ref().unwrap_or(&other.state))
        };
        let mut name = "depends on";
        for needed in &detail.depends_on {
            self.row(std::mem::take(&mut name), &with_state(needed));
        }
        let mut name = "dependants";
        for other in &detail.dependants {
            self.row(std::mem::take(&mut name), &with_state(other));
        }
        if let Some(group) = &detail.restart_group {
            let members = group.members.join(", ");
            self.row("group", &format!("{} ({}): {members}", group.name, group.strategy));
        }
    }

    /// Each process under its parent, set in.
    fn processes(&mut self, processes: &[ProcessDocument]) {
        if processes.is_empty() {
            return;
        }
        self.line("", "processes:");
        let mut depths: HashMap<u32, usize> = HashMap::new();
        for process in processes {
            let depth = depths.get(&process.parent).map_or(0, |depth| depth + 1);
            depths.insert(process.pid, depth);
            let indent = "  ".repeat(depth);
            let (pid, used) = (process.pid, memory(process.memory));
            self.line("  ", &format!("{pid:>7} {used:>7}  {indent}{}", process.name));
        }
    }

    fn exits(&mut self, exits: &[PastRunDocument], now: SystemTime) {
        if !exits.is_empty() {
            self.line("", "last exits:");
        }
        for past in exits {
            let lasted = Short(time_between(&past.began, &past.ended));
            let ended = local_time(&past.ended, now);
            self.line("  ", &format!("{ended}  {} after {lasted} (run {})", past.exit.message, past.run));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use serde_json::json;

    fn detail() -> DetailDocument {
        let component = json!({
            "id": "ps", "description": "Platform \u{1b}[2JServer", "state": "up", "detail": null, "wanted": true,
            "pid": 4711, "uptime": 72.0, "memory": 3_670_016, "cpu": 1.5, "restarts": 2, "lastExit": null,
            "since": "2026-11-29T08:00:00.000Z", "waitingFor": null, "nextTry": null, "inARow": null,
            "survivors": null, "note": "serving"});
        let process = |pid: u32, parent: u32, name: &str| json!({"pid": pid, "parent": parent, "name": name, "memory": 1_048_576, "cpu": 0.0});
        let exit = json!({"code": null, "signal": "KILL", "coreDumped": false, "message": "SIGKILL"});
        serde_json::from_value(json!({
            "component": component,
            "command": ["/usr/bin/java", "-Dname=a b"],
            "workingDirectory": null, "startDelay": 0.0, "readinessTimeout": null, "stopTimeout": 60.0,
            "processes": [process(4711, 7, "java"), process(4712, 4711, "sh"), process(4713, 4712, "sleep"),
                process(4800, 1, "stray")],
            "lastExits": [{"run": 3, "began": "2026-11-29T07:59:00.000Z", "ended": "2026-11-29T07:59:55.000Z", "exit": exit}],
            "dependsOn": [{"id": "is", "condition": "ready", "state": "up", "detail": null},
                {"id": "db", "condition": "started", "state": "backoff", "detail": "backoff 8s (3)"}],
            "dependants": [{"id": "web", "condition": null, "state": "waiting", "detail": "waiting for ps"}],
            "restartGroup": {"name": "all", "strategy": "oneForAll", "members": ["ps", "is"]},
            "log": null,
        }))
        .unwrap()
    }

    fn at(time: &str) -> SystemTime {
        chrono::DateTime::parse_from_rfc3339(time).unwrap().into()
    }

    #[test]
    fn everything_that_is_known_of_a_component_stands_on_its_page() {
        let now = at("2026-11-29T08:02:05.000Z");
        let page = page(&detail(), Some("08:00:00  start"), now);
        let has = |line: &str| assert!(page.lines().any(|its| its.trim_end() == line), "{line:?} in\n{page}");
        assert!(page.starts_with("ps: up, since ") && page.contains(" (2m 5s ago)\n"), "{page}");
        has(r"  Platform \u{1b}[2JServer");
        has("  it says: serving");
        has("  command       /usr/bin/java '-Dname=a b'");
        has("  pid           4711, for 1m 12s");
        has("  memory        3.5M");
        has("  CPU           1.5s");
        has("  restarts      2");
        has("  depends on    is (ready): up");
        has("                db (started): backoff 8s (3)");
        has("  dependants    web: waiting for ps");
        has("  group         all (oneForAll): ps, is");
        has("  why           08:00:00  start");
        has("     4711    1.0M  java");
        has("     4712    1.0M    sh");
        has("     4713    1.0M      sleep");
        has("     4800    1.0M  stray");
        assert!(page.contains("SIGKILL after 55s (run 3)"), "{page}");
    }

    #[test]
    fn of_what_does_not_run_there_is_no_process_and_why_is_told_where() {
        let mut stopped = detail();
        stopped.component.state = "stopped".into();
        (stopped.component.pid, stopped.component.uptime, stopped.component.memory) = (None, None, None);
        stopped.processes.clear();
        stopped.last_exits.clear();
        let page = page(&stopped, None, at("2026-11-29T08:00:00.000Z") + Duration::from_secs(1));
        for absent in ["processes", "memory", "pid", "last exits"] {
            assert!(!page.contains(absent), "{absent} in\n{page}");
        }
        assert!(page.contains("why           see `s7supervisor why ps`"), "{page}");
    }
}
