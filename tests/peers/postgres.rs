//! PostgreSQL: transactions, bulk loads, and cancelling, which takes a connection of its own.

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt},
    path::PathBuf,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::{
    front::{FORWARDERS, Front},
    peer::{Peer, assert_same, client, free_port, port, program, said},
    support::{TempDir, eventually},
};

/// Rows of about 170 bytes.
const ROWS: usize = 300_000;

#[test]
#[ignore = "needs postgresql and postgresql-contrib installed; run by .ci/run"]
fn pgbench_fails_in_nothing() {
    let postgres = Postgres::start();
    for over_unix in [false, true] {
        let (front, dir) = postgres.front(over_unix, "auto");
        let place = Place::of(&front.address());
        pgbench_and_check(&place, &postgres.place(), "10");
        front.finish();
        drop(dir);
    }
}

#[test]
#[ignore = "needs postgresql and postgresql-contrib installed; run by .ci/run"]
fn a_copy_out_and_in_again_is_the_same() {
    let postgres = Postgres::start();
    let direct = postgres.place();
    direct.sql(&format!(
        "CREATE TABLE large AS SELECT i, md5(i::text) AS a, repeat(md5((-i)::text), 4) AS b
         FROM generate_series(1, {ROWS}) AS i"
    ));
    direct.sql("CREATE TABLE again (LIKE large)");
    let dir = TempDir::new();
    let expected = dir.path().join("expected");
    fs::write(&expected, direct.sql(COPY_OUT)).expect("a folder of ours");

    for (forward, over_unix) in FORWARDERS.iter().flat_map(|forward| [(forward, false), (forward, true)]) {
        let (front, _dir) = postgres.front(over_unix, forward);
        let place = Place::of(&front.address());
        let mut out = place.psql(COPY_OUT).stdout(Stdio::piped()).spawn().expect("psql starts");
        assert_same(out.stdout.take().expect("stdout is a pipe"), &expected);
        assert!(out.wait().expect("it is our child").success(), "{forward}: psql complains");

        direct.sql("TRUNCATE again");
        said(place.psql("COPY again FROM STDIN").stdin(fs::File::open(&expected).expect("it was written")));
        let lost =
            "SELECT (SELECT count(*) FROM (TABLE large EXCEPT ALL TABLE again) AS lost), count(*) FROM again";
        assert_eq!(direct.sql(lost).trim(), format!("0|{ROWS}"), "{forward}");
        front.finish();
    }
}

#[test]
#[ignore = "needs postgresql and postgresql-contrib installed; run by .ci/run"]
fn a_statement_can_be_cancelled() {
    let postgres = Postgres::start();
    for over_unix in [false, true] {
        let (front, _dir) = postgres.front(over_unix, "auto");
        let place = Place::of(&front.address());
        let mut psql = place.psql("SELECT pg_sleep(170)");
        let child = psql.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("psql starts");
        let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        eventually("the statement runs", || (postgres.place().sql(sleeping).trim() == "1").then_some(()));
        kill_process(Pid::from_child(&child), Signal::INT).expect("it runs");
        let output = child.wait_with_output().expect("it is our child");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("canceling statement due to user request"), "{text}");
        // psql's session, and the request to cancel, which PostgreSQL ends.
        assert_eq!(front.finish().len(), 2);
    }
}

const COPY_OUT: &str = "COPY (SELECT * FROM large ORDER BY i) TO STDOUT";

/// Fresh tables, then `pgbench` with 8 clients: none fails, and the books balance when the server is asked
/// directly.
pub fn pgbench_and_check(through: &Place, direct: &Place, duration_s: &str) {
    said(through.command("pgbench").args(["--initialize", "--quiet"]));
    let text = said(through.command("pgbench").args(["--client", "8", "--time", duration_s]));
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{text}"));
        line.split_whitespace().next().unwrap_or_default().to_owned()
    };
    assert_eq!(value("number of failed transactions: "), "0", "{text}");
    let transactions = value("number of transactions actually processed: ");
    assert_ne!(transactions, "0");
    assert_eq!(direct.sql("SELECT count(*) FROM pgbench_history").trim(), transactions);
    let sums =
        "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history)
        AND (SELECT sum(bbalance) FROM pgbench_branches) = (SELECT sum(delta) FROM pgbench_history)";
    assert_eq!(direct.sql(sums).trim(), "t");
}

/// A PostgreSQL of a test's own. It lets in whoever comes by loopback.
pub struct Postgres {
    /// None while it is down.
    peer: Option<Peer>,
    pub tcp: String,
    dir: TempDir,
}

impl Postgres {
    pub fn start() -> Self {
        Self::start_at("127.0.0.1")
    }

    /// At this address of the loopback.
    pub fn start_at(host: &str) -> Self {
        let (dir, tcp) = (TempDir::new(), format!("{host}:{}", free_port(&[host])));
        let user = User::for_servers();
        let mut postgres = Self { peer: None, tcp, dir };
        let home = postgres.home();
        fs::create_dir(&home).expect("a folder of ours");
        user.own(&home);
        said(
            user.command("initdb")
                .args(["--auth=trust", "--username=postgres", "--no-sync", "--no-locale"])
                .arg(home.join("data")),
        );
        postgres.launch();
        postgres
    }

    /// Starts the server, for the first time or again.
    pub fn launch(&mut self) {
        let (home, log) = (self.home(), self.dir.path().join("log"));
        let (host, port) = self.tcp.rsplit_once(':').expect("HOST:PORT");
        let mut command = User::for_servers().command("postgres");
        command.arg("-D").arg(home.join("data")).args(["-h", host, "-p", port, "-F"]).arg("-k").arg(&home);
        let ready = "database system is ready to accept connections";
        self.peer = Some(Peer::start(command, &log, ready, Signal::INT));
    }

    /// All of it stands still, as on a machine that hangs: its kernel goes on, and nothing else.
    pub fn freeze(&self) {
        let peer = self.peer.as_ref().expect("it was launched");
        // First the one that begins others.
        peer.signal(Signal::STOP);
        for pid in peer.family() {
            // One that has ended by itself meanwhile is as still.
            let _ = kill_process(pid, Signal::STOP);
        }
    }

    /// Ends it at once, as a power cut does.
    pub fn kill(&mut self) {
        let peer = self.peer.take().expect("it was launched");
        let family = peer.family();
        peer.kill();
        // Those that it had begun keep its memory, beside which no other may start.
        for &pid in &family[1..] {
            let _ = kill_process(pid, Signal::KILL);
        }
        eventually("all of it has ended", || family.iter().all(|&pid| has_ended(pid)).then_some(()));
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("pg")
    }

    /// A proxy before it, by TCP or by unix sockets on both sides.
    fn front(&self, over_unix: bool, forward: &str) -> (Front, TempDir) {
        let dir = TempDir::new();
        let front = if over_unix {
            let listen = format!("unix:{}", dir.file(".s.PGSQL.5432"));
            let upstream = format!("unix:{}", self.dir.file(&format!("pg/.s.PGSQL.{}", port(&self.tcp))));
            Front::start(&listen, &upstream, forward, &dir)
        } else {
            Front::start("127.0.0.1:0", &self.tcp, forward, &dir)
        };
        (front, dir)
    }

    /// Itself, without a proxy.
    pub fn place(&self) -> Place {
        Place::of(&self.tcp)
    }
}

/// Whether a process is no more, or no more than an entry that its parent hasn't read yet.
fn has_ended(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_none_or(|rest| rest.is_empty() || rest.starts_with(" Z") || rest.starts_with(" X"))
}

/// Where PostgreSQL's clients connect to.
pub struct Place {
    host: String,
    port: String,
}

impl Place {
    /// Clients make a unix socket's name of its folder and a port.
    pub fn of(address: &str) -> Self {
        let (host, port) = match address.strip_prefix("unix:") {
            Some(path) => path.split_once("/.s.PGSQL.").expect("a name that clients find"),
            None => address.rsplit_once(':').expect("HOST:PORT"),
        };
        Self { host: host.to_owned(), port: port.to_owned() }
    }

    /// What a statement answers.
    pub fn sql(&self, statement: &str) -> String {
        said(&mut self.psql(statement))
    }

    fn psql(&self, statement: &str) -> Command {
        let mut psql = self.command("psql");
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"]);
        psql.args(["--command", statement]);
        psql
    }

    pub fn command(&self, name: &str) -> Command {
        let mut command = client(name, "postgresql and postgresql-contrib");
        command.args(["--host", &self.host, "--port", &self.port, "--username", "postgres"]);
        command.env("PGDATABASE", "postgres");
        command
    }
}

/// Who runs the server: PostgreSQL refuses to be root.
struct User(Option<(u32, u32)>);

impl User {
    fn for_servers() -> Self {
        let id = |flag| said(Command::new("id").args([flag, "postgres"])).trim().parse().expect("a number");
        Self(geteuid().is_root().then(|| (id("-u"), id("-g"))))
    }

    fn own(&self, folder: &PathBuf) {
        if let Some((user, group)) = self.0 {
            chown(folder, Some(user), Some(group)).expect("root may give it away");
        }
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program(name, "postgresql"));
        // The folder that the tests run in may be closed to it.
        command.current_dir("/");
        if let Some((user, group)) = self.0 {
            command.uid(user).gid(group);
        }
        command
    }
}
