//! epoll, with interests that can't be combined wrongly.

use std::{
    cell::Cell,
    mem::MaybeUninit,
    os::fd::{BorrowedFd, OwnedFd},
};

use rustix::{
    event::{
        Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
    },
    io::Errno,
};

/// Something that epoll can watch. Implemented by the types of this module's siblings alone: each owns
/// its descriptor and can't be duplicated, so closing it takes it out of every epoll (epoll(7), Q6).
pub trait Source {
    /// The descriptor, for the length of a call.
    #[doc(hidden)]
    fn source(&self) -> BorrowedFd<'_>;
}

/// What is asked of epoll for a connection, an eventfd or an unshared listener.
///
/// EPOLLEXCLUSIVE can't be expressed here: the kernel refuses to modify such an entry, and refuses it
/// together with ONESHOT, RDHUP or PRI (`do_epoll_ctl` in fs/eventpoll.c). See [`Exclusive`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest(EventFlags);

impl Interest {
    /// Nothing, but ERR and HUP, which can't be masked.
    pub const NONE: Self = Self(EventFlags::empty());
    /// Readable, or at its end.
    pub const READ: Self = Self(EventFlags::IN);
    /// Room to write.
    pub const WRITE: Self = Self(EventFlags::OUT);
    /// Reported when it changes: data, the end of data (RDHUP), and what makes a short read a lie (PRI).
    pub const EDGE: Self =
        Self(EventFlags::IN.union(EventFlags::RDHUP).union(EventFlags::PRI).union(EventFlags::ET));
    /// Readable, edge-triggered: for a listener.
    pub const READ_EDGE: Self = Self(EventFlags::IN.union(EventFlags::ET));

    /// Both of two interests.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0.union(other.0))
    }

    /// The same, reported once and then disarmed.
    #[must_use]
    pub const fn once(self) -> Self {
        Self(self.0.union(EventFlags::ONESHOT))
    }
}

/// What is asked of epoll for a listener that several epolls share: one of the idle waiters is woken, the
/// first in the order of registration (`ep_ptable_queue_proc` adds at the tail, the wakeup walks from the
/// head). Such an entry can be added and removed, never modified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exclusive {
    /// Reported for as long as connections wait.
    Level,
    /// Reported when one arrives.
    Edge,
}

/// What was reported for one token.
#[derive(Clone, Copy, Debug)]
pub struct Readiness(EventFlags);

impl Readiness {
    /// Data, or the end of data.
    #[inline]
    pub fn readable(self) -> bool {
        self.0.intersects(
            EventFlags::IN | EventFlags::RDHUP | EventFlags::PRI | EventFlags::HUP | EventFlags::ERR,
        )
    }

    /// Room to write, or a failure that a write will tell.
    #[inline]
    pub fn writable(self) -> bool {
        self.0.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR)
    }

    /// Something behind the data that a short read would hide: an end, an error or an urgent mark.
    #[inline]
    pub fn hides_more(self) -> bool {
        self.0.intersects(EventFlags::RDHUP | EventFlags::PRI | EventFlags::HUP | EventFlags::ERR)
    }

    /// The connection has failed: a reset, or an error of the network.
    #[inline]
    pub fn failed(self) -> bool {
        self.0.intersects(EventFlags::ERR)
    }

    /// What can't be masked and, level-triggered, repeats for ever.
    #[inline]
    pub fn unmaskable(self) -> bool {
        self.0.intersects(EventFlags::HUP | EventFlags::ERR)
    }
}

/// One epoll instance, which counts the calls that are made of it.
#[derive(Debug)]
pub struct Epoll {
    fd: OwnedFd,
    waits: Cell<u64>,
    ctls: Cell<u64>,
}

impl Epoll {
    /// Makes one, closed on exec.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub fn new() -> Result<Self, Errno> {
        let fd = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { fd, waits: Cell::new(0), ctls: Cell::new(0) })
    }

    /// Watches a source; what is ready already is reported at the next wait.
    ///
    /// # Errors
    /// ENOMEM, ENOSPC (`fs.epoll.max_user_watches`).
    pub fn add(&self, source: &impl Source, token: u64, interest: Interest) -> Result<(), Errno> {
        epoll::add(self.to_change(), source.source(), EventData::new_u64(token), interest.0)
    }

    /// Watches a shared listener with EPOLLEXCLUSIVE.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn add_exclusive(&self, source: &impl Source, token: u64, exclusive: Exclusive) -> Result<(), Errno> {
        let trigger = match exclusive {
            Exclusive::Level => EventFlags::empty(),
            Exclusive::Edge => EventFlags::ET,
        };
        let flags = EventFlags::IN | EventFlags::EXCLUSIVE | trigger;
        epoll::add(self.to_change(), source.source(), EventData::new_u64(token), flags)
    }

    /// Changes what is asked; readiness is polled afresh, so nothing that came before is lost.
    ///
    /// # Errors
    /// ENOMEM, ENOENT.
    pub fn modify(&self, source: &impl Source, token: u64, interest: Interest) -> Result<(), Errno> {
        epoll::modify(self.to_change(), source.source(), EventData::new_u64(token), interest.0)
    }

    /// Stops watching.
    ///
    /// # Errors
    /// ENOENT, where it isn't watched.
    pub fn remove(&self, source: &impl Source) -> Result<(), Errno> {
        epoll::delete(self.to_change(), source.source())
    }

    /// How many epoll_wait and epoll_ctl calls have been made of it.
    pub fn calls(&self) -> Calls {
        Calls { waits: self.waits.get(), ctls: self.ctls.get() }
    }

    /// Waits for events: not at all for `Some(0)`, for ever for `None`. The kernel counts whole
    /// milliseconds here; they are rounded up, since rounding down would turn a short wait into a busy loop.
    /// A wait that a signal interrupts ends without events.
    ///
    /// # Errors
    /// None that a live epoll gives.
    #[inline]
    pub fn wait(&self, events: &mut Events, timeout_ns: Option<u64>) -> Result<(), Errno> {
        let timeout = timeout_ns.map(|ns| {
            let ms = ns.div_ceil(1_000_000).min(i32::MAX as u64);
            Timespec { tv_sec: (ms / 1000) as i64, tv_nsec: (ms % 1000 * 1_000_000) as i64 }
        });
        events.len = 0;
        self.waits.set(self.waits.get() + 1);
        match epoll::wait(&self.fd, &mut events.buffer[..], timeout.as_ref()) {
            Ok((filled, _)) => {
                events.len = filled.len();
                Ok(())
            }
            Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The instance, for an epoll_ctl, which is counted.
    #[inline]
    fn to_change(&self) -> &OwnedFd {
        self.ctls.set(self.ctls.get() + 1);
        &self.fd
    }
}

/// Calls that were made of one epoll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calls {
    /// epoll_wait.
    pub waits: u64,
    /// epoll_ctl.
    pub ctls: u64,
}

/// Room for one batch of events.
pub struct Events {
    buffer: Box<[MaybeUninit<Event>]>,
    len: usize,
}

impl Events {
    /// Room for so many.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { buffer: Box::new_uninit_slice(capacity), len: 0 }
    }

    /// How many the last wait returned.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the last wait returned none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Token and readiness of one event of the last wait.
    ///
    /// # Panics
    /// Where `index` is not below [`Self::len`].
    #[inline]
    pub fn get(&self, index: usize) -> (u64, Readiness) {
        assert!(index < self.len, "an event beyond the batch was asked for");
        // SAFETY: the last wait initialized the first `len` entries, and `index` is below `len`.
        let event = unsafe { self.buffer[index].assume_init_read() };
        (event.data.u64(), Readiness(event.flags))
    }
}
