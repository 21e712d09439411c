//! What can go wrong before there is an upstream: no port, oneself at the other end, a client that has said all.

use std::{fs, net::TcpStream, thread, time::Duration};

use crate::support::{
    self, Server, TempDir,
    client::{Client, Target},
    namespace::Namespace,
    proxy::{Books, Ledger, Site, Way, address_of, everywhere, listen},
    total,
    upstreams::BlackHole,
};

/// Ports run out for one upstream: another is taken; for all: the end says so, and nothing spins; and when there
/// are some again it goes on.
#[test]
fn port_exhaustion() {
    if Namespace::new().is_none() {
        return;
    }
    everywhere(|way| run_out_of_ports(way, &[]));
    // A port taken before it is known where to (bind) would be one for both upstreams together.
    run_out_of_ports(Way::DEFAULT, &["--source", "127.0.0.1"]);
}

fn run_out_of_ports(way: Way, source: &[&str]) {
    /// For each upstream.
    const PORTS: usize = 16;
    let Some(mut inside) = Inside::new(way, "40000 40015", "127.0.0.1:7001", source) else { return };
    let mut clients = Vec::new();
    // The first upstream has 15 of 16 sessions, and so no port left long before the second.
    for _ in 0..2 * PORTS {
        let client = inside.connect();
        client.ping(b"hello");
        clients.push(client);
    }
    let report = inside.proxy.report_now();
    assert!(total(&report, "connects_failed") > 0, "no upstream was passed over");
    assert_eq!(total(&report, "connects"), 2 * PORTS as u64);
    let one_too_many = inside.connect();
    // A unix peer sees the end of the stream for a reset.
    one_too_many.expect_end();
    let sleeps = inside.proxy.sleeps();
    thread::sleep(Duration::from_millis(300));
    let sleeps = inside.proxy.sleeps() - sleeps;
    assert!(sleeps < 100, "{sleeps} wakeups for nothing");
    // The second upstream goes, and comes again: it has ended first, so that the proxy's ports are free at once.
    inside.echoes.remove(0).report();
    let ended = clients.extract_if(.., |client| client.has_news());
    assert_eq!(ended.count(), PORTS);
    inside.echoes.push(echo(&inside.namespace, "127.0.0.1:7002"));
    let one_more = inside.connect();
    one_more.ping(b"hello");
    drop((clients, one_too_many, one_more));
    let books = inside.end();
    assert!(books.codes()["PC"] >= 1, "{:?}", books.codes());
    books.assert_codes(&["PC", "CD", "UD"]);
    let line = books.ledger.iter().find(|line| line["end"] == "PC").expect("there is one");
    assert!(line["attempts"].as_u64() >= Some(2) && line["by"] == "proxy" && line["how"] == "port", "{line}");
}

/// Nobody listens on the only port that connections come from: a connect to it succeeds, with itself.
#[test]
fn self_connect() {
    const DEAD: &str = "127.0.0.1:40001";
    if Namespace::new().is_none() {
        return;
    }
    everywhere(|way| {
        let Some(mut inside) = Inside::new(way, "40001 40001", DEAD, &[]) else { return };
        let trap = inside.namespace.enter(|| TcpStream::connect(DEAD));
        let trap = trap.expect("the kernel connects a socket to itself");
        assert_eq!(trap.local_addr().ok(), trap.peer_addr().ok());
        drop(trap);
        for _ in 0..10 {
            let client = inside.connect();
            client.ping(b"hello");
            client.finish();
            client.expect_end();
        }
        let report = inside.proxy.report_now();
        assert!(total(&report, "connects_failed") > 0, "it was never tried");
        // It would look as if it worked: what connects to itself echoes.
        assert_eq!(report["upstreams"][0]["connected"], 0);
        inside.end().assert_codes(&["CD"]);
    });
}

/// A proxy in a namespace with few ports, listening on a unix socket, so that clients need none; to an upstream by
/// TCP and another that is an echo server. The first is an echo server, too, unless nobody can be there.
struct Inside {
    proxy: Server,
    ledger: Ledger,
    namespace: Namespace,
    echoes: Vec<Server>,
    target: Target,
    _folder: TempDir,
}

impl Inside {
    fn new(way: Way, ports: &str, first: &str, arguments: &[&str]) -> Option<Self> {
        let namespace = Namespace::new()?;
        namespace.set("ipv4/ip_local_port_range", ports);
        let (folder, ledger) = (TempDir::new(), Ledger::new());
        let is_dead = first.ends_with(":40001");
        let by_tcp = "127.0.0.1:7002".to_owned();
        let second = if is_dead { format!("unix:{}", folder.file("echo")) } else { by_tcp };
        let mut echoes = vec![echo(&namespace, &second)];
        if !is_dead {
            echoes.push(echo(&namespace, first));
        }
        let weighted = if is_dead { first.to_owned() } else { format!("{first}=15") };
        let (listen, file) = (format!("unix:{}", folder.file("proxy")), ledger.file());
        let common = ["proxy", "--listen", &listen, "--report", "json", "--workers", "1"];
        let upstreams = ["--balance", "round-robin", "--upstream", &weighted, "--upstream", &second];
        let flags =
            [&common[..], &upstreams, &way.arguments(), &Ledger::arguments(&file), arguments].concat();
        let proxy = Server::start_with(namespace.evenkeel(), &flags);
        let target = Target::parse(&proxy.listening()[0]);
        Some(Self { proxy, ledger, namespace, echoes, target, _folder: folder })
    }

    fn connect(&self) -> Client {
        Client::connect(&self.target)
    }

    fn end(self) -> Books {
        let books = Books::close(self.proxy, &self.ledger);
        self.echoes.into_iter().for_each(|echo| drop(echo.report()));
        books
    }
}

fn echo(namespace: &Namespace, address: &str) -> Server {
    let arguments = ["echo", "--listen", address, "--report", "json", "--workers", "1"];
    Server::start_with(namespace.evenkeel(), &arguments)
}

/// A proxy that is its own upstream isn't started.
#[test]
fn own_listener() {
    let free = address_of(&listen("127.0.0.1:0")).port();
    let one = format!("127.0.0.1:{free}");
    for (at, to) in [(&one, &one), (&format!("0.0.0.0:{free}"), &one), (&one, &format!("localhost:{free}"))] {
        let output = support::run(&["proxy", "--listen", at, "--upstream", to]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{at} to {to}: {stderr}");
        assert!(stderr.contains(&free.to_string()) && stderr.lines().count() == 1, "{stderr}");
    }
    let folder = TempDir::new();
    let path = format!("unix:{}", folder.file("proxy"));
    let output = support::run(&["proxy", "--listen", &path, "--upstream", &path]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(fs::read_dir(folder.path()).expect("it is ours").count(), 0, "nothing is bound");
}

/// A client that has said all it has to say and waits for its answer: its FIN doesn't stop a second attempt.
#[test]
fn fin_while_connecting() {
    const CLIENTS: usize = 6;
    everywhere(|way| {
        let (hole, upstream) = (BlackHole::new(), listen("127.0.0.1:0"));
        let upstreams = [hole.address(), address_of(&upstream).to_string()];
        let flags = ["--balance", "round-robin", "--connect-timeout", "150ms"];
        let site = Site::before(upstream, &upstreams, way, &flags);
        let ask = |_| {
            let client = site.connect();
            client.send(b"question");
            client.finish();
            client
        };
        let clients: Vec<_> = (0..CLIENTS).map(ask).collect();
        for _ in 0..CLIENTS {
            let upstream = site.accept();
            upstream.expect(b"question");
            upstream.expect_end();
            upstream.send(b"answer");
        }
        for client in &clients {
            client.expect(b"answer");
            client.expect_end();
        }
        drop(clients);
        let books = site.end();
        books.assert_codes(&["CW"]);
        let again = books.ledger.iter().filter(|line| line["attempts"] == 2).count();
        assert!(again > 0, "nobody met the dead upstream first");
        assert_eq!(total(&books.report, "connects_failed"), again as u64);
    });
}

/// A client that is gone, on the other hand, needs no upstream any more; unless it has left something for it.
#[test]
fn rst_while_connecting() {
    const SILENT: usize = 3;
    const QUESTIONS: usize = 2;
    everywhere(|way| {
        let hole = BlackHole::new();
        let flags = ["--connect-timeout", "1h", "--connect-total-timeout", "1h"];
        let site = Site::before(listen("127.0.0.1:0"), &[hole.address()], way, &flags);
        let clients: Vec<_> = (0..SILENT + QUESTIONS).map(|_| site.connect()).collect();
        for (number, client) in clients.into_iter().enumerate() {
            if number >= SILENT {
                client.send(b"question");
                client.flush();
            }
            client.reset();
        }
        let lines = site.ledger_of(SILENT);
        assert!(lines.iter().all(|line| line["end"] == "cC"), "{lines:?}");
        hole.open();
        let mut asked = 0;
        while asked < QUESTIONS {
            let (upstream, from) = hole.listener.accept().expect("it listens");
            let upstream = Client::from(upstream);
            // Besides, it had let in one or another of those that are gone.
            if !hole.is_filler(from) && upstream.receive(&mut [0; 8]) == Ok(8) {
                upstream.expect_reset();
                asked += 1;
            }
        }
        let books = site.end();
        books.assert_codes(&["cC", "cW"]);
        assert_eq!(books.codes()["cC"], SILENT);
    });
}
