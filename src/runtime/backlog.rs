//! Backlog bytes: what a peer would not take yet, in chunks from the worker's pool.
//!
//! While a side has any, the bytes that would go there aren't read, so a backlog never holds more than one
//! read and a greeting. An idle session holds none.

use std::collections::VecDeque;

/// Size of a chunk, in bytes.
const CHUNK_LEN: usize = 16 << 10;
/// Spare chunks that a worker keeps (1 MiB); more go back to the allocator.
const SPARE_MAX: usize = 64;

type Chunk = Box<[u8; CHUNK_LEN]>;

/// A worker's spare chunks.
#[derive(Default)]
pub struct Pool(Vec<Chunk>);

impl Pool {
    fn take(&mut self) -> Chunk {
        self.0.pop().unwrap_or_else(|| Box::new([0; CHUNK_LEN]))
    }

    fn give(&mut self, chunk: Chunk) {
        if self.0.len() < SPARE_MAX {
            self.0.push(chunk);
        }
    }
}

/// Bytes in the order in which they must go out.
#[derive(Default)]
pub struct Backlog {
    chunks: VecDeque<Chunk>,
    /// Where the first byte is in the first chunk.
    start: usize,
    len: usize,
}

impl Backlog {
    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends bytes.
    pub fn push(&mut self, mut bytes: &[u8], pool: &mut Pool) {
        while !bytes.is_empty() {
            let end = (self.start + self.len) % CHUNK_LEN;
            if self.start + self.len == self.chunks.len() * CHUNK_LEN {
                self.chunks.push_back(pool.take());
            }
            let last = self.chunks.back_mut().expect("there is room in it, or it was just added");
            let fits = bytes.len().min(CHUNK_LEN - end);
            last[end..end + fits].copy_from_slice(&bytes[..fits]);
            self.len += fits;
            bytes = &bytes[fits..];
        }
    }

    /// The first bytes that lie together; none where it is empty.
    pub fn front(&self) -> &[u8] {
        let end = CHUNK_LEN.min(self.start + self.len);
        self.chunks.front().map_or(&[], |chunk| &chunk[self.start..end])
    }

    /// Removes bytes that were written from the front.
    ///
    /// # Panics
    /// Where there are fewer at the [`Self::front`].
    pub fn consume(&mut self, written: usize, pool: &mut Pool) {
        assert!(written <= self.front().len(), "more was written than was there");
        self.start += written;
        self.len -= written;
        if self.start == CHUNK_LEN || self.len == 0 {
            self.start = 0;
            self.chunks.pop_front().into_iter().for_each(|chunk| pool.give(chunk));
        }
    }

    /// Gives all its chunks back.
    pub fn clear(&mut self, pool: &mut Pool) {
        self.chunks.drain(..).for_each(|chunk| pool.give(chunk));
        (self.start, self.len) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a plain queue of bytes: same bytes, same order, and no chunk more than needed.
        #[test]
        fn bytes_come_out_as_they_went_in(
            steps in prop::collection::vec((0usize..40_000, 0usize..40_000), 1..40),
        ) {
            let (mut backlog, mut pool) = (Backlog::default(), Pool::default());
            let mut model: VecDeque<u8> = VecDeque::new();
            let mut next = 0u8;
            for (pushed, consumed) in steps {
                let mut random = || {
                    next = next.wrapping_mul(31).wrapping_add(7);
                    next
                };
                let bytes: Vec<u8> = (0..pushed).map(|_| random()).collect();
                backlog.push(&bytes, &mut pool);
                model.extend(&bytes);
                let mut left = consumed.min(model.len());
                while left > 0 {
                    let part = backlog.front().len().min(left);
                    prop_assert!(part > 0, "bytes are there but none is shown");
                    let expected: Vec<u8> = model.drain(..part).collect();
                    prop_assert_eq!(&backlog.front()[..part], &expected[..]);
                    backlog.consume(part, &mut pool);
                    left -= part;
                }
                prop_assert_eq!(backlog.len(), model.len());
                prop_assert!(backlog.chunks.len() <= model.len().div_ceil(CHUNK_LEN) + 1);
                prop_assert!(!backlog.is_empty() || backlog.chunks.is_empty(), "an empty backlog holds memory");
            }
        }
    }
}
