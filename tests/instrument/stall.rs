//! A server that stands still for a known time: in open loop the response times are arithmetic. With one message in
//! flight on each connection, the service times hardly know of it, which is why they aren't what users see.

use std::time::Duration;

use super::{alone, in_some_try, support::load};

/// At least so long.
const STALL: Duration = Duration::from_millis(600);
/// The window that is measured, in which the stall lies.
const WINDOW_S: f64 = 4.0;
/// Messages a second.
const RATE: f64 = 1_000.0;
/// Each has one message in flight that meets the stall: 4 of 4,000, far less than the 40 beyond p99.
const CONNECTIONS: &str = "4";

/// What a run has seen, in nanoseconds.
#[derive(Debug)]
struct Seen {
    stall_ns: f64,
    response_p99_ns: f64,
    response_p90_ns: f64,
    service_p99_ns: f64,
    service_max_ns: f64,
}

#[test]
fn a_stall_is_in_the_response_times_and_not_in_the_service_times() {
    let _machine = alone();
    in_some_try(stalled, |seen| {
        // Of all messages this share was due during the stall, and the wait of each was what was left of it: at
        // quantile 1 - q, the stall but for q / share of it.
        let share = seen.stall_ns / 1e9 / WINDOW_S;
        let is_as_computed = |value_ns: f64, q: f64| {
            let expected_ns = seen.stall_ns * (1.0 - q / share);
            // Signals take their time, and so does sending what waited.
            (0.95 * expected_ns..1.1 * expected_ns + 20e6).contains(&value_ns)
        };
        is_as_computed(seen.response_p99_ns, 0.01)
            && is_as_computed(seen.response_p90_ns, 0.1)
            && seen.service_p99_ns < seen.response_p99_ns / 10.0
            && seen.service_max_ns > 0.9 * seen.stall_ns
    });
}

fn stalled() -> Seen {
    let rate = RATE.to_string();
    let arguments =
        ["--rate", &rate, "--arrivals", "uniform", "--pipeline", "1", "--connections", CONNECTIONS];
    let (stall_ns, report) = load::with_a_stall(&arguments, WINDOW_S, STALL);
    let ns = |histogram: &str, name: &str| report[histogram][name].as_f64().expect("a number");
    Seen {
        stall_ns,
        response_p99_ns: ns("latency", "p99"),
        response_p90_ns: ns("latency", "p90"),
        service_p99_ns: ns("service_latency", "p99"),
        service_max_ns: ns("service_latency", "max"),
    }
}
