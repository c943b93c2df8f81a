//! Where there are descriptors and signals; and what the command line asks of the operating system that no safe library offers.
#![expect(unsafe_code, reason = "the one place for it: each block says why it is sound")]

pub(crate) mod background;
#[cfg(all(target_os = "linux", not(s7_posix)))]
mod becoming;
pub(crate) mod door;
pub(crate) mod files;
pub(crate) mod lock;
pub(crate) mod presence;
pub(crate) mod process;
pub(crate) mod temp_folder;
pub(crate) mod waiting;
#[cfg_attr(any(not(target_os = "linux"), s7_posix), path = "looking.rs")]
pub(crate) mod watch;

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit, setrlimit};

#[cfg(all(target_os = "linux", not(s7_posix)))]
pub(crate) use self::becoming::{adopt_descriptor, become_program};

/// A folder that is open.
pub(crate) type Dir<'a> = BorrowedFd<'a>;

/// A lock that this process has held as another program.
pub(crate) type HeldLock = OwnedFd;

/// A folder that we have opened.
pub(crate) struct OpenFolder(File);

impl OpenFolder {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        File::open(path).map(Self)
    }

    pub(crate) fn dir(&self) -> Dir<'_> {
        self.0.as_fd()
    }
}

/// Makes the folder of the own log, which a group may be let into, if it is missing.
pub(crate) fn make_log_folder(path: &Path) -> io::Result<()> {
    match rustix::fs::mkdir(path, Mode::from_raw_mode(0o750)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Lets all threads allocate from one heap, where the C library would give each a heap of its own.
///
/// What reading a large registry leaves free is then used again by everybody: with a thousand components that is a
/// quarter of all memory. Nothing here allocates so much at once that threads would wait for each other. What is large,
/// as the answer to a status of a thousand components, stands beside the heap and leaves nothing behind.
pub(crate) fn share_one_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const LARGE: libc::c_int = 32 << 10;
        for (setting, value) in [(libc::M_ARENA_MAX, 1), (libc::M_MMAP_THRESHOLD, LARGE)] {
            // SAFETY: it takes two numbers and changes only how further memory is handed out. It fails only for numbers
            // that it does not know, and then everything stays as it was.
            unsafe { libc::mallopt(setting, value) };
        }
    }
}

/// Takes no signal in this thread until [`heed_signals`]: what comes meanwhile waits, also for another program that this
/// process becomes.
pub(crate) fn defer_signals() {
    // SAFETY: both functions are given a set that is there, and the first one fills it.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
    }
}

/// Takes signals in this thread again, and in those that it starts.
pub(crate) fn heed_signals() {
    // SAFETY: as above.
    unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// The number of the group of this name; `None`: there is none.
pub(crate) fn group_id(name: &str) -> io::Result<Option<u32>> {
    /// No group has more members than fit into this.
    const LARGEST: usize = 16 << 20;
    let name = CString::new(name)?;
    let mut buffer = vec![0; 4096];
    loop {
        // SAFETY: nothing but numbers and pointers, all of which may be zero.
        let mut group: libc::group = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        let (start, size) = (buffer.as_mut_ptr(), buffer.len());
        // SAFETY: the name is a text, and it writes into the three others, into the buffer no more than its size.
        let error = unsafe { libc::getgrnam_r(name.as_ptr(), &raw mut group, start, size, &raw mut found) };
        match error {
            0 => return Ok((!found.is_null()).then_some(group.gr_gid)),
            libc::ERANGE if size < LARGEST => buffer.resize(2 * size, 0),
            // What some systems say instead of "none".
            libc::ENOENT | libc::ESRCH => return Ok(None),
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// Raises our soft limit of open descriptors to the hard one, since a thousand components take thousands. What it was, if
/// that has changed: components are to have it.
pub(crate) fn raise_descriptor_limit() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    let soft = limit.current.filter(|_| limit.current != limit.maximum)?;
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).ok().map(|()| soft)
}

/// Gives the operating system back what is not needed soon: pages of the heap on which nothing is left, and pages of our
/// program that only starting has used. Whoever needs one of these again gets it from the page cache or the file.
pub(crate) fn give_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: it takes a number, and gives back only what nobody has allocated.
        unsafe { libc::malloc_trim(0) };
    }
    #[cfg(target_os = "linux")]
    {
        // SAFETY: the function has the signature that is asked for, does not unwind, and needs no data.
        unsafe { libc::dl_iterate_phdr(Some(let_go_of_the_program), std::ptr::null_mut()) };
    }
}

/// Unmaps the whole pages of code and constants. It is called for the program, and by what it returns for no library.
#[cfg(target_os = "linux")]
unsafe extern "C" fn let_go_of_the_program(
    program: *mut libc::dl_phdr_info,
    _: libc::size_t,
    _: *mut libc::c_void,
) -> libc::c_int {
    const DONE: libc::c_int = 1;
    // SAFETY: the loader calls this with a valid description, whose headers are an array of that length. They stay
    // while the program runs.
    let (base, headers) = unsafe {
        let program = &*program;
        (program.dlpi_addr, std::slice::from_raw_parts(program.dlpi_phdr, program.dlpi_phnum.into()))
    };
    let page = rustix::param::page_size();
    for segment in headers {
        if segment.p_type != libc::PT_LOAD || segment.p_flags & libc::PF_W != 0 {
            continue;
        }
        let from = (base + segment.p_vaddr) as usize;
        let to = (from + segment.p_memsz as usize) & !(page - 1);
        let from = from.next_multiple_of(page);
        if from < to {
            // SAFETY: these are pages of a file, mapped privately and never written: the next who reads one, be it the
            // next instruction, gets the same from the file again.
            unsafe { libc::madvise(from as *mut _, to - from, libc::MADV_DONTNEED) };
        }
    }
    DONE
}

/// Lets the members of this group read, at the local socket.
pub(crate) fn let_read(
    builder: supervisor_control::Builder,
    group: Option<u32>,
) -> supervisor_control::Builder {
    match group {
        Some(group) => builder.readers(group),
        None => builder,
    }
}
