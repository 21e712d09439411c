//! Thousands of sessions that do nothing: what they cost, and that they don't stay for ever.

use std::sync::{Mutex, MutexGuard};

use evenkeel::{Trigger, sys::limits};
use rustix::process::Signal;

use crate::support::{
    Server,
    client::{Client, Target},
    eventually,
    proxy::{Books, Ledger, Way, for_each},
    skip, total,
};

/// Sessions: two descriptors each in the proxy, which may have 20,000 on a common machine.
const SESSIONS: usize = 8_000;
/// Descriptors that a process needs besides those of its connections.
const SPARE: u64 = 200;
/// What a session may cost beside its sockets, in bytes.
const SESSION_BYTES_MAX: u64 = 400;

/// An echo server, a proxy before it, and clients: three processes, as one could not hold all their descriptors.
struct Crowd {
    echo: Server,
    proxy: Server,
    ledger: Ledger,
    target: Target,
    /// One such crowd at a time fits a machine.
    _alone: MutexGuard<'static, ()>,
}

impl Crowd {
    /// `None`, and said why, where the limit of descriptors is too low.
    fn start(way: Way, flags: &[&str]) -> Option<Self> {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let allowed = limits::raise_descriptors();
        let needed = 2 * SESSIONS as u64 + SPARE;
        if allowed < needed {
            skip(&format!("{SESSIONS} sessions need a hard limit of {needed} descriptors, not {allowed}"));
            return None;
        }
        let (echo, ledger) = (Server::start(&["--workers", "2"]), Ledger::new());
        let file = ledger.file();
        let flags = [&["--workers", "2"][..], &way.arguments(), &Ledger::arguments(&file), flags].concat();
        let proxy = Server::proxy(&[echo.address().to_string()], &flags);
        let target = Target::parse(&proxy.listening()[0]);
        Some(Self { echo, proxy, ledger, target, _alone: alone })
    }

    /// Clients that have had their word back and will say nothing more.
    fn clients(&self, count: usize) -> Vec<Client> {
        let come = |_| {
            let client = Client::connect(&self.target);
            client.ping(b"hello");
            client
        };
        (0..count).map(come).collect()
    }
}

#[test]
fn an_idle_session_costs_little() {
    let ways = [Trigger::Edge, Trigger::Level].map(|trigger| Way { trigger, ..Way::DEFAULT });
    for_each(&ways, |way| {
        let Some(crowd) = Crowd::start(way, &[]) else { return };
        // What is needed once is there when a few have come and spoken.
        let few = crowd.clients(50);
        let before = crowd.proxy.memory();
        let many = crowd.clients(SESSIONS - few.len());
        let grown = crowd.proxy.memory().saturating_sub(before);
        let each = grown / many.len() as u64;
        assert!(each < SESSION_BYTES_MAX, "{each} bytes for each session");
        println!("{way}: {each} bytes for each session");
        crowd.proxy.settle();
        let sleeps = crowd.proxy.sleeps();
        std::thread::sleep(std::time::Duration::from_secs(1));
        let wakeups = crowd.proxy.sleeps() - sleeps;
        // The ledger's writer and each worker's clock may look up now and then.
        assert!(wakeups <= 50, "{wakeups} wakeups for nothing");
        drop((few, many));
        Books::close(crowd.proxy, &crowd.ledger).assert_codes(&["CD"]);
        crowd.echo.report();
    });
}

/// The upstream has said its last word to thousands of clients who keep silent and stay: they are reaped.
#[test]
fn half_closed_and_silent_sessions_are_reaped() {
    let Some(mut crowd) = Crowd::start(Way::DEFAULT, &["--half-closed-timeout", "2s"]) else { return };
    let before = crowd.proxy.open_sockets().len();
    let clients = crowd.clients(SESSIONS);
    assert_eq!(total(&crowd.proxy.report_now(), "active"), SESSIONS as u64);
    // It ends each of its streams, and is gone.
    crowd.echo.signal(Signal::TERM);
    clients.iter().for_each(Client::expect_end);
    eventually("all are reaped", || (total(&crowd.proxy.report_now(), "active") == 0).then_some(()));
    assert_eq!(crowd.proxy.open_sockets().len(), before);
    let report = crowd.proxy.report_now();
    let upstream = &report["upstreams"][0];
    assert_eq!((&upstream["active"], &upstream["connected"]), (&0.into(), &SESSIONS.into()));
    assert_eq!(report["totals"]["errors"]["timeout"], SESSIONS);
    drop(clients);
    let books = Books::close(crowd.proxy, &crowd.ledger);
    books.assert_codes(&["TH"]);
    assert_eq!(books.ledger.len(), SESSIONS);
    crowd.echo.wait().report();
}
