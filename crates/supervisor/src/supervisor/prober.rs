//! HTTP probes: the library speaks no HTTP, so that its host brings somebody who does.

use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use super::tasks::{Answer, Failure, failure_of, shown};

/// Somebody who asks components by HTTP whether they are ready or well. `supervisor-control` has one.
///
/// ```
/// use supervisor::{HttpQuestion, ProbeAnswer, Prober};
///
/// /// Believes everybody.
/// #[derive(Debug)]
/// struct Believer;
///
/// impl Prober for Believer {
///     fn probe(&self, _question: HttpQuestion, answer: ProbeAnswer) {
///         answer.give(Ok("200 OK".to_owned()));
///     }
/// }
///
/// let builder = supervisor::Supervisor::builder().prober(std::sync::Arc::new(Believer));
/// # drop(builder);
/// ```
pub trait Prober: Send + Sync + fmt::Debug {
    /// Takes up a question, to be answered later and from any thread.
    ///
    /// It runs on the supervisor's own thread and must return at once. A question that is not taken up for long, or not
    /// answered, fails when its time is up: that time is the supervisor's affair. What the prober itself cannot do, it says by
    /// [`ProbeAnswer::fail`] or [`ProbeAnswer::cannot_ask`].
    fn probe(&self, question: HttpQuestion, answer: ProbeAnswer);
}

/// A GET that a component should answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpQuestion {
    /// An `http://` URL.
    pub url: String,
    /// The statuses that are good.
    pub status: RangeInclusive<u16>,
}

/// Where the answer to a question goes. Dropped without one, the question was not put: it is put again later.
pub struct ProbeAnswer {
    /// Until it is given.
    to: Option<Recipient>,
    interest: Arc<Interest>,
}

type Recipient = Box<dyn FnOnce(Answer) + Send>;

/// Whether anybody still wants the answer.
#[derive(Default)]
pub(super) struct Interest(Mutex<State>);

#[derive(Default)]
struct State {
    is_lost: bool,
    when_lost: Option<Box<dyn FnOnce() + Send>>,
}

impl HttpQuestion {
    /// A question.
    #[must_use]
    pub fn new(url: impl Into<String>, status: RangeInclusive<u16>) -> Self {
        Self { url: url.into(), status }
    }
}

impl ProbeAnswer {
    /// An answer that goes to whoever wants to try a prober without a supervisor.
    #[must_use]
    pub fn new(to: impl FnOnce(Result<String, String>) + Send + 'static) -> Self {
        Self::to(move |answer| {
            to(answer.map_err(|failure| match failure {
                Failure::Told(why) | Failure::Want(why) => why,
            }));
        })
    }

    pub(super) fn to(to: impl FnOnce(Answer) + Send + 'static) -> Self {
        Self { to: Some(Box::new(to)), interest: Arc::default() }
    }

    pub(super) fn interest(&self) -> Arc<Interest> {
        Arc::clone(&self.interest)
    }

    /// Answers: what was said, in a few words, if it was good (`200 OK`), else why it was not. Shown to people; what is
    /// longer than 200 characters is cut.
    pub fn give(mut self, answer: Result<String, String>) {
        self.send(answer.map(|text| shown(&text)).map_err(|text| Failure::Told(shown(&text))));
    }

    /// Answers with an error of the system that has come up while asking. It is the component's affair (connection refused),
    /// unless it means that descriptors, processes or memory are wanting here: that says nothing about the component, which is
    /// asked again later.
    ///
    /// ```
    /// # fn probe(answer: supervisor::ProbeAnswer) {
    /// match std::net::TcpStream::connect("127.0.0.1:80") {
    ///     Ok(_) => answer.give(Ok("connected".to_owned())),
    ///     Err(error) => answer.fail(&error),
    /// }
    /// # }
    /// ```
    pub fn fail(mut self, error: &io::Error) {
        self.send(Err(failure_of(error)));
    }

    /// Says that the question could not be put now, and why, because of something on this side. It is put again later. Shown to
    /// people like an answer.
    pub fn cannot_ask(mut self, why: &str) {
        self.send(Err(Failure::Want(shown(why))));
    }

    /// Whether the answer is of no interest any more, because its time is up or the component is stopped.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.interest.state().is_lost
    }

    /// Calls `wake` once the answer is of no interest any more, at once if it is not now. It runs on the supervisor's own
    /// thread and must return at once.
    pub fn when_abandoned(&self, wake: impl FnOnce() + Send + 'static) {
        let mut state = self.interest.state();
        if !state.is_lost {
            state.when_lost = Some(Box::new(wake));
            return;
        }
        drop(state);
        wake();
    }

    fn send(&mut self, answer: Answer) {
        if let Some(to) = self.to.take().filter(|_| !self.is_abandoned()) {
            to(answer);
        }
    }
}

impl Drop for ProbeAnswer {
    fn drop(&mut self) {
        self.send(Err(Failure::Want("the prober gave no answer".to_owned())));
    }
}

impl Interest {
    /// Nobody wants the answer any more.
    pub(super) fn lose(&self) {
        let mut state = self.state();
        state.is_lost = true;
        let wake = state.when_lost.take();
        drop(state);
        if let Some(wake) = wake {
            wake();
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ProbeAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeAnswer").field("is_abandoned", &self.is_abandoned()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interest").field("is_lost", &self.state().is_lost).finish_non_exhaustive()
    }
}
