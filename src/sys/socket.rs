//! A non-blocking stream socket, connected or on its way to be.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
    time::Duration,
};

use rustix::{
    net::{
        AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType, bind,
        connect, getpeername, getsockname, recv, send, shutdown, socket_with, sockopt,
    },
    pipe::{SpliceFlags, splice},
};

use super::{Errno, epoll::Source, pipe::Pipe, timestamp};

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

    /// Begins to connect. `Ok` means that it has begun, or is done already: epoll reports room to write once it
    /// has succeeded or failed, and [`Self::outcome`] tells which.
    ///
    /// # Errors
    /// Those of connect(2), where it fails at once: EADDRNOTAVAIL where no local port is left, ENETUNREACH; of a
    /// unix socket all, EAGAIN where the accept queue is full; EMFILE, ENFILE, ENOBUFS, ENOMEM.
    pub fn connect(to: Remote<'_>, options: &ConnectOptions) -> Result<Self, Errno> {
        match to {
            Remote::Tcp(address) => Self::connect_tcp(address, options),
            Remote::Unix(path) => {
                let fd = stream_socket(AddressFamily::UNIX)?;
                sockopt::set_socket_oobinline(&fd, true)?;
                connect(&fd, &SocketAddrUnix::new(path)?)?;
                Ok(Self { fd, is_unix: true })
            }
        }
    }

    fn connect_tcp(address: SocketAddr, options: &ConnectOptions) -> Result<Self, Errno> {
        let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
        let fd = stream_socket(family)?;
        sockopt::set_tcp_nodelay(&fd, options.nodelay)?;
        // An urgent byte stays in the stream: without this it would vanish from it. (The same above.)
        sockopt::set_socket_oobinline(&fd, true)?;
        options.liveness.set_on(&fd)?;
        if let Some(source) = options.source {
            // Without this, bind(2) takes a port of its own for each connection, and they run out when only
            // the pairs of addresses and ports need be unique (ip(7), IP_BIND_ADDRESS_NO_PORT).
            set_bind_address_no_port(&fd)?;
            bind(&fd, &SocketAddr::new(source, 0))?;
        }
        match connect(&fd, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(Self { fd, is_unix: false }),
            Err(error) => Err(error),
        }
    }

    /// What came of a connect, once epoll has reported room to write. Asking takes the error away.
    ///
    /// # Errors
    /// Why there is no connection: ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH and their like.
    pub fn outcome(&self) -> Result<(), Errno> {
        sockopt::socket_error(&self.fd)?
    }

    /// Our own address, of a TCP socket.
    pub fn local(&self) -> Option<SocketAddr> {
        SocketAddr::try_from(getsockname(&self.fd).ok()?).ok()
    }

    /// Whether it is connected, and not only on its way to be.
    pub fn is_connected(&self) -> bool {
        getpeername(&self.fd).is_ok()
    }

    /// The address of its peer, of a TCP socket that is connected.
    pub fn peer(&self) -> Option<SocketAddr> {
        SocketAddr::try_from(getpeername(&self.fd).ok()??).ok()
    }

    /// Bytes that the peer's kernel has not acknowledged yet: [`unacknowledged`].
    pub fn unacknowledged(&self) -> usize {
        unacknowledged(&self.fd)
    }

    /// Bytes that have come in and were not read (`SIOCINQ`, tcp(7)).
    pub fn unread(&self) -> u64 {
        rustix::io::ioctl_fionread(&self.fd).unwrap_or(0)
    }

    /// Whether it is a unix socket.
    #[inline]
    pub fn is_unix(&self) -> bool {
        self.is_unix
    }

    /// Moves at most `len` bytes of what has come in to a pipe, inside the kernel; 0 is the end of the stream.
    ///
    /// # Errors
    /// EAGAIN where the socket is empty, where the pipe is full, and for ever at an urgent mark, which only a
    /// [`Self::read`] gets past; ECONNRESET and others, told once.
    #[inline]
    pub fn splice_to(&self, pipe: &mut Pipe, len: usize) -> Result<usize, Errno> {
        let moved = retry(|| splice(&self.fd, None, pipe.entrance(), None, len, SPLICE_FLAGS))?;
        pipe.len += moved;
        Ok(moved)
    }

    /// Writes what a pipe holds, as much as there is room for.
    ///
    /// # Errors
    /// As [`Self::write`]; what was not written stays in the pipe. (splice(2) has no flag against SIGPIPE:
    /// the process has to ignore that signal, as every Rust program does from its start.)
    #[inline]
    pub fn splice_from(&self, pipe: &mut Pipe) -> Result<usize, Errno> {
        let moved = retry(|| splice(pipe.exit(), None, &self.fd, None, pipe.len, SPLICE_FLAGS))?;
        pipe.len -= moved;
        Ok(moved)
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

    /// The same, and says when the kernel received the last of it: see [`timestamp::receive`].
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_stamped(&self, buffer: &mut [u8]) -> Result<(usize, Option<u64>), Errno> {
        timestamp::receive(&self.fd, buffer)
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

/// No SPLICE_F_MORE: it would hold a small message back for 200 ms.
const SPLICE_FLAGS: SpliceFlags = SpliceFlags::NONBLOCK.union(SpliceFlags::MOVE);

/// Where to connect to.
#[derive(Clone, Copy, Debug)]
pub enum Remote<'a> {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(&'a Path),
}

/// How a connection is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectOptions {
    /// TCP_NODELAY.
    pub nodelay: bool,
    /// The address that it comes from; `None` leaves it to the kernel.
    pub source: Option<IpAddr>,
    /// How a peer that has vanished is noticed.
    pub liveness: Liveness,
}

/// How a TCP peer that has vanished is noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Liveness {
    /// Keep-alive: idle time before the first of four probes, a quarter of it apart (whole seconds, at least 1).
    pub keepalive: Option<Duration>,
    /// TCP_USER_TIMEOUT: how long sent bytes may stay unacknowledged (tcp(7)), in whole milliseconds.
    pub user_timeout: Option<Duration>,
}

impl Liveness {
    const PROBES: u32 = 4;

    /// Sets it on a socket; connections inherit it from a listener.
    pub(super) fn set_on(self, fd: &OwnedFd) -> Result<(), Errno> {
        let seconds = |time: Duration| Duration::from_secs(time.as_secs().clamp(1, 32_767));
        if let Some(idle) = self.keepalive {
            sockopt::set_socket_keepalive(fd, true)?;
            sockopt::set_tcp_keepidle(fd, seconds(idle))?;
            sockopt::set_tcp_keepintvl(fd, seconds(idle / Self::PROBES))?;
            sockopt::set_tcp_keepcnt(fd, Self::PROBES)?;
        }
        if let Some(timeout) = self.user_timeout {
            let millis = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).clamp(1, i32::MAX as u32);
            sockopt::set_tcp_user_timeout(fd, millis)?;
        }
        Ok(())
    }
}

pub(super) fn stream_socket(family: AddressFamily) -> Result<OwnedFd, Errno> {
    socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)
}

/// Leaves the port to connect(2), which may take one that is in use towards other addresses (ip(7)).
///
/// # Errors
/// ENOPROTOOPT, where the kernel is older than 4.2.
pub fn set_bind_address_no_port(fd: &OwnedFd) -> Result<(), Errno> {
    let on: libc::c_int = 1;
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open; the kernel reads one int, of that length, and keeps no reference.
    let status = unsafe {
        let on = (&raw const on).cast();
        libc::setsockopt(fd.as_raw_fd(), libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, on, len)
    };
    if status == 0 { Ok(()) } else { Err(last_error()) }
}

pub(super) fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Bytes (and a FIN, which counts as one) of a connection that the peer's kernel has not acknowledged yet (`SIOCOUTQ`,
/// tcp(7)); of a unix socket, what its peer has not read.
pub fn unacknowledged(socket: impl AsFd) -> usize {
    let mut bytes: libc::c_int = 0;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open, and the kernel writes one int to where the pointer leads.
    let status = unsafe { libc::ioctl(fd, libc::TIOCOUTQ, &raw mut bytes) };
    // ENOTCONN and the like: nothing is on its way any more.
    if status == 0 { usize::try_from(bytes).unwrap_or(0) } else { 0 }
}

/// Calls again where a signal came between. On non-blocking sockets that is rare, but not impossible.
#[inline]
pub(super) fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
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

impl Peer {
    /// Its address, where it has one; that of an IPv4 client of a dual-stack listener is IPv4.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip().to_canonical()),
            Self::Unix => None,
        }
    }
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
