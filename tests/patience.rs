//! What must not wait for ever, nor pile up: peers that take nothing, workers that are busy, mailboxes that are
//! full, deadlines of sessions that have ended.

mod support;

use std::{
    fs::File,
    io::{self, Read, Write},
    mem::MaybeUninit,
    net::TcpStream,
    os::{fd::AsFd, unix::net::UnixStream},
    time::Duration,
};

use evenkeel::{runtime::mailbox, sys::limits};
use rustix::{
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg},
    process::Signal,
};
use support::{Server, TempDir, eventually, load, total};

/// A peer that sends, and never reads, is silent too: it isn't spared because bytes wait for it.
#[test]
fn a_peer_that_takes_nothing_times_out() {
    let mut server = Server::start(&["--workers", "1", "--idle-timeout", "300ms"]);
    let mut client = server.connect();
    client.set_nonblocking(true).expect("a TCP socket");
    let chunk = [b'x'; 64 << 10];
    eventually("the session is reset, as bytes for it were lost", || {
        // It stops taking bytes long before it is cut off; only writing tells of the reset.
        client.write(&chunk).err().filter(|error| error.kind() != io::ErrorKind::WouldBlock)
    });
    let report = server.report_now();
    assert_eq!((total(&report, "closed"), total(&report, "active")), (1, 0));
    assert_eq!(report["totals"]["errors"]["timeout"], 1);
    assert!(total(&report, "bytes_undelivered") > 0, "what was lost is told");
    server.report();
}

/// A server that had no time to look doesn't take its clients for silent ones.
#[test]
fn who_has_spoken_in_time_is_not_timed_out() {
    const CLIENTS: usize = 40;
    let server = Server::start(&["--workers", "1", "--idle-timeout", "300ms"]);
    let mut clients: Vec<TcpStream> = (0..CLIENTS).map(|_| server.connect()).collect();
    server.freeze();
    for client in &mut clients {
        client.write_all(b"here").expect("a live connection");
    }
    // Twice the timeout: when it goes on, all deadlines are over.
    std::thread::sleep(Duration::from_millis(600));
    server.thaw();
    for client in &mut clients {
        client.read_exact(&mut [0; 4]).expect("it had spoken");
    }
    drop(clients);
    assert_eq!(total(&server.report(), "messages"), CLIENTS as u64);
}

/// A peer whose messages split reads doesn't have its worker read them all in one turn.
#[test]
fn a_turn_has_so_many_reads_at_most() {
    const MESSAGES: usize = 120;
    const READS_MAX: u64 = 16;
    let folder = TempDir::new();
    let (path, null) = (folder.file("socket"), File::open("/dev/null").expect("it is always there"));
    let listen = format!("unix:{path}");
    let arguments = ["echo", "--listen", &listen, "--workers", "1", "--report", "json"];
    let server = Server::start_with(support::evenkeel(), &arguments);
    let mut client = UnixStream::connect(&path).expect("it listens");
    client.write_all(b"x").expect("a live connection");
    client.read_exact(&mut [0]).expect("the echo");
    server.freeze();
    for _ in 0..MESSAGES {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let passed = [null.as_fd()];
        assert!(control.push(SendAncillaryMessage::ScmRights(&passed)), "there is space for one");
        let sent = sendmsg(&client, &[io::IoSlice::new(b"y")], &mut control, SendFlags::NOSIGNAL);
        assert_eq!(sent, Ok(1));
    }
    server.thaw();
    client.read_exact(&mut [0; MESSAGES]).expect("the echoes");
    drop(client);
    let report = server.report();
    assert_eq!(total(&report, "messages"), MESSAGES as u64 + 1, "each message is a read of its own");
    let turns = report["histograms"]["turn"]["count"].as_u64().expect("a count");
    assert!(turns >= MESSAGES as u64 / READS_MAX, "{MESSAGES} reads in {turns} turns");
}

/// Nobody reads stderr, and there is much to say: signals are heeded all the same.
#[test]
fn a_stderr_that_is_not_read_does_not_keep_it_from_ending() {
    let server = Server::start(&[]);
    for _ in 0..5_000 {
        server.signal(Signal::USR2);
    }
    server.signal(Signal::TERM);
    eventually("it ends, though nobody reads what it says", || {
        server.proc("stat").contains(") Z ").then_some(())
    });
    server.wait().report();
}

/// One session keeps one worker; the others have ended, and still count.
#[test]
fn a_report_while_it_drains_leaves_nobody_out() {
    const CLIENTS: u64 = 8;
    let mut server = Server::start(&["--workers", "4", "--accept", "dealt", "--drain", "1m"]);
    let clients: Vec<TcpStream> = (0..CLIENTS).map(|_| server.connect()).collect();
    eventually("all are open", || (total(&server.report_now(), "accepted") == CLIENTS).then_some(()));
    let mut stuck = server.connect();
    stuck.set_nonblocking(true).expect("a TCP socket");
    let chunk = [b'x'; 64 << 10];
    eventually("its session has bytes that it doesn't take", || {
        while stuck.write(&chunk).is_ok() {}
        let report = server.report_now();
        (total(&report, "bytes_in") > total(&report, "bytes_out")).then_some(())
    });
    server.signal(Signal::TERM);
    drop(clients);
    eventually("the others have ended", || (total(&server.report_now(), "closed") == CLIENTS).then_some(()));
    let report = server.report_now();
    assert_eq!(total(&report, "accepted"), CLIENTS + 1);
    assert_eq!(report["workers"].as_array().map(Vec::len), Some(4), "{}", report["notes"]);
    assert_eq!(report["acceptor"]["accepted"], CLIENTS + 1);
    server.signal(Signal::TERM);
    server.wait();
}

/// Twenty sessions are ready, and a turn takes long: a second signal isn't heeded after the last of them only.
#[test]
fn a_second_signal_waits_for_one_turn_at_most() {
    const SESSIONS: u64 = 20;
    let server = Server::start(&["--workers", "1", "--drain", "1m", "--work", "block:fixed:300ms"]);
    server.freeze();
    let clients: Vec<TcpStream> = (0..SESSIONS)
        .map(|_| {
            let mut client = server.connect();
            client.write_all(b"x").expect("a live connection");
            client
        })
        .collect();
    server.thaw();
    // The first answer shows that the pass has begun.
    eventually("a turn is over", || {
        clients.iter().find(|client| {
            client.set_nonblocking(true).expect("a TCP socket");
            client.peek(&mut [0]).is_ok()
        })
    });
    server.signal(Signal::TERM);
    eventually("it has heard the first", || TcpStream::connect(server.address()).err());
    server.signal(Signal::TERM);
    let report = server.wait().report();
    assert!(total(&report, "messages") < SESSIONS / 2, "{} turns", total(&report, "messages"));
    assert!(total(&report, "drain_cut") > SESSIONS / 2);
}

/// A deadline an hour away is forgotten with its session.
#[test]
fn deadlines_end_with_their_sessions() {
    let server = Server::start(&["--workers", "1", "--idle-timeout", "1h"]);
    let churn = |messages: &str| {
        load::load(&server, &["--churn", "1", "--messages", messages, "--connections", "20"])
    };
    churn("1000");
    let before = server.memory();
    churn("8000");
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 8_000 * 10, "{grown} bytes for 8,000 connections that are gone");
    server.report();
}

/// One worker that is busy for long, and more connections than its mailbox holds: the acceptor holds one, waits,
/// and loses none. A report tells who has not answered.
#[test]
fn an_acceptor_whose_mailboxes_are_full_waits() {
    const BEYOND: usize = 60;
    let connections = mailbox::CAPACITY + BEYOND;
    let limit = limits::raise_descriptors();
    if limit < 2 * connections as u64 {
        return support::skip(&format!("needs {} descriptors, and may have {limit}", 2 * connections));
    }
    let mut server = Server::start(&["--workers", "1", "--accept", "dealt", "--work", "block:fixed:6s"]);
    let mut busy = server.connect();
    busy.write_all(b"x").expect("a live connection");
    eventually("the worker blocks", || {
        let report = server.report_now();
        report["workers"].as_array().is_some_and(Vec::is_empty).then_some(())
    });
    let clients: Vec<TcpStream> = (0..connections).map(|_| server.connect()).collect();
    let report = server.report_now();
    assert_eq!(report["config"]["workers"], 1, "a worker that doesn't answer is still one");
    assert!(report["notes"].to_string().contains("worker 0 did not answer"), "{}", report["notes"]);
    assert_eq!(
        report["acceptor"]["mailbox_full"], 1,
        "it has waited, not tried for ever: {}",
        report["acceptor"]
    );
    drop(clients);
    busy.set_read_timeout(Some(Duration::from_secs(60))).expect("a positive timeout");
    busy.read_exact(&mut [0]).expect("the worker comes round");
    let expected = connections as u64 + 1;
    eventually("none is lost", || (total(&server.report_now(), "accepted") == expected).then_some(()));
    let report = server.report();
    assert_eq!(total(&report, "accepted"), expected);
    assert_eq!(report["acceptor"]["cut"], 0);
}
