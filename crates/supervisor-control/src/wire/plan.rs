//! What a changed registry would do, or has done.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use supervisor::{ChangedField, Effect, Plan, Planned};

use super::OutcomeDocument;

/// The body of `POST /v1/plan`; an empty body is the same as `{}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct PlanOrderDocument {
    /// The registry, by its absolute path; without it, the one that the supervisor was started with, as it is now.
    pub registry: Option<PathBuf>,
}

/// The body of `POST /v1/apply`; an empty body is the same as `{}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ApplyOrderDocument {
    /// As in [`PlanOrderDocument`].
    pub registry: Option<PathBuf>,
    /// Everything goes back to what there was unless all that is started or restarted is ready within so many seconds, a billion
    /// at most. Absent: nothing goes back.
    pub confirm_ready: Option<f64>,
}

/// The answer to `POST /v1/plan`, and what `plan --json` prints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanDocument {
    /// The registry that was read.
    pub registry: String,
    /// The components that are not as they were: first those that are no more, then in the order of the registry.
    pub components: Vec<PlannedDocument>,
    /// How many are as they were.
    pub unchanged: usize,
    /// What changes of the supervisor itself.
    pub supervisor: Vec<ChangedFieldDocument>,
}

/// What happens to one component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedDocument {
    /// Its name.
    pub id: String,
    /// `restart`, `start` and `stop` touch a process; `change`, `add` (it is new and does not start by itself) and `remove` (it is no
    /// more and did not run) touch none. Later versions know more words.
    pub action: String,
    /// What of it is not as it was; nothing of one that is new or no more.
    pub fields: Vec<ChangedFieldDocument>,
    /// Of one that is no more: those that have taken its name, because it has `instances` now, or has no longer.
    pub becomes: Vec<String>,
}

/// Something that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangedFieldDocument {
    /// Its name in a registry.
    pub name: String,
    /// How it takes effect. `restart`: it takes another process, so that what runs is restarted; `atOnce`; `nextRun`: when the component
    /// is begun the next time; `beginning`: when the supervisor is started the next time. Later versions know more words.
    pub effect: String,
}

/// The answer to `POST /v1/apply`, and what `apply --json` prints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplyDocument {
    /// What was to be done.
    pub plan: PlanDocument,
    /// What came of it.
    pub outcome: OutcomeDocument,
}

impl PlanDocument {
    /// What `plan` says of this registry. `beginning`: what of the supervisor itself changes when it is started the next time, by
    /// the names of a registry.
    #[must_use]
    pub fn new(registry: String, plan: &Plan, at_once: &[&str], beginning: &[&str]) -> Self {
        let field = |effect: &str| {
            let effect = effect.to_owned();
            move |name: &&str| ChangedFieldDocument { name: (*name).to_owned(), effect: effect.clone() }
        };
        let supervisor = plan.rules.iter().chain(at_once).map(field("atOnce"));
        Self {
            registry,
            components: plan.components.iter().map(PlannedDocument::from).collect(),
            unchanged: plan.unchanged,
            supervisor: supervisor.chain(beginning.iter().map(field("beginning"))).collect(),
        }
    }

    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.components.is_empty() && self.supervisor.is_empty()
    }
}

impl From<&Planned> for PlannedDocument {
    fn from(planned: &Planned) -> Self {
        Self {
            id: planned.id.to_string(),
            action: planned.action.to_string(),
            fields: planned.fields.iter().map(ChangedFieldDocument::from).collect(),
            becomes: planned.becomes.iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<&ChangedField> for ChangedFieldDocument {
    fn from(field: &ChangedField) -> Self {
        let effect = match field.effect {
            Effect::Restart => "restart",
            Effect::AtOnce => "atOnce",
            Effect::NextRun => "nextRun",
            Effect::Beginning => "beginning",
            _ => "other",
        };
        Self { name: field.name.to_owned(), effect: effect.to_owned() }
    }
}
