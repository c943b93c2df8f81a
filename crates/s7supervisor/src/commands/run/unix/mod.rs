//! What `run` does where there are signals, descriptors that outlive a program, and `sd_notify`.

mod handover;
mod notify_folder;
mod serving_again;
mod signals;
mod successor;
pub(crate) mod told;

use std::os::unix::net::UnixStream;

use signal_hook::consts::SIGCHLD;
use supervisor::Builder;

pub(crate) use self::handover::Handed;
pub(crate) use self::notify_folder::NotifyFolder;
pub(crate) use self::signals::Signals;
pub(crate) use self::successor::{Examiner, Successor};
use super::home::Home;
use crate::arguments::{Cgroups, Run};
use crate::exit::Ended;

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
