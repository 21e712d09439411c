//! Answers that take a known time: 20 ms for 70 % of the messages, 40 ms for the others. A connection has a worker of
//! its own and one message in flight, so nothing queues, and the quantiles are known.

use super::{
    alone, in_some_try,
    support::{Server, load},
};

const WORKERS: usize = 4;
const SHORT_NS: f64 = 20e6;
const LONG_NS: f64 = 40e6;

/// What sending, waking and reading may add.
const OVERHEAD_NS: f64 = 500e3;

#[test]
fn a_known_delay_is_measured_as_it_is() {
    let _machine = alone();
    let mut seed = 0;
    let run = || {
        seed += 1;
        let [p50_ns, p90_ns, p99_ns] = measured(seed);
        println!("p50 {:.3} ms, p90 {:.3} ms, p99 {:.3} ms", p50_ns / 1e6, p90_ns / 1e6, p99_ns / 1e6);
        // No answer can come early, whatever the machine does.
        assert!(p50_ns >= 0.99 * SHORT_NS && p90_ns >= 0.99 * LONG_NS, "{p50_ns} {p90_ns}");
        [p50_ns, p90_ns]
    };
    in_some_try(run, |[p50_ns, p90_ns]| {
        *p50_ns <= 1.01 * SHORT_NS + OVERHEAD_NS && *p90_ns <= 1.01 * LONG_NS + OVERHEAD_NS
    });
}

/// p50, p90 and p99 of the latency, in nanoseconds.
fn measured(seed: u64) -> [f64; 3] {
    let (workers, seed) = (WORKERS.to_string(), seed.to_string());
    // An acceptor that deals round robin: one connection each, whatever else the machine does.
    let server = Server::start(&[
        "--workers",
        &workers,
        "--no-pin",
        "--accept",
        "dealt",
        "--greet",
        "--seed",
        &seed,
        "--work",
        "block:bimodal:20ms,40ms,0.3",
    ]);
    server.settle();
    let report = load::load(
        &server,
        &[
            "--greet",
            "--connections",
            &workers,
            "--connect-spacing",
            "20ms",
            "--warmup",
            "200ms",
            "--duration",
            "4s",
        ],
    );
    server.report();
    assert_eq!(load::greeted(&report, WORKERS), [1; WORKERS], "each has a worker of its own");
    // Of 500 or more, the share of the short ones is 70 % ± 6 % in all but one run of a thousand.
    assert!(report["messages"].as_u64().is_some_and(|messages| messages > 300), "{report}");
    ["p50", "p90", "p99"].map(|name| report["latency"][name].as_f64().expect("a number"))
}
