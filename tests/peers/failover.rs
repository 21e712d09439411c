//! PostgreSQL that hangs, is started again, or hands over to another: sessions on a server that is down are closed, and
//! who connects anew gets one that works.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crate::{
    examples,
    front::{Front, ended_by},
    peer::{free_port, said},
    postgres::{Place, Postgres, pgbench_and_check},
    support::{PATIENCE, TempDir, eventually},
};

const CLIENTS: usize = 8;

/// PostgreSQL's first question to whoever wants in as `health`, in the form that flags take, and how its answer
/// begins, whatever it asks for.
const CHECK: [&str; 4] = [
    "--health-send",
    r"\x00\x00\x00\x27\x00\x03\x00\x00user\x00health\x00database\x00postgres\x00\x00",
    "--health-expect",
    r"R\x00\x00\x00",
];

/// The machine doesn't answer any more, and no FIN or RST tells of it. Without `on_down` clients would wait for it.
#[test]
#[ignore = "needs postgresql and postgresql-contrib installed; run by .ci/run"]
fn pgbench_goes_on_after_its_server_has_hung() {
    let (mut postgres, dir) = (Postgres::start(), TempDir::new());
    postgres.place().sql("CREATE ROLE health LOGIN");
    let often = ["--health-interval", "200ms", "--health-timeout", "1s", "--health-rise", "1"];
    let flags = [&often[..], &CHECK, &["--health-on-down", "close"]].concat();
    let mut front = Front::start_with("127.0.0.1:0", &postgres.tcp, "auto", &dir, &flags);
    let through = Place::of(&front.address());
    pgbench_and_check(&through, &postgres.place(), "2");
    let running = begin_pgbench(&through, &postgres.place());

    postgres.freeze();
    let output = running.wait_with_output().expect("it is our child");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "its server hangs: {words}");
    until_state(&mut front, 0, "down");

    postgres.kill();
    postgres.launch();
    until_state(&mut front, 0, "up");
    pgbench_and_check(&through, &postgres.place(), "2");
    // Each transaction by a connection of its own.
    said(through.command("pgbench").args(["--connect", "--client", "4", "--time", "2"]));
    let ledger = front.finish_but_for(&["XD"]);
    assert_eq!(ended_by(&ledger, "XD"), CLIENTS, "those that ran when it hung, and no others");
    let mut closed = ledger.iter().filter(|line| line["end"] == "XD");
    assert!(closed.all(|line| line["by"] == "proxy" && line["how"] == "down"));
}

/// What a cluster manager says decides: the old primary still runs, and still has its sessions.
#[test]
#[ignore = "needs postgresql and postgresql-contrib installed; run by .ci/run"]
fn the_failover_example_follows_the_primary() {
    let hosts = ["127.0.0.11", "127.0.0.12"];
    let servers = hosts.map(Postgres::start_at);
    for (server, name) in servers.iter().zip(["old", "new"]) {
        server.place().sql(&format!("CREATE ROLE health LOGIN; CREATE TABLE me AS SELECT '{name}' AS name"));
    }
    let rest = free_port(&hosts);
    let agents = hosts.map(|host| Agent::start(host, rest));
    agents[0].is_primary.store(true, Ordering::Relaxed);
    let dir = TempDir::new();
    let mut front = examples::front(
        "failover",
        &dir,
        &[
            ("127.0.0.1:6432", "127.0.0.1:0"),
            ("127.0.0.1:6433", "127.0.0.1:0"),
            ("10.0.0.1:5432", &servers[0].tcp),
            ("10.0.0.2:5432", &servers[1].tcp),
            ("port = 8008", &format!("port = {rest}")),
        ],
    );
    let [primary, replicas] =
        <[String; 2]>::try_from(front.server.listening()).expect("two services").map(|at| Place::of(&at));
    until_state(&mut front, 1, "down");
    let who = |place: &Place| place.sql("SELECT name FROM me").trim().to_owned();
    assert_eq!([who(&primary), who(&primary)], ["old", "old"]);
    said(primary.command("pgbench").args(["--initialize", "--quiet"]));
    let running = begin_pgbench(&primary, &servers[0].place());

    // Nobody is the primary for a while.
    agents[0].is_primary.store(false, Ordering::Relaxed);
    let output = running.wait_with_output().expect("it is our child");
    assert!(!output.status.success(), "the server that it was connected to is the primary no more");
    agents[1].is_primary.store(true, Ordering::Relaxed);
    until_state(&mut front, 1, "up");
    assert_eq!(who(&primary), "new");

    // Any may be read from, by the answer of PostgreSQL itself.
    let read: Vec<_> = (0..20).map(|_| who(&replicas)).collect();
    assert!(read.contains(&"old".to_owned()) && read.contains(&"new".to_owned()), "{read:?}");
    let ledger = front.finish_but_for(&["XD"]);
    assert_eq!(ended_by(&ledger, "XD"), CLIENTS);
}

/// A pgbench without end, whose clients have all been served.
fn begin_pgbench(through: &Place, direct: &Place) -> Child {
    let (clients, mut pgbench) = (CLIENTS.to_string(), through.command("pgbench"));
    pgbench.args(["--client", &clients, "--time", "3600"]).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = pgbench.spawn().expect("pgbench starts");
    let at_work = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench' AND query <> ''";
    eventually("all its clients are at work", || (direct.sql(at_work).trim() == clients).then_some(()));
    child
}

/// Waits until a member has this state, by its place in the report.
fn until_state(front: &mut Front, member: usize, state: &str) {
    eventually(&format!("member {member} is {state}"), || {
        (front.server.report_now()["upstreams"][member]["state"] == state).then_some(())
    });
}

/// What a cluster manager such as Patroni runs beside each server: 200 on the primary, 503 elsewhere.
struct Agent {
    is_primary: Arc<AtomicBool>,
}

impl Agent {
    /// It serves as long as the tests run.
    fn start(host: &str, port: u16) -> Self {
        let listener = TcpListener::bind((host, port)).expect("the port is free");
        let is_primary = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_primary);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let status = if told.load(Ordering::Relaxed) { "200 OK" } else { "503 Service Unavailable" };
                answer(stream, status);
            }
        });
        Self { is_primary }
    }
}

/// One request, one answer. Who leaves before it is there has seen enough.
fn answer(mut stream: TcpStream, status: &str) {
    stream.set_read_timeout(Some(PATIENCE)).expect("a positive timeout");
    let (mut request, mut piece) = (Vec::new(), [0; 1024]);
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(len) => request.extend(&piece[..len]),
        }
    }
    assert!(request.starts_with(b"GET /primary HTTP/1.0\r\n"), "{}", String::from_utf8_lossy(&request));
    let _ = write!(stream, "HTTP/1.0 {status}\r\nContent-Length: 0\r\n\r\n");
}
