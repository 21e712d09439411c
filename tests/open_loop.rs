//! An open loop sees a stall as users would, a closed loop hardly at all.
//!
//! The server is frozen for a while and goes on. Users don't wait for each other: those who came during the
//! stall waited for what was left of it, which is what `evenkeel-load --rate` reports, because it counts from
//! the moment when a message was due. A closed loop sends nothing while it waits: it omits them all, but for the
//! one message that each connection had under way ('coordinated omission').

mod support;

use std::time::Duration;

use support::load;

/// At least so long.
const STALL: Duration = Duration::from_millis(500);
/// The window that is measured, in which the stall lies.
const WINDOW_S: f64 = 4.0;
/// Messages a second of the open loop.
const RATE: f64 = 1_000.0;
const CONNECTIONS: &str = "8";
/// How often the rest of the machine may spoil what the arithmetic takes for granted: that there is one stall.
const TRIES: usize = 3;

#[test]
fn a_stall_shows_in_the_tail_of_an_open_loop() {
    in_some_try(&["--rate", &RATE.to_string(), "--arrivals", "uniform"], |stall_ns, latency_ns| {
        // Of all messages this share was due during the stall; the wait of each is what was left of it. So the
        // longest wait is the stall, and at quantile 1 - q, for q up to that share, it is shorter by q/share.
        let share = stall_ns / 1e9 / WINDOW_S;
        // The window's edges may be off by a few messages, the stall's by what signals take.
        let at_least_ns = |q: f64| 0.95 * stall_ns * (1.0 - q / share);
        [("max", 0.0), ("p999", 0.001), ("p99", 0.01), ("p90", 0.1)]
            .iter()
            .all(|(name, q)| latency_ns(name) >= at_least_ns(*q))
            && latency_ns("p50") < stall_ns / 10.0
    });
}

#[test]
fn a_closed_loop_omits_it() {
    in_some_try(&[], |stall_ns, latency_ns| {
        // Each connection had one message under way: 8 of many thousands.
        latency_ns("max") >= 0.95 * stall_ns && latency_ns("p99") < stall_ns / 10.0
    });
}

/// Something that holds for a load during which the server is frozen for so long, and the load's latencies.
fn in_some_try(arguments: &[&str], holds: impl Fn(f64, &dyn Fn(&str) -> f64) -> bool) {
    let mut in_vain = Vec::new();
    for _ in 0..TRIES {
        let arguments = [&["--connections", CONNECTIONS], arguments].concat();
        let (stall_ns, report) = load::with_a_stall(&arguments, WINDOW_S, STALL);
        let latency_ns = |name: &str| report["latency"][name].as_f64().expect("a latency");
        if holds(stall_ns, &latency_ns) {
            return;
        }
        in_vain.push((stall_ns, ["p50", "p90", "p99", "p999", "max"].map(latency_ns)));
    }
    panic!("stalls, and latencies at p50, p90, p99, p999, max, all in ns: {in_vain:?}");
}
