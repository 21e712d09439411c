//! Through the worker's buffer: one read, one write.

use crate::{Io, Read, Side};

/// The most bytes of one read, and so the most that a stalled peer can make the proxy keep for a direction: three
/// chunks of the backlog.
const LEN_MAX: usize = 48 << 10;

#[inline]
pub(super) fn pass(io: &mut Io<'_>, side: Side, scratch: &mut [u8]) -> Read {
    let len = scratch.len().min(LEN_MAX);
    let read = io.read(side, &mut scratch[..len]);
    if let Read::Data(len) = read {
        io.write(side.other(), &scratch[..len]);
    }
    read
}
