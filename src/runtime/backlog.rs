//! Backlog bytes: what a peer would not take yet, in chunks from the worker's pool or in the pipe that they
//! were spliced into.
//!
//! While a side has any, the bytes that would go there aren't read, so a backlog never holds more than one
//! read and a greeting, or one pipe. An idle session holds neither.

use std::collections::VecDeque;

use crate::sys::pipe::Pipe;

/// Size of a chunk, in bytes.
const CHUNK_LEN: usize = 16 << 10;
/// Spare chunks that a worker keeps (1 MiB); more go back to the allocator.
const SPARE_MAX: usize = 64;

type Chunk = Box<[u8; CHUNK_LEN]>;

/// Spare pipes that a worker keeps; more are closed.
const SPARE_PIPES_MAX: usize = 16;
/// The least that a pipe must hold to be worth its two descriptors. An ordinary user's shrink to two slots when
/// there are many (`fs.pipe-user-pages-soft`).
const PIPE_CAPACITY_MIN: usize = 16 << 10;
/// How soon a pipe is asked for again where none could be had, in nanoseconds.
const PIPE_RETRY_NS: u64 = 1_000_000_000;

/// A worker's spare pipes. One is lent for a turn, and for longer only while bytes are in it.
#[derive(Default)]
pub struct PipePool {
    spare: Vec<Pipe>,
    retry_ns: u64,
}

impl PipePool {
    /// A pipe that is empty; `None` where there is none to be had, now or a moment ago.
    #[inline]
    pub fn take(&mut self, now_ns: u64) -> Option<Pipe> {
        self.spare.pop().or_else(|| self.make(now_ns))
    }

    /// Takes a pipe back, if it is empty: what is in one of a dead session would come out in another.
    #[inline]
    pub fn give(&mut self, pipe: Pipe) {
        if pipe.is_empty() && self.spare.len() < SPARE_PIPES_MAX {
            self.spare.push(pipe);
        }
    }

    /// Closes the spare ones: nobody is left who might need one.
    pub fn close(&mut self) {
        self.spare.clear();
    }

    fn make(&mut self, now_ns: u64) -> Option<Pipe> {
        if now_ns < self.retry_ns {
            return None;
        }
        let made = Pipe::new().ok().filter(|pipe| pipe.capacity() >= PIPE_CAPACITY_MIN);
        if made.is_none() {
            self.retry_ns = now_ns + PIPE_RETRY_NS;
        }
        made
    }
}

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

/// Where backlog bytes are.
pub enum Backlog {
    /// In memory.
    Bytes(Chunks),
    /// In the kernel. A pipe that still holds bytes is closed with its session, never pooled.
    Pipe(Pipe),
}

impl Backlog {
    /// How many bytes wait.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(chunks) => chunks.len,
            Self::Pipe(pipe) => pipe.len(),
        }
    }

    /// Has the bytes of a pipe in memory, so that others can follow them.
    pub fn take_out_of_pipe(&mut self, pool: &mut Pool) {
        let Self::Pipe(pipe) = self else { return };
        let mut chunks = Chunks::default();
        let mut buffer = [0; 4 << 10];
        while let Some(len) = pipe.take(&mut buffer) {
            chunks.push(&buffer[..len], pool);
        }
        *self = Self::Bytes(chunks);
    }

    /// Gives its chunks back.
    pub fn discard(self, pool: &mut Pool) {
        if let Self::Bytes(mut chunks) = self {
            chunks.chunks.drain(..).for_each(|chunk| pool.give(chunk));
        }
    }
}

/// Bytes in the order in which they must go out.
#[derive(Default)]
pub struct Chunks {
    chunks: VecDeque<Chunk>,
    /// Where the first byte is in the first chunk.
    start: usize,
    len: usize,
}

impl Chunks {
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
            let (mut backlog, mut pool) = (Chunks::default(), Pool::default());
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
                prop_assert_eq!(backlog.len, model.len());
                prop_assert!(backlog.chunks.len() <= model.len().div_ceil(CHUNK_LEN) + 1);
                prop_assert!(!backlog.is_empty() || backlog.chunks.is_empty(), "an empty backlog holds memory");
            }
        }
    }
}
