//! News of what is written to a log.
//!
//! The system tells of what is written to a file that stays open only when it writes it to the disk, which may be much later.
//! So whoever follows a log looks once a second.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long it is between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// What is not told is looked for.
pub(crate) struct News;

impl News {
    pub(crate) fn of_folder(_: &Path) -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) fn new(news: Self) -> Result<Self, Infallible> {
        Ok(news)
    }

    pub(crate) fn watch(&self, _: Option<&File>) {}

    /// Waits for the next look.
    pub(crate) async fn come(&self) -> io::Result<()> {
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}
