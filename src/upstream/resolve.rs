//! From upstreams as they were typed to places to connect to.
//!
//! The name in an address is asked for once, and all its addresses are kept, each once, in the resolver's order,
//! which is the order of preference (RFC 6724).

use std::net::{SocketAddr, ToSocketAddrs};

use super::{Member, Roster, Standing, Target};
use crate::{
    config::{Address, Place, ProxyOptions, UpstreamOptions},
    sys,
};

impl Roster {
    /// The roster that a service starts with. Names of addresses are resolved: this asks the system's resolver, and
    /// waits for it. Nobody is found yet by names that are asked for again and again.
    ///
    /// # Errors
    /// A sentence, where a name doesn't resolve.
    pub fn resolve(options: &ProxyOptions) -> Result<Self, String> {
        let mut members = Vec::new();
        for (slots, upstream) in Self::slots(options) {
            match &upstream.place {
                Place::Address(address) => members.push(resolve(address, upstream)?),
                Place::Dns { .. } | Place::Srv(_) => members.extend(slots.map(|_| Member::vacant(upstream))),
            }
        }
        Ok(Self { members: members.into(), groups: Self::groups_of(options) })
    }
}

fn resolve(address: &Address, upstream: &UpstreamOptions) -> Result<Member, String> {
    let targets = match address {
        Address::Tcp { host, port } => addresses(host, *port)?.into_iter().map(Target::Tcp).collect(),
        Address::Unix(path) => Box::from([Target::Unix(path.clone())]),
        Address::Any { .. } => {
            return Err(format!(
                "upstream {address} is no place to connect to: write HOST:PORT or unix:PATH"
            ));
        }
    };
    Ok(Member { targets, standing: Standing::Up, ..Member::vacant(upstream) })
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

    fn roster(texts: &[&str]) -> Result<Roster, String> {
        let place = |text: &&str| text.parse().expect("a place");
        let upstream = |text| UpstreamOptions { place: place(text), weight: 2, backup: false };
        let upstreams = texts.iter().map(upstream).collect();
        Roster::resolve(&ProxyOptions { upstreams, ..ProxyOptions::default() })
    }

    #[test]
    fn names_are_kept_as_typed_and_addresses_found() {
        let roster = roster(&["127.0.0.1:5432", "[::1]:5432", "unix:/run/db.sock", "localhost:80"]).unwrap();
        let names: Vec<_> = roster.members.iter().map(|member| &*member.name).collect();
        assert_eq!(names, ["127.0.0.1:5432", "[::1]:5432", "unix:/run/db.sock", "localhost:80"]);
        for member in &roster.members[..3] {
            assert_eq!(member.targets.iter().map(Target::to_string).collect::<Vec<_>>(), [&*member.name]);
        }
        let is_loopback = |target: &Target| matches!(target, Target::Tcp(to) if to.ip().is_loopback());
        assert!(!roster.members[3].targets.is_empty() && roster.members[3].targets.iter().all(is_loopback));
        assert!(roster.members.iter().all(|it| (it.weight, it.standing) == (2, Standing::Up)));
    }

    #[test]
    fn nobody_is_found_yet_by_a_name_that_will_be_asked_for() {
        let roster = roster(&["srv:_db._tcp.example", "127.0.0.1:1"]).unwrap();
        let (vacant, last) = roster.members.split_at(Roster::SLOTS_PER_NAME);
        assert!(vacant.iter().all(|it| it.standing == Standing::Vacant && it.targets.is_empty()));
        assert!(last.len() == 1 && last[0].standing == Standing::Up);
        assert_eq!(roster.usable(0).count(), 1);
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
        let message = roster(&["127.0.0.1:1", &format!("{name}:5432")]).unwrap_err();
        assert!(message.starts_with(&format!("cannot resolve upstream '{name}': ")), "{message}");
        assert!(message.ends_with("use an IP address or a name that resolves"), "{message}");
        assert!(roster(&[":5432"]).unwrap_err().contains("no place to connect to"));
    }

    #[test]
    fn two_upstreams_may_be_the_same_place() {
        let roster = roster(&["127.0.0.1:1", "[::ffff:127.0.0.1]:1", "127.0.0.1:1"]).unwrap();
        assert_eq!(roster.members.len(), 3);
    }
}
