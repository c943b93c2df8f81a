//! `<config>` -> [`Config`]: what the registry says about the supervisor itself.

use std::path::PathBuf;
use std::time::Duration;

use super::problem::FileId;
use super::reading::Reading;
use super::structure::{Node, Value};
use super::values::Kind;
use crate::spec::{OnGiveUp, RestartBudget};

/// What a registry says about the supervisor itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The control port on the loopback interface. Default: none.
    pub tcp_port: Option<u16>,
    /// The supervisor's own log, absolute and without the date that is put in before the suffix:
    /// `logs/Supervisor.log` is written as `logs/Supervisor-yyyy-mm-dd.log`.
    pub log: PathBuf,
    /// The folder for what the supervisor keeps while it runs, absolute.
    pub temp: PathBuf,
    /// How much is logged, from 1 to 4. Default: 2.
    pub trace_level: u8,
    /// How often memory statistics are logged; `None`: never. Default: every 600 s.
    pub trace_stats_interval: Option<Duration>,
    /// For how many days dated log files are kept. Default: 10.
    pub log_days: u32,
    /// How the supervisor's own log is written. Default: as text.
    pub log_format: LogFormat,
    /// The most restarts over all components. Default: no limit.
    pub restart_budget: Option<RestartBudget>,
    /// What happens when an essential component is given up. Default: the others go on.
    pub on_give_up: OnGiveUp,
}

/// How the supervisor's own log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// A line of text for each event.
    #[default]
    Text,
    /// A JSON document for each event, one a line.
    Json,
}

const DEFAULT_INTERVAL: Duration = Duration::from_secs(600);
const DEFAULT_LOG_DAYS: u32 = 10;
const DEFAULT_TRACE_LEVEL: u8 = 2;
const DEFAULT_BUDGET_WITHIN: Duration = Duration::from_secs(10);

/// Reads what stands in the root of a registry; what does not has its default.
pub(super) fn read(root: Option<&Node>, registry: FileId, reading: &mut Reading<'_>) -> Config {
    let config = root.and_then(|root| root.child("config"));
    let written = |name: &str| config.and_then(|config| config.child(name)?.value.as_ref());
    // The element may be left out; the setting of the same name still holds.
    let beginning = reading.problems.beginning(registry);
    let setting = |name: &'static str, kind| Value {
        name,
        kind,
        text: format!("SV::{name}").into(),
        place: beginning,
        broken: false,
        secret: false,
    };
    let mut path = |name, kind, or_else: &str| {
        let value = written(name).cloned().unwrap_or_else(|| setting(name, kind));
        reading.path(&value).unwrap_or_else(|| reading.install_folder.join(or_else))
    };
    let temp = path("temp", Kind::Path, "temp");
    let log = path("log", Kind::File, "logs/Supervisor.log");
    let trace_level = written("tracelevel")
        .cloned()
        .unwrap_or_else(|| setting("tracelevel", Kind::Number { min: 1, max: 4 }));
    let trace_level = reading.number(&trace_level).unwrap_or(DEFAULT_TRACE_LEVEL);
    let interval = written("tracestatsinterval").and_then(|value| reading.interval(value));
    let log_days = written("logDays").map(|value| reading.number(value));
    let max_days = reading.settings.max_days(registry, reading.problems);
    let log_format = written("logFormat").and_then(|value| reading.text(value));
    let on_give_up = written("onGiveUp").and_then(|value| reading.text(value));
    Config {
        tcp_port: written("tcpport").and_then(|value| reading.number(value)).filter(|&port| port != 0),
        log,
        temp,
        trace_level,
        trace_stats_interval: Some(interval.unwrap_or(DEFAULT_INTERVAL))
            .filter(|interval| !interval.is_zero()),
        log_days: log_days.flatten().or(max_days).unwrap_or(DEFAULT_LOG_DAYS),
        log_format: match log_format.as_deref() {
            Some("json") => LogFormat::Json,
            _ => LogFormat::Text,
        },
        restart_budget: config.and_then(|config| restart_budget(config.child("restartBudget")?, reading)),
        on_give_up: match on_give_up.as_deref() {
            Some("shutdown") => OnGiveUp::Shutdown,
            _ => OnGiveUp::Continue,
        },
    }
}

/// None at all is no limit.
fn restart_budget(node: &Node, reading: &mut Reading<'_>) -> Option<RestartBudget> {
    let max = reading.number(node.attribute("max")?)?;
    let within = node.attribute("within").and_then(|value| reading.duration(value));
    (max > 0).then_some(RestartBudget { max, within: within.unwrap_or(DEFAULT_BUDGET_WITHIN) })
}
