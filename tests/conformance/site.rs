//! A server under test, and the books that its clients keep: its report must agree with them.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    client::{Client, Pattern, Target},
    support::{Server, assert_adds_up, eventually, total},
};

/// Servers that run at the same time. More would make each slower, not the suite faster.
const LANES: usize = 2;

/// A defect may make each combination wait for its timeouts: after so many failures the rest is left out.
const FAILURES_MAX: usize = 3;

/// A running server and what its clients did.
pub struct Site {
    pub server: Server,
    pub target: Target,
    pub pattern: Pattern,
    /// Bytes that an ordinary stream carries at most.
    pub volume: usize,
    pub books: Books,
    rng: Mutex<fastrand::Rng>,
    /// What it had open before any client came.
    sources: Vec<String>,
}

/// What clients did. What is doubtful may or may not have reached the server before the client was gone.
#[derive(Default)]
pub struct Books {
    pub connects: AtomicU64,
    pub bytes: AtomicU64,
    pub resets: AtomicU64,
    pub timeouts: AtomicU64,
    pub drain_cuts: AtomicU64,
    pub doubtful_connects: AtomicU64,
    pub doubtful_bytes: AtomicU64,
    pub doubtful_resets: AtomicU64,
}

impl Site {
    /// Starts `evenkeel echo` on a TCP port with these arguments.
    pub fn start(arguments: &[impl AsRef<str>], seed: u64) -> Self {
        let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        Self::of(Server::start(&arguments), seed)
    }

    /// Around a server that runs; clients go to its last address.
    pub fn of(server: Server, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let target = Target::parse(server.listening().last().expect("it listens"));
        let mut site = Self {
            server,
            target,
            pattern: Pattern::new(&mut rng),
            volume: 200 << 10,
            books: Books::default(),
            rng: Mutex::new(rng),
            sources: Vec::new(),
        };
        // Once it has answered a signal, it has all the descriptors that it needs.
        site.interim();
        site.sources = site.server.open_sources();
        site
    }

    pub fn connect(&self) -> Client {
        self.enter(&self.books.connects, 1);
        Client::connect(&self.target)
    }

    pub fn connect_narrow(&self) -> Client {
        self.enter(&self.books.connects, 1);
        Client::connect_narrow(&self.target)
    }

    /// A connection that is gone at once.
    pub fn connect_in_passing(&self) -> Client {
        self.enter(&self.books.doubtful_connects, 1);
        Client::connect(&self.target)
    }

    pub fn enter(&self, account: &AtomicU64, amount: usize) {
        account.fetch_add(amount as u64, Relaxed);
    }

    /// A source of random numbers for a scenario, from the site's seed.
    pub fn rng(&self) -> fastrand::Rng {
        self.rng.lock().expect("nobody panics with it").fork()
    }

    /// A report while it runs. It adds up at any time.
    pub fn interim(&mut self) -> Value {
        self.server.signal(Signal::USR1);
        let line = self.server.next_stdout_line();
        let report = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
        assert_adds_up(&report);
        report
    }

    /// Does something while the server stands still, so that it finds the whole of it when it goes on.
    pub fn while_frozen<T>(&self, act: impl FnOnce() -> T) -> T {
        self.server.freeze();
        let done = act();
        self.server.thaw();
        done
    }

    /// All clients have left: nothing of them is left behind, and the report says what they did.
    pub fn end(self) -> Value {
        eventually("every descriptor of a session is closed", || {
            (self.server.open_sources() == self.sources).then_some(())
        });
        self.server.signal(Signal::TERM);
        self.wait()
    }

    /// The report of a server that was told to end, or ends by itself, compared with the books.
    pub fn wait(self) -> Value {
        let report = self.server.wait().report();
        self.books.compare(&report);
        report
    }
}

impl Books {
    fn compare(&self, report: &Value) {
        let sure = |account: &AtomicU64| account.load(Relaxed);
        let between = |name: &str, count: u64, least: u64, doubtful: u64| {
            let range = least..=least + doubtful;
            let totals = &report["totals"];
            assert!(
                range.contains(&count),
                "{name}: {count} in the report, {range:?} by the clients: {totals}"
            );
        };
        let errors = &report["totals"]["errors"];
        let error = |name: &str| errors[name].as_u64().expect("a count");
        between("accepted", total(report, "accepted"), sure(&self.connects), sure(&self.doubtful_connects));
        between("resets", error("reset"), sure(&self.resets), sure(&self.doubtful_resets));
        between("timeouts", error("timeout"), sure(&self.timeouts), 0);
        between("drain_cut", total(report, "drain_cut"), sure(&self.drain_cuts), 0);
        assert_eq!(total(report, "active"), 0);
        for kind in ["fd_limit", "connect", "other"] {
            assert_eq!(error(kind), 0, "{errors}");
        }
        if report["config"]["measure"] == "off" {
            return;
        }
        let (bytes, doubtful) = (sure(&self.bytes), sure(&self.doubtful_bytes));
        let (bytes_in, bytes_out) = (total(report, "bytes_in"), total(report, "bytes_out"));
        between("bytes_in", bytes_in, bytes, doubtful);
        between("bytes_out", bytes_out, bytes, doubtful);
        // Every byte that was read was written, or is accounted for.
        assert_eq!(bytes_in, bytes_out + total(report, "bytes_undelivered"));
    }
}

/// The seed of this run: another one each time, or `EVENKEEL_SEED`.
pub fn seed() -> u64 {
    let text = std::env::var("EVENKEEL_SEED").ok();
    text.map_or_else(|| fastrand::u64(..), |text| text.parse().expect("EVENKEEL_SEED is a number"))
}

/// Runs something for each item, a few at a time, and says with which items and which seed it failed.
pub fn for_each<T: Sync + ToString>(items: &[T], run: impl Fn(usize, &T, u64) + Sync) {
    let (next, failed, seed) = (AtomicUsize::new(0), Mutex::new(Vec::new()), seed());
    let lock = || failed.lock().expect("nobody panics with it");
    let lane = || {
        while let Some((index, item)) = items.iter().enumerate().nth(next.fetch_add(1, Relaxed)) {
            let seed = seed.wrapping_add(index as u64);
            if panic::catch_unwind(AssertUnwindSafe(|| run(index, item, seed))).is_err() {
                lock().push(item.to_string());
            }
            if lock().len() >= FAILURES_MAX {
                break;
            }
        }
    };
    thread::scope(|scope| (0..LANES).for_each(|_| drop(scope.spawn(lane))));
    let failed = lock();
    assert!(failed.is_empty(), "failed with EVENKEEL_SEED={seed}:\n{}", failed.join("\n"));
}

/// The same for one: says with which seed it failed.
pub fn with_seed(run: impl Fn(u64) + Sync) {
    for_each(&[""], |_, _, seed| run(seed));
}
