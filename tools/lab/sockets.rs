//! Who is connected: the kernel's table of TCP sockets.

use std::fs;

use rustix::process::Pid;

/// The state of a connection that is established, as `/proc/net/tcp` writes it (include/net/tcp_states.h).
const ESTABLISHED: &str = "01";

/// Connections to the server that listens there, those included that wait in its accept queue. The table is that of its
/// own network.
pub fn established(server: Option<Pid>, address: &str) -> usize {
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let (Some(server), Some(port)) = (server, port) else { return 0 };
    let of = |version: &str| {
        let path = format!("/proc/{}/net/{version}", server.as_raw_nonzero());
        established_in(&fs::read_to_string(path).unwrap_or_default(), port)
    };
    of("tcp") + of("tcp6")
}

/// Sockets of which the local port is this one; a line is `sl: local:port remote:port state …`, in hex.
fn established_in(table: &str, port: u16) -> usize {
    let end = format!(":{port:04X}");
    let is_one = |line: &&str| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, _, state) = (fields.next(), fields.next(), fields.next());
        local.is_some_and(|local| local.ends_with(&end)) && state == Some(ESTABLISHED)
    };
    table.lines().skip(1).filter(is_one).count()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn connections_are_counted_at_the_servers_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let here = Some(rustix::process::getpid());
        assert_eq!(established(here, &address.to_string()), 0);
        let clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
        assert_eq!(established(here, &address.to_string()), clients.len());
        assert_eq!((established(here, "unix:/nowhere"), established(None, &address.to_string())), (0, 0));
    }
}
