//! A simulated world: the supervisor's real decisions, on mock components, in virtual time.
//!
//! A [`World`] holds the very state machine that supervises real processes. Around it, everything is made up: the
//! clock, the processes and what they do. A minute of it takes microseconds, the same seed gives the same life, and
//! after every step the world checks what must always be true (never two runs of one component, nothing started that
//! is not wanted, nothing left behind, ...) and panics with the seed if it is not.
//!
//! ```
//! use std::time::Duration;
//! use supervisor::testing::{Behaviour, Mock, World};
//!
//! let seconds = Duration::from_secs;
//! let mut world = World::new([
//!     Mock::new("is"),
//!     Mock::new("ps").behaves(Behaviour::steady().crashes_after(seconds(3))),
//! ]);
//! world.run_for(seconds(10));
//! assert_eq!(world.state("is"), "up");
//! assert_eq!(world.runs("ps"), 4);
//!
//! let stop = world.stop("is");
//! world.run_for(seconds(1));
//! assert!(world.outcome(stop).is_some_and(|outcome| outcome.is_success()));
//! assert_eq!(world.state("is"), "stopped");
//! ```
//!
//! Use it to test your own [`RestartPolicy`](crate::RestartPolicy), or a whole registry:
//! [`Mock::of`] takes any [`ProcessSpec`](crate::ProcessSpec).

mod hostility;
mod mock;
mod witness;
mod world;

pub use hostility::Hostility;
pub use mock::{Behaviour, Mock};
pub use world::{Circumstances, Ticket, World};
