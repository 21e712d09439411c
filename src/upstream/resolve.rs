//! From upstreams as they were typed to places to connect to.
//!
//! A name is asked for once, and all its addresses are kept, each once, in the resolver's order, which is the order of
//! preference (RFC 6724).

use std::net::{SocketAddr, ToSocketAddrs};

use super::{Pool, Target, Upstream};
use crate::{
    config::{Address, UpstreamOptions},
    sys,
};

impl Pool {
    /// Resolves each upstream. This asks the system's resolver, and waits for it.
    ///
    /// # Errors
    /// A sentence, where a name doesn't resolve.
    pub fn resolve(upstreams: &[UpstreamOptions]) -> Result<Self, String> {
        let upstreams = upstreams.iter().map(resolve).collect::<Result<_, _>>()?;
        Ok(Self { upstreams })
    }
}

fn resolve(UpstreamOptions { address, weight }: &UpstreamOptions) -> Result<Upstream, String> {
    let targets = match address {
        Address::Tcp { host, port } => addresses(host, *port)?.into_iter().map(Target::Tcp).collect(),
        Address::Unix(path) => Box::from([Target::Unix(path.clone())]),
        Address::Any { .. } => {
            return Err(format!(
                "upstream {address} is no place to connect to: write HOST:PORT or unix:PATH"
            ));
        }
    };
    Ok(Upstream { name: address.to_string(), weight: *weight, targets })
}

fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let all = (host, port).to_socket_addrs().map_err(|error| {
        let reason = sys::reason(&error);
        format!("cannot resolve upstream '{host}': {reason}; use an IP address or a name that resolves")
    })?;
    let each = each_once(all);
    match each.is_empty() {
        true => Err(format!("upstream '{host}' has no address; use an IP address")),
        false => Ok(each),
    }
}

fn each_once(all: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut each = Vec::new();
    for address in all {
        if !each.contains(&address) {
            each.push(address);
        }
    }
    each
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(texts: &[&str]) -> Result<Pool, String> {
        let address = |text: &&str| text.parse().expect("an address");
        let options = texts.iter().map(|text| UpstreamOptions { address: address(text), weight: 2 });
        Pool::resolve(&options.collect::<Vec<_>>())
    }

    #[test]
    fn names_are_kept_as_typed_and_addresses_found() {
        let pool = pool(&["127.0.0.1:5432", "[::1]:5432", "unix:/run/db.sock", "localhost:80"]).unwrap();
        let names: Vec<_> = pool.upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
        assert_eq!(names, ["127.0.0.1:5432", "[::1]:5432", "unix:/run/db.sock", "localhost:80"]);
        for upstream in &pool.upstreams[..3] {
            assert_eq!(upstream.targets.iter().map(Target::to_string).collect::<Vec<_>>(), [&*upstream.name]);
        }
        let is_loopback = |target: &Target| matches!(target, Target::Tcp(to) if to.ip().is_loopback());
        assert!(!pool.upstreams[3].targets.is_empty() && pool.upstreams[3].targets.iter().all(is_loopback));
        assert_eq!(pool.weights(), [2; 4]);
    }

    #[test]
    fn an_address_is_kept_once_in_the_resolvers_order() {
        let [a, b]: [SocketAddr; 2] = ["127.0.0.2:1", "127.0.0.1:1"].map(|text| text.parse().unwrap());
        assert_eq!(each_once([a, b, a, b].into_iter()), [a, b]);
    }

    #[test]
    fn what_does_not_resolve_is_said() {
        // A label has at most 63 bytes (RFC 1035): nobody needs to be asked about this name.
        let name = "x".repeat(64);
        let message = pool(&["127.0.0.1:1", &format!("{name}:5432")]).unwrap_err();
        assert!(message.starts_with(&format!("cannot resolve upstream '{name}': ")), "{message}");
        assert!(message.ends_with("use an IP address or a name that resolves"), "{message}");
        assert!(pool(&[":5432"]).unwrap_err().contains("no place to connect to"));
    }

    #[test]
    fn two_upstreams_may_be_the_same_place() {
        let pool = pool(&["127.0.0.1:1", "[::ffff:127.0.0.1]:1", "127.0.0.1:1"]).unwrap();
        assert_eq!(pool.upstreams.len(), 3);
    }
}
