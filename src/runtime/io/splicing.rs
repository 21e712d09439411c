//! Bytes that go across inside the kernel: socket → pipe → socket.
//!
//! A pipe is lent by the worker for one call; where the far side doesn't take everything, it stays with that
//! side as its backlog, and back pressure, flushing and FIN are those of any other backlog.

use super::Io;
use crate::{
    runtime::{backlog::Backlog, service::Read, token::Side},
    sys::{Errno, pipe::Pipe},
};

impl Io<'_> {
    /// Moves what has come in on a side to the side across, up to the turn's budget and what one pipe holds.
    /// `None`: read instead. Either no pipe could be had, or nothing was moved, which proves nothing: at an urgent
    /// mark splice(2) says EAGAIN for ever, once a FIN has come behind it 0, and once a RST has come the error; only a
    /// read gets past.
    pub fn splice(&mut self, side: Side) -> Option<Read> {
        let mut pipe = self.cx.pipes.take(self.cx.now_ns)?;
        let wanted = match self.may_read(side, pipe.capacity()) {
            Ok(wanted) => wanted,
            Err(read) => {
                self.cx.pipes.give(pipe);
                return Some(read);
            }
        };
        let socket = self.link.half(side).socket.as_ref();
        self.cx.recorder.counts.splices += 1;
        let moved = socket.map_or(Err(Errno::AGAIN), |socket| socket.splice_to(&mut pipe, wanted));
        let read = match moved {
            Ok(0) | Err(Errno::AGAIN) => {
                self.cx.pipes.give(pipe);
                return None;
            }
            Ok(len) => self.read_data(side, len),
            Err(error) => {
                self.cx.pipes.give(pipe);
                self.break_side(side, error);
                return None;
            }
        };
        if let Read::Data(len) = read {
            self.cx.recorder.count(|counts| counts.bytes_spliced += len as u64);
            if self.cx.stamps && side == Side::Client {
                // splice(2) has no room for a stamp.
                self.cx.recorder.arrived(None);
            }
        }
        self.pass_on(side.other(), pipe);
        Some(read)
    }

    fn pass_on(&mut self, side: Side, mut pipe: Pipe) {
        if self.link.half(side).is_alive() && self.link.half(side).writable {
            self.send_pipe(side, &mut pipe);
        }
        if pipe.is_empty() {
            self.cx.pipes.give(pipe);
        } else {
            self.link.half(side).backlog = Some(Box::new(Backlog::Pipe(pipe)));
        }
    }

    /// Writes until the pipe is empty or the socket says that it takes no more: a short splice says neither.
    pub(super) fn send_pipe(&mut self, side: Side, pipe: &mut Pipe) {
        let mut is_first = true;
        while !pipe.is_empty() {
            let socket = self.link.half(side).socket.as_ref();
            self.cx.recorder.counts.splices += 1;
            match socket.map_or(Err(Errno::PIPE), |socket| socket.splice_from(pipe)) {
                Ok(sent) => {
                    is_first = false;
                    self.sent(side, sent, false);
                }
                // splice(2) sends piece by piece: the piece after the last that went may have taken the ECONNRESET,
                // of which nothing was said. So this is no proof that a FIN came first.
                Err(Errno::PIPE) if !is_first => return self.write_error(side, Errno::CONNRESET),
                Err(Errno::AGAIN) => {
                    self.link.half(side).writable = false;
                    return self.sent(side, 0, true);
                }
                Err(error) => return self.write_error(side, error),
            }
        }
    }
}
