//! The job of a run: whoever descends from its main process is in it, and cannot leave it.

use std::io;
use std::mem;
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle};
use std::ptr;

use windows_sys::Win32::Foundation::ERROR_MORE_DATA;
use windows_sys::Win32::System::JobObjects::{
    CreateJobObjectW, IsProcessInJob, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE, JOBOBJECT_BASIC_PROCESS_ID_LIST,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectBasicProcessIdList, JobObjectExtendedLimitInformation,
    QueryInformationJobObject, SetInformationJobObject, TerminateJobObject,
};

use super::handle::{done, owned};
use super::process::KILLED;

/// How many processes are told of at first.
const FEW: usize = 62;

/// The most that are told of.
const MOST: usize = 1 << 16;

/// A job. All that is in it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Job(OwnedHandle);

impl Job {
    /// A new one, with nobody in it.
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: no pointer is given; the handle is new.
        let job = unsafe { owned(CreateJobObjectW(ptr::null(), ptr::null()))? };
        // SAFETY: a struct of numbers, for which zeros mean that there is no limit.
        let mut limits: JOBOBJECT_EXTENDED_LIMIT_INFORMATION = unsafe { mem::zeroed() };
        limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
        let size = mem::size_of_val(&limits) as u32;
        // SAFETY: the class is that of the struct, which is read.
        done(unsafe {
            let limits = (&raw const limits).cast();
            SetInformationJobObject(job.as_raw_handle(), JobObjectExtendedLimitInformation, limits, size)
        })?;
        Ok(Self(job))
    }

    /// Ends everybody in it, with [`KILLED`] for their exit codes.
    pub(super) fn kill(&self) {
        // SAFETY: the handle is open. Nobody needs to be in it.
        unsafe { TerminateJobObject(self.0.as_raw_handle(), KILLED) };
    }

    /// Whether that process is in it.
    pub(super) fn has(&self, process: BorrowedHandle<'_>) -> bool {
        let mut is_in = 0;
        // SAFETY: the handles are open; the number is written.
        let asked =
            unsafe { IsProcessInJob(process.as_raw_handle(), self.0.as_raw_handle(), &raw mut is_in) };
        asked != 0 && is_in != 0
    }

    /// Who is in it: the first 65,536.
    pub(super) fn pids(&self) -> io::Result<Vec<u32>> {
        let mut room = FEW;
        loop {
            // A header of two numbers, then one for each process: an array of `usize` has its alignment.
            let mut list = vec![0_usize; 1 + room];
            let size = mem::size_of_val(list.as_slice()) as u32;
            // SAFETY: the class is that of the struct, and so many bytes may be written.
            let asked = done(unsafe {
                let list = list.as_mut_ptr().cast();
                let (job, none) = (self.0.as_raw_handle(), ptr::null_mut());
                QueryInformationJobObject(job, JobObjectBasicProcessIdList, list, size, none)
            });
            // SAFETY: the array is at least as large as the header, which was written.
            let told = unsafe {
                let header = list.as_ptr().cast::<JOBOBJECT_BASIC_PROCESS_ID_LIST>();
                (&raw const (*header).NumberOfProcessIdsInList).read() as usize
            };
            match asked {
                Err(error) if error.raw_os_error() != i32::try_from(ERROR_MORE_DATA).ok() => {
                    return Err(error);
                }
                Err(_) if room < MOST => room *= 8,
                _ => {
                    return Ok(list[1..]
                        .iter()
                        .take(told)
                        .filter_map(|pid| u32::try_from(*pid).ok())
                        .collect());
                }
            }
        }
    }
}

impl AsHandle for Job {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        self.0.as_handle()
    }
}
