//! Sockets: where the server is, and how to reach it without blocking.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use evenkeel::{config::Address, sys::socket::set_bind_address_no_port};
use rustix::{
    fd::OwnedFd,
    io::{self, Errno},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, socket_with, sockopt},
};

/// The server's address, resolved.
#[derive(Clone, Debug)]
pub enum Target {
    /// Over IPv4 or IPv6.
    Tcp(SocketAddr),
    /// On this machine.
    Unix(SocketAddrUnix),
}

/// A connection that didn't fail at once.
pub enum Connect {
    /// It's there.
    Established(OwnedFd),
    /// It will be writable when it is.
    InProgress(OwnedFd),
    /// The accept queue of a unix socket is full, and the kernel has no event for when it no longer is.
    QueueFull,
}

impl Target {
    /// Looks up what was typed.
    ///
    /// # Errors
    /// A sentence, where a name doesn't resolve or a port can't be connected to.
    pub fn resolve(address: &Address) -> Result<Self, String> {
        let target = match address {
            Address::Tcp { host, port } => Self::Tcp(Address::resolve(host, *port)?),
            Address::Any { port } => Self::Tcp((Ipv4Addr::LOCALHOST, *port).into()),
            Address::Unix(path) => Self::Unix(
                SocketAddrUnix::new(path).map_err(|error| format!("'{address}' is no path: {error}"))?,
            ),
        };
        match target {
            Self::Tcp(to) if to.port() == 0 => {
                Err(format!("'{address}' has port 0: use the port that the server printed when it was ready"))
            }
            target => Ok(target),
        }
    }

    /// Whether this is a unix socket.
    pub fn is_unix(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    /// Starts a connection, from this address if one is given.
    ///
    /// # Errors
    /// The kernel's, where it fails at once.
    pub fn connect(&self, source: Option<IpAddr>) -> io::Result<Connect> {
        let (socket, connecting) = match self {
            Self::Tcp(to) => {
                let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
                let socket = stream(family)?;
                // A message must not wait for the acknowledgement of the one before it.
                sockopt::set_tcp_nodelay(&socket, true)?;
                if let Some(source) = source {
                    // The port is chosen by `connect`, which may take one that other pairs use.
                    set_bind_address_no_port(&socket)?;
                    bind(&socket, &SocketAddr::new(source, 0))?;
                }
                let connecting = connect(&socket, to);
                (socket, connecting)
            }
            Self::Unix(to) => {
                let socket = stream(AddressFamily::UNIX)?;
                let connecting = connect(&socket, to);
                (socket, connecting)
            }
        };
        match connecting {
            Ok(()) => Ok(Connect::Established(socket)),
            Err(Errno::INPROGRESS | Errno::INTR) => Ok(Connect::InProgress(socket)),
            Err(Errno::AGAIN) if self.is_unix() => Ok(Connect::QueueFull),
            Err(error) => Err(error),
        }
    }
}

fn stream(family: AddressFamily) -> io::Result<OwnedFd> {
    socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)
}
