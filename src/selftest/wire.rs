//! Sockets of the two ends: listeners, connections, and the options that make them fit for comparing.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, getsockname,
        listen, socket_with, sockopt,
    },
};

/// Socket buffers of a narrow end, as asked for (the kernel doubles it). With less than a segment of loopback, a
/// sender waits for the persist timer again and again.
const NARROW_LEN: usize = 32 << 10;

/// What a connection is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// TCP over loopback.
    Tcp,
    /// A unix stream socket.
    Unix,
}

/// Where to connect to.
#[derive(Clone, Debug)]
pub enum Place {
    /// An address and port.
    Tcp(SocketAddr),
    /// A path.
    Unix(PathBuf),
}

/// A socket that listens, and where.
pub struct Listener {
    socket: OwnedFd,
    /// Where it can be reached.
    pub place: Place,
}

impl Place {
    /// From an address as flags and ready lines have it.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("unix:") {
            Some(path) => Some(Self::Unix(path.into())),
            None => text.parse().ok().map(Self::Tcp),
        }
    }

    /// As flags have it.
    pub fn text(&self) -> String {
        match self {
            Self::Tcp(address) => address.to_string(),
            Self::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// A connection to it, which doesn't block from then on.
    pub fn connect(&self, is_narrow: bool) -> io::Result<OwnedFd> {
        let socket = match self {
            Self::Tcp(_) => stream_socket(AddressFamily::INET)?,
            Self::Unix(_) => stream_socket(AddressFamily::UNIX)?,
        };
        if is_narrow {
            narrow(&socket)?;
        }
        match self {
            Self::Tcp(address) => connect(&socket, address)?,
            Self::Unix(path) => connect(&socket, &SocketAddrUnix::new(path)?)?,
        }
        prepare(&socket)?;
        Ok(socket)
    }
}

impl Listener {
    /// Listens on loopback, or at this path.
    pub fn open(family: Family, path: &Path) -> io::Result<Self> {
        let listener = match family {
            Family::Tcp => {
                let socket = stream_socket(AddressFamily::INET)?;
                // Inherited, so that it holds for an urgent byte that comes before the connection is accepted.
                sockopt::set_socket_oobinline(&socket, true)?;
                bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
                let address = getsockname(&socket)?.try_into()?;
                Self { socket, place: Place::Tcp(address) }
            }
            Family::Unix => {
                let socket = stream_socket(AddressFamily::UNIX)?;
                bind(&socket, &SocketAddrUnix::new(path)?)?;
                Self { socket, place: Place::Unix(path.to_owned()) }
            }
        };
        listen(&listener.socket, 1024)?;
        Ok(listener)
    }

    /// The next connection; it doesn't block from then on.
    ///
    /// # Errors
    /// `TimedOut` where none comes.
    pub fn accept(&self, patience: Duration, is_narrow: bool) -> io::Result<OwnedFd> {
        wait_for_input(&self.socket, patience)?;
        let socket = accept_with(&self.socket, SocketFlags::CLOEXEC)?;
        if is_narrow {
            narrow(&socket)?;
        }
        prepare(&socket)?;
        Ok(socket)
    }
}

/// Waits until there is something to read, or to accept.
///
/// # Errors
/// `TimedOut` where nothing comes.
pub fn wait_for_input(socket: &OwnedFd, patience: Duration) -> io::Result<()> {
    let mut polled = [PollFd::new(socket, PollFlags::IN)];
    let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
    match poll(&mut polled, Some(&patience))? {
        0 => Err(io::ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}

fn stream_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    if family == AddressFamily::INET {
        // Urgent bytes stay in the stream. Set before any can come; a connection inherits it from its listener.
        sockopt::set_socket_oobinline(&socket, true)?;
    }
    Ok(socket)
}

fn narrow(socket: impl AsFd) -> io::Result<()> {
    sockopt::set_socket_send_buffer_size(&socket, NARROW_LEN)?;
    Ok(sockopt::set_socket_recv_buffer_size(&socket, NARROW_LEN)?)
}

/// Small writes go out at once, and nothing blocks.
fn prepare(socket: &OwnedFd) -> io::Result<()> {
    if sockopt::socket_domain(socket)? == AddressFamily::INET {
        sockopt::set_tcp_nodelay(socket, true)?;
    }
    Ok(rustix::io::ioctl_fionbio(socket, true)?)
}
