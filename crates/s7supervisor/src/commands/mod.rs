//! The commands, one file each.

pub(crate) mod apply;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod events;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod plan;
pub(crate) mod restart;
pub(crate) mod rotate;
pub(crate) mod run;
pub(crate) mod service;
pub(crate) mod show;
pub(crate) mod simulate;
pub(crate) mod stand_in;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod takeover_check;
pub(crate) mod tracelevel;
pub(crate) mod upgrade;
pub(crate) mod why;
