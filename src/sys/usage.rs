//! What the calling thread has used.

/// Context switches and CPU time of one thread, since it started.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadUsage {
    /// The thread gave the core up to wait.
    pub switches_voluntary: u64,
    /// The scheduler took the core away.
    pub switches_involuntary: u64,
    /// User and system time, in nanoseconds (the kernel counts microseconds here).
    pub cpu_ns: u64,
}

/// Reads the usage of the calling thread (`getrusage(RUSAGE_THREAD)`, getrusage(2)).
pub fn thread() -> ThreadUsage {
    // SAFETY: an all-zero rusage is a valid value of this plain C struct.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live rusage, which getrusage fills; it keeps no reference.
    let status = unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
    if status != 0 {
        // Documented only for a bad pointer or a bad `who`; a report without these counts beats a panic.
        return ThreadUsage::default();
    }
    let nanos = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1_000;
    ThreadUsage {
        switches_voluntary: usage.ru_nvcsw as u64,
        switches_involuntary: usage.ru_nivcsw as u64,
        cpu_ns: nanos(usage.ru_utime) + nanos(usage.ru_stime),
    }
}
