//! How much is told: the trace level. It can be changed while everybody logs, and what is not told costs nothing.
//!
//! The trace levels of the registry are these levels of `tracing`:
//!
//! | trace level | adds | `tracing` |
//! |---|---|---|
//! | 1 | starts, stops, crashes, statistics | info and above, from this crate |
//! | 2 | requests and decisions | debug, from this crate |
//! | 3 | every event in full | trace, from this crate |
//! | 4 | everything | every level, from every crate |

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata};
use tracing_subscriber::layer::{Context, Filter};

/// The trace level, from 1 to 4. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct TraceLevel(Arc<AtomicU8>);

impl TraceLevel {
    pub(super) fn new(level: u8) -> Self {
        Self(Arc::new(AtomicU8::new(level)))
    }

    /// What it is now.
    pub(crate) fn now(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    /// Tells more or less from now on.
    pub(crate) fn set(&self, level: u8) {
        self.0.store(level, Ordering::Relaxed);
        // Each place that tells something remembers whether it is heard, so that asking costs nothing.
        tracing::callsite::rebuild_interest_cache();
    }

    /// Lets through what is told at this level, but never more than at `most`.
    pub(super) fn up_to(&self, most: u8) -> UpTo {
        UpTo { level: self.clone(), most }
    }
}

/// Lets through what is told.
#[derive(Debug)]
pub(super) struct UpTo {
    level: TraceLevel,
    most: u8,
}

impl UpTo {
    fn now(&self) -> u8 {
        self.level.now().min(self.most)
    }
}

impl<S> Filter<S> for UpTo {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        of(metadata) <= self.now()
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if of(metadata) <= self.now() { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.now() {
            0 | 1 => LevelFilter::INFO,
            2 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        })
    }
}

/// The trace level at which an event is shown.
pub(super) fn of(metadata: &Metadata<'_>) -> u8 {
    let ours = metadata.target().starts_with(env!("CARGO_CRATE_NAME"));
    match *metadata.level() {
        _ if !ours => 4,
        Level::TRACE => 3,
        Level::DEBUG => 2,
        _ => 1,
    }
}
