//! PROXY headers: who a client is told to be, by whom that is believed, and what upstreams are told.

use std::net::SocketAddr;

use serde_json::Value;

use crate::support::{
    Server, TempDir,
    client::{Client, Target},
    preamble::{v1, v2, v2_block, v2_local, v2_unix},
    proxy::{Ledger, Site, Way, address_of, for_each, listen},
    skip, total,
    upstreams::dead_ports,
};

const FROM_LOOPBACK: [&str; 2] = ["--proxy-protocol-accept-from", "127.0.0.0/8"];
const FRONT: &str = "198.51.100.2:443";

/// TLVs: an id, padding, and one of somebody's own.
const ID: [u8; 5] = [5, 0, 2, 0xab, 0xcd];
const PADDING: [u8; 4] = [4, 0, 1, 0];
const CUSTOM: [u8; 4] = [0xe0, 0, 1, 9];

#[test]
fn trusted_peers_tell_who_the_client_is() {
    for_each(&Way::all(), |way| {
        let site = Site::start(way, &FROM_LOOPBACK);
        let told = [
            (v1(tcp("192.0.2.1:7"), tcp(FRONT)), Some("192.0.2.1:7")),
            (v1(tcp("[2001:db8::1]:7"), tcp("[::1]:443")), Some("[2001:db8::1]:7")),
            (v2(tcp("192.0.2.2:7"), tcp(FRONT), &[&ID[..], &PADDING].concat()), Some("192.0.2.2:7")),
            (v2(tcp("[2001:db8::2]:7"), tcp("[::1]:443"), &[]), Some("[2001:db8::2]:7")),
            (v2_unix(&[]), Some("unix:")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (v2_block(0x20, 0x11, &[7; 12], &[]), None),
            (v2_block(0x21, 0x00, b"anything", &[]), None),
        ];
        for (number, (header, client)) in (1..).zip(told) {
            let peer = site.connect();
            peer.send(&[&header[..], b"question"].concat());
            let upstream = site.accept();
            upstream.expect(b"question");
            upstream.send(b"answer");
            peer.expect(b"answer");
            let own = peer.address().to_string();
            drop((peer, upstream));
            let line = line_of(&site, number);
            assert_eq!(line["client"], *client.unwrap_or(&own), "{line}");
            assert_eq!(line["via"], own, "{line}");
            assert_eq!((&line["bytes_in"], &line["bytes_to_upstream"]), (&8.into(), &8.into()), "{line}");
        }
        site.end();
    });
}

#[test]
fn what_others_send_is_payload() {
    let site = Site::start(Way::DEFAULT, &["--proxy-protocol-accept-from", "192.0.2.0/24,unix"]);
    let headers = [v1(tcp("192.0.2.1:7"), tcp(FRONT)), v2(tcp("192.0.2.1:7"), tcp(FRONT), &[])];
    for (number, header) in (1..).zip(headers) {
        // Nobody waits for its bytes.
        let (client, upstream) = site.pair();
        client.send(&header);
        upstream.expect(&header);
        let own = client.address().to_string();
        drop((client, upstream));
        let line = line_of(&site, number);
        assert_eq!((&line["client"], line["via"].is_null()), (&own.into(), true), "{line}");
    }
    site.end();
}

/// Reset at once, and no upstream hears of it.
#[test]
fn bad_headers_are_refused() {
    for_each(&Way::all(), |way| {
        let site = Site::start(way, &FROM_LOOPBACK);
        let bad: [&[u8]; 9] = [
            b"G",
            b"\x16\x03\x01\x02\x00",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 7 443\n",
            b"PROXY  UNKNOWN\r\n",
            &[&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat(),
            &v2_block(0x31, 0x11, &[7; 12], &[]),
            &v2_block(0x21, 0x11, &[7; 11], &[]),
            &v2_block(0x21, 0x11, &[7; 12], &[5, 0, 9, 0]),
        ];
        for (number, bytes) in (1..).zip(bad) {
            let client = site.connect();
            client.send(bytes);
            client.expect_reset();
            let line = line_of(&site, number);
            assert_eq!((&line["end"], &line["how"]), (&"BR".into(), &"header".into()), "{line}");
            assert_eq!((&line["attempts"], &line["bytes_to_upstream"]), (&0.into(), &0.into()), "{line}");
        }
        let books = site.end();
        assert_eq!(total(&books.report, "refused_header"), bad.len() as u64);
        assert_eq!(total(&books.report, "connects"), 0);
    });
}

/// A client that goes before it has said who it is.
#[test]
fn clients_that_leave_early_are_told_apart() {
    for_each(&Way::all(), |way| {
        let site = Site::start(way, &FROM_LOOPBACK);
        let header = v1(tcp("192.0.2.1:7"), tcp(FRONT));
        let assert_end = |number: usize, code: &str| {
            let line = line_of(&site, number);
            assert_eq!((&line["end"], &line["attempts"]), (&code.into(), &0.into()), "{line}");
        };
        let looks = site.connect();
        looks.finish();
        looks.expect_end();
        assert_end(1, "CR");
        let gives_up = site.connect();
        gives_up.send(&header[..20]);
        gives_up.finish();
        gives_up.expect_reset();
        assert_end(2, "BR");
        let breaks = site.connect();
        breaks.send(&header[..20]);
        breaks.flush();
        breaks.reset();
        assert_end(3, "cR");
        // A whole header, and an end: a stream without a byte is a stream.
        let client = site.connect();
        client.send(&header);
        client.finish();
        let upstream = site.accept();
        upstream.expect_end();
        upstream.finish();
        client.expect_end();
        let books = site.end();
        assert_eq!(books.ledger[3]["end"], "CW", "a stream without a byte");
    });
}

/// The longest header that can be: 64 KiB of TLVs.
#[test]
fn the_longest_header_is_passed_on() {
    let tlv = [&[0xe0, 0xff, 0xf0][..], &[7; 0xfff0]].concat();
    let header = v2(tcp("192.0.2.1:7"), tcp(FRONT), &tlv);
    for_each(&Way::all(), |way| {
        let site = Site::start(way, &[&FROM_LOOPBACK[..], &["--proxy-protocol-send", "v2"]].concat());
        let client = site.connect();
        client.send(&[&header[..], b"question"].concat());
        let upstream = site.accept();
        upstream.expect(&header);
        upstream.expect(b"question");
        drop((client, upstream));
        site.end();
    });
}

/// What an upstream is told of clients that come by themselves.
#[test]
fn upstreams_are_told_who_the_client_is() {
    let folder = TempDir::new();
    let unix = format!("unix:{}", folder.file("in"));
    let has_v6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    if !has_v6 {
        skip("no IPv6: clients come by IPv4 and unix sockets alone");
    }
    for version in ["v1", "v2"] {
        for_each(&Way::forwarders(), |way| {
            let mut flags = vec!["--proxy-protocol-send", version, "--listen", &unix];
            flags.extend(if has_v6 { &["--listen", "[::1]:0"][..] } else { &[] });
            let site = Site::start(way, &flags);
            for (number, address) in (1..).zip(site.proxy.listening()) {
                let target = Target::parse(&address);
                let client = Client::connect(&target);
                let upstream = site.accept();
                let header = match &target {
                    Target::Tcp(server) if version == "v1" => v1(client.address(), *server),
                    Target::Tcp(server) => v2(client.address(), *server, &[]),
                    Target::Unix(_) if version == "v1" => b"PROXY UNKNOWN\r\n".to_vec(),
                    Target::Unix(_) => v2_local(),
                };
                upstream.expect(&header);
                client.send(b"question");
                upstream.expect(b"question");
                upstream.send(b"answer");
                client.expect(b"answer");
                drop((client, upstream));
                let line = line_of(&site, number);
                assert_eq!(line["bytes_to_upstream"], 8, "our header is not the client's word: {line}");
                assert!(line["via"].is_null(), "{line}");
            }
            site.end();
        });
    }
}

/// A chain of proxies: the first one's word passes through the second, in either version.
#[test]
fn what_comes_in_goes_out() {
    let summed = {
        let unsummed =
            v2(tcp("192.0.2.1:7"), tcp(FRONT), &[&ID[..], &[3, 0, 4, 0, 0, 0, 0], &CUSTOM].concat());
        let sum = crc32c(&unsummed).to_be_bytes();
        v2(tcp("192.0.2.1:7"), tcp(FRONT), &[&ID[..], &[3, 0, 4], &sum, &CUSTOM].concat())
    };
    let kept = [ID.to_vec(), CUSTOM.to_vec()].concat();
    let v4 = (tcp("192.0.2.1:7"), tcp(FRONT));
    let v6 = (tcp("[2001:db8::1]:7"), tcp("[2001:db8::2]:443"));
    for (header, in_v1, in_v2) in [
        (v1(v4.0, v4.1), v1(v4.0, v4.1), v2(v4.0, v4.1, &[])),
        (v1(v6.0, v6.1), v1(v6.0, v6.1), v2(v6.0, v6.1, &[])),
        (summed, v1(v4.0, v4.1), v2(v4.0, v4.1, &kept)),
        (v2(v6.0, v6.1, &[&PADDING[..], &ID].concat()), v1(v6.0, v6.1), v2(v6.0, v6.1, &ID)),
        (v2_unix(&ID), b"PROXY UNKNOWN\r\n".to_vec(), v2_local()),
    ] {
        for (version, expected) in [("v1", in_v1), ("v2", in_v2)] {
            let flags = [&FROM_LOOPBACK[..], &["--proxy-protocol-send", version]].concat();
            let site = Site::start(Way::DEFAULT, &flags);
            let client = site.connect();
            client.send(&[&header[..], b"question"].concat());
            let upstream = site.accept();
            upstream.expect(&[&expected[..], b"question"].concat());
            drop((client, upstream));
            let line = line_of(&site, 1);
            assert_eq!((&line["bytes_in"], &line["bytes_to_upstream"]), (&8.into(), &8.into()), "{line}");
            site.end();
        }
    }
}

/// A proxy in front of a proxy: the client is known behind both.
#[test]
fn two_of_these_in_a_row() {
    for version in ["v1", "v2"] {
        let inner = Site::start(Way::DEFAULT, &FROM_LOOPBACK);
        let Target::Tcp(address) = &inner.target else { unreachable!("it listens on TCP") };
        let outer = Server::proxy(&[address.to_string()], &["--proxy-protocol-send", version]);
        let client = Client::connect(&Target::Tcp(outer.address()));
        client.send(b"question");
        let upstream = inner.accept();
        upstream.expect(b"question");
        let own = client.address().to_string();
        drop((client, upstream));
        let line = line_of(&inner, 1);
        assert_eq!(line["client"], own, "{line}");
        assert_ne!(line["via"], own, "{line}");
        outer.report();
        inner.end();
    }
}

/// Peers of a unix socket are trusted by their own name, and only by that.
#[test]
fn unix_peers_can_be_trusted() {
    let folder = TempDir::new();
    let unix = format!("unix:{}", folder.file("in"));
    let site =
        Site::start(Way::DEFAULT, &["--listen", &unix, "--proxy-protocol-accept-from", "unix,192.0.2.0/24"]);
    let header = v2(tcp("192.0.2.1:7"), tcp(FRONT), &[]);
    let client = Client::connect(&Target::parse(&unix));
    client.send(&[&header[..], b"question"].concat());
    let upstream = site.accept();
    upstream.expect(b"question");
    drop((client, upstream));
    let line = line_of(&site, 1);
    assert_eq!((&line["client"], &line["via"]), (&"192.0.2.1:7".into(), &"unix:".into()), "{line}");
    let (client, upstream) = site.pair();
    client.send(&header);
    upstream.expect(&header);
    drop((client, upstream));
    site.end();
}

/// The header and what is behind it go to whoever takes the session, once, however many don't.
#[test]
fn retries_repeat_nothing() {
    const SESSIONS: usize = 20;
    for_each(&Way::forwarders(), |way| {
        let upstream = listen("127.0.0.1:0");
        let mut upstreams: Vec<_> = dead_ports().take(2).collect();
        upstreams.push(address_of(&upstream).to_string());
        let flags =
            [&FROM_LOOPBACK[..], &["--proxy-protocol-send", "v2", "--balance", "round-robin"]].concat();
        let site = Site::before(upstream, &upstreams, way, &flags);
        let header = v2(tcp("192.0.2.1:7"), tcp(FRONT), &ID);
        for _ in 0..SESSIONS {
            let client = site.connect();
            client.send(&[&header[..], b"question"].concat());
            client.finish();
            let upstream = site.accept();
            upstream.expect(&[&header[..], b"question"].concat());
            upstream.expect_end();
            upstream.finish();
            client.expect_end();
        }
        let books = site.end();
        books.assert_codes(&["CW"]);
        let attempts = books.ledger.iter().map(|line| line["attempts"].as_u64().expect("a number"));
        assert!(attempts.max() > Some(1), "none was refused");
    });
}

/// Who may come in is asked of the client that the header tells of, not of the peer that sends it.
#[test]
fn access_is_the_real_clients() {
    let site = Site::start(Way::DEFAULT, &[&FROM_LOOPBACK[..], &["--allow", "192.0.2.0/24"]].concat());
    let denied = site.connect();
    denied.send(&v1(tcp("198.51.100.1:7"), tcp(FRONT)));
    denied.expect_reset();
    let line = line_of(&site, 1);
    assert_eq!(line["end"].as_str().and_then(|end| end.chars().next()), Some('A'), "{line}");
    assert_eq!(line["client"], "198.51.100.1:7", "{line}");
    let allowed = site.connect();
    allowed.send(&[&v1(tcp("192.0.2.1:7"), tcp(FRONT))[..], b"question"].concat());
    let upstream = site.accept();
    upstream.expect(b"question");
    drop((allowed, upstream));
    site.end();
}

/// A client that hasn't come to the point is cut off by the drain time, as any other.
#[test]
fn a_stop_does_not_wait_for_headers() {
    let site = Site::start(
        Way::DEFAULT,
        &[&FROM_LOOPBACK[..], &["--drain", "200ms", "--header-timeout", "1h"]].concat(),
    );
    let client = site.connect();
    client.send(b"PROXY ");
    client.flush();
    site.proxy.settle();
    let books = site.stop();
    client.expect_reset();
    books.assert_codes(&["DR"]);
}

/// The ledger in text has the peer that spoke for the client.
#[test]
fn the_text_ledger_tells_of_both() {
    let ledger = Ledger::new();
    let file = ledger.file();
    let upstream = listen("127.0.0.1:0");
    let flags = [&FROM_LOOPBACK[..], &["--access-log", &file]].concat();
    let proxy = Server::proxy(&[address_of(&upstream).to_string()], &flags);
    let client = Client::connect(&Target::Tcp(proxy.address()));
    client.send(&v1(tcp("192.0.2.1:7"), tcp(FRONT)));
    let accepted = Client::accept(&upstream);
    let own = client.address();
    client.finish();
    accepted.expect_end();
    drop((client, accepted));
    proxy.report();
    let text = std::fs::read_to_string(&file).expect("the ledger is there");
    assert!(text.contains(" client=192.0.2.1:7 ") && text.contains(&format!(" via={own} ")), "{text}");
}

/// The ledger's line of the session that was the n-th to end.
fn line_of(site: &Site, number: usize) -> Value {
    site.ledger_of(number).swap_remove(number - 1)
}

fn tcp(address: &str) -> SocketAddr {
    address.parse().expect(address)
}

/// RFC 9260, appendix A.
fn crc32c(bytes: &[u8]) -> u32 {
    let shift = |sum: u32, _| (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg());
    !bytes.iter().fold(u32::MAX, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), shift))
}
