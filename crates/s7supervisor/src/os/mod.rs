//! What the command line asks of the operating system that no safe library offers.
#![expect(unsafe_code, reason = "the one place for it: each block says why it is sound")]

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

/// Gives the operating system back what the C library keeps for later: pages of the heap on which nothing is left.
pub(crate) fn give_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: it takes a number, and gives back only what nobody has allocated.
        unsafe { libc::malloc_trim(0) };
    }
}
