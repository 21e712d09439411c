//! Bytes that can be told apart: each direction of each connection has its own, and each has its place.
//!
//! Random bytes that repeat after a prime number of bytes: what is lost, doubled or moved within a stream shows
//! at its offset, unless it is by a multiple of that prime; what belongs to another stream shows at once.

use std::sync::LazyLock;

/// The bytes of one direction.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    start: usize,
}

const PERIOD: usize = 65_521;

/// Twice the period, so that any part of up to a period is in one piece.
static TABLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut bytes = vec![0; PERIOD];
    fastrand::Rng::with_seed(0x65_76_65_6e).fill(&mut bytes);
    bytes.extend_from_within(..);
    bytes
});

impl Stream {
    /// The stream with this number. Streams of other numbers differ everywhere.
    pub fn new(number: usize) -> Self {
        // A stride that has no factor in common with the period visits each start once.
        Self { start: number.wrapping_mul(7919) % PERIOD }
    }

    /// At least one byte and at most `len` of them, from `offset` on.
    pub fn part(&self, offset: u64, len: u64) -> &'static [u8] {
        let start = self.place(offset);
        let len = usize::try_from(len).map_or(PERIOD, |len| len.min(PERIOD));
        &TABLE[start..start + len]
    }

    /// Where `bytes`, which came at `offset`, first aren't those of the stream.
    pub fn first_difference(&self, offset: u64, bytes: &[u8]) -> Option<u64> {
        let mut done = 0;
        for chunk in bytes.chunks(PERIOD) {
            let expected = self.part(offset + done, chunk.len() as u64);
            if expected != chunk {
                let same = expected.iter().zip(chunk).take_while(|(one, other)| one == other).count();
                return Some(offset + done + same as u64);
            }
            done += chunk.len() as u64;
        }
        None
    }

    fn place(&self, offset: u64) -> usize {
        // The remainder is less than the period, which is a usize.
        (self.start + (offset % PERIOD as u64) as usize) % PERIOD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_found_at_its_offset() {
        let stream = Stream::new(3);
        let mut bytes = Vec::new();
        while bytes.len() < 200_000 {
            bytes.extend(stream.part(bytes.len() as u64, u64::MAX));
        }
        assert_eq!(stream.first_difference(0, &bytes), None);
        assert_eq!(stream.first_difference(70_000, &bytes[70_000..]), None);
        bytes[150_000] ^= 1;
        assert_eq!(stream.first_difference(0, &bytes), Some(150_000));
        bytes.remove(100_000);
        let lost = stream.first_difference(0, &bytes).expect("a byte is missing");
        assert!((100_000..100_010).contains(&lost), "{lost}");
    }

    #[test]
    fn streams_of_different_connections_differ_at_once() {
        let one = Stream::new(1).part(0, 64);
        assert!((2..2000).all(|number| Stream::new(number).part(0, 64) != one));
    }
}
