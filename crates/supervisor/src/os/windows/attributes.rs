//! What a process is born with beside its program: its job, and the handles that it inherits and no others.

use std::io;
use std::mem;
use std::os::windows::io::{AsHandle, AsRawHandle};
use std::ptr;

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::Threading::{
    DeleteProcThreadAttributeList, InitializeProcThreadAttributeList, LPPROC_THREAD_ATTRIBUTE_LIST,
    PROC_THREAD_ATTRIBUTE_HANDLE_LIST, PROC_THREAD_ATTRIBUTE_JOB_LIST, UpdateProcThreadAttribute,
};

use super::handle::done;
use super::job::Job;

/// The list, and what it points to.
pub(super) struct Attributes<'a> {
    /// Of `usize`, so that it is aligned as the system likes it.
    list: Vec<usize>,
    handles: Box<[HANDLE]>,
    job: Box<HANDLE>,
    _lent: &'a Job,
}

impl<'a> Attributes<'a> {
    /// To begin in this job, and to inherit these handles, which must be inheritable.
    pub(super) fn new(job: &'a Job, handles: Box<[HANDLE]>) -> io::Result<Self> {
        const COUNT: u32 = 2;
        let mut size = 0;
        // SAFETY: asks for a size, by failing.
        unsafe { InitializeProcThreadAttributeList(ptr::null_mut(), COUNT, 0, &raw mut size) };
        let mut list = vec![0; size.div_ceil(mem::size_of::<usize>())];
        // SAFETY: it has that size.
        done(unsafe {
            InitializeProcThreadAttributeList(list.as_mut_ptr().cast(), COUNT, 0, &raw mut size)
        })?;
        let job = (Box::new(job.as_handle().as_raw_handle()), job);
        let mut attributes = Self { list, handles, job: job.0, _lent: job.1 };
        let handles = (attributes.handles.as_ptr(), mem::size_of_val(&*attributes.handles));
        attributes.set(PROC_THREAD_ATTRIBUTE_HANDLE_LIST, handles)?;
        let job = (&raw const *attributes.job, mem::size_of::<HANDLE>());
        attributes.set(PROC_THREAD_ATTRIBUTE_JOB_LIST, job)?;
        Ok(attributes)
    }

    pub(super) fn list(&mut self) -> LPPROC_THREAD_ATTRIBUTE_LIST {
        self.list.as_mut_ptr().cast()
    }

    fn set(&mut self, attribute: u32, (value, size): (*const HANDLE, usize)) -> io::Result<()> {
        let (list, none) = (self.list(), ptr::null_mut());
        // SAFETY: the list was initialized; it keeps pointers to what this owns, and that stays where it is.
        done(unsafe {
            UpdateProcThreadAttribute(list, 0, attribute as usize, value.cast(), size, none, none.cast())
        })
    }
}

impl Drop for Attributes<'_> {
    fn drop(&mut self) {
        // SAFETY: it was initialized.
        unsafe { DeleteProcThreadAttributeList(self.list()) };
    }
}
