//! The bytes of one connection: known at every offset, stored nowhere.
//!
//! Each byte is one of a word that is drawn from the connection's key and the word's number, so that bytes lost,
//! doubled, swapped or taken from another connection differ from what is expected.

use crate::load::pattern::mix;

const WORD: u64 = 8;

/// The stream of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    key: u64,
}

impl Stream {
    /// The stream of the `serial`-th connection of a run.
    pub fn new(seed: u64, serial: u64) -> Self {
        Self { key: mix(mix(seed).wrapping_add(serial)) }
    }

    /// Writes what stands at `offset` and behind it.
    pub fn fill(self, offset: u64, bytes: &mut [u8]) {
        let mut at = 0;
        while at < bytes.len() {
            let word = self.word(offset + at as u64);
            let len = word.len().min(bytes.len() - at);
            bytes[at..at + len].copy_from_slice(&word[..len]);
            at += len;
        }
    }

    /// Whether these bytes stand at `offset`.
    pub fn is(self, offset: u64, bytes: &[u8]) -> bool {
        let mut at = 0;
        while at < bytes.len() {
            let word = self.word(offset + at as u64);
            let len = word.len().min(bytes.len() - at);
            if bytes[at..at + len] != word[..len] {
                return false;
            }
            at += len;
        }
        true
    }

    /// From `offset` to the end of its word.
    fn word(self, offset: u64) -> Word {
        let bytes = mix(self.key.wrapping_add(offset / WORD)).to_le_bytes();
        Word { bytes, from: (offset % WORD) as usize }
    }
}

/// The rest of a word.
struct Word {
    bytes: [u8; WORD as usize],
    from: usize,
}

impl std::ops::Deref for Word {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.from..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_same_however_it_is_cut() {
        let stream = Stream::new(7, 3);
        let mut whole = [0; 1_000];
        stream.fill(0, &mut whole);
        for chunk in [1, 3, 8, 17, 999] {
            for (index, part) in whole.chunks(chunk).enumerate() {
                assert!(stream.is((index * chunk) as u64, part), "{index} of {chunk}");
            }
        }
    }

    #[test]
    fn lost_swapped_changed_and_foreign_bytes_are_found() {
        let (mut own, mut foreign) = ([0; 64], [0; 64]);
        let stream = Stream::new(7, 3);
        stream.fill(100, &mut own);
        Stream::new(7, 4).fill(100, &mut foreign);
        assert!(!stream.is(101, &own), "one lost");
        assert!(!stream.is(108, &own), "a word lost");
        assert!(!stream.is(100, &foreign));
        own[63] ^= 1;
        assert!(!stream.is(100, &own), "one bit of the last byte");
        own[63] ^= 1;
        own.swap(10, 41);
        assert!(!stream.is(100, &own));
    }
}
