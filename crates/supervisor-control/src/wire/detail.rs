//! One component from all sides.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use supervisor::{
    ComponentStatus, Detail, LineForm, LogSettings, Output, PastRun, ProcessSpec, ProcessStatus, Stderr,
};

use super::{ComponentDocument, LastExit, rfc3339, started};

/// The answer to `GET /v1/components/{id}/detail`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DetailDocument {
    /// What is true of it, as in a status.
    pub component: ComponentDocument,
    /// Its program and the arguments of that, as it is run the next time. There are no secrets in them.
    pub command: Vec<String>,
    /// The folder in which it runs; `None`: that of the supervisor.
    pub working_directory: Option<String>,
    /// How long it must be up before it counts as started, where no readiness is declared.
    pub start_delay: f64,
    /// How long it may take to be ready; `None`: no readiness is declared.
    pub readiness_timeout: Option<f64>,
    /// How long it is given to stop.
    pub stop_timeout: f64,
    /// Its main process, if that lives, and what descends from it; where it runs in a control group of its own, all who are in
    /// there. Each comes after its parent. No more than 256.
    pub processes: Vec<ProcessDocument>,
    /// The last runs that have ended, however they came to, the newest first. No more than 5.
    pub last_exits: Vec<PastRunDocument>,
    /// Whom it needs.
    pub depends_on: Vec<RelatedDocument>,
    /// Who needs it.
    pub dependants: Vec<RelatedDocument>,
    /// With whom it restarts; `None`: with nobody.
    pub restart_group: Option<RestartGroupDocument>,
    /// Where its output is stored; `None`: nowhere.
    pub log: Option<LogDocument>,
}

/// A process of a component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessDocument {
    /// Its pid.
    pub pid: u32,
    /// That of its parent.
    pub parent: u32,
    /// What the operating system calls it: the beginning of its program's name, unless it calls itself otherwise.
    pub name: String,
    /// Its resident memory.
    pub memory: u64,
    /// The processor time that it has used so far, and its children that have ended.
    pub cpu: f64,
}

/// A run that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PastRunDocument {
    /// The how manieth run of the component it was.
    pub run: u64,
    /// When it was begun.
    pub began: String,
    /// When its main process ended, or when it turned out that it could not be started.
    pub ended: String,
    /// How it ended.
    pub exit: LastExit,
}

/// Another component that has to do with the one that is asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RelatedDocument {
    /// Its name.
    pub id: String,
    /// Of one that is needed: what must be true of it: `started`, `ready` or `completed`.
    pub condition: Option<String>,
    /// What it is doing, in one word.
    pub state: String,
    /// The state as people see it, where that says more than the word.
    pub detail: Option<String>,
}

/// Components that restart together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestartGroupDocument {
    /// Its name.
    pub name: String,
    /// Who restarts: `oneForOne`, `oneForAll` or `restForOne`.
    pub strategy: String,
    /// All members, in start order.
    pub members: Vec<String>,
}

/// Where the output of a component is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogDocument {
    /// The file; where it is `dated`, a hyphen and the date are put in before the suffix.
    pub path: String,
    /// Whether each day has a file of its own.
    pub dated: bool,
    /// What lines are made into: `raw`, `timestamps` or `json`.
    pub form: String,
    /// Where standard error goes: `join`, `file` (one beside it) or `null`.
    pub stderr: String,
}

impl DetailDocument {
    /// What `detail` says; `now` is the wall clock at that moment.
    #[must_use]
    pub fn new(detail: &Detail, now: SystemTime) -> Self {
        let Detail { spec, .. } = detail;
        let started = started(now, detail.uptime);
        let depends_on = detail.depends_on.iter().map(|(condition, needed)| RelatedDocument {
            condition: Some(condition.to_string()),
            ..RelatedDocument::new(needed)
        });
        let restart_group = spec.restart_group.as_ref().map(|group| RestartGroupDocument {
            name: group.name.clone(),
            strategy: group.strategy.to_string(),
            members: detail.group.iter().map(ToString::to_string).collect(),
        });
        Self {
            component: ComponentDocument::new(&detail.component, started),
            command: command(spec),
            working_directory: spec.working_directory.as_ref().map(|folder| folder.to_string_lossy().into()),
            start_delay: spec.start_delay.as_secs_f64(),
            readiness_timeout: spec.readiness.as_ref().map(|readiness| readiness.timeout.as_secs_f64()),
            stop_timeout: spec.stop_timeout.as_secs_f64(),
            processes: detail.processes.iter().map(ProcessDocument::new).collect(),
            last_exits: detail.past_runs.iter().map(|past| PastRunDocument::new(past, started)).collect(),
            depends_on: depends_on.collect(),
            dependants: detail.dependants.iter().map(RelatedDocument::new).collect(),
            restart_group,
            log: log(&spec.output),
        }
    }
}

fn command(spec: &ProcessSpec) -> Vec<String> {
    let arguments = spec.arguments.iter().map(std::ffi::OsString::as_os_str);
    let words = std::iter::once(spec.executable.as_os_str()).chain(arguments);
    words.map(|word| word.to_string_lossy().into_owned()).collect()
}

fn log(output: &Output) -> Option<LogDocument> {
    let Output::File { log: LogSettings { path, dated, form, .. }, stderr } = output else { return None };
    let form = match form {
        LineForm::Timestamps => "timestamps",
        LineForm::Json => "json",
        _ => "raw",
    };
    let stderr = match stderr {
        Stderr::Join => "join",
        Stderr::File => "file",
        Stderr::Null => "null",
    };
    Some(LogDocument {
        path: path.to_string_lossy().into_owned(),
        dated: *dated,
        form: form.to_owned(),
        stderr: stderr.to_owned(),
    })
}

impl ProcessDocument {
    fn new(process: &ProcessStatus) -> Self {
        Self {
            pid: process.pid,
            parent: process.parent,
            name: process.name.clone(),
            memory: process.memory,
            cpu: process.cpu.as_secs_f64(),
        }
    }
}

impl PastRunDocument {
    /// `started` is the wall clock at the start of the supervisor.
    fn new(past: &PastRun, started: SystemTime) -> Self {
        let time = |since: Duration| started.checked_add(since).map_or_else(String::new, rfc3339);
        Self {
            run: past.run.number(),
            began: time(past.began),
            ended: time(past.ended),
            exit: LastExit::from(&past.end),
        }
    }
}

impl RelatedDocument {
    fn new(component: &ComponentStatus) -> Self {
        let (state, detail) = (component.state.word(), component.state.to_string());
        Self {
            id: component.id.to_string(),
            condition: None,
            state: state.to_owned(),
            detail: Some(detail).filter(|detail| detail != state),
        }
    }
}
