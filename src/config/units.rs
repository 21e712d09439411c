//! How people write durations, sizes and lists of cores: `50us`, `64k`, `0-3,6`.
//!
//! One parser for the flags of all three programs and for the configuration file, so that a value which one
//! of them takes is a value which all of them take.

use std::{collections::HashSet, time::Duration};

/// Units of time, longest first. A number without a unit is refused: `--duration 10` could mean anything.
const DURATIONS: [(&str, u64); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Units of size, in bytes; powers of 1024, as `dd`, `fio` and nginx have them.
const SIZES: [(&str, u64); 4] = [("", 1), ("k", 1 << 10), ("m", 1 << 20), ("g", 1 << 30)];

/// Parses `50us`, `10ms`, `1.5s`, `2m`, `1h`; a bare `0` is zero.
///
/// # Errors
/// A sentence that quotes the text and shows the right form.
pub fn duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (number, unit) = split_unit(text);
    let nanos =
        DURATIONS.iter().find(|(name, _)| *name == unit).and_then(|&(_, nanos)| scaled(number, nanos));
    nanos.map(Duration::from_nanos).ok_or_else(|| {
        format!("'{text}' is not a duration: write a number and a unit, such as 50us, 10ms, 2s or 5m")
    })
}

/// The same, but zero is refused.
///
/// # Errors
/// As [`duration`], and for zero.
pub fn duration_above_zero(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err(format!("'{text}' is no time at all: give a duration above zero, such as 10s")),
        duration => Ok(duration),
    }
}

/// Parses `4096`, `64k`, `1M`, `1.5G` (bytes; powers of 1024; the unit in either case).
///
/// # Errors
/// A sentence that quotes the text and shows the right form.
pub fn size(text: &str) -> Result<usize, String> {
    let (number, unit) = split_unit(text);
    let unit = unit.to_ascii_lowercase();
    let bytes = SIZES.iter().find(|(name, _)| *name == unit).and_then(|&(_, bytes)| scaled(number, bytes));
    bytes.and_then(|bytes| usize::try_from(bytes).ok()).ok_or_else(|| {
        format!("'{text}' is not a size: write bytes, or a number with k, M or G, such as 64k or 1M")
    })
}

/// Parses a kernel-style list of cores, `0-3,6`: each core once, in the order in which it is first named.
///
/// # Errors
/// A sentence for an empty list, a range that runs backwards, or anything else that isn't a number.
pub fn cores(text: &str) -> Result<Vec<usize>, String> {
    let wrong = || format!("'{text}' is not a list of cores: write numbers and ranges, such as 0-3,6");
    let mut cores = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.trim().parse().map_err(|_| wrong())?;
        let last: usize = last.trim().parse().map_err(|_| wrong())?;
        // The kernel's own limit (CONFIG_NR_CPUS) is 8192; the bound keeps `0-99999999999` from filling memory.
        if first > last || last > 1 << 16 {
            return Err(wrong());
        }
        cores.extend(first..=last);
    }
    let mut seen = HashSet::new();
    cores.retain(|core| seen.insert(*core));
    Ok(cores)
}

/// Writes a duration so that [`duration`] reads the same: whole, in the longest unit that leaves no rest.
pub fn write_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let whole =
        |&&(_, unit): &&(&str, u64)| nanos >= u128::from(unit) && nanos.is_multiple_of(u128::from(unit));
    match DURATIONS.iter().find(whole) {
        Some((name, unit)) => format!("{}{name}", nanos / u128::from(*unit)),
        None => "0s".into(),
    }
}

/// Writes a size so that [`size`] reads the same.
pub fn write_size(bytes: usize) -> String {
    let bytes = bytes as u64;
    let whole = |&&(_, unit): &&(&str, u64)| bytes >= unit && bytes.is_multiple_of(unit);
    match SIZES.iter().rev().find(whole) {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => "0".into(),
    }
}

/// Writes a list of cores so that [`cores`] reads the same.
pub fn write_cores(cores: &[usize]) -> String {
    let ranges = cores.chunk_by(|one, next| one + 1 == *next);
    let ranges = ranges.map(|range| match range {
        [first, .., last] => format!("{first}-{last}"),
        _ => range.iter().map(ToString::to_string).collect(),
    });
    ranges.collect::<Vec<_>>().join(",")
}

/// Writes a duration as a person would: `1.50 s`, `340 ms`, `12.3 µs`, `870 ns`; three significant digits.
pub fn show_nanos(nanos: f64) -> String {
    let (value, unit) = match nanos {
        n if n < 999.5 => return format!("{n:.0} ns"),
        n if n < 999.5e3 => (n / 1e3, "µs"),
        n if n < 999.5e6 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.digits$} {unit}")
}

/// Writes a count as a person would: `950`, `12.3 k`, `4.56 M`; three significant digits.
pub fn show_count(count: f64) -> String {
    let (value, unit) = match count {
        n if n < 9_999.5 => return format!("{n:.0}"),
        n if n < 999.5e3 => (n / 1e3, "k"),
        n if n < 999.5e6 => (n / 1e6, "M"),
        n => (n / 1e9, "G"),
    };
    let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.digits$} {unit}")
}

fn split_unit(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()))
}

/// `number` (digits, at most one point) times `unit`, unless it is malformed or doesn't fit.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(unit),
        Err(_) => {
            let scaled = number.parse::<f64>().ok()? * unit as f64;
            (scaled < u64::MAX as f64).then_some(scaled.round() as u64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("50us"), Ok(Duration::from_micros(50)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for wrong in ["", "10", "s", "-1s", "1e3s", "10 s", "10sec", "1.2.3s", "99999999999h", "inf", "NaNs"]
        {
            assert!(duration(wrong).is_err(), "{wrong:?} was taken for a duration");
        }
        assert!(duration_above_zero("0s").is_err());
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("64k"), Ok(65_536));
        assert_eq!(size("1M"), Ok(1 << 20));
        assert_eq!(size("1.5G"), Ok(3 << 29));
        for wrong in ["", "k", "-1", "1kb", "1t", "1 k", "99999999999G"] {
            assert!(size(wrong).is_err(), "{wrong:?} was taken for a size");
        }
    }

    #[test]
    fn core_lists_are_unique_and_keep_their_order() {
        assert_eq!(cores("6,0-3,2"), Ok(vec![6, 0, 1, 2, 3]));
        for wrong in ["", ",", "3-1", "a", "0-", "0-99999999999", "-1"] {
            assert!(cores(wrong).is_err(), "{wrong:?} was taken for cores");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["0s", "1h", "90s", "1500ms", "1us", "17ns"] {
            assert_eq!(duration(text).map(write_duration), Ok(text.to_owned()));
        }
        for text in ["0", "1", "1000", "64k", "1m", "3g"] {
            assert_eq!(size(text).map(write_size), Ok(text.to_owned()));
        }
        for text in ["5", "0-3,6", "1,3,5-6", "3,0-1"] {
            assert_eq!(cores(text).map(|cores| write_cores(&cores)), Ok(text.to_owned()));
        }
    }

    #[test]
    fn shown_values_have_three_digits() {
        assert_eq!(show_nanos(870.0), "870 ns");
        assert_eq!(show_nanos(12_345.0), "12.3 µs");
        assert_eq!(show_nanos(999_700.0), "1.00 ms");
        assert_eq!(show_nanos(1.5e9), "1.50 s");
        assert_eq!(show_count(9_999.0), "9999");
        assert_eq!(show_count(4_560_000.0), "4.56 M");
    }
}
