//! An upstream dies under load.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{io::Errno, process::Signal};

use crate::support::{
    Server,
    client::{Client, Target},
    eventually,
    proxy::{Books, Ledger, Site, Way, address_of, everywhere, for_each, listen},
    total,
};

/// Connections of a run, and when the upstream dies.
const CONNECTIONS: usize = 4_000;
const KILLED_AFTER: usize = 1_500;
/// Of each of so many clients; together 2,000 a second.
const CLIENTS: usize = 8;
const PAUSE: Duration = Duration::from_millis(4);

/// One of two upstreams is killed at 2,000 connections a second. Who wasn't connected to it yet notices nothing;
/// whoever was has a line in the ledger that says so.
#[test]
fn one_of_two_upstreams_is_killed() {
    for_each(&Way::forwarders(), |way| {
        let echo = || Server::start(&["--workers", "1"]);
        let (killed, other) = (echo(), echo());
        let upstreams = [&killed, &other].map(|echo| echo.address().to_string());
        let ledger = Ledger::new();
        let file = ledger.file();
        let flags = [&["--workers", "2"][..], &way.arguments(), &Ledger::arguments(&file)].concat();
        let proxy = Server::proxy(&upstreams, &flags);
        let errors = run(&proxy, || killed.signal(Signal::KILL));
        let books = Books::close(proxy, &ledger);
        explain(&books, &errors, &upstreams[0]);
        assert_eq!(books.ledger.len(), CONNECTIONS);
        assert!(total(&books.report, "connects_failed") > 0, "nobody was sent to the dead upstream");
        println!("{way}: {} of {CONNECTIONS} clients saw the upstream die", errors.len());
        other.report();
    });
}

/// All connections; the errors that clients saw, by their addresses.
fn run(proxy: &Server, kill: impl Fn() + Sync) -> HashMap<SocketAddr, String> {
    let target = Target::parse(&proxy.listening()[0]);
    let (begun, errors) = (AtomicUsize::new(0), Mutex::new(HashMap::new()));
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                for number in 0..CONNECTIONS / CLIENTS {
                    let due = start + PAUSE * number as u32;
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    if begun.fetch_add(1, Relaxed) == KILLED_AFTER {
                        kill();
                    }
                    let client = Client::connect(&target);
                    if let Err(error) = exchange(&client) {
                        errors.lock().expect("nobody panics with it").insert(client.address(), error);
                    }
                }
            });
        }
    });
    errors.into_inner().expect("nobody panicked with it")
}

/// 64 bytes there and back.
fn exchange(client: &Client) -> Result<(), String> {
    let said = |error: Errno| error.to_string();
    client.send_or_fail(&[b'x'; 64]).map_err(said)?;
    let (mut answer, mut received) = ([0; 64], 0);
    while received < answer.len() {
        match client.receive(&mut answer[received..]).map_err(said)? {
            0 => return Err(format!("the end after {received} bytes")),
            more => received += more,
        }
    }
    assert_eq!(answer, [b'x'; 64]);
    Ok(())
}

/// Each error has a line that says that this client was connected to the upstream that died, and what it had sent
/// was gone with it; and there is no other bad end.
fn explain(books: &Books, errors: &HashMap<SocketAddr, String>, killed: &str) {
    let line_of = |client: &SocketAddr| {
        let client = client.to_string();
        books.ledger.iter().find(|line| line["client"] == client.as_str())
    };
    for (client, error) in errors {
        let line = line_of(client).unwrap_or_else(|| panic!("{client}, {error}: no line in the ledger"));
        let code = line["end"].as_str().expect("each line has a code");
        assert!(["UW", "UD", "uW", "uD", "uH"].contains(&code), "{error}: {line}");
        assert_eq!(line["upstream"], killed, "{error}: {line}");
        assert!(line["connect_ns"].as_u64().is_some(), "{error}: {line}");
        // Before a byte has passed a reset may be taken for 'not me', and another is asked. A FIN may not: it is an
        // answer, the upstream's own, if an empty one. A killed process ends by FIN what it has accepted and where
        // it left nothing unread.
        let is_retried = code.starts_with('u') && line["bytes_to_upstream"] == 0;
        assert!(!is_retried, "a retry was possible: {error}: {line}");
    }
    // An upstream that dies behind its answer ends a session as well.
    books.assert_codes(&["CD", "CW", "UD", "UW", "uD", "uW", "uH"]);
}

/// An upstream dies with sessions in its accept queue, before a byte has passed: they go elsewhere.
#[test]
fn a_session_that_was_never_used_goes_elsewhere() {
    const CLIENTS: usize = 4;
    everywhere(|way| {
        let (dying, other) = (listen("127.0.0.1:0"), listen("127.0.0.1:0"));
        let both = [&dying, &other].map(|listener| address_of(listener).to_string());
        let mut site = Site::before(other, &both, way, &["--balance", "round-robin"]);
        // However the workers share them, each upstream gets one or more. Nobody has said anything yet.
        let clients: Vec<Client> = (0..CLIENTS).map(|_| site.connect()).collect();
        eventually("all are connected", || {
            (total(&site.proxy.report_now(), "connects") == CLIENTS as u64).then_some(())
        });
        drop(dying);
        let upstreams: Vec<Client> = clients.iter().map(|_| site.accept()).collect();
        upstreams.iter().for_each(|upstream| upstream.send(b"welcome"));
        clients.iter().for_each(|client| client.expect(b"welcome"));
        drop(upstreams);
        clients.iter().for_each(Client::expect_end);
        drop(clients);
        let books = site.stop();
        books.assert_codes(&["UD"]);
        assert!(total(&books.report, "connects") > CLIENTS as u64, "nobody had to go elsewhere");
    });
}

/// A killed process ends by FIN what it had accepted and where nothing lay unread: an end in good order, for all that
/// anybody can tell. The client gets it, as it would without a proxy, and no other upstream is asked.
#[test]
fn a_fin_of_the_killed_is_an_answer() {
    const CLIENTS: u64 = 4;
    everywhere(|way| {
        let mut echoes = [(); 2].map(|()| Server::start(&["--workers", "1"]));
        let both = echoes.each_ref().map(|echo| echo.address().to_string());
        let ledger = Ledger::new();
        let file = ledger.file();
        let flags = [&["--workers", "2"], &way.arguments()[..], &Ledger::arguments(&file)].concat();
        let proxy = Server::proxy(&both, &flags);
        let target = Target::parse(&proxy.listening()[0]);
        let clients: Vec<Client> = (0..CLIENTS).map(|_| Client::connect(&target)).collect();
        let of_each = eventually("all are accepted", || {
            let of_each = echoes.each_mut().map(|echo| total(&echo.report_now(), "accepted"));
            (of_each.iter().sum::<u64>() == CLIENTS).then_some(of_each)
        });
        echoes.iter().for_each(|echo| echo.signal(Signal::KILL));
        clients.iter().for_each(Client::expect_end);
        drop(clients);
        let books = Books::close(proxy, &ledger);
        books.assert_codes(&["UW"]);
        assert_eq!(total(&books.report, "connects"), CLIENTS, "another was asked; they had {of_each:?}");
    });
}
