//! A pipe, as a place where bytes wait inside the kernel on their way from one socket to another.
//!
//! A pipe has slots, not bytes: 64-byte messages fill the 16 slots of a 64 KiB pipe with 1 KiB (pipe(7)). So
//! that a splice brought less than was asked says nothing about the socket.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::pipe::{PipeFlags, fcntl_getpipe_size, pipe_with};

use super::Errno;

/// A non-blocking pipe whose two ends are both ours, and how much is in it.
#[derive(Debug)]
pub struct Pipe {
    exit: OwnedFd,
    entrance: OwnedFd,
    pub(super) len: usize,
    capacity: usize,
}

impl Pipe {
    /// Makes one.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub fn new() -> Result<Self, Errno> {
        let (exit, entrance) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Read back: an ordinary user who has many (`fs.pipe-user-pages-soft`) gets small ones, and no error.
        let capacity = fcntl_getpipe_size(&entrance)?;
        Ok(Self { exit, entrance, len: 0, capacity })
    }

    /// Bytes in it.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes bytes out into memory; `None` once it is empty.
    pub fn take(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let len = rustix::io::read(&self.exit, buffer).ok().filter(|len| *len > 0)?;
        self.len -= len;
        Some(len)
    }

    /// The most bytes that it holds.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn entrance(&self) -> BorrowedFd<'_> {
        self.entrance.as_fd()
    }

    pub(super) fn exit(&self) -> BorrowedFd<'_> {
        self.exit.as_fd()
    }
}
