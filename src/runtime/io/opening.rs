//! The second side of a session: a connection that is opened on the first one's behalf.

use super::Io;
use crate::{
    runtime::{link::Half, token::Side},
    sys::{
        Errno,
        socket::{ConnectOptions, Remote, Socket},
    },
};

/// How far a connection is that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// Nobody knows yet.
    Pending,
    /// It can be read and written.
    Established,
    /// There is none.
    Failed(Errno),
}

impl Io<'_> {
    /// Begins to connect the upstream side, in place of what it had before. There will be a turn when
    /// [`Self::connection`] has something to say.
    ///
    /// # Errors
    /// Where it fails at once ([`Socket::connect`]).
    pub fn connect(&mut self, to: Remote<'_>, options: &ConnectOptions) -> Result<(), Errno> {
        self.disconnect();
        // Registered only from now on: before connect(2) a socket would be reported as hung up.
        let socket = Socket::connect(to, options)?;
        let kept = std::mem::replace(self.link.half(Side::Upstream), Half::absent());
        let Half { backlog, fin_wanted, .. } = kept;
        *self.link.half(Side::Upstream) = Half { backlog, fin_wanted, ..Half::connecting(socket) };
        Ok(())
    }

    /// What has come of it.
    pub fn connection(&mut self) -> Connection {
        let half = self.link.half(Side::Upstream);
        let Some(socket) = &half.socket else { return Connection::Pending };
        if !half.connecting {
            return Connection::Established;
        }
        if !half.writable {
            return Connection::Pending;
        }
        self.cx.work += 1;
        let reset = match socket.outcome() {
            Ok(()) => None,
            // What a socket says that was connected and has been reset since: while it connects, a reset is
            // ECONNREFUSED (`tcp_reset` in net/ipv4/tcp_input.c). What its peer had sent before is there to be read.
            Err(error @ (Errno::CONNRESET | Errno::PIPE)) => Some(error),
            Err(error) => return Connection::Failed(error),
        };
        half.connecting = false;
        half.failed = false;
        if let Some(error) = reset {
            self.write_error(Side::Upstream, error);
        }
        Connection::Established
    }

    /// Closes the upstream side, so that another can be tried. What the client sends meanwhile waits in the kernel;
    /// what was written and has not gone out goes to the next one, and so does a FIN.
    pub fn disconnect(&mut self) {
        let half = std::mem::replace(self.link.half(Side::Upstream), Half::absent());
        let Half { backlog, fin_wanted, .. } = half;
        *self.link.half(Side::Upstream) = Half { backlog, fin_wanted, ..Half::absent() };
        if let Some(socket) = half.socket {
            // By RST, which leaves nothing behind: a socket that has met itself would be in TIME_WAIT on a port that
            // somebody else may want to listen on.
            socket.reset();
        }
    }

    /// A side's socket, for its addresses.
    pub(crate) fn socket(&mut self, side: Side) -> Option<&Socket> {
        self.link.half(side).socket.as_ref()
    }

    /// Whether epoll has reported an error on a side, and nothing that its peer had sent before is left to be read.
    pub fn is_gone(&mut self, side: Side) -> bool {
        let half = self.link.half(side);
        half.failed && half.socket.as_ref().is_none_or(|socket| socket.unread() == 0)
    }
}
