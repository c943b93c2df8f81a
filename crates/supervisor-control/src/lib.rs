//! The control interface over a [`supervisor::Handle`]: HTTP and JSON over a local socket, and its client.

mod client;
mod server;
mod socket;
pub mod wire;

pub use crate::client::{Action, Client, ClientError, Wait};
pub use crate::server::{Builder, Limits, Server};
