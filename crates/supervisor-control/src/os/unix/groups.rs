//! The groups of whoever is at the other end, which no safe library tells.
#![cfg_attr(
    target_os = "linux",
    expect(unsafe_code, reason = "the one place for it: each block says why it is sound")
)]

use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;

/// The groups, beside the first one, that the process had which has connected this local socket.
#[cfg(target_os = "linux")]
pub(crate) fn groups_of_peer(socket: BorrowedFd<'_>) -> io::Result<Vec<libc::gid_t>> {
    // As many as a process can have.
    const MOST: usize = 65_536;
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let size = groups.len() * size_of::<libc::gid_t>();
        let mut length = libc::socklen_t::try_from(size).map_err(io::Error::other)?;
        // SAFETY: the kernel writes at most `length` bytes, which `groups` has, and into `length` how many there are.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let count = usize::try_from(length).map_err(io::Error::other)? / size_of::<libc::gid_t>();
        if result == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ERANGE) || count > MOST {
            return Err(error);
        }
        groups.resize(count, 0);
    }
}

/// Elsewhere only the first one is told, with the user.
#[cfg(not(target_os = "linux"))]
pub(crate) fn groups_of_peer(_: BorrowedFd<'_>) -> io::Result<Vec<libc::gid_t>> {
    Ok(Vec::new())
}
