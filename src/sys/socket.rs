//! A connected, non-blocking stream socket.

use std::{
    fmt,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown, sockopt};

use super::{Errno, epoll::Source};

/// A connection. It can't be duplicated, so dropping it closes the connection and takes it out of epoll.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    is_unix: bool,
}

impl Socket {
    pub(super) fn from_fd(fd: OwnedFd, is_unix: bool) -> Self {
        Self { fd, is_unix }
    }

    /// Whether a read may stop short of what is there: a unix stream's does, at a message that carried
    /// descriptors (unix(7)).
    #[inline]
    pub fn splits_reads(&self) -> bool {
        self.is_unix
    }

    /// Reads what is there; 0 is the end of the stream.
    ///
    /// # Errors
    /// EAGAIN where nothing is there; ECONNRESET and others, told once.
    #[inline]
    pub fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        retry(|| recv(&self.fd, &mut *buffer, RecvFlags::empty()).map(|(len, _)| len))
    }

    /// Writes what there is room for, without SIGPIPE.
    ///
    /// # Errors
    /// EAGAIN where there is no room; ECONNRESET, EPIPE and others, told once.
    #[inline]
    pub fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        retry(|| send(&self.fd, bytes, SendFlags::NOSIGNAL))
    }

    /// Sends FIN behind what was written; reading goes on.
    pub fn shut_down_writing(&self) {
        // ENOTCONN: the peer has reset the connection. The next read says so.
        let _ = shutdown(&self.fd, Shutdown::Write);
    }

    /// Closes with RST in place of FIN, throwing away what the peer has not been sent (socket(7), SO_LINGER).
    pub fn reset(self) {
        // Cannot fail on a stream socket; if it did, the close would be an orderly one.
        let _ = sockopt::set_socket_linger(&self.fd, Some(Duration::ZERO));
    }
}

/// Calls again where a signal came between. On non-blocking sockets that is rare, but not impossible.
#[inline]
fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}

impl Source for Socket {
    #[inline]
    fn source(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Where a connection came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Over TCP.
    Tcp(SocketAddr),
    /// By a unix socket, whose clients have no address as a rule.
    Unix,
}

impl fmt::Display for Peer {
    /// An IPv4 client of a dual-stack listener is written as what it is, without `::ffff:`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => {
                write!(f, "{}", SocketAddr::new(address.ip().to_canonical(), address.port()))
            }
            Self::Unix => f.write_str("unix:"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_written_as_people_know_it() {
        let tcp = |text: &str| Peer::Tcp(text.parse().expect("an address")).to_string();
        assert_eq!(tcp("10.1.2.3:99"), "10.1.2.3:99");
        assert_eq!(tcp("[::ffff:10.1.2.3]:99"), "10.1.2.3:99");
        assert_eq!(tcp("[2001:db8::1]:99"), "[2001:db8::1]:99");
        assert_eq!(Peer::Unix.to_string(), "unix:");
    }
}
