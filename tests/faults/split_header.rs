//! What a client begins with may come in any pieces: the split that some other proxy got wrong is among these.

use std::{net::SocketAddr, thread, time::Duration};

use crate::support::{
    client::Client,
    preamble::{hello, in_records, message_of, v1, v2},
    proxy::{Site, Way, address_of, everywhere, for_each, listen},
};

/// Sessions at a time: not more than the upstream lets wait.
const BATCH: usize = 50;

const ACCEPT: [&str; 2] = ["--proxy-protocol-accept-from", "127.0.0.0/8"];

/// Each split of each kind of header, with payload glued to the end of it.
#[test]
fn split_header() {
    everywhere(|way| {
        let site = Site::start(way, &ACCEPT);
        let tlvs = [5, 0, 3, 1, 2, 3, 0xe0, 0, 0];
        for header in [
            v1(tcp("192.0.2.1:7"), tcp("198.51.100.2:0")),
            v1(tcp("[2001:db8::1]:65535"), tcp("[::1]:1")),
            v2(tcp("192.0.2.1:7"), tcp("198.51.100.2:443"), &tlvs),
            v2(tcp("[2001:db8::1]:7"), tcp("[2001:db8::2]:443"), &[]),
        ] {
            split_everywhere(&site, &header, 0);
        }
        site.end().assert_codes(&["CW"]);
    });
}

/// Each split of a ClientHello, which goes to the upstream as it is.
#[test]
fn split_hello() {
    everywhere(|way| {
        let site = routed(way, "");
        split_everywhere(&site, &hello(Some("db.example.com"), &["h2"], 36), usize::MAX);
        site.end().assert_codes(&["CW"]);
    });
}

/// Both, one behind the other.
#[test]
fn split_header_and_hello() {
    everywhere(|way| {
        let site = routed(way, "proxy_protocol = { accept_from = ['127.0.0.0/8'] }");
        let header = v1(tcp("192.0.2.1:7"), tcp("198.51.100.2:443"));
        let hello = hello(Some("db.example.com"), &["h2"], 36);
        split_everywhere(&site, &[&header[..], &hello].concat(), hello.len());
        site.end().assert_codes(&["CW"]);
    });
}

/// A hello with a post-quantum key share doesn't fit into a segment, and some stacks put it into several records.
#[test]
fn large_hello() {
    for_each(&Way::forwarders(), |way| {
        let site = routed(way, "");
        let large = hello(Some("db.example.com"), &[], 1_216);
        for record_len in [1, 5, 500, 1_000, 1 << 14] {
            let records = in_records(message_of(&large), record_len);
            for segment_len in [1, 700, 1_400, records.len()] {
                let client = site.connect();
                // A hello of one byte after the other is a lot of segments: those that matter are the first.
                let (first, rest) = records.split_at(segment_len.min(records.len()));
                for segment in first.chunks(segment_len).chain(rest.chunks(segment_len.max(100))) {
                    client.send(segment);
                }
                let upstream = site.accept();
                upstream.expect(&records);
                finish(&client, &upstream);
            }
        }
        site.end().assert_codes(&["CW"]);
    });
}

/// A client that sends a byte at a time has as long as any other, and is served if that is enough.
#[test]
fn one_byte_at_a_time() {
    const PAUSE: Duration = Duration::from_millis(2);
    let begin =
        [v1(tcp("192.0.2.1:7"), tcp("198.51.100.2:443")), hello(Some("db.example.com"), &[], 0)].concat();
    for_each(&Way::all(), |way| {
        let site = routed(way, "proxy_protocol = { accept_from = ['127.0.0.0/8'] }");
        let client = site.connect();
        for byte in &begin {
            client.send(&[*byte]);
            thread::sleep(PAUSE);
        }
        finish(&client, &site.accept());
        let line = site.ledger_of(1).remove(0);
        assert_eq!(line["client"], "192.0.2.1:7", "{line}");
        site.end().assert_codes(&["CW"]);
    });
}

/// The time for a header is over, whether its bytes keep coming or not.
#[test]
fn header_timeout() {
    const TIMEOUT: Duration = Duration::from_millis(300);
    everywhere(|way| {
        let site = Site::start(way, &[&ACCEPT[..], &["--header-timeout", "300ms"]].concat());
        let header = v1(tcp("192.0.2.1:7"), tcp("198.51.100.2:443"));
        let (silent, stuck, slow) = (site.connect(), site.connect(), site.connect());
        stuck.send(&header[..header.len() - 1]);
        // It would need ten times as long.
        for byte in &header {
            if slow.send_or_fail(&[*byte]).is_err() {
                break;
            }
            thread::sleep(TIMEOUT * 10 / header.len() as u32);
        }
        silent.expect_reset();
        stuck.expect_reset();
        let lines = site.ledger_of(3);
        assert!(lines.iter().all(|line| line["end"] == "TR" && line["upstream"].is_null()), "{lines:?}");
        // Not at once. (A busy worker's clock stands still for a while between an accept and the session's beginning.)
        let enough_ns = TIMEOUT.as_nanos() as u64 / 2;
        let is_late = |line: &serde_json::Value| line["life_ns"].as_u64() >= Some(enough_ns);
        assert!(lines.iter().all(is_late), "{lines:?}");
        drop(slow);
        site.end().assert_codes(&["TR"]);
    });
}

/// A proxy that sends what asks for `db.example.com` to its upstream, and all else nowhere.
fn routed(way: Way, more: &str) -> Site {
    let upstream = listen("127.0.0.1:0");
    let address = address_of(&upstream);
    let config = format!(
        "[[service]]\nkind = 'proxy'\nlisten = ['127.0.0.1:0']\nforward = '{}'\n\
         route = [{{ sni = 'db.example.com', upstream = ['{address}'] }}]\n{more}\n",
        way.forward.name()
    );
    Site::run(upstream, &config, &["--trigger", way.trigger.name()])
}

/// Splits these bytes at each of their places, so that the proxy gets what is before it by itself. Their last `kept`
/// bytes, and what is glued to them, must arrive.
fn split_everywhere(site: &Site, begin: &[u8], kept: usize) {
    let kept = &begin[begin.len() - kept.min(begin.len())..];
    let places: Vec<usize> = (0..=begin.len()).collect();
    for batch in places.chunks(BATCH) {
        let clients: Vec<Client> = batch.iter().map(|_| site.connect()).collect();
        let halves = || clients.iter().zip(batch.iter().map(|&place| begin.split_at(place)));
        halves().for_each(|(client, (first, _))| client.send(first));
        // Each has been read as far as there is something to read.
        clients.iter().for_each(Client::flush);
        site.proxy.settle();
        halves().for_each(|(client, (_, rest))| client.send(&[rest, b"glued"].concat()));
        let upstreams: Vec<Client> = clients.iter().map(|_| site.accept()).collect();
        upstreams.iter().for_each(|upstream| upstream.expect(&[kept, b"glued"].concat()));
        // Which is whose doesn't matter: all do the same.
        clients.iter().for_each(Client::finish);
        upstreams.iter().for_each(|upstream| {
            upstream.expect_end();
            upstream.send(b"whole");
            upstream.finish();
        });
        clients.iter().for_each(|client| {
            client.expect(b"whole");
            client.expect_end();
        });
    }
}

/// Says something both ways, and ends well.
fn finish(client: &Client, upstream: &Client) {
    client.send(b"question");
    client.finish();
    let mut asked = [0; 64 << 10];
    let mut len = 0;
    while let Ok(more @ 1..) = upstream.receive(&mut asked[len..]) {
        len += more;
    }
    assert!(asked[..len].ends_with(b"question"), "{len} bytes");
    upstream.send(b"answer");
    upstream.finish();
    client.expect(b"answer");
    client.expect_end();
}

fn tcp(address: &str) -> SocketAddr {
    address.parse().expect(address)
}
