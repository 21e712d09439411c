//! What epoll hands back with an event.
//!
//! ```text
//! 63            24 23  22 21             0
//! +----------------+------+---------------+
//! |  serial (40)   | side |   slot (22)   |
//! +----------------+------+---------------+
//! ```
//! The serial grows by one for each session that a worker opens, so an event for a session that has ended
//! finds nobody, however often the slot was reused within the batch. (One reuse bit, as nginx keeps in the
//! pointer, takes the second reuse for the first owner.) It wraps after 10^12 sessions, which is harmless:
//! a stale event lives for one batch.

const SLOT_BITS: u32 = 22;
const SIDE_BITS: u32 = 2;
const SERIAL_BITS: u32 = 40;

/// The most sessions of one worker: 4,194,304.
pub const SLOTS_MAX: usize = 1 << SLOT_BITS;

/// One socket of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The connection that was accepted.
    Client,
    /// The connection that was opened on its behalf.
    Upstream,
}

impl Side {
    /// Both sides.
    pub const ALL: [Self; 2] = [Self::Client, Self::Upstream];

    /// The side across.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Upstream,
            Self::Upstream => Self::Client,
        }
    }
}

/// Names a session and one of its sides; serial 0 is for the worker's own sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(u64);

/// What a token stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The worker's mailbox.
    Mailbox,
    /// The listener of this index.
    Listener(usize),
    /// A session's socket.
    Session(Side),
}

/// The number of a session, unlike any other's for as long as one of its events can be around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serial(u64);

impl Serial {
    /// The first; 0 is not a session's.
    pub const FIRST: Self = Self(1);

    /// As a number.
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// The one after.
    #[must_use]
    pub const fn next(self) -> Self {
        let next = (self.0 + 1) & ((1 << SERIAL_BITS) - 1);
        Self(if next == 0 { 1 } else { next })
    }
}

impl Token {
    /// The mailbox's token.
    pub const MAILBOX: Self = Self(0);

    /// A listener's token.
    pub const fn listener(index: usize) -> Self {
        Self(index as u64 + 1)
    }

    /// A session's token, for its client side.
    #[inline]
    pub fn session(serial: Serial, slot: usize) -> Self {
        debug_assert!(slot < SLOTS_MAX);
        Self(serial.0 << (SLOT_BITS + SIDE_BITS) | slot as u64)
    }

    /// The same session, this side.
    #[inline]
    #[must_use]
    pub const fn on(self, side: Side) -> Self {
        let mask = ((1 << SIDE_BITS) - 1) << SLOT_BITS;
        Self(self.0 & !mask | (side as u64) << SLOT_BITS)
    }

    /// What it stands for.
    #[inline]
    pub const fn target(self) -> Target {
        match (self.serial().0, self.slot(), self.0 >> SLOT_BITS & ((1 << SIDE_BITS) - 1)) {
            (0, 0, _) => Target::Mailbox,
            (0, listener, _) => Target::Listener(listener - 1),
            (_, _, 0) => Target::Session(Side::Client),
            _ => Target::Session(Side::Upstream),
        }
    }

    /// The session's number.
    #[inline]
    pub const fn serial(self) -> Serial {
        Serial(self.0 >> (SLOT_BITS + SIDE_BITS))
    }

    /// The session's place in the table.
    #[inline]
    pub const fn slot(self) -> usize {
        (self.0 & ((1 << SLOT_BITS) - 1)) as usize
    }

    /// As epoll keeps it.
    #[inline]
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// As epoll hands it back.
    #[inline]
    pub const fn from_u64(bits: u64) -> Self {
        Self(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_survive(serial in 1u64..1 << SERIAL_BITS, slot in 0..SLOTS_MAX) {
            for side in Side::ALL {
                let token = Token::from_u64(Token::session(Serial(serial), slot).on(side).to_u64());
                prop_assert_eq!(token.serial(), Serial(serial));
                prop_assert_eq!(token.slot(), slot);
                prop_assert_eq!(token.target(), Target::Session(side));
                prop_assert_eq!(token.on(Side::Client), Token::session(Serial(serial), slot));
            }
        }
    }

    #[test]
    fn own_sources_are_not_sessions() {
        assert_eq!(Token::MAILBOX.target(), Target::Mailbox);
        assert_eq!(Token::listener(0).target(), Target::Listener(0));
        assert_eq!(Token::listener(7).target(), Target::Listener(7));
    }

    #[test]
    fn serials_wrap_past_zero() {
        assert_eq!(Serial((1 << SERIAL_BITS) - 1).next(), Serial::FIRST);
        assert_eq!(Serial::FIRST.next(), Serial(2));
    }
}
