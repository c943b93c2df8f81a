//! Files are read beside the control thread, because a disk may be slow, or hang.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

use super::problem::Problem;

/// So many threads read at the same time, and so many requests may wait until something is read for them.
const THREADS: usize = 2;
const WAITING: usize = 32;

/// A thread that has nothing to read any more ends after this time.
const KEPT: Duration = Duration::from_secs(5);

/// How long anything may take to be read.
const LIMIT: Duration = Duration::from_secs(10);

/// The runtime of the control thread, with its threads for reading.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(THREADS)
        .thread_keep_alive(KEPT)
        .thread_name("reading")
        .build()
}

/// Reads things for requests, no more than some at a time. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Reading(Arc<Semaphore>);

impl Default for Reading {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(WAITING)))
    }
}

impl Reading {
    /// Does this beside the control thread, and waits for it.
    ///
    /// # Errors
    /// It takes too long, or so much is being read already that it has to wait for too long; or it has failed.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let reading = async {
            let permit = Arc::clone(&self.0).acquire_owned().await.map_err(io::Error::other)?;
            let work = move || {
                // Whoever does not wait any more has not made room by that.
                let _permit = permit;
                work()
            };
            tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
        };
        match tokio::time::timeout(LIMIT, reading).await {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(error)) => {
                let detail = format!("cannot read what was written down: {error}");
                Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail))
            }
            Err(_) => {
                let detail = "the disk does not answer, or too many read already; try again later";
                Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail))
            }
        }
    }
}
