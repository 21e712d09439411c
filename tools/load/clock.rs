//! The clocks: one for latencies, one for CPU time.
//!
//! All moments of a run are nanoseconds of CLOCK_MONOTONIC, which all threads share, so that a schedule
//! made by one thread and a reply seen by another can be compared.

use rustix::time::{ClockId, clock_gettime};

pub use evenkeel::sys::clock::now_ns;

/// Nanoseconds in a second.
pub const SECOND_NS: u64 = 1_000_000_000;

/// CPU time of the calling thread so far, user and system. To the nanosecond, where getrusage(2) counts
/// microseconds: a short run of few messages has little more.
pub fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // It counts from zero.
    time.tv_sec as u64 * SECOND_NS + time.tv_nsec as u64
}
