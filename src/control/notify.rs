//! Tells systemd that the service is ready, where it asked (sd_notify(3)).

use std::{
    env,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
};

/// Who wants to be told. Made before clients can connect, as from then on no descriptor may be left.
pub struct Notifier(Option<(UnixDatagram, SocketAddr)>);

impl Notifier {
    /// Whoever `$NOTIFY_SOCKET` names. Nobody listening there is no reason not to serve.
    pub fn from_environment() -> Self {
        let address = env::var("NOTIFY_SOCKET").ok().and_then(|name| match name.strip_prefix('@') {
            Some(abstract_name) => SocketAddr::from_abstract_name(abstract_name).ok(),
            None => SocketAddr::from_pathname(&name).ok(),
        });
        Self(address.and_then(|address| Some((UnixDatagram::unbound().ok()?, address))))
    }

    /// Sends `READY=1`.
    pub fn ready(&self) {
        if let Some((socket, address)) = &self.0 {
            let _ = socket.send_to_addr(b"READY=1", address);
        }
    }
}
