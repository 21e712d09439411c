//! What becomes of sessions when members go down and come back.

use serde_json::Value;

use crate::{
    played::{Listening, Nurse, greeted, greeter, listeners, shares, until},
    support::{
        Server,
        client::{Client, End, Target},
        eventually,
        proxy::{Books, Ledger},
    },
};

/// A proxy before members whose checks are answered as the test says.
struct Pool<const N: usize> {
    proxy: Server,
    nurses: [Nurse; N],
    ledger: Ledger,
    target: Target,
    _listening: Vec<Listening>,
}

impl<const N: usize> Pool<N> {
    /// All members are well, and their first checks have passed.
    fn start(flags: &[&str]) -> Self {
        Self::start_as(&[false; N], flags)
    }

    /// Some of them are backups.
    fn start_as(backups: &[bool; N], flags: &[&str]) -> Self {
        let nurses: [Nurse; N] = std::array::from_fn(|_| Nurse::default());
        let (mut listening, mut arguments, mut port) = (Vec::new(), Vec::new(), 0);
        for (number, (listener, checked)) in listeners(N as u8).into_iter().enumerate() {
            nurses[number].always(200);
            let (sessions, checks) = (greeter(listener, number as u8), nurses[number].serve(checked));
            port = checks.address.port();
            arguments.push(if backups[number] { "--backup" } else { "--upstream" }.to_owned());
            arguments.push(sessions.address.to_string());
            listening.extend([sessions, checks]);
        }
        let (port, ledger) = (port.to_string(), Ledger::new());
        let file = ledger.file();
        let mut all: Vec<&str> = arguments.iter().map(String::as_str).collect();
        all.extend(["--health-http", "/", "--health-port", &port, "--health-interval", "20ms"]);
        all.extend(["--balance", "round-robin", "--workers", "1"]);
        all.extend(Ledger::arguments(&file));
        all.extend(flags);
        let mut proxy = Server::proxy(&[""; 0], &all);
        eventually("all have passed", || {
            let report = proxy.report_now();
            let upstreams = report["upstreams"].as_array().expect("they are an array");
            let passed = |upstream: &Value| upstream["checks_passed"].as_u64() >= Some(1);
            (upstreams.len() == N && upstreams.iter().all(passed)).then_some(())
        });
        let target = Target::parse(&proxy.listening()[0]);
        Self { proxy, nurses, ledger, target, _listening: listening }
    }

    /// Its checks are answered so, until it has that state.
    fn turn(&mut self, number: usize, status: u16, state: &str) {
        self.nurses[number].always(status);
        until(&mut self.proxy, &format!("127.0.0.{}:", 11 + number), state);
    }

    /// The code of each session that has ended, once there are so many.
    fn codes(&self, sessions: usize) -> Vec<String> {
        let lines = eventually("each session has its line", || {
            Some(self.ledger.lines()).filter(|lines| lines.len() >= sessions)
        });
        lines.iter().map(|line| line["end"].as_str().expect("each line has a code").to_owned()).collect()
    }
}

#[test]
fn sessions_go_where_it_is_well() {
    let mut pool = Pool::<3>::start(&[]);
    assert_eq!(shares::<3>(&pool.proxy, 30), [10, 10, 10]);
    pool.turn(1, 503, "down");
    assert_eq!(shares::<3>(&pool.proxy, 30), [15, 0, 15]);
    pool.turn(1, 200, "up");
    assert_eq!(shares::<3>(&pool.proxy, 30), [10, 10, 10]);
}

/// Unlike an ejection, which is a guess, checks may take the last one out.
#[test]
fn where_all_are_down_nobody_is_served_until_one_is_back() {
    let mut pool = Pool::<2>::start(&[]);
    pool.turn(0, 503, "down");
    pool.turn(1, 503, "down");
    assert_eq!(greeted(&Client::connect(&pool.target)), None);
    assert_eq!(pool.codes(1), ["FC"]);
    pool.turn(1, 200, "up");
    assert_eq!(shares::<2>(&pool.proxy, 4), [0, 4]);
}

#[test]
fn sessions_of_who_went_down_are_cut_where_that_is_asked_for() {
    let mut pool = Pool::<2>::start(&["--health-on-down", "close"]);
    let clients: Vec<Client> = (0..4).map(|_| Client::connect(&pool.target)).collect();
    let numbers: Vec<u8> = clients.iter().map(|client| greeted(client).expect("all are well")).collect();
    pool.turn(0, 503, "down");
    for (client, number) in clients.iter().zip(&numbers).filter(|(_, number)| **number == 0) {
        assert_eq!(client.drain().1, End::Reset, "of member {number}");
    }
    assert_eq!(pool.codes(2), ["XD", "XD"]);
    let others: Vec<&Client> =
        clients.iter().zip(&numbers).filter(|(_, it)| **it == 1).map(|it| it.0).collect();
    assert!(others.len() == 2 && others.iter().all(|client| !client.has_news()), "the others go on");
    pool.turn(0, 200, "up");
    drop(clients);
    let Pool { proxy, ledger, .. } = pool;
    Books::close(proxy, &ledger).assert_codes(&["CD", "XD"]);
}

#[test]
fn else_they_go_on() {
    let mut pool = Pool::<1>::start(&[]);
    let client = Client::connect(&pool.target);
    assert_eq!(greeted(&client), Some(0));
    pool.turn(0, 503, "down");
    assert!(!client.has_news());
    drop(client);
    let Pool { proxy, ledger, .. } = pool;
    Books::close(proxy, &ledger).assert_codes(&["CD"]);
}

/// Of 400 sessions before two members 200 are its whole share, and a tenth of that comes by chance: 20, give or take 4.
/// A slow start of an hour is still at its beginning when they have all come.
#[test]
fn who_comes_back_begins_with_a_tenth_of_its_share() {
    let mut pool = Pool::<2>::start(&["--health-slow-start", "1h"]);
    assert_eq!(shares::<2>(&pool.proxy, 100), [50, 50], "who is there from the start has its whole share");
    pool.turn(1, 503, "down");
    pool.turn(1, 200, "up");
    let [_, back] = shares::<2>(&pool.proxy, 400);
    assert!((1..=45).contains(&back), "{back} of 400");
}

#[test]
fn backups_are_for_when_nobody_else_is_well() {
    let mut pool = Pool::<3>::start_as(&[false, false, true], &[]);
    assert_eq!(shares::<3>(&pool.proxy, 10), [5, 5, 0]);
    pool.turn(0, 503, "down");
    assert_eq!(shares::<3>(&pool.proxy, 10), [0, 10, 0]);
    pool.turn(1, 503, "down");
    assert_eq!(shares::<3>(&pool.proxy, 10), [0, 0, 10]);
    pool.turn(0, 200, "up");
    assert_eq!(shares::<3>(&pool.proxy, 10), [10, 0, 0]);
}
