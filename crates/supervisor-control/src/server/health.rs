//! `/livez` and `/readyz`: whether all is well, for those who may know no more. They ask of the components, not only of the
//! supervisor.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use supervisor::{ComponentState, Handle, Targets};
use tokio::time::Instant;

use super::App;
use super::problem::{Problem, json};
use crate::wire::HealthDocument;

/// The paths for which nobody has to say who they are.
pub(super) const ALIVE: &str = "/livez";
pub(super) const READY: &str = "/readyz";

/// An answer is given again for so long: strangers ask as often as they like, and all components are looked at for it.
const KEPT: Duration = Duration::from_secs(1);

/// How the components are. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Health {
    handle: Handle,
    last: Arc<Mutex<Option<(Instant, Verdict)>>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Verdict {
    /// Of so many components that should run,
    wanted: u64,
    /// so many are dead,
    dead: u64,
    /// and so many are not up, the dead among them.
    lacking: u64,
    is_ending: bool,
}

/// Whether whoever has not said who it is may ask for this path.
pub(super) fn is_for_strangers(path: &str) -> bool {
    path == ALIVE || path == READY
}

pub(super) async fn alive(State(app): State<App>) -> Result<Response, Problem> {
    let Verdict { wanted, dead, .. } = app.health.verdict()?;
    answer(wanted, dead, "have been given up, or rest because they failed too often")
}

pub(super) async fn ready(State(app): State<App>) -> Result<Response, Problem> {
    let Verdict { wanted, lacking, is_ending, .. } = app.health.verdict()?;
    if is_ending {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the supervisor is shutting down"));
    }
    answer(wanted, lacking, "are not up")
}

fn answer(wanted: u64, lacking: u64, what: &str) -> Result<Response, Problem> {
    if lacking > 0 {
        let detail = format!("of the {wanted} components that should run, {lacking} {what}");
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
    }
    Ok(json(StatusCode::OK, &HealthDocument { ok: true, wanted }))
}

impl Health {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle, last: Arc::default() }
    }

    fn verdict(&self) -> Result<Verdict, Problem> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some((_, verdict)) = last.filter(|(at, _)| now.duration_since(*at) < KEPT) {
            return Ok(verdict);
        }
        let status = self.handle.states_of(Targets::All)?;
        let mut verdict = Verdict { is_ending: status.shutting_down, ..Verdict::default() };
        for component in status.components.iter().filter(|component| component.wanted) {
            verdict.wanted += 1;
            verdict.dead +=
                u64::from(matches!(component.state, ComponentState::Failed | ComponentState::Tripped { .. }));
            verdict.lacking +=
                u64::from(!matches!(component.state, ComponentState::Up | ComponentState::Completed));
        }
        *last = Some((now, verdict));
        Ok(verdict)
    }
}
