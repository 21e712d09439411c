//! Routes: where a TLS client goes by the name and the protocols that it asks for, unseen by either end.

use std::net::TcpListener;

use serde_json::Value;

use crate::support::{
    client::Client,
    preamble::{hello, in_records, message_of, v1, v2},
    proxy::{Site, Way, address_of, for_each, listen},
    total,
};

/// Upstreams of routes, and the one for all else, which is the site's own.
struct Routed {
    site: Site,
    exact: TcpListener,
    under: TcpListener,
    mail: TcpListener,
}

impl Routed {
    /// With a default, and more keys of the service.
    fn start(way: Way, more: &str) -> Self {
        let default = listen("127.0.0.1:0");
        let more = format!("upstream = ['{}']\n{more}", address_of(&default));
        Self::with(default, way, &more)
    }

    /// Where nobody serves what no route takes; `unused` is asked by nobody.
    fn without_default(unused: TcpListener, way: Way) -> Self {
        Self::with(unused, way, "")
    }

    fn with(default: TcpListener, way: Way, more: &str) -> Self {
        let [exact, under, mail] = [(); 3].map(|()| listen("127.0.0.1:0"));
        let [to_exact, to_under, to_mail] = [&exact, &under, &mail].map(address_of);
        let config = format!(
            "[[service]]\nkind = 'proxy'\nlisten = ['127.0.0.1:0']\nforward = '{}'\nroute = [\n\
             {{ sni = ['db.example.com', 'www.example.org'], upstream = ['{to_exact}'] }},\n\
             {{ sni = '*.example.com', upstream = ['{to_under}'] }},\n\
             {{ alpn = ['imap', 'pop3'], upstream = ['{to_mail}'] }},\n]\n{more}\n",
            way.forward.name()
        );
        let site = Site::run(default, &config, &["--trigger", way.trigger.name()]);
        Self { site, exact, under, mail }
    }

    /// What is sent arrives at this listener as it is, and the answer comes back.
    fn assert_goes_to(&self, upstream: &TcpListener, sent: &[u8], arrives: &[u8]) {
        let client = self.site.connect();
        client.send(sent);
        let upstream = Client::accept(upstream);
        upstream.expect(arrives);
        upstream.send(b"answer");
        client.expect(b"answer");
        client.finish();
        upstream.expect_end();
        upstream.finish();
        client.expect_end();
    }

    /// The client is reset, and the ledger says that its beginning was refused.
    fn assert_refuses(&self, sent: &[u8], number: usize) {
        let client = self.site.connect();
        client.send(sent);
        client.expect_reset();
        let line = self.line_of(number);
        assert_eq!((&line["end"], &line["attempts"]), (&"BR".into(), &0.into()), "{line}");
    }

    fn line_of(&self, number: usize) -> Value {
        self.site.ledger_of(number).swap_remove(number - 1)
    }
}

#[test]
fn names_and_protocols_lead_to_their_upstreams() {
    for_each(&Way::all(), |way| {
        let routed = Routed::start(way, "");
        let Routed { site, exact, under, mail } = &routed;
        let default = &site.upstream;
        let asked: [(&TcpListener, Option<&str>, &[&str]); 10] = [
            (exact, Some("db.example.com"), &[]),
            (exact, Some("DB.Example.COM"), &["imap"]),
            (exact, Some("www.example.org"), &[]),
            (under, Some("www.example.com"), &["h2"]),
            (under, Some("a.b.example.com"), &[]),
            (mail, Some("example.com"), &["h2", "pop3"]),
            (mail, None, &["imap"]),
            (default, Some("example.com"), &["h2"]),
            (default, Some("other.example.org"), &[]),
            (default, None, &[]),
        ];
        for (number, (upstream, sni, alpn)) in (1..).zip(asked) {
            let hello = hello(sni, alpn, 36);
            routed.assert_goes_to(upstream, &hello, &hello);
            let line = routed.line_of(number);
            assert_eq!(line["sni"], Value::from(sni.map(str::to_ascii_lowercase)), "{line}");
            assert_eq!(line["upstream"], address_of(upstream).to_string(), "{line}");
        }
        routed.site.end().assert_codes(&["CD"]);
    });
}

#[test]
fn what_is_no_tls_goes_to_the_default() {
    for_each(&Way::all(), |way| {
        let routed = Routed::start(way, "");
        let default = &routed.site.upstream;
        let others: [&[u8]; 5] = [
            b"G",
            b"SSH-2.0-x\r\n",
            b"\0\0\0\x08\x04\xd2\x16\x2f",
            b"\x16\x03\x01\0\0",
            b"\x16\x03\x01\0\x01\x02",
        ];
        for bytes in others {
            routed.assert_goes_to(default, bytes, bytes);
        }
        routed.site.end().assert_codes(&["CD"]);
    });
}

#[test]
fn who_has_no_route_and_no_default_is_refused() {
    let routed = Routed::without_default(listen("127.0.0.1:0"), Way::DEFAULT);
    routed.assert_refuses(&hello(Some("example.com"), &[], 0), 1);
    routed.assert_refuses(&hello(None, &[], 0), 2);
    routed.assert_refuses(b"SSH-2.0-x\r\n", 3);
    let hello = hello(Some("db.example.com"), &[], 0);
    routed.assert_goes_to(&routed.exact, &hello, &hello);
    let books = routed.site.end();
    assert_eq!(total(&books.report, "refused_header"), 3);
    assert_eq!(total(&books.report, "connects"), 1);
}

#[test]
fn malformed_hellos_are_refused() {
    let routed = Routed::start(Way::DEFAULT, "");
    let good = hello(Some("db.example.com"), &[], 36);
    let mut without_end = good.clone();
    without_end[7] += 1;
    let mut interrupted = in_records(message_of(&good), 60);
    interrupted[65] = 23;
    let claims_16_mib = [&good[..6], &[0xff; 3], &good[9..]].concat();
    let long_name = "x".repeat(300);
    let bad = [
        interrupted,
        claims_16_mib,
        hello(Some("a b"), &[], 0),
        hello(Some(&long_name), &[], 0),
        hello(Some(""), &[], 0),
        // With its records over 64 KiB.
        in_records(message_of(&hello(None, &[], 60_000)), 10),
    ];
    for (number, bytes) in (1..).zip(&bad) {
        let client = routed.site.connect();
        // Whoever is still sending is told so by that.
        if client.send_or_fail(bytes).is_ok() {
            client.expect_reset();
        }
        let line = routed.line_of(number);
        assert_eq!(line["end"], "BR", "{line}");
    }
    // One that claims to be longer than it is waits for the rest.
    let client = routed.site.connect();
    client.send(&without_end);
    client.finish();
    client.expect_reset();
    routed.site.end().assert_codes(&["BR"]);
}

/// What a client sends behind its hello, without waiting for an answer, is not read by anybody but the upstream.
#[test]
fn early_data_follows() {
    for_each(&Way::all(), |way| {
        let routed = Routed::start(way, "");
        let early = b"\x17\x03\x03 early".repeat(5_000);
        let bytes = [&hello(Some("db.example.com"), &["h2"], 1_216)[..], &early].concat();
        routed.assert_goes_to(&routed.exact, &bytes, &bytes);
        let line = routed.line_of(1);
        assert_eq!(
            (&line["bytes_in"], &line["bytes_to_upstream"]),
            (&bytes.len().into(), &bytes.len().into())
        );
        routed.site.end();
    });
}

/// The header tells who, the hello whom, both in one segment; the upstream gets its own header, and the hello.
#[test]
fn a_header_and_a_hello_in_one_segment() {
    let (client, front) = ("192.0.2.1:7".parse().expect("TCP"), "198.51.100.2:443".parse().expect("TCP"));
    let hello = hello(Some("www.example.com"), &["h2"], 36);
    for_each(&Way::all(), |way| {
        let routed = Routed::start(way, "proxy_protocol = { accept_from = ['127.0.0.0/8'], send = 'v1' }");
        let sent = [&v2(client, front, &[5, 0, 1, 7])[..], &hello, b"more"].concat();
        let arrives = [&v1(client, front)[..], &hello, b"more"].concat();
        routed.assert_goes_to(&routed.under, &sent, &arrives);
        let line = routed.line_of(1);
        assert_eq!(
            (&line["client"], &line["sni"]),
            (&"192.0.2.1:7".into(), &"www.example.com".into()),
            "{line}"
        );
        assert_eq!(line["bytes_in"], (hello.len() + 4) as u64, "{line}");
        routed.site.end().assert_codes(&["CD"]);
    });
}

/// The time for a hello is the header timeout.
#[test]
fn a_hello_that_does_not_come() {
    let routed = Routed::start(Way::DEFAULT, "timeout = { header = '200ms' }");
    let (silent, stuck) = (routed.site.connect(), routed.site.connect());
    stuck.send(&hello(Some("db.example.com"), &[], 0)[..40]);
    silent.expect_reset();
    stuck.expect_reset();
    routed.site.end().assert_codes(&["TR"]);
}
