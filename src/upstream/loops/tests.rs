//! Which configurations forward to themselves, and which only look so.

use std::{env, fs, os::unix::fs::symlink, process};

use super::*;
use crate::config::{ProxyOptions, UpstreamOptions};

/// One service: its name, what it listens on, what it forwards to (nothing: it doesn't forward).
type Service<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

fn address(text: &str) -> Address {
    text.parse().expect("an address")
}

fn found<'a>(services: &[Service<'a>]) -> Option<String> {
    let upstream = |text: &&str| text.parse::<UpstreamOptions>().expect("an upstream");
    let roster = |to: &[&str]| {
        let upstreams = to.iter().map(upstream).collect();
        Roster::resolve(&ProxyOptions { upstreams, ..ProxyOptions::default() }).expect("it resolves")
    };
    let rosters: Vec<_> = services.iter().map(|(.., to)| roster(to)).collect();
    let node = |(&(service, listen, to), roster): (&Service<'a>, _)| Node {
        service,
        listen: listen
            .iter()
            .map(|text| Target::to_listen_on(&address(text)).expect("it resolves"))
            .collect(),
        roster: (!to.is_empty()).then_some(roster),
    };
    find(&services.iter().zip(&rosters).map(node).collect::<Vec<_>>())
}

#[test]
fn one_service_that_listens_and_forwards() {
    for (listen, to, loops) in [
        ("127.0.0.1:7000", "127.0.0.1:7000", true),
        ("127.0.0.1:7000", "127.0.0.1:7001", false),
        ("127.0.0.1:7000", "127.0.0.2:7000", false),
        ("127.0.0.1:7000", "localhost:7000", true),
        ("127.0.0.1:7000", "0.0.0.0:7000", true),
        ("127.0.0.2:7000", "0.0.0.0:7000", false),
        ("127.0.0.1:7000", "[::ffff:127.0.0.1]:7000", true),
        ("[::ffff:127.0.0.1]:7000", "127.0.0.1:7000", true),
        ("0.0.0.0:7000", "127.0.0.1:7000", true),
        ("0.0.0.0:7000", "127.8.9.10:7000", true),
        ("0.0.0.0:7000", "127.0.0.1:7001", false),
        ("0.0.0.0:7000", "[::1]:7000", false),
        ("0.0.0.0:7000", "198.51.100.1:7000", false),
        ("[::]:7000", "[::1]:7000", true),
        ("[::]:7000", "[::]:7000", true),
        ("[::]:7000", "127.0.0.1:7000", true),
        ("[::]:7000", "[::ffff:127.0.0.1]:7000", true),
        ("[::]:7000", "[2001:db8::1]:7000", false),
        ("[::]:7000", "198.51.100.1:7000", false),
        ("[::1]:7000", "127.0.0.1:7000", false),
        (":7000", "127.0.0.1:7000", true),
        (":0", "127.0.0.1:7000", false),
        ("127.0.0.1:0", "127.0.0.1:7000", false),
        ("127.0.0.1:0", "127.0.0.1:0", false),
        ("unix:/run/a.sock", "unix:/run/a.sock", true),
        ("unix:/run/a.sock", "unix:/run/../run/./a.sock", true),
        ("unix:/run/a.sock", "unix:/run/b.sock", false),
        ("unix:/no-such-folder/a.sock", "unix:/no-such-folder/a.sock", true),
        ("unix:/run/a.sock", "127.0.0.1:7000", false),
    ] {
        let answer = found(&[("db", &[listen], &[to])]);
        assert_eq!(answer.is_some(), loops, "{listen} to {to}: {answer:?}");
    }
}

#[test]
fn several_services() {
    let table: [(&str, &[Service<'_>], bool); 6] = [
        (
            "a chain that ends elsewhere",
            &[
                ("a", &["127.0.0.1:7001"], &["127.0.0.1:7002"]),
                ("b", &["127.0.0.1:7002"], &["127.0.0.1:7003"]),
            ],
            false,
        ),
        (
            "a chain that ends in an echo",
            &[("a", &["127.0.0.1:7001"], &["127.0.0.1:7002"]), ("echo", &["127.0.0.1:7002"], &[])],
            false,
        ),
        (
            "two ways to one end",
            &[
                ("a", &["127.0.0.1:7001"], &["127.0.0.1:7002", "127.0.0.1:7003"]),
                ("b", &["127.0.0.1:7002"], &["127.0.0.1:7003"]),
                ("c", &["127.0.0.1:7003"], &["127.0.0.1:7004"]),
            ],
            false,
        ),
        (
            "two that forward to each other",
            &[
                ("a", &["127.0.0.1:7001"], &["127.0.0.1:7002"]),
                ("b", &["127.0.0.1:7002"], &["127.0.0.1:7001"]),
            ],
            true,
        ),
        (
            "three, by a second upstream and a second listener",
            &[
                ("a", &["127.0.0.1:7001", "unix:/run/a.sock"], &["127.0.0.1:7009", "127.0.0.1:7002"]),
                ("b", &[":7002"], &["127.0.0.1:7003"]),
                ("c", &["127.0.0.1:7003"], &["unix:/run/a.sock"]),
            ],
            true,
        ),
        (
            "a way in and then a circle",
            &[
                ("a", &["127.0.0.1:7001"], &["127.0.0.1:7002"]),
                ("b", &["127.0.0.1:7002"], &["127.0.0.1:7003"]),
                ("c", &["127.0.0.1:7003"], &["127.0.0.1:7002"]),
            ],
            true,
        ),
    ];
    for (what, services, loops) in table {
        let answer = found(services);
        assert_eq!(answer.is_some(), loops, "{what}: {answer:?}");
    }
}

#[test]
fn the_sentence_says_which_way_and_what_to_do() {
    assert_eq!(
        found(&[("proxy", &["0.0.0.0:7000"], &["127.0.0.1:7000"])]).unwrap(),
        "service proxy forwards to itself: its upstream 127.0.0.1:7000 is its own listener 0.0.0.0:7000; name another \
         upstream, or listen elsewhere"
    );
    let by_name = found(&[("proxy", &["127.0.0.1:7000"], &["localhost:7000"])]).unwrap();
    assert!(by_name.contains("its upstream localhost:7000 (127.0.0.1:7000) is its own"), "{by_name}");
    // The way in is no part of the circle.
    assert_eq!(
        found(&[
            ("a", &["127.0.0.1:7001"], &["127.0.0.1:7002"]),
            ("b", &["127.0.0.1:7002"], &["127.0.0.1:7003"]),
            ("c", &["127.0.0.1:7003"], &["127.0.0.1:7002"]),
        ])
        .unwrap(),
        "service b forwards to itself: its upstream 127.0.0.1:7003 is listener 127.0.0.1:7003 of c, whose upstream \
         127.0.0.1:7002 is listener 127.0.0.1:7002 of b; name another upstream, or listen elsewhere"
    );
}

#[test]
fn an_address_of_this_machine_reaches_a_wildcard_listener() {
    // The source address for a way out, if there is one, is ours. (To connect a UDP socket sends nothing.)
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let local = socket.connect("198.51.100.1:9").and_then(|()| socket.local_addr());
    let Ok(local) = local else { return eprintln!("skipped: no address but loopback") };
    let upstream = format!("{}:7000", local.ip());
    assert!(found(&[("db", &["0.0.0.0:7000"], &[&upstream])]).is_some(), "{upstream}");
    assert!(found(&[("db", &["127.0.0.1:7000"], &[&upstream])]).is_none(), "{upstream}");
    assert!(is_own_source(local));
    assert!(!is_own_source("198.51.100.1:0".parse().unwrap()));
}

#[test]
fn a_symbolic_link_hides_no_loop() {
    let folder = env::temp_dir().join(format!("evenkeel-loops-{}", process::id()));
    fs::create_dir_all(folder.join("real")).unwrap();
    symlink(folder.join("real"), folder.join("link")).unwrap();
    let [real, link] = ["real", "link"].map(|name| format!("unix:{}/{name}/db.sock", folder.display()));
    let before = found(&[("db", &[&real], &[&link])]);
    fs::write(folder.join("real/db.sock"), "").unwrap();
    symlink(folder.join("real/db.sock"), folder.join("real/other.sock")).unwrap();
    let other = real.replace("db.sock", "other.sock");
    let after = found(&[("db", &[&real], &[&other])]);
    fs::remove_dir_all(&folder).unwrap();
    assert!(before.is_some() && after.is_some(), "{before:?} {after:?}");
}

#[test]
fn bound_listeners_have_their_real_port() {
    let configured = address("127.0.0.1:0");
    let bound = ListenAddress::Tcp("127.0.0.1:7000".parse().unwrap());
    let listen = vec![Target::listened_on(&configured, &bound).unwrap()];
    let upstreams = vec!["127.0.0.1:7000".parse().expect("an upstream")];
    let roster = Roster::resolve(&ProxyOptions { upstreams, ..ProxyOptions::default() }).unwrap();
    assert!(find(&[Node { service: "db", listen, roster: Some(&roster) }]).is_some());
}
