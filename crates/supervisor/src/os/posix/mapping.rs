//! Memory that a child may share.

use std::ffi::c_void;
use std::ptr;

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Memory of its own, which is given back in the end.
#[derive(Debug)]
pub(in crate::os) struct Mapping {
    start: *mut c_void,
    length: usize,
}

// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for Mapping {}

impl Mapping {
    /// So many bytes, all zeros.
    pub(in crate::os) fn new(length: usize, kind: MapFlags) -> Result<Self, Errno> {
        // SAFETY: new memory, at a place that the kernel chooses.
        let start =
            unsafe { mmap_anonymous(ptr::null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, kind)? };
        Ok(Self { start, length })
    }

    /// Its lowest address.
    pub(in crate::os) fn start(&self) -> *mut c_void {
        self.start
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: what was made for it, of which nobody has a reference any more.
        let _ = unsafe { munmap(self.start, self.length) };
    }
}
