//! How urgent a thread is.

/// Lets the calling thread run only when nothing else wants the processor. What cannot be had is done without.
pub(crate) fn lower_this_thread() {
    // Linux counts niceness per thread; elsewhere this would slow down the whole process.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, 19);
}
