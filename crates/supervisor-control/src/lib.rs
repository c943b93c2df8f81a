//! The control interface over a [`supervisor::Handle`]: HTTP and JSON over a local socket, and its client.

pub mod wire;
