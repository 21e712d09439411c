//! The close ledger tells each kind of end by its code. Here each is provoked (`PC` and `EC`, which need a namespace
//! and a limit, are with the faults that they belong to).

use std::{fs, net::SocketAddr};

use rustix::{io::Errno, net::sockopt::socket_error};
use serde_json::Value;

use crate::support::{
    Server,
    client::{Client, End, Target},
    eventually,
    namespace::{Namespace, within},
    proxy::{Ledger, Site, Way, address_of, everywhere, fill, for_each, listen},
    total,
    upstreams::{BlackHole, dead_ports},
};

/// A session that a test has ended, and what its line in the ledger must say.
struct Told {
    code: &'static str,
    client: SocketAddr,
    /// The proxy's address towards the upstream, where there was a connection.
    local: Option<SocketAddr>,
    to_upstream: usize,
    from_upstream: usize,
}

#[test]
fn streams_that_end() {
    everywhere(|way| {
        let site = Site::start(way, &[]);
        let ends = [(false, false), (false, true), (true, false), (true, true)];
        let told: Vec<_> = ends
            .into_iter()
            .flat_map(|(by_upstream, speaks)| [false, true].map(|reset| (by_upstream, speaks, reset)))
            .map(|(by_upstream, speaks, reset)| end(&site, by_upstream, speaks, reset))
            .chain([false, true].map(|by_upstream| end_half_closed(&site, by_upstream)))
            .collect();
        check(&site, &told);
        site.end();
    });
}

/// One side ends the session, by FIN or RST, after the upstream has said something or before.
fn end(site: &Site, by_upstream: bool, speaks: bool, reset: bool) -> Told {
    let (client, upstream) = site.acquainted_pair();
    if speaks {
        upstream.send(b"answer");
        client.expect(b"answer");
    }
    let code = match (by_upstream, reset, speaks) {
        (false, false, false) => "CW",
        (false, false, true) => "CD",
        (false, true, false) => "cW",
        (false, true, true) => "cD",
        (true, false, false) => "UW",
        (true, false, true) => "UD",
        (true, true, false) => "uW",
        (true, true, true) => "uD",
    };
    let told = Told::new(code, &client, &upstream, 1, if speaks { 6 } else { 0 });
    let (first, second) = if by_upstream { (upstream, client) } else { (client, upstream) };
    if reset {
        first.reset();
        second.expect_reset();
    } else {
        first.finish();
        second.expect_end();
        second.finish();
        first.expect_end();
    }
    told
}

/// One side has ended its stream in good order; then it, or the other one, is cut off.
fn end_half_closed(site: &Site, by_upstream: bool) -> Told {
    let (client, upstream) = site.acquainted_pair();
    upstream.finish();
    client.expect_end();
    let code = if by_upstream { "uH" } else { "cH" };
    let told = Told::new(code, &client, &upstream, if by_upstream { 2 } else { 1 }, 0);
    if by_upstream {
        // Its kernel answers a byte for nobody with a reset.
        drop(upstream);
        client.send(b"!");
        // It has had its FIN, so that the reset behind that is no news to a read.
        let is_told = || socket_error(&client).expect("it is a socket").err();
        assert_eq!(eventually("the reset has come back", is_told), Errno::PIPE);
    } else {
        client.reset();
        upstream.expect_reset();
    }
    told
}

#[test]
fn times_that_are_over() {
    let site = Site::start(Way::DEFAULT, &["--idle-timeout", "200ms", "--half-closed-timeout", "200ms"]);
    cut_in_each_phase(site, ["TW", "TD", "TH"]);
    let site = Site::start(Way::DEFAULT, &["--session-timeout", "200ms"]);
    cut_in_each_phase(site, ["SW", "SD", "SH"]);
}

/// Sessions that wait to be ended: without a word from the upstream, with one, and half-closed.
fn cut_in_each_phase(site: Site, codes: [&'static str; 3]) {
    let pairs = codes.map(|_| site.acquainted_pair());
    let told = wait_in_each_phase(&pairs, codes);
    for (client, _) in &pairs {
        assert_eq!(client.drain(), (0, End::Reset));
    }
    check(&site, &told);
    site.end();
}

fn wait_in_each_phase(pairs: &[(Client, Client); 3], codes: [&'static str; 3]) -> [Told; 3] {
    let answers: [&[u8]; 3] = [b"", b"answer", b"answer"];
    let told = [0, 1, 2].map(|number| {
        let (client, upstream) = &pairs[number];
        upstream.send(answers[number]);
        client.expect(answers[number]);
        Told::new(codes[number], client, upstream, 1, answers[number].len())
    });
    let (client, upstream) = &pairs[2];
    client.finish();
    upstream.expect_end();
    told
}

#[test]
fn the_drain_time_is_over() {
    let site = Site::start(Way::DEFAULT, &["--drain", "200ms"]);
    let pairs = ["DW", "DD", "DH"].map(|_| site.acquainted_pair());
    let told = wait_in_each_phase(&pairs, ["DW", "DD", "DH"]);
    let upstream = address_of(&site.upstream);
    let books = site.stop();
    assert_eq!(total(&books.report, "drain_cut"), 3);
    compare(&books.ledger, &told, upstream);
}

/// The upstream hasn't been connected when the drain time is over.
#[test]
fn the_drain_time_is_over_while_connecting() {
    let hole = BlackHole::new();
    let flags = ["--drain", "200ms", "--connect-timeout", "1h", "--connect-total-timeout", "1h"];
    let site = Site::before(listen("127.0.0.1:0"), &[hole.address()], Way::DEFAULT, &flags);
    let client = site.connect();
    eventually("it connects", || site.has_sessions().then_some(()));
    let books = site.stop();
    client.expect_reset();
    books.assert_codes(&["DC"]);
}

#[test]
fn connects_that_fail() {
    let dead = dead_ports().next().expect("a port is unused");
    never_connected(&dead, &[], "FC", Some("connection refused"));
    let hole = BlackHole::new();
    never_connected(&hole.address(), &["--connect-timeout", "100ms"], "TC", Some("timed out"));
    let for_ever = ["--connect-timeout", "1h", "--connect-total-timeout", "1h"];
    never_connected(&hole.address(), &[&["--session-timeout", "100ms"][..], &for_ever].concat(), "SC", None);
    never_connected(
        &hole.address(),
        &[&["--connect-total-timeout", "100ms"][..], &for_ever[..2]].concat(),
        "TC",
        None,
    );
}

/// A session that ends without ever having had an upstream: by RST, with nothing read.
fn never_connected(upstream: &str, flags: &[&str], code: &str, error: Option<&str>) {
    let flags = [&["--retries", "0"], flags].concat();
    let site = Site::before(listen("127.0.0.1:0"), &[upstream.to_owned()], Way::DEFAULT, &flags);
    let client = site.connect();
    client.expect_reset();
    let line = site.ledger_of(1).remove(0);
    assert_eq!(line["end"], code, "{line}");
    assert_eq!(line["phase"], "connecting", "{line}");
    assert_eq!(line["upstream"], upstream, "the last that was tried: {line}");
    assert!(line["connect_ns"].is_null() && line["first_byte_ns"].is_null(), "{line}");
    assert_eq!((&line["attempts"], &line["bytes_in"]), (&Value::from(1), &Value::from(0)), "{line}");
    let said = line["error"].as_str().unwrap_or_default();
    assert!(error.is_none_or(|error| said.contains(error)), "{line}");
    site.end();
}

/// What was read and not delivered is told, to the byte.
#[test]
fn undelivered_bytes() {
    let namespace = Namespace::narrow();
    for_each(&Way::forwarders(), |way| {
        let site = Site::start_in(namespace.as_ref(), way, &["--idle-timeout", "1s"]);
        let (client, upstream) = within(namespace.as_ref(), || site.narrow_pair());
        let sent = fill(&client, 64 << 20);
        client.expect_reset();
        let (received, _) = upstream.drain();
        let line = site.ledger_of(1).remove(0);
        let field = |name: &str| line[name].as_u64().expect("a number") as usize;
        assert_eq!(field("bytes_in"), field("bytes_to_upstream") + field("bytes_undelivered"), "{line}");
        assert!(field("bytes_undelivered") > 0, "{line}");
        // The reset overtakes what the kernel still had to send.
        assert!(received <= field("bytes_in") && field("bytes_in") <= sent, "{received}, {sent}: {line}");
        site.end();
    });
}

/// Text has the same fields in the same order.
#[test]
fn text_says_what_json_says() {
    let ledger = Ledger::new();
    let file = ledger.file();
    let upstream = listen("127.0.0.1:0");
    let address = address_of(&upstream).to_string();
    let proxy = Server::proxy(&[&address], &["--access-log", &file]);
    let client = Client::connect(&Target::parse(&proxy.listening()[0]));
    client.send(b"question");
    client.finish();
    let served = Client::accept(&upstream);
    served.expect(b"question");
    served.send(b"answer");
    drop(served);
    client.expect(b"answer");
    client.expect_end();
    let told = format!("client={} listener={} upstream={address}", client.address(), proxy.address());
    drop(client);
    proxy.report();
    let text = fs::read_to_string(&file).expect("it is there");
    let names: Vec<_> =
        text.split_whitespace().filter_map(|field| field.split_once('=')).map(|it| it.0).collect();
    let expected = "service worker session client listener upstream local attempts connect first_byte life in out \
                    to_upstream from_upstream undelivered spliced via sni queued end by how phase error";
    assert_eq!(names.join(" "), expected);
    assert_eq!(text.lines().count(), 1);
    assert!(text.contains(&told), "{text}");
    assert!(text.contains(" in=8 out=6 to_upstream=8 from_upstream=6 undelivered=0 "), "{text}");
    assert!(text.ends_with(" end=CW by=client how=fin phase=waiting error=-\n"), "{text}");
}

impl Told {
    fn new(code: &'static str, client: &Client, upstream: &Client, to: usize, from: usize) -> Self {
        let (client, local) = (client.address(), Some(upstream.peer()));
        Self { code, client, local, to_upstream: to, from_upstream: from }
    }
}

/// The ledger has a line for each session, and says so.
fn check(site: &Site, told: &[Told]) {
    compare(&site.ledger_of(told.len()), told, address_of(&site.upstream));
}

fn compare(lines: &[Value], told: &[Told], upstream: SocketAddr) {
    assert_eq!(lines.len(), told.len());
    for Told { code, client, local, to_upstream, from_upstream } in told {
        let client = client.to_string();
        let line = lines.iter().find(|line| line["client"] == client.as_str());
        let line = line.unwrap_or_else(|| panic!("no line for {client}, {code}"));
        assert_eq!(line["end"], *code, "{line}");
        let (by, how) = meaning(code);
        let phase = phase(code);
        assert_eq!([&line["by"], &line["how"], &line["phase"]], [by, how, phase], "{code}: {line}");
        assert_eq!(line["local"], local.map_or(Value::Null, |local| local.to_string().into()), "{line}");
        assert_eq!(line["upstream"], upstream.to_string(), "{line}");
        assert_eq!(
            (&line["bytes_in"], &line["bytes_to_upstream"]),
            (&(*to_upstream).into(), &(*to_upstream).into()),
            "{line}"
        );
        assert_eq!(
            (&line["bytes_from_upstream"], &line["bytes_out"]),
            (&(*from_upstream).into(), &(*from_upstream).into()),
            "{line}"
        );
        assert_eq!(line["first_byte_ns"].is_null(), *from_upstream == 0, "{line}");
        assert!(line["connect_ns"].as_u64() > Some(0) && line["attempts"] == 1, "{line}");
    }
}

fn meaning(code: &str) -> (&'static str, &'static str) {
    match code.as_bytes()[0] {
        b'C' => ("client", "fin"),
        b'c' => ("client", "rst"),
        b'U' => ("upstream", "fin"),
        b'u' => ("upstream", "rst"),
        b'T' => ("proxy", "timeout"),
        b'S' => ("proxy", "session-timeout"),
        _ => ("proxy", "drain"),
    }
}

fn phase(code: &str) -> &'static str {
    match code.as_bytes()[1] {
        b'W' => "waiting",
        b'D' => "data",
        _ => "half-closed",
    }
}
