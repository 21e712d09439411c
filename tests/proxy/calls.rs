//! What a round trip through the proxy costs in system calls, counted by strace.

use std::collections::BTreeMap;

use evenkeel::{Trigger, config::Forward};

use crate::support::{
    Server,
    load::load,
    proxy::{Way, for_each},
    skip,
    strace::{can_trace, counts},
};

/// Round trips of the two runs; they differ in nothing else, so that all that isn't a round trip cancels out.
const FEW: u64 = 1_000;
const MANY: u64 = 5_000;

/// Two reads, two writes, and the waits for them.
#[test]
fn ping_pong() {
    assert_cost("1", 2.0);
}

/// One wait serves several sessions.
#[test]
fn fifty_at_once_share_their_waits() {
    assert_cost("50", 1.3);
}

fn assert_cost(connections: &str, waits_max: f64) {
    if !can_trace() {
        return skip("no strace that may trace: system calls are not counted");
    }
    let ways = [Forward::Auto, Forward::Copy]
        .map(|forward| [Trigger::Level, Trigger::Edge].map(|trigger| Way { forward, trigger }));
    for_each(ways.as_flattened(), |way| {
        let (few, many) = (run(way, connections, FEW), run(way, connections, MANY));
        let each = |names: &[&str]| {
            let of = |counts: &BTreeMap<String, u64>| -> u64 {
                names.iter().filter_map(|name| counts.get(*name)).sum()
            };
            (of(&many) as f64 - of(&few) as f64) / (MANY - FEW) as f64
        };
        let reads = each(&["read", "recvfrom", "recvmsg", "splice"]);
        let writes = each(&["write", "sendto", "sendmsg"]);
        let waits = each(&["epoll_wait", "epoll_pwait", "epoll_pwait2"]);
        let all =
            (many.values().sum::<u64>() as f64 - few.values().sum::<u64>() as f64) / (MANY - FEW) as f64;
        let what =
            format!("{reads} reads, {writes} writes, {waits} waits, {all} calls a round trip: {many:?}");
        assert!(reads <= 2.02 && writes <= 2.02 && waits <= waits_max + 0.02, "{what}");
        assert!(all <= reads + writes + waits + 0.05, "{what}");
        // Less, and something wasn't counted.
        assert!(reads >= 1.99 && writes >= 1.99, "{what}");
    });
}

/// The calls of a proxy that has carried so many round trips of 64 bytes, by name.
fn run(way: Way, connections: &str, messages: u64) -> BTreeMap<String, u64> {
    let echo = Server::start(&["--workers", "1"]);
    let upstream = echo.address().to_string();
    let common = ["proxy", "--listen", "127.0.0.1:0", "--report", "json", "--workers", "1"];
    let flags = [&common[..], &["--upstream", &upstream], &way.arguments()].concat();
    let counted = counts(|command| {
        let proxy = Server::start_with(command, &flags);
        let seen = load(&proxy, &["--connections", connections, "--messages", &messages.to_string()]);
        assert_eq!(seen["messages"], messages);
        proxy.report();
    });
    echo.report();
    counted
}
