//! Each mode gives the same service: the real binary, over real sockets, in every combination of its modes.
//!
//! A server is started for each combination; clients do to it what clients do; then all of them leave, and its
//! report must say what they did, to the byte, and it must hold no descriptor more than before. Failures name the
//! combination and the seed: `EVENKEEL_SEED=N cargo test --test conformance` repeats the run.

mod addresses;
mod bounds;
mod combos;
mod exchange;
mod flags;
mod site;
#[path = "../support/mod.rs"]
mod support;
mod trouble;

use std::io::Write;

use combos::Combination;
use evenkeel::{config::Trigger, sys::limits::raise_descriptors};
use site::{Site, for_each, with_seed};
use support::client;

/// Says something that is seen while tests pass, too.
fn say(text: &str) {
    // Nobody reads it where stderr is closed.
    let _ = std::io::stderr().write_all(format!("\nconformance: {text}\n").as_bytes());
}

/// A server of a combination. More workers than cores in some, as the order of wakeups differs then.
fn start(index: usize, combination: &Combination, seed: u64) -> Site {
    let mut arguments = combination.arguments();
    let workers = if index.is_multiple_of(5) { "3" } else { "2" };
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

#[test]
fn a_cover_of_all_pairs_bears_what_clients_do() {
    let cover = Combination::cover();
    say(&format!("{} combinations cover all pairs", cover.len()));
    for_each(&cover, |index, combination, seed| {
        let mut site = start(index, combination, seed);
        trouble::everything(&mut site);
        site.end();
    });
}

#[test]
fn long_streams_come_back_whole_by_each_trigger() {
    for_each(Trigger::ALL, |_, trigger, seed| {
        let site = Site::start(&["--workers", "2", "--trigger", trigger.name()], seed);
        trouble::long_stream(&site);
        site.end();
    });
}

#[test]
fn a_thousand_connections_at_once() {
    // The limit is the whole test process's, and other tests run beside this one.
    let count = usize::try_from(raise_descriptors() / 4).map_or(1000, |quarter| quarter.min(1000));
    if count < 1000 {
        support::skip(&format!("descriptors are few: {count} connections in place of 1000"));
    }
    with_seed(|seed| {
        let mut site = Site::start(&["--workers", "2"], seed);
        trouble::many_at_once(&mut site, count);
        site.end();
    });
}
