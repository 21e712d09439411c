//! The PROXY protocol: from whom a header is taken, and which version goes out.

use std::net::IpAddr;

use super::{Cidr, ProxyVersion};

/// Who tells us where a client really comes from, and whom we tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// From peers in these networks a header is required; the bytes of all others are payload.
    pub accept_from: Vec<Cidr>,
    /// The same for all that come by a unix socket.
    pub accept_from_unix: bool,
    /// The version of the header that upstreams get.
    pub send: Option<ProxyVersion>,
}

impl ProxyProtocol {
    /// Whether anybody has to send a header.
    pub fn accepts(&self) -> bool {
        self.accept_from_unix || !self.accept_from.is_empty()
    }

    /// Whether this peer has to send one; `None` is a unix socket's.
    pub fn requires_from(&self, peer: Option<IpAddr>) -> bool {
        match peer {
            Some(ip) => self.accept_from.iter().any(|network| network.contains(ip)),
            None => self.accept_from_unix,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_required_of_those_that_were_named() {
        let ip = |text: &str| Some(text.parse::<IpAddr>().expect("an address"));
        let mut proxy_protocol = ProxyProtocol::default();
        assert!(!proxy_protocol.accepts() && !proxy_protocol.requires_from(None));
        proxy_protocol.accept_from.push("10.1.0.0/16".parse().expect("a network"));
        assert!(proxy_protocol.accepts() && proxy_protocol.requires_from(ip("10.1.2.3")));
        assert!(!proxy_protocol.requires_from(ip("10.2.0.1")) && !proxy_protocol.requires_from(None));
        proxy_protocol.accept_from_unix = true;
        assert!(proxy_protocol.requires_from(None));
    }
}
