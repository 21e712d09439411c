//! What becomes of sessions, and of those who come, when the standing of upstreams changes.
//!
//! The server runs in this process and the test itself sends the news: who finds it out, by checks or by DNS, doesn't
//! matter here.

use std::{any::Any, net::TcpListener, sync::Arc};

use evenkeel::{
    Options, Running, Server,
    config::{HealthOptions, OnDown, ProxyOptions, UpstreamOptions},
    control::site::Site,
    measure::ledger::Entry,
    runtime::mailbox::{Mailbox, mailbox},
    service::{Kind, Spec},
    upstream::{News, Roster, Standing, Target},
};

use crate::support::{
    client::{self, Client},
    eventually,
    proxy::{address_of, listen},
};

const WORKERS: usize = 2;

/// So many that no worker is likely to get none of them.
const CLIENTS: usize = 24;

/// A proxy in this process, before upstreams that the test plays.
struct Stage {
    running: Running,
    target: client::Target,
    upstreams: [TcpListener; 2],
    roster: Roster,
    ledger: Mailbox<Entry>,
}

impl Stage {
    fn start(on_down: OnDown) -> Self {
        let upstreams = [(); 2].map(|()| listen("127.0.0.1:0"));
        let places = upstreams.each_ref().map(|it| address_of(it).to_string());
        Self::before(upstreams, &places.each_ref().map(|place| &**place), on_down)
    }

    fn before(upstreams: [TcpListener; 2], places: &[&str], on_down: OnDown) -> Self {
        let place = |text: &&str| text.parse::<UpstreamOptions>().expect("an upstream");
        let proxy = ProxyOptions {
            upstreams: places.iter().map(place).collect(),
            health: HealthOptions { on_down, ..HealthOptions::default() },
            ..ProxyOptions::default()
        };
        let roster = Roster::resolve(&proxy).expect("addresses need no resolver");
        let listen = vec!["127.0.0.1:0".parse().expect("an address")];
        let spec = Spec { name: "db".into(), listen, kind: Kind::Proxy(proxy) };
        let options = Options { workers: Some(WORKERS), ..Options::default() };
        let site = Site::resolve(&[spec], &options).expect("it leads nowhere else");
        let server = Server::bind_all(options, &site.listens()).expect("a free port");
        let (sender, ledger) = mailbox().expect("an eventfd");
        let make = site.lone_proxy(WORKERS, &site.loads(WORKERS), Some(sender)).expect("it is alone");
        let running = server.start(make).expect("workers");
        let target = client::Target::parse(&running.served()[0].address.to_string());
        Self { running, target, upstreams, roster, ledger }
    }

    /// Changes the roster, and has every worker know.
    fn change(&mut self, change: impl FnOnce(&mut Roster)) {
        change(&mut self.roster);
        let news: Arc<dyn Any + Send + Sync> =
            Arc::new(News { service: 0, roster: Arc::new(self.roster.clone()) });
        assert_eq!(self.running.tell(&news), WORKERS);
        // Who answers this has read what came before.
        assert_eq!(self.running.snapshot().0.len(), WORKERS);
    }

    fn stand(&mut self, standings: [Standing; 2]) {
        self.change(|roster| {
            for (member, standing) in roster.members.iter_mut().zip(standings) {
                member.standing = standing;
            }
        });
    }

    fn connect(&self) -> Client {
        Client::connect(&self.target)
    }

    /// Both ends of a new session, which has to come to this upstream; each side has heard the other.
    fn pair(&self, upstream: usize) -> (Client, Client) {
        let client = self.connect();
        let upstream = Client::accept(&self.upstreams[upstream]);
        client.send(b"?");
        upstream.expect(b"?");
        upstream.send(b"!");
        client.expect(b"!");
        (client, upstream)
    }

    fn pairs(&self, upstream: usize) -> Vec<(Client, Client)> {
        (0..CLIENTS).map(|_| self.pair(upstream)).collect()
    }

    /// How the next session in the ledger has ended.
    fn next_end(&self) -> Entry {
        eventually("a session has ended", || self.ledger.receive())
    }

    fn next_code(&self) -> String {
        self.next_end().code.to_string()
    }
}

fn converse((client, upstream): &(Client, Client)) {
    client.send(b"question");
    upstream.expect(b"question");
    upstream.send(b"answer");
    client.expect(b"answer");
}

fn finish((client, upstream): (Client, Client)) {
    client.finish();
    upstream.expect_end();
    upstream.finish();
    client.expect_end();
}

#[test]
fn who_leaves_keeps_its_sessions_and_gets_no_more() {
    let mut stage = Stage::start(OnDown::Close);
    stage.stand([Standing::Up, Standing::Down]);
    let before = stage.pairs(0);
    stage.stand([Standing::Leaving, Standing::Up]);
    let after = stage.pairs(1);
    before.iter().chain(&after).for_each(converse);
    for pair in before.into_iter().chain(after) {
        finish(pair);
        assert_eq!(stage.next_code(), "CD");
    }
}

#[test]
fn news_reaches_every_worker() {
    let mut stage = Stage::start(OnDown::Keep);
    for round in 0..6 {
        let up = round % 2;
        let standing = |member| if member == up { Standing::Up } else { Standing::Down };
        stage.stand([standing(0), standing(1)]);
        // A worker that had missed it would send some of them to the other one, which nobody accepts from here.
        stage.pairs(up).into_iter().for_each(finish);
    }
    let (workers, _) = stage.running.snapshot();
    assert!(workers.iter().all(|worker| worker.counts.accepted > 0), "{CLIENTS} clients, all at one worker");
}

#[test]
fn sessions_of_one_that_goes_down_are_reset_where_that_is_asked_for() {
    let mut stage = Stage::start(OnDown::Close);
    stage.stand([Standing::Down, Standing::Up]);
    let others = stage.pairs(1);
    stage.stand([Standing::Up, Standing::Down]);
    others.iter().for_each(|(client, upstream)| {
        client.expect_reset();
        upstream.expect_reset();
        assert_eq!(stage.next_code(), "XD");
    });

    let waiting = stage.connect();
    let waited_for = Client::accept(&stage.upstreams[0]);
    waiting.send(b"?");
    waited_for.expect(b"?");
    let half_closed = stage.pair(0);
    half_closed.0.finish();
    half_closed.1.expect_end();
    stage.stand([Standing::Down, Standing::Up]);
    waiting.expect_reset();
    waited_for.expect_reset();
    // Its upstream has had its FIN, so that the reset behind that is no news to a read.
    half_closed.0.expect_reset();
    let mut codes = [stage.next_code(), stage.next_code()];
    codes.sort();
    assert_eq!(codes, ["XH", "XW"]);
    finish(stage.pair(1));
    assert_eq!(stage.next_code(), "CD");
}

#[test]
fn sessions_of_one_that_goes_down_go_on_otherwise() {
    let mut stage = Stage::start(OnDown::Keep);
    stage.stand([Standing::Up, Standing::Down]);
    let pairs = stage.pairs(0);
    stage.stand([Standing::Down, Standing::Up]);
    for pair in pairs {
        converse(&pair);
        finish(pair);
        assert_eq!(stage.next_code(), "CD");
    }
}

#[test]
fn where_nobody_is_up_clients_are_told_at_once() {
    let mut stage = Stage::start(OnDown::Keep);
    stage.stand([Standing::Down, Standing::Leaving]);
    stage.connect().expect_reset();
    let end = stage.next_end();
    assert_eq!((end.code.to_string().as_str(), end.attempts, end.upstream), ("FC", 0, None));
    stage.stand([Standing::Down, Standing::Up]);
    finish(stage.pair(1));
}

#[test]
fn who_is_found_by_a_name_is_called_by_its_address() {
    let upstreams = [(); 2].map(|()| listen("127.0.0.1:0"));
    let mut stage = Stage::before(upstreams, &["srv:_db._tcp.example"], OnDown::Keep);
    stage.connect().expect_reset();
    assert_eq!(stage.next_code(), "FC");
    // One comes, another takes its place, and both are found in the same slot.
    for upstream in 0..2 {
        let address = address_of(&stage.upstreams[upstream]);
        stage.change(|roster| {
            roster.members[7].targets = Box::from([Target::Tcp(address)]);
            roster.members[7].standing = Standing::Up;
        });
        finish(stage.pair(upstream));
        let end = stage.next_end();
        assert_eq!((end.upstream, end.place), (Some(7), Some(address)));
    }
}
