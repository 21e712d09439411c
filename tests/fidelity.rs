//! A stream through the proxy is what it would be by direct TCP: scripted pairs in every combination of accept
//! mode, trigger and forwarder, and scripts of chance.
//!
//! `EVENKEEL_SEED=N cargo test --test fidelity` repeats the order of things; `EVENKEEL_FIDELITY_CASES=5000`
//! plays more scripts of chance; `PROPTEST_…` variables do what they always do.

use std::path::Path;

use evenkeel::selftest::{self, SelftestArgs};

fn program() -> &'static Path {
    Path::new(option_env!("EVENKEEL_FIDELITY_PROGRAM").unwrap_or(env!("CARGO_BIN_EXE_evenkeel")))
}

#[test]
fn every_combination_forwards_as_direct_tcp_does() {
    let results = selftest::run(&SelftestArgs {
        quick: true,
        accept: Vec::new(),
        trigger: Vec::new(),
        forward: Vec::new(),
        script: Vec::new(),
        seed: None,
        program: Some(program().to_owned()),
        verbose: true,
    });
    let results = results.expect("it can be tried");
    println!("{}", results.to_text());
    assert!(results.differences.is_empty());
}
