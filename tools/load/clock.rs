//! The clocks: one for latencies, one for CPU time, one for people.
//!
//! All moments of a run are nanoseconds of CLOCK_MONOTONIC, which all threads share, so that a schedule
//! made by one thread and a reply seen by another can be compared. Reading it costs about 30 ns (vDSO).

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds in a second.
pub const SECOND_NS: u64 = 1_000_000_000;

/// Now, on the clock that latencies are measured with.
pub fn now_ns() -> u64 {
    read_ns(ClockId::Monotonic)
}

/// CPU time of the calling thread so far, user and system.
pub fn thread_cpu_ns() -> u64 {
    read_ns(ClockId::ThreadCPUTime)
}

/// Now, as the date of a report: `2026-11-22T10:15:30.123Z`.
pub fn utc() -> String {
    let now = clock_gettime(ClockId::Realtime);
    utc_from(now.tv_sec, now.tv_nsec / 1_000_000)
}

fn read_ns(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    // Neither clock is ever negative: both count from zero.
    time.tv_sec as u64 * SECOND_NS + time.tv_nsec as u64
}

/// Seconds since 1970 as a date of the proleptic Gregorian calendar. Years are counted from March, so that
/// the leap day is the last of its year and a month's first day is a linear function.
fn utc_from(seconds: i64, millis: i64) -> String {
    const ERA_DAYS: i64 = 146_097;
    let (days, second) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
    let (era, day) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * day + 2) / 153;
    let day = day - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (1_709_251_200, "2024-03-01T00:00:00.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(utc_from(seconds, 0), date);
        }
    }

    #[test]
    fn the_clock_does_not_run_backwards() {
        let first = now_ns();
        assert!(now_ns() >= first);
    }
}
