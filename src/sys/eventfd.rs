//! An eventfd: how another thread interrupts a worker's epoll_wait.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

use super::{Errno, epoll::Source};

/// A counter that epoll reports as readable while it isn't zero (eventfd(2)).
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// Makes one, non-blocking and closed on exec.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub fn new() -> Result<Self, Errno> {
        eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).map(Self)
    }

    /// Adds one: wakes whoever waits.
    pub fn ring(&self) {
        // EAGAIN means that the counter is at its maximum, hence readable: the wakeup is there already.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Takes the counter back to zero.
    pub fn silence(&self) {
        // EAGAIN means that it was zero.
        let _ = rustix::io::read(&self.0, &mut [0u8; 8]);
    }
}

impl Source for EventFd {
    fn source(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
