//! The bytes that connections carry, and the check that they came back.
//!
//! Every connection has a stream of its own, known at every offset without being stored: it is cut in laps
//! of at least 32 KiB, and each lap is a window on one shared table of random bytes, at a place drawn from the
//! connection's key and the lap's number. Making a message is a slice, checking one is a `memcmp`, and
//! since no two laps and no two connections look alike, whatever is lost, doubled, swapped or mixed up
//! differs, but for 1 chance in 65,536 where a whole lap takes another's place.

use std::iter;

/// How many places a lap's window may start at.
const PLACES: usize = 1 << 16;

/// The least length of a lap; longer messages make longer laps.
const LAP_MIN: usize = 32 << 10;

/// The shared table.
pub struct Pattern {
    table: Vec<u8>,
    /// A whole number of messages, so that one message is always one slice.
    lap: u64,
}

impl Pattern {
    /// The table for messages of `size` bytes.
    pub fn new(seed: u64, size: usize) -> Self {
        let lap = (LAP_MIN / size).max(1) * size;
        let mut random = fastrand::Rng::with_seed(seed);
        Self { table: iter::repeat_with(|| random.u8(..)).take(lap + PLACES).collect(), lap: lap as u64 }
    }

    /// The stream of `key` from `offset` on: at most `len_max` bytes, fewer at the end of a lap.
    pub fn slice(&self, key: u64, offset: u64, len_max: u64) -> &[u8] {
        let (lap, within) = (offset / self.lap, offset % self.lap);
        let place = mix(key.wrapping_add(lap)) as usize % PLACES + within as usize;
        &self.table[place..place + len_max.min(self.lap - within) as usize]
    }

    /// Where `bytes`, received at `offset` of the stream of `key`, first differ from it.
    pub fn first_difference(&self, key: u64, offset: u64, bytes: &[u8]) -> Option<Difference> {
        let mut checked = 0;
        while checked < bytes.len() {
            let at = offset + checked as u64;
            let expected = self.slice(key, at, (bytes.len() - checked) as u64);
            let got = &bytes[checked..checked + expected.len()];
            if got != expected {
                let index = expected.iter().zip(got).position(|(one, other)| one != other)?;
                return Some(Difference {
                    offset: at + index as u64,
                    expected: expected[index],
                    got: got[index],
                });
            }
            checked += expected.len();
        }
        None
    }
}

/// The first wrong byte of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Bytes of the stream before it.
    pub offset: u64,
    /// What was sent.
    pub expected: u8,
    /// What came back.
    pub got: u8,
}

/// The key of the `serial`-th connection that `thread` opens.
pub fn key(seed: u64, thread: usize, serial: u64) -> u64 {
    mix(mix(seed ^ (thread as u64) << 48).wrapping_add(serial))
}

/// The finalizer of splitmix64: each bit of the result depends on each bit of `x`.
pub fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 64;

    fn stream(pattern: &Pattern, key: u64, len: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < len {
            bytes.extend_from_slice(pattern.slice(key, bytes.len() as u64, (len - bytes.len()) as u64));
        }
        bytes
    }

    #[test]
    fn a_stream_is_equal_to_itself_however_it_is_cut() {
        let pattern = Pattern::new(7, 100);
        let bytes = stream(&pattern, 3, 200_000);
        for chunk in [1, 99, 4_096, 65_536, 200_000] {
            let mut offset = 0;
            for part in bytes.chunks(chunk) {
                assert_eq!(pattern.first_difference(3, offset, part), None);
                offset += part.len() as u64;
            }
        }
    }

    #[test]
    fn one_flipped_bit_is_found_where_it_is() {
        let pattern = Pattern::new(7, SIZE);
        let mut bytes = stream(&pattern, 3, 100_000);
        bytes[70_001] ^= 0x10;
        let difference = pattern.first_difference(3, 0, &bytes).unwrap();
        assert_eq!((difference.offset, difference.expected ^ difference.got), (70_001, 0x10));
    }

    #[test]
    fn lost_doubled_swapped_and_foreign_messages_are_found() {
        let pattern = Pattern::new(7, SIZE);
        let (own, other) = (stream(&pattern, 1, 300_000), stream(&pattern, 2, 300_000));
        let differs = |bytes: &[u8]| pattern.first_difference(1, 0, bytes).is_some();
        // Distances of one message, of a lap, and of the usual buffers, at which a periodic pattern is blind.
        for distance in [1, 2, 512, 1_024, 2_048] {
            let (at, len) = (SIZE, distance * SIZE);
            assert!(differs(&[&own[..at], &own[at + len..]].concat()), "{distance} lost");
            assert!(differs(&[&own[..at + len], &own[at..]].concat()), "{distance} doubled");
            let mut swapped = own.clone();
            swapped[at..at + SIZE].copy_from_slice(&own[at + len..at + len + SIZE]);
            swapped[at + len..at + len + SIZE].copy_from_slice(&own[at..at + SIZE]);
            assert!(differs(&swapped), "{distance} apart swapped");
            assert!(differs(&[&own[..len], &other[len..len + SIZE]].concat()), "foreign after {distance}");
        }
    }

    #[test]
    fn a_message_is_one_slice() {
        for size in [1, 64, 1_000, 70_000] {
            let pattern = Pattern::new(7, size);
            for message in 0..2_000 {
                assert_eq!(pattern.slice(9, message * size as u64, size as u64).len(), size);
            }
        }
    }
}
