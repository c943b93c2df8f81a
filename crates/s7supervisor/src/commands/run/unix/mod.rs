//! What `run` does where there are signals, descriptors that outlive a program, and `sd_notify`.

#[cfg_attr(any(not(target_os = "linux"), s7_posix), path = "../no_handover.rs")]
mod handover;
mod notify_folder;
mod serving_again;
mod signals;
#[cfg(all(target_os = "linux", not(s7_posix)))]
mod successor;
pub(crate) mod told;

use std::os::unix::net::UnixStream;

use signal_hook::consts::SIGCHLD;
use supervisor::Builder;

pub(crate) use self::handover::Handed;
#[cfg(any(not(target_os = "linux"), s7_posix))]
pub(crate) use self::handover::{Examiner, Successor};
pub(crate) use self::notify_folder::NotifyFolder;
pub(crate) use self::signals::Signals;
#[cfg(all(target_os = "linux", not(s7_posix)))]
pub(crate) use self::successor::{Examiner, Successor};
use super::home::Home;
use crate::arguments::{Cgroups, Run};
use crate::exit::Ended;

/// Why there is no other program.
#[cfg(any(not(target_os = "linux"), s7_posix))]
const NO_UPGRADE: &str =
    "on this system no other program can take over what runs; stop it, and start the other one";

/// Does this as the main thread.
pub(crate) fn run_as_asked(_: &Run, work: impl FnOnce() -> Ended + Send + 'static) -> Ended {
    work()
}

/// The builder with what there is here alone. `soft`: the limit of descriptors that components have, where ours is another.
pub(crate) fn equip(
    builder: Builder,
    home: &Home,
    asked: &Run,
    soft: Option<u64>,
    handed: Option<&Handed>,
) -> std::io::Result<Builder> {
    let mut builder = builder.cgroups(asked.cgroups == Cgroups::Auto).reap_orphans(reap_orphans()?.into());
    if let Some(folder) = &home.notify {
        builder = builder.notify_dir(folder.path());
    }
    if let Some(soft) = soft {
        builder = builder.descriptor_limit(soft);
    }
    if let Some(handed) = handed {
        builder = builder.kept_open(handed.kept.clone());
    }
    Ok(builder)
}

/// Makes us the parent of what components leave behind. What is returned tells of each child that ends.
fn reap_orphans() -> std::io::Result<UnixStream> {
    let (reader, writer) = UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(SIGCHLD, writer)?;
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(reader)
}
