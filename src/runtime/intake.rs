//! A listener as one epoll sees it: how it is registered, when it is out, what an accept does.
//!
//! Whoever won't accept must take the listener out of its epoll: a wakeup that is given to it would be
//! swallowed, and the connection stranded beside idle neighbours.

use std::sync::Arc;

use super::{spare::Spares, token::Token};
use crate::{
    config::Trigger,
    sys::{
        Errno,
        epoll::{Epoll, Exclusive, Interest},
        listen::Listener,
        socket::{Peer, Socket},
    },
};

/// How long accepting pauses when descriptors or memory have run out, in nanoseconds. Short enough that a
/// client hardly notices, long enough that it costs nothing.
pub const PAUSE_NS: u64 = 100_000_000;

/// How often a spare descriptor is given up for one connection, as another thread may be faster to take it.
const SHED_TRIES_MAX: usize = 4;

/// Who else waits for this listener, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Nobody.
    Own,
    /// Every worker; each connection wakes all that are idle.
    Herd,
    /// Every worker; each connection wakes the first in the order of registration that is idle.
    Exclusive,
    /// The same, and a worker goes to the back of the queue after so many accepts.
    Rotate {
        /// At least 1.
        every: u32,
    },
}

impl Share {
    /// Whether others wait for it too.
    pub const fn is_shared(self) -> bool {
        !matches!(self, Self::Own)
    }
}

/// Where a connection has come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The address that it was accepted on, by its index among those that are listened on.
    pub listener: usize,
    /// Who has connected.
    pub peer: Peer,
}

/// A listener in one epoll.
pub struct Intake {
    listener: Arc<Listener>,
    index: usize,
    token: Token,
    trigger: Trigger,
    share: Share,
    is_in: bool,
    since_rotation: u32,
    /// Where connections that there is no descriptor for are reset: what is given up to accept them.
    spares: Option<Spares>,
    /// Epoll has said that connections may wait, and no accept has said otherwise.
    pub noted: bool,
}

/// What an accept brought.
pub enum Accepted {
    /// A connection.
    Session(Socket, Arrival),
    /// Nothing: the connection was reset, as there is no descriptor to serve it by.
    Shed,
    /// Nothing: the connection was gone before it was accepted.
    Gone,
    /// Nothing: the queue is empty.
    Empty,
    /// Nothing: no descriptor or memory for it. It stays in the queue; see [`Intake::leave`].
    Exhausted,
}

impl Intake {
    /// The listener of this index, not yet in an epoll.
    pub fn new(listener: Arc<Listener>, index: usize, trigger: Trigger, share: Share) -> Self {
        let token = Token::listener(index);
        Self {
            listener,
            index,
            token,
            trigger,
            share,
            is_in: false,
            since_rotation: 0,
            spares: None,
            noted: false,
        }
    }

    /// From now on connections that there is no descriptor for are accepted by one of these, and reset.
    pub fn shed_by(&mut self, spares: Spares) {
        self.spares = Some(spares);
    }

    /// How it is shared.
    pub fn share(&self) -> Share {
        self.share
    }

    /// The listener itself.
    pub fn listener(&self) -> &Listener {
        &self.listener
    }

    /// Has epoll watch it, at the back of the queue of those who do.
    ///
    /// # Errors
    /// ENOMEM, ENOSPC (`fs.epoll.max_user_watches`).
    pub fn enter(&mut self, epoll: &Epoll) -> Result<(), Errno> {
        let token = self.token.to_u64();
        match (self.share, self.trigger) {
            (Share::Own | Share::Herd, trigger) => epoll.add(&*self.listener, token, interest(trigger))?,
            (_, Trigger::Edge) => epoll.add_exclusive(&*self.listener, token, Exclusive::Edge)?,
            (_, _) => epoll.add_exclusive(&*self.listener, token, Exclusive::Level)?,
        }
        self.is_in = true;
        Ok(())
    }

    /// Takes it out of epoll.
    pub fn leave(&mut self, epoll: &Epoll) {
        self.noted = false;
        if std::mem::take(&mut self.is_in) {
            // Can't fail: it is in, and it has one description, which is open.
            let _ = epoll.remove(&*self.listener);
        }
    }

    /// Takes a connection.
    pub fn accept(&mut self, epoll: &Epoll) -> Accepted {
        match (self.take(epoll), &self.spares) {
            (Accepted::Session(socket, arrival), Some(spares)) if spares.is_short() => {
                spares.refill();
                if !spares.is_short() {
                    // Some have come free since.
                    return Accepted::Session(socket, arrival);
                }
                // That descriptor was another thread's spare, or has to take the place of one.
                socket.reset();
                spares.refill();
                Accepted::Shed
            }
            (Accepted::Exhausted, Some(spares)) => {
                let spares = spares.clone();
                self.shed(epoll, &spares)
            }
            (accepted, _) => accepted,
        }
    }

    /// Takes a connection by a spare descriptor, which others may be faster to take.
    fn shed(&mut self, epoll: &Epoll, spares: &Spares) -> Accepted {
        let mut accepted = Accepted::Exhausted;
        for _ in 0..SHED_TRIES_MAX {
            if !matches!(accepted, Accepted::Exhausted) || !spares.give_up() {
                break;
            }
            accepted = match self.take(epoll) {
                Accepted::Session(socket, _) => {
                    socket.reset();
                    Accepted::Shed
                }
                accepted => accepted,
            };
            spares.refill();
        }
        accepted
    }

    fn take(&mut self, epoll: &Epoll) -> Accepted {
        match self.listener.accept() {
            Ok((socket, peer)) => {
                self.rotate(epoll);
                Accepted::Session(socket, Arrival { listener: self.index, peer })
            }
            Err(Errno::AGAIN) => {
                self.noted = false;
                Accepted::Empty
            }
            Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Accepted::Exhausted,
            // EINTR, ECONNABORTED, and the errors of the network that accept(2) says to take like EAGAIN.
            Err(_) => Accepted::Gone,
        }
    }

    /// After accepting up to a budget: level will be reported again and oneshot when it is re-armed, both
    /// polled afresh; edge has to be remembered, as no event will tell of what is left. `false`: it isn't in
    /// epoll, because it could not be added again for want of memory; [`Self::enter`] has to be tried later.
    pub fn settle(&mut self, epoll: &Epoll) -> bool {
        if !self.is_in {
            return false;
        }
        match self.trigger {
            Trigger::Edge => {}
            Trigger::Level => self.noted = false,
            Trigger::Oneshot => {
                self.noted = false;
                // Can't fail for an entry that is in epoll.
                let _ = epoll.modify(&*self.listener, self.token.to_u64(), interest(self.trigger));
            }
        }
        true
    }

    fn rotate(&mut self, epoll: &Epoll) {
        let Share::Rotate { every } = self.share else { return };
        self.since_rotation += 1;
        if self.since_rotation >= every && self.is_in {
            self.since_rotation = 0;
            // Added anew it is polled afresh: what is still queued will be reported, so no note is kept.
            self.leave(epoll);
            // Fails only for want of memory; `settle` says so.
            let _ = self.enter(epoll);
        }
    }
}

fn interest(trigger: Trigger) -> Interest {
    match trigger {
        Trigger::Level => Interest::READ,
        Trigger::Edge => Interest::READ_EDGE,
        Trigger::Oneshot => Interest::READ.once(),
    }
}
