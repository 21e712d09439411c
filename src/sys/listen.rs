//! Listening sockets, TCP and unix.
//!
//! Options are set before `listen`, because a connection inherits them when it enters the accept queue
//! (TCP only; O_NONBLOCK is never inherited, so accept4 asks for it).

use std::{
    fs, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, acceptfrom_with, bind, connect, getsockname, listen, sockopt,
};

use super::{
    Errno,
    epoll::Source,
    socket::{Liveness, Peer, Socket, stream_socket},
    timestamp,
};

/// How a TCP listener is set up.
#[derive(Clone, Copy, Debug)]
pub struct TcpOptions {
    /// SO_REUSEPORT: one of a group, among which the kernel hashes.
    pub reuseport: bool,
    /// SO_INCOMING_CPU: within its group it is preferred for packets that this core handles.
    pub incoming_cpu: Option<usize>,
    /// TCP_NODELAY, inherited by connections.
    pub nodelay: bool,
    /// How a client that has vanished is noticed, inherited by connections.
    pub liveness: Liveness,
    /// Whether the kernel says when it received what a connection reads, inherited too.
    pub timestamps: bool,
    /// Length of the accept queue that is asked for.
    pub backlog: i32,
}

/// A listening socket. It may be shared by threads, never duplicated.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    address: ListenAddress,
}

/// What a listener is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// With the real port.
    Tcp(SocketAddr),
    /// Path, device and inode of the socket's file.
    Unix(UnixFile),
}

/// A unix listener's file: the path, and which file it was when it was bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Listener {
    /// Binds a TCP address and listens.
    ///
    /// # Errors
    /// EADDRINUSE, EADDRNOTAVAIL, EACCES and their like.
    pub fn tcp(address: SocketAddr, options: TcpOptions) -> io::Result<Self> {
        let fd = tcp_socket(address)?;
        if options.reuseport {
            sockopt::set_socket_reuseport(&fd, true)?;
        }
        if let Some(cpu) = options.incoming_cpu {
            sockopt::set_socket_incoming_cpu(&fd, cpu as u32)?;
        }
        sockopt::set_tcp_nodelay(&fd, options.nodelay)?;
        options.liveness.set_on(&fd)?;
        // An urgent byte stays in the stream: without this it would vanish from it.
        sockopt::set_socket_oobinline(&fd, true)?;
        if options.timestamps {
            timestamp::enable(&fd)?;
        }
        bind(&fd, &address)?;
        listen(&fd, options.backlog)?;
        let address = SocketAddr::try_from(getsockname(&fd)?)?;
        Ok(Self { fd, address: ListenAddress::Tcp(address) })
    }

    /// Asks whether an address can be bound by somebody who does not join a SO_REUSEPORT group: without
    /// this question, a second server on a busy port would silently share it with the first.
    ///
    /// # Errors
    /// As [`Self::tcp`].
    pub fn probe(address: SocketAddr) -> io::Result<()> {
        let fd = tcp_socket(address)?;
        Ok(bind(&fd, &address)?)
    }

    /// The wildcard address: IPv6 that takes IPv4 too, or IPv4 alone where IPv6 is off.
    pub fn any(port: u16) -> SocketAddr {
        let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        match Self::probe(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))) {
            Ok(()) => v6,
            Err(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
        }
    }

    /// Binds a unix path and listens. A socket file that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// EADDRINUSE where somebody listens there, or where something other than a socket has that name.
    pub fn unix(path: &Path, mode: u32, backlog: i32) -> io::Result<Self> {
        let address = SocketAddrUnix::new(path)?;
        let fd = stream_socket(AddressFamily::UNIX)?;
        match bind(&fd, &address) {
            Err(Errno::ADDRINUSE) if is_stale(path, &address) => {
                fs::remove_file(path)?;
                bind(&fd, &address)?;
            }
            bound => bound?,
        }
        let metadata = fs::symlink_metadata(path)?;
        let file = UnixFile { path: path.to_owned(), identity: (metadata.dev(), metadata.ino()) };
        // Nobody can connect before listen, so there is no moment with the wrong permissions.
        let listens = fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .and_then(|()| Ok(listen(&fd, backlog)?))
            .inspect_err(|_| file.unlink());
        listens.map(|()| Self { fd, address: ListenAddress::Unix(file) })
    }

    /// What it is bound to, with the real port.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// Takes the next connection from the accept queue, non-blocking and closed on exec.
    ///
    /// # Errors
    /// EAGAIN where the queue is empty; EMFILE, ENFILE, ENOBUFS, ENOMEM where the connection stays queued;
    /// others (accept(2) lists them) are of a connection that is gone.
    #[inline]
    pub fn accept(&self) -> Result<(Socket, Peer), Errno> {
        let (fd, peer) = acceptfrom_with(&self.fd, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
        let is_unix = matches!(self.address, ListenAddress::Unix(_));
        if is_unix {
            // A unix listener passes no option on, and an urgent byte must stay in the stream here too.
            sockopt::set_socket_oobinline(&fd, true)?;
        }
        // From accept4 itself: getpeername(2) knows nothing of a connection that was reset in the queue.
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok()).map_or(Peer::Unix, Peer::Tcp);
        Ok((Socket::from_fd(fd, is_unix), peer))
    }

    /// How many connections wait in the accept queue; `None` for a unix listener, which doesn't tell.
    pub fn queue_len(&self) -> Option<u32> {
        if !matches!(self.address, ListenAddress::Tcp(_)) {
            return None;
        }
        // SAFETY: an all-zero tcp_info is a valid value of this plain C struct.
        let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
        let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
        // SAFETY: the descriptor is open; the kernel writes at most `len` bytes to a struct of that size.
        let status = unsafe {
            let info = (&raw mut info).cast();
            libc::getsockopt(self.fd.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, info, &raw mut len)
        };
        // `tcp_get_info` in net/ipv4/tcp.c puts sk_ack_backlog there for a listener.
        (status == 0).then_some(info.tcpi_unacked)
    }
}

impl Source for Listener {
    #[inline]
    fn source(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl UnixFile {
    /// Removes the file, unless somebody has put another in its place since.
    pub fn unlink(&self) {
        let same = |metadata: fs::Metadata| (metadata.dev(), metadata.ino()) == self.identity;
        if fs::symlink_metadata(&self.path).is_ok_and(same) {
            // Failing here leaves a stale file, which the next start replaces.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(file) => write!(f, "unix:{}", file.path.display()),
        }
    }
}

fn tcp_socket(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let fd = stream_socket(family)?;
    // Old connections in TIME_WAIT must not keep a restarted server from its port.
    sockopt::set_socket_reuseaddr(&fd, true)?;
    if address.is_ipv6() {
        // `[::1]` and other real addresses are IPv6 alone anyway; the wildcard takes both.
        sockopt::set_ipv6_v6only(&fd, false)?;
    }
    Ok(fd)
}

/// Whether this is a socket's file that nobody listens on.
fn is_stale(path: &Path, address: &SocketAddrUnix) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    is_socket
        && stream_socket(AddressFamily::UNIX).is_ok_and(|fd| connect(&fd, address) == Err(Errno::CONNREFUSED))
}
