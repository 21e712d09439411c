//! How fast a connection reads: as fast as it can, or so many bytes a second as a slow reader does.
//!
//! A state machine that reads no clock. Whoever drives it asks before each read and tells it what was read.

use std::time::Duration;

use super::clock::SECOND_NS;

/// A slow reader reads this often: what it may read meanwhile is read in one piece.
const PIECE: Duration = Duration::from_millis(10);

/// The pace of one connection.
#[derive(Debug, Default)]
pub struct Reading {
    /// What was read so far is paid for then.
    free_ns: u64,
    /// Whether someone has been asked to come back.
    is_paused: bool,
}

/// Whether a read may be.
#[derive(Debug, PartialEq, Eq)]
pub enum MayRead {
    /// So many bytes, now.
    Bytes(usize),
    /// Not before that moment: come back then.
    At(u64),
    /// Not now; who asked before comes back.
    Paused,
}

impl Reading {
    /// Whether bytes may be read at `now_ns`.
    pub fn ask(&mut self, rate_per_s: u64, now_ns: u64) -> MayRead {
        if now_ns >= self.free_ns {
            let piece = u128::from(rate_per_s) * PIECE.as_nanos() / u128::from(SECOND_NS);
            return MayRead::Bytes((piece as usize).max(1));
        }
        match std::mem::replace(&mut self.is_paused, true) {
            false => MayRead::At(self.free_ns),
            true => MayRead::Paused,
        }
    }

    /// Bytes were read.
    pub fn took(&mut self, bytes: usize, rate_per_s: u64, now_ns: u64) {
        let cost_ns = u128::from(SECOND_NS) * bytes as u128 / u128::from(rate_per_s);
        self.free_ns = self.free_ns.max(now_ns).saturating_add(cost_ns as u64);
    }

    /// Someone came back as was asked for.
    pub fn resume(&mut self) {
        self.is_paused = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_as_many_bytes_as_it_may() {
        for rate_per_s in [1, 7, 100, 64 << 10, 100_000_000] {
            let (mut reading, mut now_ns, mut bytes) = (Reading::default(), 5, 0);
            let end_ns = now_ns + 10 * SECOND_NS;
            while now_ns < end_ns {
                match reading.ask(rate_per_s, now_ns) {
                    MayRead::Bytes(len) => {
                        bytes += len as u64;
                        reading.took(len, rate_per_s, now_ns);
                    }
                    MayRead::At(at_ns) => {
                        assert_eq!(reading.ask(rate_per_s, now_ns), MayRead::Paused, "asked once");
                        now_ns = at_ns;
                        reading.resume();
                    }
                    MayRead::Paused => panic!("nobody was told to come back"),
                }
            }
            let piece = (rate_per_s / 100).max(1);
            assert!(bytes.abs_diff(10 * rate_per_s) <= 2 * piece, "{bytes} at {rate_per_s}/s");
        }
    }

    #[test]
    fn what_was_not_read_is_not_saved_up() {
        let mut reading = Reading::default();
        reading.took(1_000, 1_000, 0);
        assert_eq!(reading.ask(1_000, 20 * SECOND_NS), MayRead::Bytes(10));
        reading.took(10, 1_000, 20 * SECOND_NS);
        assert_eq!(reading.ask(1_000, 20 * SECOND_NS), MayRead::At(20 * SECOND_NS + 10_000_000));
    }
}
