//! A thread for what may take long and decides nothing: it begins when it is first needed.

use std::convert::Infallible;
use std::fmt;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

/// How many jobs may wait. More come only if one of them hangs.
const MAX_WAITING: usize = 1_024;

/// How long the last jobs may take when the supervisor ends. A thread that hangs then is left to itself.
const FAREWELL: Duration = Duration::from_secs(1);

/// Something to do.
type Job = Box<dyn FnOnce() + Send>;

/// A thread that does one job after the other.
pub(super) struct Helper {
    name: &'static str,
    thread: Option<Thread>,
}

struct Thread {
    jobs: Sender<Job>,
    /// Disconnected once the thread has nothing left to do.
    ended: Receiver<Infallible>,
    handle: thread::JoinHandle<()>,
}

impl Helper {
    /// One that has no thread yet. Its thread will have this name.
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, thread: None }
    }

    /// Has a job done. Says whether it will be: not if too many wait, or there can be no thread.
    pub(super) fn ask(&mut self, job: impl FnOnce() + Send + 'static) -> bool {
        if self.thread.is_none() {
            self.thread = Thread::start(self.name).ok();
        }
        self.thread.as_ref().is_some_and(|thread| thread.jobs.try_send(Box::new(job)).is_ok())
    }
}

impl Thread {
    fn start(name: &str) -> std::io::Result<Self> {
        let (jobs, queue) = bounded::<Job>(MAX_WAITING);
        let (alive, ended) = bounded(0);
        let work = move || {
            let _alive = alive;
            queue.iter().for_each(|job| job());
        };
        #[expect(clippy::disallowed_methods, reason = "one thread for each kind of work that may take long")]
        let handle = thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Self { jobs, ended, handle })
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let Some(Thread { jobs, ended, handle }) = self.thread.take() else { return };
        drop(jobs);
        if ended.recv_timeout(FAREWELL) == Err(RecvTimeoutError::Disconnected) {
            // A panic in it has been told by the panic hook.
            let _ = handle.join();
        }
    }
}

impl fmt::Debug for Helper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Helper").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "how long a test has waited")]
    fn now() -> std::time::Instant {
        std::time::Instant::now()
    }

    #[test]
    fn what_was_asked_for_is_done_in_order_before_the_end() {
        let (done, told) = bounded(10);
        let mut helper = Helper::new("test");
        for number in 0..10 {
            let done = done.clone();
            assert!(helper.ask(move || done.send(number).unwrap()));
        }
        drop(done);
        let began = now();
        drop(helper);
        // Nobody waits longer than that for a thread that is halted.
        assert!(told.len() == 10 || began.elapsed() >= FAREWELL);
        assert_eq!(told.iter().collect::<Vec<_>>(), Vec::from_iter(0..10));
    }

    #[test]
    fn who_hangs_is_asked_for_no_more_than_fits_and_waited_for_no_longer_than_agreed() {
        let (release, released) = bounded::<()>(0);
        let mut helper = Helper::new("test");
        helper.ask(move || assert!(released.recv().is_err()));
        let taken = (0..2 * MAX_WAITING).filter(|_| helper.ask(|| ())).count();
        // The thread may have taken up the first job by then, or not.
        assert!((MAX_WAITING - 1..=MAX_WAITING).contains(&taken), "{taken}");
        drop(helper);
        drop(release);
    }
}
