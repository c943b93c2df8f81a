//! The control interface over a [`supervisor::Handle`]: HTTP/1.1 and JSON on a Unix socket and by TCP, and its client.
//!
//! A host that embeds the supervisor offers the same control interface as the command line's supervisor by adding a
//! [`Server`]. It runs in one thread of its own, holds nobody up, and sleeps without a timer while nobody asks.
//!
//! ```
//! use supervisor::{ProcessSpec, Supervisor};
//! use supervisor_control::{Action, Client, Server, Wait};
//!
//! # let folder = tempfile::tempdir()?;
//! # let socket = folder.path().join("s7supervisor.sock");
//! let mut component = ProcessSpec::new("ps", "/bin/sleep")?;
//! component.arguments = vec!["1000".into()];
//! let supervisor = Supervisor::builder().components([component]).start()?;
//! let _server = Server::new(supervisor.handle(), &socket)?;
//!
//! // Anywhere else, as the same user or root:
//! let client = Client::connect(&socket)?;
//! let outcome = client.act(Action::Restart, Some(&["ps".to_owned()]), Wait::Forever)?;
//! assert!(outcome.is_success());
//! assert_eq!(client.status(&[])?.components[0].state, "up");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The socket belongs in a folder that only its owner can enter. It is not the only guard: whoever is neither root nor
//! the server's own user, nor in the [group that reads](Builder::readers), is sent away before anything of what it says is
//! read. Who comes by [TCP](Builder::tcp) needs the [`Token`] for each request.
//!
//! The host must ignore SIGPIPE, as every program does whose `main` is Rust's: else a client that goes away before its
//! answer ends the process.
//!
//! # What can be asked for
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/status`, of some: `?id=NAME&id=NAME` | [`wire::StatusDocument`] |
//! | `GET /livez`, `/readyz`: are all well that should run, are they up? | [`wire::HealthDocument`] |
//! | `GET /v1/components`, of some: `?id=NAME` | a list of [`wire::ComponentDocument`] |
//! | `GET /v1/components/{id}` | [`wire::ComponentDocument`] |
//! | `GET /v1/components/{id}/logs`, with `?follow=true` as a stream | a list of [`wire::LineDocument`] |
//! | `GET /v1/registry` | what runs, as it was declared |
//! | `GET /v1/journal`, where there [is one](Builder::journal) | a list of [`wire::EventDocument`] |
//! | `GET /v1/openapi.json` | all of this, for programs |
//! | `GET /v1/components/{id}/detail`: command line, processes, last exits, dependencies | [`wire::DetailDocument`] |
//! | `POST /v1/start`, `restart`, `reset`, `reload`, `rotate` with a [`wire::SelectionDocument`] | [`wire::OutcomeDocument`] |
//! | `POST /v1/stop` with a [`wire::StopDocument`] | [`wire::OutcomeDocument`] |
//! | `POST /v1/signal` with a [`wire::SignalDocument`] | [`wire::OutcomeDocument`] |
//! | `POST /v1/wait` with a [`wire::WaitDocument`] | [`wire::OutcomeDocument`] |
//! | `POST /v1/components/{id}/start`, …: the same of one, without `components` | [`wire::OutcomeDocument`] |
//! | `GET /v1/events` | a stream of [`wire::EventDocument`] as Server-Sent Events, until the supervisor ends |
//! | `POST /v1/shutdown` with a [`wire::ShutdownDocument`] | [`wire::OutcomeDocument`] |
//! | `GET /v1/tracelevel`, `POST /v1/tracelevel` with a [`wire::TraceLevelDocument`], where the host [has one](Builder::trace_level) | [`wire::TraceLevelDocument`] |
//! | `POST /v1/log/rotate`, where the host [has a log of its own](Builder::own_log) | [`wire::OwnLogDocument`] |
//! | `POST /v1/plan` with a [`wire::PlanOrderDocument`], where the host [can](Builder::changer) | [`wire::PlanDocument`] |
//! | `POST /v1/apply` with a [`wire::ApplyOrderDocument`], likewise | [`wire::ApplyDocument`] |
//! | `POST /v1/upgrade` with a [`wire::UpgradeOrderDocument`], where the host [can](Builder::upgrader) | [`wire::UpgradeDocument`] |
//!
//! A name is an id, the common name of several instances, or a glob. A `POST` is answered when what was asked for has
//! happened or can no longer happen, a start at the latest when one has failed; with `?timeout=SECONDS` no later than that, and with `?wait=false` at once. What
//! was taken up goes on, also when the client goes away; only a `wait`, which changes nothing, is over then.
//!
//! | status | meaning |
//! |---|---|
//! | 200 | here it is; all that was asked for is so |
//! | 202 | taken up, not finished yet |
//! | 409 | finished, but not all of it came to be: the outcome tells what; or refused, as a problem: running components depend on what was to stop, it has no `<reload>`, too many requests wait |
//! | 400, 415, 413, 431, 408 | the request cannot be understood, is no JSON, too large, or too slow |
//! | 401, 403, 421 | no token or a wrong one; this account, or a page of another server, may not do that; the `Host` may be anybody's |
//! | 422 | a registry is not in order: the problem tells everything that is wrong with it |
//! | 404, 405 | there is no such component or path, or the host does not offer this; it does not take this method |
//! | 500 | a file cannot be read |
//! | 503 | the supervisor is shutting down or has ended, or too much is under way already |
//!
//! From 400 on, but for 409 with an outcome, the answer is a [`wire::ProblemDocument`] (`application/problem+json`), and
//! nothing was touched. A head that is no HTTP, or too large, gets the bare status. Try it with
//! `curl --unix-socket temp/s7supervisor.sock http://localhost/v1/status`.

mod client;
mod http_prober;
pub mod journal;
mod os;
mod server;
mod token;
pub mod wire;

pub use crate::client::{Action, Address, Client, ClientError, Follow, Wait};
pub use crate::http_prober::HttpProber;
pub use crate::os::LocalListener;
pub use crate::server::{
    Builder, Change, ChangeRefusal, ChangeRequest, HandedOver, Limits, Server, UpgradeRequest,
};
pub use crate::token::Token;
