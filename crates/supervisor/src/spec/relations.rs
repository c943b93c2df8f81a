//! What components have to do with each other.

use std::fmt;

use super::ComponentId;

/// A component that another one needs: no run of the other begins unless the condition holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// Whom it needs: an id, or the common name of several instances, all of which it then needs.
    pub on: ComponentId,
    /// What must be true of it.
    pub condition: Condition,
}

/// What must be true of a dependency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// It has started: it has been up for its start delay, or is ready where its readiness is declared.
    Started,
    /// It has started, and has not said since that it is not ready.
    #[default]
    Ready,
    /// It is not running, and its last run ended with success.
    Completed,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Started => "started",
            Self::Ready => "ready",
            Self::Completed => "completed",
        })
    }
}

/// Components that restart together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartGroup {
    /// The name that its members share.
    pub name: String,
    /// Who restarts when one of them has ended by itself and is restarted. The same for all members.
    pub strategy: Strategy,
}

/// Who restarts with a member of a group, as OTP means it.
/// <https://www.erlang.org/doc/system/sup_princ.html#restart-strategy>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// That member alone.
    OneForOne,
    /// All members.
    #[default]
    OneForAll,
    /// That member and those that come after it in start order.
    RestForOne,
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneForOne => "oneForOne",
            Self::OneForAll => "oneForAll",
            Self::RestForOne => "restForOne",
        })
    }
}
