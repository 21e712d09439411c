//! `--timestamps`: how long bytes lay in the kernel before a worker read them, which no worker can see by itself.
//!
//! Times are held against waits that the tests make: at least as long, never at most.

mod support;

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    thread::sleep,
    time::Duration,
};

use evenkeel::{AcceptMode, Trigger, config::Forward};
use serde_json::Value;
use support::{PATIENCE, Server, TempDir, eventually, load::load, total};

/// Long beside everything that the kernel does meanwhile.
const WAIT: Duration = Duration::from_millis(50);
const WAIT_NS: u64 = WAIT.as_nanos() as u64;

/// Each message is in the histogram or counted as unstamped, in each worker too.
#[test]
fn every_message_has_a_stamp_or_is_counted() {
    for &accept in AcceptMode::ALL {
        for &trigger in Trigger::ALL {
            let flags =
                ["--timestamps", "--workers", "2", "--accept", accept.name(), "--trigger", trigger.name()];
            let server = Server::start(&flags);
            load(&server, &["--connections", "8", "--messages", "400"]);
            let report = server.report();
            assert_eq!(report["config"]["timestamps"], true);
            assert_eq!(
                delays(&report) + total(&report, "unstamped"),
                total(&report, "messages"),
                "{flags:?}"
            );
            for worker in report["workers"].as_array().expect("workers are an array") {
                let known = delays(worker) + worker["unstamped"].as_u64().expect("a count");
                assert_eq!(worker["messages"], known, "{flags:?}");
            }
        }
    }
}

/// A worker that is held up knows nothing of what comes meanwhile; the kernel does.
#[test]
fn the_wait_in_a_socket_is_seen() {
    let mut server = stamping(&["--workers", "1"]);
    let mut client = server.connect();
    ping(&mut client);
    let before = server.report_now();
    server.freeze();
    client.write_all(b"x").expect("the kernel takes it");
    sleep(WAIT);
    server.thaw();
    expect(&mut client);
    let after = server.report();
    assert_eq!(delays(&after), delays(&before) + 1);
    assert!(max_ns(&after, "arrival_delay") >= WAIT_NS, "{after}");
}

#[test]
fn the_wait_in_the_accept_queue_is_seen() {
    let server = stamping(&["--workers", "1"]);
    server.freeze();
    let mut client = server.connect();
    client.write_all(b"x").expect("the kernel takes it");
    sleep(WAIT);
    server.thaw();
    expect(&mut client);
    let report = server.report();
    assert!(max_ns(&report, "arrival_delay") >= WAIT_NS, "{report}");
}

/// Two messages at the same time, to a worker that takes its time with each: the second has waited for the first.
#[test]
fn the_wait_for_a_busy_worker_is_seen() {
    let server = stamping(&["--workers", "1", "--work", "block:fixed:50ms"]);
    let mut clients = [server.connect(), server.connect()];
    for client in &mut clients {
        client.write_all(b"x").expect("the kernel takes it");
    }
    clients.iter_mut().for_each(expect);
    let report = server.report();
    // It may have come a little after the first one's turn began.
    assert!(max_ns(&report, "arrival_delay") >= WAIT_NS / 2, "{report}");
}

#[test]
fn of_a_proxy_the_client_side_is_stamped_unless_it_is_spliced() {
    for &forward in Forward::ALL {
        let upstream = Server::start(&[]);
        let address = upstream.address().to_string();
        let mut proxy =
            Server::proxy(&[&address], &["--timestamps", "--workers", "1", "--forward", forward.name()]);
        until_stamped(&mut proxy);
        load(&proxy, &["--connections", "2", "--messages", "40", "--size", "300000"]);
        let report = proxy.report();
        let (stamped, unstamped) = (delays(&report), total(&report, "unstamped"));
        assert!(
            stamped + unstamped < total(&report, "messages"),
            "upstreams' messages are not stamped: {report}"
        );
        // Before the kernel began to stamp, a few; spliced, many.
        assert_eq!(unstamped > 40, forward != Forward::Copy, "{forward}: {report}");
    }
}

#[test]
fn what_comes_by_a_unix_socket_is_unstamped_and_the_report_says_so() {
    let folder = TempDir::new();
    let path = folder.file("socket");
    let flags = ["echo", "--listen", &format!("unix:{path}"), "--report", "json", "--timestamps"];
    let server = Server::start_with(support::evenkeel(), &flags);
    let mut client = UnixStream::connect(&path).expect("it listens");
    client.write_all(b"x").expect("the kernel takes it");
    client.read_exact(&mut [0]).expect("an echo");
    let report = server.report();
    assert_eq!((delays(&report), total(&report, "unstamped")), (0, 1));
    assert!(notes(&report).contains("stamps nothing that comes by a unix socket"), "{report}");
}

#[test]
fn without_the_flag_and_without_histograms_nothing_is_stamped() {
    for (flags, noted) in [(&[][..], false), (&["--timestamps", "--measure", "counts"], true)] {
        let server = Server::start(flags);
        ping(&mut server.connect());
        let report = server.report();
        assert_eq!((delays(&report), total(&report, "unstamped"), total(&report, "messages")), (0, 0, 1));
        assert_eq!(
            notes(&report).contains("--timestamps has no effect with --measure counts"),
            noted,
            "{report}"
        );
    }
}

/// A server whose clients' messages are stamped by now.
fn stamping(flags: &[&str]) -> Server {
    let mut server = Server::start(&[&["--timestamps"], flags].concat());
    until_stamped(&mut server);
    server
}

/// The kernel begins a few milliseconds after it was asked to.
fn until_stamped(server: &mut Server) {
    let mut client = server.connect();
    eventually("a message is stamped", || {
        ping(&mut client);
        (delays(&server.report_now()) > 0).then_some(())
    });
}

fn ping(client: &mut TcpStream) {
    client.write_all(b"x").expect("the kernel takes it");
    expect(client);
}

fn expect(client: &mut TcpStream) {
    client.set_read_timeout(Some(PATIENCE)).expect("a positive timeout");
    client.read_exact(&mut [0]).expect("an echo");
}

/// How many messages had a stamp, of the whole report or of one worker.
fn delays(of: &Value) -> u64 {
    of["histograms"]["arrival_delay"]["count"].as_u64().expect("a count")
}

fn max_ns(report: &Value, histogram: &str) -> u64 {
    report["histograms"][histogram]["max"].as_u64().expect("nanoseconds")
}

fn notes(report: &Value) -> String {
    report["notes"].to_string()
}
