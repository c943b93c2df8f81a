//! How urgent a thread is.

/// Lets the calling thread run only when nothing else wants the processor. What cannot be had is done without.
pub(crate) fn lower_this_thread() {
    // Linux counts niceness per thread; elsewhere this would slow down the whole process.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, 19);
}

/// Has the calling thread wait for its turn when it wakes up, rather than interrupt whoever runs. It gets as much of the
/// processor as before. What cannot be had is done without.
///
/// For threads that are woken by what the driver waits for too, and are in less of a hurry: an end closes pipes before it
/// is told, and who stops to look at them holds up the process that ends.
pub(crate) fn give_way() {
    #[cfg(target_os = "linux")]
    {
        let nothing = libc::sched_param { sched_priority: 0 };
        // SAFETY: the call reads the struct; zero means the calling thread.
        unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const nothing) };
    }
}
