//! How bytes cross. A way to forward is one function: move what is there on one side to the other, once.
//!
//! [`copy`] takes them through the worker's buffer, [`splice`] through a pipe in the kernel. Which one it is, is
//! decided for each direction of a session by itself, by what it has carried lately: a pipe costs two calls for
//! what a copy does in two, and pays only where each of them moves a lot.

mod copy;
mod splice;

use crate::{Io, Read, Side, config::Forward};

/// How one direction of a session is forwarded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lane {
    is_bulk: bool,
    /// Calls in a row that speak for a change.
    streak: u8,
    /// Bytes that were spliced.
    pub(super) spliced: u64,
}

/// A read of so many bytes speaks for splicing.
const LARGE: usize = 24 << 10;
/// A splice of fewer bytes speaks for copying.
const SMALL: usize = 8 << 10;

/// When a direction changes from copying to splicing, and back.
///
/// What decides is how much a call moves, not how much a stream carries. Measured on loopback (CPU per byte, a pipe of
/// 64 KiB against copying): up to 4 KiB a read splicing costs up to a quarter more, from 8 to 24 KiB about the
/// same, from 32 KiB on it takes a half to a third. Hence the bounds, and the wide gap between them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forwarder {
    /// Large reads in a row that make a bulk stream; `None`: nothing does.
    enter: Option<u8>,
    /// Small splices in a row after which it is none any more.
    leave: u8,
}

impl Forwarder {
    pub(super) fn new(forward: Forward) -> Self {
        match forward {
            Forward::Copy => Self { enter: None, leave: 1 },
            // As soon as a read was large, and never for a small message.
            Forward::Splice => Self { enter: Some(1), leave: 1 },
            Forward::Auto => Self { enter: Some(4), leave: 4 },
        }
    }

    /// Moves what has come in on a side across: at most one buffer, or one pipe.
    #[inline]
    pub(super) fn pass(self, lane: &mut Lane, io: &mut Io<'_>, side: Side, scratch: &mut [u8]) -> Read {
        if lane.is_bulk
            && let Some(read) = splice::pass(io, side)
        {
            lane.heed(read, |len| len < SMALL, self.leave);
            lane.spliced += if let Read::Data(len) = read { len as u64 } else { 0 };
            return read;
        }
        let read = copy::pass(io, side, scratch);
        if let (Some(enter), false) = (self.enter, lane.is_bulk) {
            lane.heed(read, |len| len >= LARGE, enter);
        }
        read
    }
}

impl Lane {
    /// Changes over after so many calls in a row that speak for it.
    #[inline]
    fn heed(&mut self, read: Read, speaks_for_change: impl Fn(usize) -> bool, needed: u8) {
        let Read::Data(len) = read else { return };
        self.streak = if speaks_for_change(len) { self.streak + 1 } else { 0 };
        if self.streak >= needed {
            self.is_bulk = !self.is_bulk;
            self.streak = 0;
        }
    }
}
