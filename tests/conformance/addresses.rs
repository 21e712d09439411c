//! Unix sockets, IPv6, both IPs by one socket, and several addresses at once.

use std::{
    net::{Ipv6Addr, SocketAddr, TcpListener},
    os::fd::AsFd,
    path::Path,
};

use evenkeel::config::{AcceptMode, Trigger};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::{
    client::Target,
    combos::Combination,
    exchange,
    site::{Site, for_each, with_seed},
    support::{Server, TempDir, evenkeel, eventually, skip},
    trouble,
};

#[test]
fn unix_sockets_serve_in_every_mode() {
    let polls = |combination: &Combination| combination.poll.to_string() == "block";
    let combinations: Vec<Combination> = Combination::all().into_iter().filter(polls).collect();
    for_each(&combinations, |_, combination, seed| {
        let folder = TempDir::new();
        let path = folder.file("socket");
        let address = format!("unix:{path}");
        let mut flags = combination.arguments();
        flags.extend(["--workers".into(), "2".into()]);
        let site = start(&["127.0.0.1:0", &address], &flags, seed);
        let served = served_as(combination.accept, combination.listen);
        assert!(site.server.ready[0].contains(&format!("accept={} ", combination.accept)));
        assert!(site.server.ready[1].contains(&format!("accept={served} ")), "{}", site.server.ready[1]);
        exchange::random_chunks(&site);
        exchange::half_close(&site, 5 * site.volume);
        exchange::churn(&site);
        trouble::gone_at_once(&site);
        passed_descriptors(&site);
        urgent_data(&site);
        let report = site.end();
        assert_eq!(report["services"][0]["listeners"][1]["accept"], served.name());
        assert!(!Path::new(&path).exists(), "the socket's file is left behind");
    });
}

/// A read stops behind a message with a descriptor, and epoll has nothing more to say: a session that took that
/// for the end of the data would sleep on the rest. The descriptor itself is nobody's: it is closed.
fn passed_descriptors(site: &Site) {
    let client = site.connect();
    for _ in 0..3 {
        let (ours, passed) =
            pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).expect("descriptors are free");
        site.while_frozen(|| {
            client.send(b"aaa");
            client.send_with_descriptor(b"bbb", passed.as_fd());
            client.send(b"ccc");
        });
        client.expect(b"aaabbbccc");
        site.enter(&site.books.bytes, 9);
        drop(passed);
        eventually("the passed descriptor is closed", || {
            (rustix::io::read(&ours, &mut [0; 1]) == Ok(0)).then_some(())
        });
    }
}

/// Urgent bytes stay in the stream, as with TCP.
fn urgent_data(site: &Site) {
    let probe = site.connect();
    if !probe.takes_urgent_data() {
        return skip("unix sockets have no urgent data here (CONFIG_AF_UNIX_OOB)");
    }
    probe.expect(b"!");
    site.enter(&site.books.bytes, 1);
    trouble::urgent_data(site);
}

/// A unix listener can't be private; it gets the nearest mode that spreads and that the kernel allows.
fn served_as(accept: AcceptMode, listen: Trigger) -> AcceptMode {
    match (accept, listen) {
        (AcceptMode::Private | AcceptMode::Local, Trigger::Oneshot) => AcceptMode::Shared,
        (AcceptMode::Private | AcceptMode::Local, _) => AcceptMode::Rotate,
        (accept, _) => accept,
    }
}

#[test]
fn ipv6_serves_in_every_accept_mode() {
    if !has_ipv6() {
        return skip("no IPv6 here");
    }
    for_each(AcceptMode::ALL, |_, accept, seed| {
        let site = start(&["[::1]:0"], &["--accept", accept.name(), "--workers", "2"], seed);
        exchange::everything(&site);
        trouble::urgent_data(&site);
        site.end();
    });
}

#[test]
fn the_wildcard_takes_both_ips() {
    with_seed(|seed| {
        let mut site = start(&[":0"], &["--workers", "2"], seed);
        let Target::Tcp(address) = site.target else { panic!("{:?}", site.target) };
        assert!(address.ip().is_unspecified(), "{address}");
        let mut hosts: Vec<std::net::IpAddr> = vec![[127, 0, 0, 1].into()];
        match has_ipv6() {
            true => hosts.push(Ipv6Addr::LOCALHOST.into()),
            false => skip("no IPv6 here, so the wildcard is tried by IPv4 alone"),
        }
        for host in hosts {
            site.target = Target::Tcp(SocketAddr::new(host, address.port()));
            exchange::everything(&site);
        }
        site.end();
    });
}

#[test]
fn several_addresses_are_served_alike() {
    for_each(AcceptMode::ALL, |_, accept, seed| {
        let folder = TempDir::new();
        let unix = ["a", "b"].map(|name| format!("unix:{}", folder.file(name)));
        let addresses = ["127.0.0.1:0", &unix[0], "127.0.0.1:0", "127.0.0.2:0", &unix[1]];
        let mut site = start(&addresses, &["--accept", accept.name(), "--workers", "2"], seed);
        let listening = site.server.listening();
        assert_eq!(listening.len(), addresses.len());
        for address in listening {
            site.target = Target::parse(&address);
            exchange::random_chunks(&site);
            exchange::churn(&site);
        }
        site.end();
    });
}

fn start(addresses: &[&str], flags: &[impl AsRef<str>], seed: u64) -> Site {
    let listen = addresses.iter().flat_map(|address| ["--listen", address]);
    let mut arguments = vec!["echo", "--report", "json"];
    arguments.extend(listen.chain(flags.iter().map(AsRef::as_ref)));
    Site::of(Server::start_with(evenkeel(), &arguments), seed)
}

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}
