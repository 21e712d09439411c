//! Each mode gives the same service: the real binary, over real sockets, in every combination of its modes.
//!
//! A server is started for each combination; clients do to it what clients do; then all of them leave, and its
//! report must say what they did, to the byte, and it must hold no descriptor more than before. Failures name the
//! combination and the seed: `EVENKEEL_SEED=N cargo test --test conformance` repeats the run.

mod client;
mod combos;
mod exchange;
mod site;
#[path = "../support/mod.rs"]
mod support;

use std::io::Write;

use combos::Combination;
use site::{Site, for_each};

/// What cargo doesn't capture.
fn say(text: &str) {
    // Nobody reads it where stderr is closed.
    let _ = writeln!(std::io::stderr(), "conformance: {text}");
}

/// A server of a combination. More workers than cores in some, as the order of wakeups differs then.
fn start(index: usize, combination: &Combination, seed: u64) -> Site {
    let mut arguments = combination.arguments();
    let workers = if index % 3 == 0 { "3" } else { "2" };
    arguments.extend(["--workers".to_owned(), workers.to_owned()]);
    Site::start(&arguments, seed)
}

#[test]
fn every_combination_gives_the_same_service() {
    let all = Combination::all();
    say(&format!("{} legal combinations", all.len()));
    assert_eq!(all.len(), 144);
    for_each(&all, |index, combination, seed| {
        let site = start(index, combination, seed);
        exchange::everything(&site);
        site.end();
    });
}
