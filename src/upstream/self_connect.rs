//! A connection whose other end is itself.
//!
//! Where nobody listens on a port of the ephemeral range (ip(7): `ip_local_port_range`), the kernel may choose just
//! that port for the connecting side, and TCP's simultaneous open then connects the socket to itself. Such a
//! connection echoes what is sent, and keeps the real server from its port. To a proxy it is a failed connect.

use std::net::SocketAddr;

/// Whether a connection from `local` to `peer` is one socket. `peer` may be what was asked for: to connect to the
/// wildcard address is to connect to this machine.
pub fn is_self(local: &SocketAddr, peer: &SocketAddr) -> bool {
    let (near, far) = (local.ip().to_canonical(), peer.ip().to_canonical());
    local.port() == peer.port() && (near == far || far.is_unspecified())
}

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SocketType, bind, connect, getpeername, getsockname, socket};

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn both_ends_the_same_is_one_socket() {
        for (local, peer, is_one) in [
            ("127.0.0.1:40000", "127.0.0.1:40000", true),
            ("127.0.0.1:40000", "127.0.0.1:40001", false),
            ("127.0.0.1:40000", "127.0.0.2:40000", false),
            ("127.0.0.1:40000", "0.0.0.0:40000", true),
            ("[::1]:40000", "[::1]:40000", true),
            ("[::1]:40000", "[::]:40000", true),
            ("[::1]:40000", "127.0.0.1:40000", false),
            ("[::ffff:127.0.0.1]:40000", "127.0.0.1:40000", true),
        ] {
            assert_eq!(is_self(&address(local), &address(peer)), is_one, "{local} to {peer}");
        }
    }

    #[test]
    fn the_kernel_does_connect_a_socket_to_itself() {
        let fd = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&fd, &address("127.0.0.1:0")).unwrap();
        let local = SocketAddr::try_from(getsockname(&fd).unwrap()).unwrap();
        connect(&fd, &local).unwrap();
        let peer = SocketAddr::try_from(getpeername(&fd).unwrap().expect("a peer")).unwrap();
        assert!(is_self(&local, &peer), "{local} to {peer}");
    }
}
