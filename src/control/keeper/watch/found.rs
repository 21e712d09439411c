//! From what DNS says of a name to members: addresses as they are, SRV records with their weights and priorities.
//!
//! A member is called by its address, and that is what it is known again by: a host that moves is another member, whose
//! sessions elsewhere are left to end. Servers rotate their answers, so nothing here goes by their order.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use crate::{config::UpstreamOptions, upstream::Target};

/// Somebody that a name has led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// `ADDRESS:PORT`.
    pub name: Arc<str>,
    /// Where it is: at least one place, the one that it is called by first.
    pub targets: Box<[Target]>,
    /// Its share, against the others'.
    pub weight: u32,
    /// It is used only while no other of its group is usable.
    pub backup: bool,
}

/// An SRV record, and the addresses of the host that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Less is better.
    pub priority: u16,
    /// Its share; 0 is the least.
    pub weight: u16,
    /// At all addresses.
    pub port: u16,
    /// Of the host.
    pub addresses: Vec<IpAddr>,
}

/// Each address is a member.
pub(super) fn of_addresses(addresses: Vec<IpAddr>, port: u16, options: &UpstreamOptions) -> Vec<Found> {
    let UpstreamOptions { weight, backup, .. } = *options;
    in_order(addresses).into_iter().filter_map(|address| found(&[address], port, weight, backup)).collect()
}

/// Each record is a member, but for those whose host has no address. The lowest priority is the one to use, and the
/// others are its backups.
pub(super) fn of_records(records: &[Record], options: &UpstreamOptions) -> Vec<Found> {
    let heaviest = records.iter().map(|record| record.weight).max().unwrap_or(0);
    let best = records.iter().map(|record| record.priority).min();
    let member = |record: &Record| {
        let backup = options.backup || Some(record.priority) != best;
        let addresses = in_order(record.addresses.clone());
        found(&addresses, record.port, scaled(record.weight, heaviest), backup)
    };
    let mut members: Vec<_> = records.iter().filter_map(member).collect();
    members.sort_by(|one, other| (one.backup, &one.name).cmp(&(other.backup, &other.name)));
    members
}

fn found(addresses: &[IpAddr], port: u16, weight: u32, backup: bool) -> Option<Found> {
    let place = |address: &IpAddr| SocketAddr::new(*address, port);
    let name = place(addresses.first()?).to_string().into();
    let targets = addresses.iter().map(|address| Target::Tcp(place(address))).collect();
    Some(Found { name, targets, weight, backup })
}

/// Each once; IPv4 first, where there are both: every machine has that.
fn in_order(mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    addresses.sort();
    addresses.dedup();
    addresses
}

/// A record's weight (0 to 65,535) as one of ours (1 to [`UpstreamOptions::WEIGHT_MAX`]), in proportion where it has
/// to be made smaller.
fn scaled(weight: u16, heaviest: u16) -> u32 {
    let (weight, heaviest) = (u32::from(weight), u32::from(heaviest));
    let most = UpstreamOptions::WEIGHT_MAX;
    let scaled = if heaviest > most { (weight * most + heaviest / 2) / heaviest } else { weight };
    scaled.clamp(1, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> UpstreamOptions {
        text.parse().expect(text)
    }

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    fn record(priority: u16, weight: u16, texts: &[&str]) -> Record {
        Record { priority, weight, port: 80, addresses: addresses(texts) }
    }

    #[test]
    fn an_address_is_a_member_whatever_the_order() {
        let members = |texts: &[&str]| of_addresses(addresses(texts), 443, &options("dns:web:443=7"));
        let names =
            |members: &[Found]| members.iter().map(|found| found.name.to_string()).collect::<Vec<_>>();
        let some = members(&["::1", "10.0.0.2", "10.0.0.1", "10.0.0.2"]);
        assert_eq!(names(&some), ["10.0.0.1:443", "10.0.0.2:443", "[::1]:443"]);
        assert_eq!(some, members(&["10.0.0.2", "10.0.0.1", "::1"]));
        assert!(some.iter().all(|found| found.weight == 7 && !found.backup && found.targets.len() == 1));
    }

    #[test]
    fn higher_priorities_are_backups() {
        let records = [
            record(20, 1, &["10.0.0.3"]),
            record(10, 5, &["10.0.0.2"]),
            record(10, 0, &["::1", "10.0.0.1"]),
            record(10, 9, &[]),
        ];
        let members = of_records(&records, &options("srv:_db._tcp.test"));
        let of = |found: &Found| (found.name.to_string(), found.weight, found.backup, found.targets.len());
        assert_eq!(
            members.iter().map(of).collect::<Vec<_>>(),
            [
                ("10.0.0.1:80".into(), 1, false, 2),
                ("10.0.0.2:80".into(), 5, false, 1),
                ("10.0.0.3:80".into(), 1, true, 1)
            ]
        );
        let backups = UpstreamOptions { backup: true, ..options("srv:_db._tcp.test") };
        assert!(of_records(&records, &backups).iter().all(|found| found.backup));
    }

    #[test]
    fn heavy_records_keep_their_proportions() {
        assert_eq!([0, 1, 100, 256].map(|weight| scaled(weight, 256)), [1, 1, 100, 256]);
        assert_eq!([0, 1, 30_000, 60_000].map(|weight| scaled(weight, 60_000)), [1, 1, 128, 256]);
        assert_eq!(scaled(u16::MAX, u16::MAX), 256);
        assert_eq!(scaled(0, 0), 1);
    }
}
