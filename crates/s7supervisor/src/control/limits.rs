//! How long what is waited for may take by itself.

use std::io::IsTerminal;
use std::time::Duration;

use supervisor::Until;
use supervisor_control::wire::{ComponentDocument, DetailDocument};
use supervisor_control::{Action, Client};

/// How long this may take for a single component, as its specification says; `None` for several, where that says nothing, or
/// where nobody is shown how time passes.
pub(super) fn of(client: &Client, action: Action, meant: &[ComponentDocument]) -> Option<Duration> {
    let [component] = meant else { return None };
    if !std::io::stderr().is_terminal() {
        return None;
    }
    limit(&client.detail(&component.id).ok()?, action)
}

fn limit(detail: &DetailDocument, action: Action) -> Option<Duration> {
    let start = || detail.readiness_timeout.or(Some(detail.start_delay).filter(|delay| *delay > 0.0));
    let stop = || Some(detail.stop_timeout);
    let is_up = detail.component.pid.is_some();
    let seconds = match action {
        Action::Start | Action::WaitFor(Until::Started | Until::Ready) => start(),
        Action::Stop | Action::StopWith(_) => stop(),
        // It is stopped first; how long that takes of it all is not known.
        Action::Restart if is_up => Some(detail.stop_timeout + start().unwrap_or(0.0)),
        Action::Restart => start(),
        // Nothing says when it will be stopped, what it does to reload, or how slow a disk is.
        Action::WaitFor(Until::Stopped)
        | Action::Reload
        | Action::Reset
        | Action::Rotate
        | Action::Signal(_) => None,
    };
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_take_long_says_how_long_and_what_may_take_for_ever_does_not() {
        let mut detail = DetailDocument { stop_timeout: 60.0, ..DetailDocument::default() };
        let of = |detail: &DetailDocument, action| limit(detail, action).map(|limit| limit.as_secs());
        assert_eq!(of(&detail, Action::Start), None, "it is up as soon as it lives");
        detail.start_delay = 5.0;
        assert_eq!(of(&detail, Action::Start), Some(5));
        detail.readiness_timeout = Some(30.0);
        assert_eq!(of(&detail, Action::WaitFor(Until::Ready)), Some(30));
        assert_eq!(of(&detail, Action::Restart), Some(30));
        detail.component.pid = Some(7);
        assert_eq!((of(&detail, Action::Restart), of(&detail, Action::Stop)), (Some(90), Some(60)));
        assert_eq!(of(&detail, Action::WaitFor(Until::Stopped)), None);
    }
}
