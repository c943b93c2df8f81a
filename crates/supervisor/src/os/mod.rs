//! (in the making)
#![expect(unsafe_code, reason = "the operating system is spoken to here and nowhere else")]

mod priority;
mod watched;

pub(crate) use priority::lower_this_thread;
pub(crate) use watched::Watched;
