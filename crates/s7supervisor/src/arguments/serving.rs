//! For whom the supervisor answers.

use std::net::IpAddr;

use clap::Args;

/// For whom the supervisor answers, beside root and its own user
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Serving {
    /// A group (its name or number) whose members may ask for everything and change nothing
    #[arg(long, value_name = "GROUP", env = "S7_GROUP", hide_env_values = true)]
    pub(crate) group: Option<String>,

    /// Listen on this address for the control port (`tcpport`) instead of the loopback interface; may be given several times
    ///
    /// What is sent there can be read on its way, the token too.
    #[arg(long, value_name = "ADDRESS", env = "S7_BIND", hide_env_values = true, value_delimiter = ',')]
    pub(crate) bind: Vec<IpAddr>,
}
