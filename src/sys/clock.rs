//! The monotonic clock, in nanoseconds.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of CLOCK_MONOTONIC: about 25 ns a call by the vDSO, no syscall. Only the loop and the
/// control plane read it; everything else is told the time.
#[inline]
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // The clock starts at boot: seconds are never negative and fit for 584 years.
    (now.tv_sec as u64) * 1_000_000_000 + now.tv_nsec as u64
}
