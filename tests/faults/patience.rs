//! Sessions that would stay for ever: each kind has a time after which it is ended, by RST and with a reason.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use crate::support::{
    Server,
    client::{Client, Target},
    eventually,
    namespace::Namespace,
    proxy::{Books, Ledger, Site, Way, everywhere, for_each, listen},
    skip, total,
};

/// One side has ended its stream, and the other keeps silent: reaped. One that goes on is left alone.
#[test]
fn half_close_forever() {
    const SESSIONS: usize = 20;
    const TIMEOUT: Duration = Duration::from_millis(200);
    everywhere(|way| {
        let site = Site::start(way, &["--half-closed-timeout", "200ms"]);
        let half_closed: Vec<_> = (0..SESSIONS)
            .map(|number| {
                let (client, upstream) = site.pair();
                if number % 2 == 0 { half_close(client, upstream) } else { half_close(upstream, client) }
            })
            .collect();
        half_closed.iter().for_each(assert_reaped);
        outlives_the_silent(&site, |site| {
            let (client, upstream) = site.pair();
            client.finish();
            upstream.expect_end();
            (upstream, client)
        });
        for line in site.ledger_of(SESSIONS) {
            let life_ns = line["life_ns"].as_u64().expect("a number");
            assert!(line["end"] != "TH" || u128::from(life_ns) >= TIMEOUT.as_nanos(), "reaped early: {line}");
        }
        let books = site.end();
        books.assert_codes(&["TH", "CW"]);
        assert_eq!(books.report["totals"]["errors"]["timeout"], SESSIONS + 2);
    });
}

/// The side that has ended its stream, and the one that keeps silent.
fn half_close(ended: Client, silent: Client) -> (Client, Client) {
    ended.finish();
    silent.expect_end();
    (ended, silent)
}

fn assert_reaped((ended, silent): &(Client, Client)) {
    ended.expect_reset();
    // It has had a FIN: the reset behind that shows in writes alone.
    eventually("the other side is reset, too", || silent.send_or_fail(b"x").err());
}

/// Sends bytes one way while two sessions time out, one after the other; then ends well.
fn outlives_the_silent(site: &Site, open: impl Fn(&Site) -> (Client, Client) + Sync) {
    let (from, to) = open(site);
    for _ in 0..2 {
        let has_ended = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let (_silent, waiting) = open(site);
                waiting.expect_reset();
                has_ended.store(true, Relaxed);
            });
            while !has_ended.load(Relaxed) {
                from.send(b"still here");
                to.expect(b"still here");
                thread::sleep(Duration::from_millis(5));
            }
        });
    }
    from.finish();
    to.expect_end();
}

/// Peers whose kernels answer while their programs say nothing: the idle time ends it, whatever keep-alive thinks.
#[test]
fn dead_but_acking() {
    everywhere(|way| {
        let site = Site::start(way, &["--idle-timeout", "400ms", "--keepalive-timeout", "1s"]);
        let (client, upstream) = site.pair();
        let (talked_client, talked_upstream) = site.pair();
        talked_upstream.send(b"hello");
        talked_client.expect(b"hello");
        for end in [client, upstream, talked_client, talked_upstream] {
            end.expect_reset();
        }
        let lines = site.ledger_of(2);
        let mut ends: Vec<_> = lines.iter().map(|line| line["end"].as_str().expect("a code")).collect();
        ends.sort_unstable();
        assert_eq!(ends, ["TD", "TW"]);
        assert!(lines.iter().all(|line| line["life_ns"].as_u64() >= Some(400_000_000)), "{lines:?}");
        site.end();
    });
}

/// Peers that vanish without a word: found out by TCP_USER_TIMEOUT where bytes wait for them, by keep-alive where
/// none do.
#[test]
fn dead_and_silent() {
    let Some(net) = Net::new() else { return };
    let flags = [&["--user-timeout", "1s"][..], &["--keepalive-timeout", "1s"]];
    let proxies: Vec<_> = Way::forwarders()
        .into_iter()
        .flat_map(|way| flags.map(|flags| Far::start(&net, way, flags)))
        .collect();
    net.lose();
    // Keep-alive asks only where nothing is under way.
    for far in proxies.iter().step_by(flags.len()) {
        far.speak();
    }
    for_each(&(0..proxies.len()).collect::<Vec<_>>(), |number| proxies[number].assert_noticed());
    proxies.into_iter().for_each(Far::end);
}

/// A client that has forgotten its connection answers what comes with RST, and by `splice` the kernel sends in pieces:
/// the reset may come between two of them, and is then told to nobody. It is a reset for the upstream all the same.
#[test]
fn rst_within_a_splice() {
    const BULK: usize = 1_000_000;
    let Some(net) = Net::new() else { return };
    net.near.set("ipv4/tcp_wmem", "4096 4096 4096");
    for_each(&Way::all(), |way| {
        let ledger = Ledger::new();
        let file = ledger.file();
        let upstream = net.near.enter(|| listen(&format!("{NEAR}:0")));
        let to = upstream.local_addr().expect("it is bound").to_string();
        let serve = ["proxy", "--listen", "10.77.0.1:0", "--report", "json", "--upstream", &to];
        let flags = [&serve[..], &way.arguments(), &Ledger::arguments(&file)].concat();
        let proxy = Server::start_with(net.near.evenkeel(), &flags);
        let target = Target::parse(&proxy.listening()[0]);
        for _ in 0..3 {
            let client = net.far.enter(|| Client::connect(&target));
            let near = Client::accept(&upstream);
            // Before it is a bulk stream nothing is spliced.
            thread::scope(|scope| {
                scope.spawn(|| near.send(&vec![b'x'; BULK]));
                let mut buffer = vec![0; BULK];
                let mut received = 0;
                while received < BULK {
                    received += client.receive(&mut buffer).expect("the stream goes on");
                }
            });
            net.lose();
            client.reset();
            net.find();
            // As much as it takes: the reset may come back before all is sent.
            let _ = near.try_send(&vec![b'y'; 200_000]);
            near.expect_reset();
        }
        Books::close(proxy, &ledger).assert_codes(&["cD"]);
    });
}

/// Two namespaces, with a wire between them that can go dead without either noticing.
struct Net {
    near: Namespace,
    far: Namespace,
}

const NEAR: &str = "10.77.0.1";
const FAR: &str = "10.77.0.2";
const FAR_MAC: &str = "02:00:00:00:00:02";

impl Net {
    fn new() -> Option<Self> {
        let (near, far) = (Namespace::new()?, Namespace::new()?);
        let peer = ["peer", "name", "wire", "address", FAR_MAC, "netns", &far.name];
        let made = near.ip(&[&["link", "add", "wire", "type", "veth"][..], &peer].concat());
        if !made {
            skip("no veth devices here");
            return None;
        }
        for (end, address) in [(&near, NEAR), (&far, FAR)] {
            assert!(end.ip(&["address", "add", &format!("{address}/24"), "dev", "wire"]));
            assert!(end.ip(&["link", "set", "wire", "up"]));
        }
        // Nothing is asked for, so nothing is noticed to be missing.
        let known = ["neighbour", "replace", FAR, "lladdr", FAR_MAC, "dev", "wire", "nud", "permanent"];
        assert!(near.ip(&known));
        Some(Self { near, far })
    }

    /// The far end doesn't know its address any more: what is sent there is dropped, without an answer.
    fn lose(&self) {
        assert!(self.far.ip(&["address", "flush", "dev", "wire"]));
    }

    /// It knows it again.
    fn find(&self) {
        assert!(self.far.ip(&["address", "add", &format!("{FAR}/24"), "dev", "wire"]));
    }
}

/// A proxy near, with a session to a far upstream, one from a far client, and the near end of each.
struct Far {
    proxy: Server,
    ledger: Ledger,
    near: [Client; 2],
    _far: [Client; 2],
}

impl Far {
    fn start(net: &Net, way: Way, flags: &[&str]) -> Self {
        let ledger = Ledger::new();
        let file = ledger.file();
        let near_upstream = net.near.enter(|| listen(&format!("{NEAR}:0")));
        let far_upstream = net.far.enter(|| listen(&format!("{FAR}:0")));
        let upstreams = [&near_upstream, &far_upstream]
            .map(|listener| listener.local_addr().expect("it is bound").to_string());
        let listen = ["proxy", "--listen", "10.77.0.1:0", "--report", "json", "--workers", "1"];
        let to = ["--balance", "round-robin", "--upstream", &upstreams[0], "--upstream", &upstreams[1]];
        let all = [&listen[..], &to, &way.arguments(), &Ledger::arguments(&file), flags].concat();
        let proxy = Server::start_with(net.near.evenkeel(), &all);
        let target = Target::parse(&proxy.listening()[0]);
        let connect = |namespace: &Namespace| namespace.enter(|| Client::connect(&target));
        // In turn: one of two neighbours goes to the near upstream, the other to the far one.
        let accept = |upstream| Client::accept(upstream);
        let from_far = connect(&net.far);
        let at_near = accept(&near_upstream);
        let from_near = connect(&net.near);
        let at_far = accept(&far_upstream);
        Self { proxy, ledger, near: [at_near, from_near], _far: [from_far, at_far] }
    }

    /// Something that the far ends never get.
    fn speak(&self) {
        for near in &self.near {
            near.send(b"anybody there?");
        }
    }

    fn assert_noticed(&self) {
        for near in &self.near {
            near.expect_reset();
        }
    }

    fn end(self) {
        let books = Books::close(self.proxy, &self.ledger);
        assert_eq!((books.ledger.len(), total(&books.report, "closed")), (2, 2));
        for line in &books.ledger {
            let error = line["error"].as_str().unwrap_or_default();
            assert!(error.contains("timed out") && line["by"] != "proxy", "{line}");
        }
    }
}
