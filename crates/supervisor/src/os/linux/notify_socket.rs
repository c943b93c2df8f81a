//! The socket on which a component speaks `sd_notify`.
//!
//! It is a file, as systemd's is, where the host names a folder for it: not every client knows another address (the crate
//! `sd-notify` does not). Else its address is abstract: there is no file to make, to guard or to leave behind, and whoever
//! runs without any right finds it. Its name is random, so that nobody can be there first. It is no secret
//! (`/proc/net/unix` lists it), which is why the kernel says of each datagram who sent it. What is said while nobody has
//! the address, because a supervisor was killed, is refused (`ECONNREFUSED`, and no signal). While its descriptor is open,
//! the kernel keeps what is said, be it that nobody reads: so it may be handed on to another program in this process.

use std::cell::Cell;
use std::ffi::OsString;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io, ptr};

use rustix::fs::Mode;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt,
};

/// Room for one message with credentials, and for nothing else. The kernel puts that first; descriptors that come
/// with a datagram find no room, and it closes them. So no descriptor of a component's ever gets into our table, and
/// who waits until his is closed (`BARRIER=1`) is answered by the datagram being read.
// SAFETY: a computation with a number.
const CREDENTIALS: usize = unsafe { libc::CMSG_SPACE(size_of::<libc::ucred>() as libc::c_uint) } as usize;

/// A socket that takes datagrams and never blocks.
#[derive(Debug)]
pub(crate) struct NotifySocket {
    socket: Arc<OwnedFd>,
    address: Address,
    /// Whether its file is to be there when this is gone: somebody else has the descriptor.
    stays: Cell<bool>,
}

#[derive(Debug)]
enum Address {
    Abstract(String),
    File(PathBuf),
}

/// Who sent a datagram, in the words of the kernel. The process may have ended since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    /// Zero if it has no number that means anything here.
    pub(crate) pid: u32,
    pub(crate) user: u32,
}

impl NotifySocket {
    /// A new one, with a name that nobody else has.
    ///
    /// # Errors
    /// When there is no descriptor left, or the name is taken or longer than 107 bytes.
    pub(crate) fn open(name: String) -> io::Result<Self> {
        let address = SocketAddrUnix::new_abstract_name(name.as_bytes())?;
        Ok(Self::with(bound(&address)?.into(), Address::Abstract(name)))
    }

    /// A new one, as a file of this name in a folder; also in the place of one that a supervisor has left which was killed.
    ///
    /// # Errors
    /// As of `open`; or the folder does not let us.
    pub(crate) fn open_in(folder: &Path, name: &str) -> io::Result<Self> {
        let path = folder.join(name);
        if fs::symlink_metadata(&path).is_ok_and(|file| file.file_type().is_socket()) {
            fs::remove_file(&path)?;
        }
        let address = SocketAddrUnix::new(&path)?;
        let socket = Self::with(bound(&address)?.into(), Address::File(path.clone()));
        // Whoever may enter the folder may speak; who did, the kernel says.
        rustix::fs::chmod(&path, Mode::from_raw_mode(0o666))?;
        Ok(socket)
    }

    /// One that was opened before us, by its descriptor, with all that was said on it meanwhile. Its file [stays](Self::stay).
    /// `None` if this is no such socket, or nobody finds it any more.
    pub(crate) fn resume(socket: Arc<OwnedFd>) -> Option<Self> {
        if sockopt::socket_type(&socket).ok()? != SocketType::DGRAM {
            return None;
        }
        let bound = SocketAddrUnix::try_from(getsockname(&socket).ok()?).ok()?;
        let address = match bound.abstract_name() {
            // It has no address at all.
            Some([]) => return None,
            Some(name) => Address::Abstract(str::from_utf8(name).ok()?.to_owned()),
            None => Address::File(std::ffi::OsStr::from_bytes(bound.path_bytes()?).into()),
        };
        if let Address::File(path) = &address {
            fs::symlink_metadata(path).ok().filter(|file| file.file_type().is_socket())?;
        }
        sockopt::set_socket_passcred(&socket, true).ok()?;
        let resumed = Self::with(socket, address);
        resumed.stay(true);
        Some(resumed)
    }

    fn with(socket: Arc<OwnedFd>, address: Address) -> Self {
        Self { socket, address, stays: Cell::new(false) }
    }

    /// Whether its file is still to be there when this is gone, for whoever else has its descriptor. At first it is not.
    pub(crate) fn stay(&self, yes: bool) {
        self.stays.set(yes);
    }

    /// By which what is said is kept, whether or not anybody reads it.
    pub(crate) fn descriptor(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.socket)
    }

    /// What a component finds in `NOTIFY_SOCKET`.
    pub(crate) fn address(&self) -> OsString {
        match &self.address {
            Address::Abstract(name) => format!("@{name}").into(),
            Address::File(path) => path.clone().into(),
        }
    }

    /// Takes the next datagram: who sent it, and its length. Nothing is said of one that does not fit into the
    /// buffer or has no sender: then the length is zero. `None` if there is no more for now.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Option<(Sender, usize)> {
        #[repr(C, align(8))]
        struct Control([u8; CREDENTIALS]);
        let mut control = Control([0; CREDENTIALS]);
        let mut bytes = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        // SAFETY: a struct of numbers and pointers, for which zeros are a value.
        let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        message.msg_iov = &raw mut bytes;
        message.msg_iovlen = 1;
        message.msg_control = (&raw mut control.0).cast();
        message.msg_controllen = CREDENTIALS as _;
        let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        // SAFETY: the message leads to a buffer and room for control messages, both of the lengths it says, which
        // nobody else touches during the call. (The wrapper in `rustix` cannot be used: to it a pid is never zero,
        // but that of a sender in another namespace is.)
        let length = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut message, flags) };
        // It fails where there is nothing, and when it was interrupted: then it is still there in the next round.
        let length = usize::try_from(length).ok()?;
        let is_whole = message.msg_flags & libc::MSG_TRUNC == 0;
        Some(match sender_of(&message) {
            Some(sender) if is_whole => (sender, length.min(buffer.len())),
            sender => (sender.unwrap_or(Sender { pid: 0, user: u32::MAX }), 0),
        })
    }
}

/// A socket with this address, which says of what comes from whom it is.
fn bound(address: &SocketAddrUnix) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    // Before it has an address: what comes has its sender with it from the first datagram on.
    sockopt::set_socket_passcred(&socket, true)?;
    bind(&socket, address)?;
    Ok(socket)
}

fn sender_of(message: &libc::msghdr) -> Option<Sender> {
    // SAFETY: the kernel has filled the control messages of this header, which are still there; the first is read
    // only if it says that it holds credentials.
    let credentials = unsafe {
        let first = libc::CMSG_FIRSTHDR(message).as_ref()?;
        let is_known = first.cmsg_level == libc::SOL_SOCKET && first.cmsg_type == libc::SCM_CREDENTIALS;
        is_known.then(|| ptr::read_unaligned(libc::CMSG_DATA(first).cast::<libc::ucred>()))?
    };
    Some(Sender { pid: u32::try_from(credentials.pid).unwrap_or(0), user: credentials.uid })
}

impl AsFd for NotifySocket {
    /// Readable while there is a datagram.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for NotifySocket {
    fn drop(&mut self) {
        if let Address::File(path) = &self.address
            && !self.stays.get()
        {
            // It may have gone with its folder.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use super::*;

    fn open() -> NotifySocket {
        NotifySocket::open(format!("test/{:x}", getrandom::u64().unwrap())).unwrap()
    }

    fn speaker(socket: &NotifySocket) -> UnixDatagram {
        let speaker = UnixDatagram::unbound().unwrap();
        let Address::Abstract(name) = &socket.address else { unreachable!("the tests open no other") };
        speaker.connect_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap();
        speaker
    }

    #[test]
    fn a_file_in_a_folder_can_be_spoken_to_by_everybody_and_goes_with_the_socket() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let socket = NotifySocket::open_in(folder.path(), "ps").unwrap();
        let path = folder.path().join("ps");
        assert_eq!(socket.address(), path);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
        UnixDatagram::unbound().unwrap().send_to(b"READY=1", &path).unwrap();
        assert_eq!(socket.receive(&mut [0; 64]).map(|(_, length)| length), Some(7));
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_datagram_comes_whole_with_its_sender_and_then_there_is_no_more() {
        let socket = open();
        speaker(&socket).send(b"READY=1").unwrap();
        let mut buffer = [0; 64];
        let us = Sender { pid: std::process::id(), user: rustix::process::getuid().as_raw() };
        assert_eq!(socket.receive(&mut buffer), Some((us, 7)));
        assert_eq!(&buffer[..7], b"READY=1");
        assert_eq!(socket.receive(&mut buffer), None);
    }

    #[test]
    fn what_is_said_while_nobody_reads_is_there_for_whoever_goes_on_by_the_descriptor() {
        let folder = tempfile::tempdir().unwrap();
        let file = NotifySocket::open_in(folder.path(), "ps").unwrap();
        for socket in [open(), file] {
            let (address, descriptor) = (socket.address(), socket.descriptor());
            let speaker = UnixDatagram::unbound().unwrap();
            match &socket.address {
                Address::Abstract(name) => {
                    speaker.connect_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap();
                }
                Address::File(path) => speaker.connect(path).unwrap(),
            }
            socket.stay(true);
            drop(socket);
            speaker.send(b"READY=1").unwrap();
            let resumed = NotifySocket::resume(descriptor).unwrap();
            assert_eq!(resumed.address(), address);
            assert_eq!(resumed.receive(&mut [0; 64]).map(|(_, length)| length), Some(7));
            resumed.stay(false);
            drop(resumed);
            // A process that another test is just starting may have it open until its own program runs.
            let refused = loop {
                if let Err(refused) = speaker.send(b"READY=1") {
                    break refused;
                }
            };
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        }
        assert!(!folder.path().join("ps").exists());
    }

    #[test]
    fn what_is_no_such_socket_or_cannot_be_found_is_not_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let (one, _other) = UnixDatagram::pair().unwrap();
        let listener = std::os::unix::net::UnixListener::bind(folder.path().join("listener")).unwrap();
        let unfindable = NotifySocket::open_in(folder.path(), "ps").unwrap();
        fs::remove_file(folder.path().join("ps")).unwrap();
        let file = fs::File::open(folder.path()).unwrap();
        let descriptors = [one.into(), listener.into(), file.into()].map(|one: OwnedFd| Arc::new(one));
        for descriptor in descriptors.into_iter().chain([unfindable.descriptor()]) {
            assert!(NotifySocket::resume(descriptor).is_none());
        }
    }

    #[test]
    fn one_that_is_too_long_says_nothing_and_the_next_is_heard() {
        let socket = open();
        let speaker = speaker(&socket);
        for text in ["123456789", "", "12345678"] {
            speaker.send(text.as_bytes()).unwrap();
        }
        let mut lengths = std::iter::from_fn(|| Some(socket.receive(&mut [0; 8])?.1));
        assert_eq!(lengths.by_ref().collect::<Vec<_>>(), [0, 0, 8]);
    }

    #[test]
    fn descriptors_that_come_with_a_datagram_are_closed_when_it_is_read() {
        use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
        let socket = open();
        let speaker = speaker(&socket);
        let (mut reader, writer) = std::io::pipe().unwrap();
        let passed = [writer.as_fd(); 9];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(9))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&passed)));
        sendmsg(&speaker, &[io::IoSlice::new(b"BARRIER=1")], &mut control, SendFlags::empty()).unwrap();
        drop(writer);
        assert_eq!(socket.receive(&mut [0; 64]).map(|(_, length)| length), Some(9));
        // It ends only when nobody has the other end any more.
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    }
}
