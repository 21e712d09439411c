//! A proxy whose upstream the test plays itself, so that it has both ends of each session in its hands.

use std::{
    collections::BTreeMap,
    fmt, fs,
    net::{SocketAddr, TcpListener},
    panic::{self, AssertUnwindSafe},
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

use evenkeel::{Trigger, config::Forward};
use rustix::{net::sockopt, process::Signal};
use serde_json::Value;

use super::{
    PATIENCE, Server, TempDir,
    client::{Client, Pattern, Sent, Target, narrow},
    evenkeel, eventually,
    namespace::Namespace,
    total,
};

/// One way to run a proxy.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    pub forward: Forward,
    pub trigger: Trigger,
}

/// A defect may make each way wait for its timeouts: after so many failures the rest is left out.
const FAILURES_MAX: usize = 3;

impl Way {
    /// The default one.
    pub const DEFAULT: Self = Self { forward: Forward::Auto, trigger: Trigger::Edge };

    /// Every forwarder with every trigger.
    pub fn all() -> Vec<Self> {
        let triggers = |&forward| Trigger::ALL.iter().map(move |&trigger| Self { forward, trigger });
        Forward::ALL.iter().flat_map(triggers).collect()
    }

    /// Every forwarder with edge triggers.
    pub fn forwarders() -> Vec<Self> {
        Forward::ALL.iter().map(|&forward| Self { forward, ..Self::DEFAULT }).collect()
    }

    /// As flags.
    pub fn arguments(&self) -> [&'static str; 4] {
        ["--forward", self.forward.name(), "--trigger", self.trigger.name()]
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arguments().join(" "))
    }
}

/// Does something in every way, and says in which it failed.
pub fn everywhere(run: impl Fn(Way)) {
    for_each(&Way::all(), run);
}

/// The same in these ways.
pub fn for_each<T: Copy + fmt::Display>(ways: &[T], run: impl Fn(T)) {
    let mut failed = Vec::new();
    for &way in ways {
        if panic::catch_unwind(AssertUnwindSafe(|| run(way))).is_err() {
            failed.push(way.to_string());
        }
        if failed.len() >= FAILURES_MAX {
            break;
        }
    }
    assert!(failed.is_empty(), "failed with:\n{}", failed.join("\n"));
}

/// A running proxy before one upstream that the test plays, and its close ledger.
pub struct Site {
    pub proxy: Server,
    pub upstream: TcpListener,
    pub target: Target,
    ledger: Ledger,
    /// The sockets that it had before any client came.
    sockets: Vec<String>,
}

/// What is left of a site.
pub struct Books {
    pub report: Value,
    /// The close ledger, a line a session.
    pub ledger: Vec<Value>,
}

/// The file that a proxy writes its close ledger to.
pub struct Ledger {
    folder: TempDir,
}

impl Site {
    /// Two workers, this way, with more arguments.
    pub fn start(way: Way, arguments: &[&str]) -> Self {
        let upstream = listen("127.0.0.1:0");
        let address = address_of(&upstream).to_string();
        Self::before(upstream, &[address], way, arguments)
    }

    /// With all upstreams named; `upstream` is the one that [`Self::pair`] expects sessions at.
    pub fn before(upstream: TcpListener, upstreams: &[String], way: Way, arguments: &[&str]) -> Self {
        let ledger = Ledger::new();
        let common = ["--workers", "2"];
        let flags = [&common[..], &way.arguments(), arguments].concat();
        let file = ledger.file();
        let proxy = Server::proxy(upstreams, &[&flags[..], &Ledger::arguments(&file)].concat());
        Self::of(proxy, upstream, ledger)
    }

    /// The same within a network namespace, if there is one: clients have to connect in it.
    pub fn start_in(namespace: Option<&Namespace>, way: Way, arguments: &[&str]) -> Self {
        let Some(namespace) = namespace else { return Self::start(way, arguments) };
        let upstream = namespace.enter(|| listen("127.0.0.1:0"));
        let (address, ledger) = (address_of(&upstream).to_string(), Ledger::new());
        let file = ledger.file();
        let listen = ["proxy", "--listen", "127.0.0.1:0", "--report", "json", "--workers", "2"];
        let to = ["--upstream", &address];
        let flags = [&listen[..], &to, &way.arguments(), &Ledger::arguments(&file), arguments].concat();
        Self::of(Server::start_with(namespace.evenkeel(), &flags), upstream, ledger)
    }

    /// With this configuration of one service at one address; `upstream` is the one that [`Self::pair`] expects
    /// sessions at.
    pub fn run(upstream: TcpListener, config: &str, arguments: &[&str]) -> Self {
        let ledger = Ledger::new();
        let (config_file, file) = (ledger.folder.file("proxy.toml"), ledger.file());
        fs::write(&config_file, config).expect("a folder of this test's own");
        let common = ["run", &config_file, "--report", "json", "--workers", "2"];
        let flags = [&common[..], &Ledger::arguments(&file), arguments].concat();
        Self::of(Server::start_for(evenkeel(), &flags, 1), upstream, ledger)
    }

    /// Around a proxy that runs and writes this ledger.
    pub fn of(mut proxy: Server, upstream: TcpListener, ledger: Ledger) -> Self {
        // Once it has answered a signal, it has all the descriptors that it needs.
        proxy.report_now();
        let sockets = proxy.open_sockets();
        let target = Target::parse(&proxy.listening()[0]);
        Self { proxy, upstream, target, ledger, sockets }
    }

    pub fn connect(&self) -> Client {
        Client::connect(&self.target)
    }

    /// Both ends of a new session: the client's and the upstream's.
    pub fn pair(&self) -> (Client, Client) {
        let client = self.connect();
        (client, self.accept())
    }

    /// The same, of which the proxy knows that it is one: a connection that its upstream resets before counts as
    /// one that failed, and another is made.
    pub fn acquainted_pair(&self) -> (Client, Client) {
        let (client, upstream) = self.pair();
        client.send(b"?");
        upstream.expect(b"?");
        (client, upstream)
    }

    /// The same with small socket buffers at both ends, so that what the proxy holds is soon all that there is.
    pub fn narrow_pair(&self) -> (Client, Client) {
        narrow(&self.upstream);
        let client = Client::connect_narrow(&self.target);
        (client, self.accept())
    }

    /// The upstream's end of the next session.
    pub fn accept(&self) -> Client {
        Client::accept(&self.upstream)
    }

    /// Does something while the proxy stands still, so that it finds the whole of it when it goes on.
    pub fn while_frozen<T>(&self, act: impl FnOnce() -> T) -> T {
        self.proxy.freeze();
        let done = act();
        self.proxy.thaw();
        done
    }

    /// What the ledger says so far.
    pub fn ledger(&self) -> Vec<Value> {
        self.ledger.lines()
    }

    /// Waits until the ledger has so many lines.
    pub fn ledger_of(&self, sessions: usize) -> Vec<Value> {
        eventually("each session has its line in the ledger", || {
            Some(self.ledger()).filter(|lines| lines.len() >= sessions)
        })
    }

    /// Waits until no session is left: neither a socket nor a count of one.
    pub fn forget(&mut self) -> Value {
        let deadline = Instant::now() + PATIENCE;
        while self.proxy.open_sockets() != self.sockets {
            assert!(
                Instant::now() < deadline,
                "sockets of sessions are left:\n{}",
                self.proxy.sockets_left(&self.sockets)
            );
            thread::sleep(Duration::from_millis(2));
        }
        let report = self.proxy.report_now();
        assert_eq!(total(&report, "active"), 0);
        report
    }

    /// Whether it has a socket of a session.
    pub fn has_sessions(&self) -> bool {
        self.proxy.open_sockets().iter().any(|socket| !self.sockets.contains(socket))
    }

    /// Waits until its listeners are closed. Not by a connect: one that it still took would be a session.
    pub fn until_closed(&self) {
        eventually("the listeners are closed", || {
            let is_open = self.proxy.open_sockets().iter().any(|socket| self.sockets.contains(socket));
            (!is_open).then_some(())
        });
    }

    /// SIGTERM, then [`Self::wait`].
    pub fn stop(self) -> Books {
        self.proxy.signal(Signal::TERM);
        self.wait()
    }

    /// Of a proxy that was told to end.
    pub fn wait(self) -> Books {
        Books::of(self.proxy.wait().report(), &self.ledger)
    }

    /// All sessions have ended: nothing of them is left behind, and report and ledger agree on them.
    pub fn end(mut self) -> Books {
        self.forget();
        let Self { proxy, ledger, .. } = self;
        Books::close(proxy, &ledger)
    }
}

impl Ledger {
    pub fn new() -> Self {
        Self { folder: TempDir::new() }
    }

    /// Its path, as an argument.
    pub fn file(&self) -> String {
        self.folder.file("ledger")
    }

    /// The flags for it.
    pub fn arguments(file: &str) -> [&str; 4] {
        ["--access-log", file, "--log-format", "json"]
    }

    /// Its whole lines.
    pub fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.file()).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("the ledger: {error}: {line}"))
        };
        whole.lines().map(parse).collect()
    }
}

impl Books {
    /// Stops a proxy; its last report must agree with its ledger.
    pub fn close(proxy: Server, ledger: &Ledger) -> Self {
        Self::of(proxy.report(), ledger)
    }

    /// Of a proxy that has ended.
    pub fn of(report: Value, ledger: &Ledger) -> Self {
        let books = Self { report, ledger: ledger.lines() };
        assert_eq!(total(&books.report, "active"), 0);
        assert_eq!(total(&books.report, "ledger_dropped"), 0);
        assert_eq!(total(&books.report, "accepted"), books.ledger.len() as u64, "a line a session");
        let ends: BTreeMap<String, usize> =
            serde_json::from_value(books.report["ends"].clone()).expect("ends are counts by code");
        let ends: BTreeMap<_, _> = ends.into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(ends, books.codes(), "the report's ends, the ledger's");
        books
    }

    /// How many sessions ended with which code.
    pub fn codes(&self) -> BTreeMap<String, usize> {
        let mut codes = BTreeMap::new();
        for line in &self.ledger {
            let code = line["end"].as_str().expect("each line has a code");
            *codes.entry(code.to_owned()).or_default() += 1;
        }
        codes
    }

    /// Each session ended with one of these codes.
    pub fn assert_codes(&self, allowed: &[&str]) {
        let codes = self.codes();
        assert!(codes.keys().all(|code| allowed.contains(&code.as_str())), "{codes:?}: {allowed:?}");
    }
}

/// A listener whose accept waits with [`PATIENCE`].
pub fn listen(address: &str) -> TcpListener {
    let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    // accept(2) heeds it as well.
    sockopt::set_socket_timeout(&listener, sockopt::Timeout::Recv, Some(PATIENCE))
        .expect("a positive timeout");
    listener
}

pub fn address_of(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("it is bound")
}

/// The bytes that streams are made of.
pub static PATTERN: LazyLock<Pattern> = LazyLock::new(|| Pattern::new(&mut fastrand::Rng::with_seed(7)));

/// Sends a part of the pattern's stream.
pub fn send_stream(client: &Client, mut offset: usize, len: usize) {
    let end = offset + len;
    while offset < end {
        let part = Pattern::PART_MAX.min(end - offset);
        client.send(PATTERN.at(offset, part));
        offset += part;
    }
}

/// Receives a part of the pattern's stream.
pub fn expect_stream(client: &Client, offset: usize, len: usize) {
    let mut buffer = vec![0; Pattern::PART_MAX];
    let mut received = 0;
    while received < len {
        let wanted = buffer.len().min(len - received);
        match client.receive(&mut buffer[..wanted]) {
            Ok(0) => panic!("FIN after {received} of {len} bytes"),
            Ok(more) => {
                let expected = PATTERN.at(offset + received, more);
                assert!(buffer[..more] == *expected, "wrong within {more} bytes after {received} of {len}");
                received += more;
            }
            Err(error) => panic!("{error} after {received} of {len} bytes"),
        }
    }
}

/// Sends the pattern's stream until for a while nothing more is taken, or `most` bytes; how many that were.
pub fn fill(client: &Client, most: usize) -> usize {
    const REFUSALS: usize = 25;
    const REFUSAL_PAUSE: Duration = Duration::from_millis(2);
    let (mut sent, mut refusals) = (0, 0);
    while sent < most && refusals < REFUSALS {
        match client.try_send(PATTERN.at(sent, Pattern::PART_MAX.min(most - sent))) {
            Sent::Bytes(more) => (sent, refusals) = (sent + more, 0),
            Sent::WouldBlock => {
                refusals += 1;
                thread::sleep(REFUSAL_PAUSE);
            }
        }
    }
    sent
}
