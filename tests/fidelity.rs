//! A stream through the proxy is what it would be by direct TCP: scripted pairs in every combination of accept
//! mode, trigger and forwarder, and scripts of chance.
//!
//! `EVENKEEL_SEED=N cargo test --test fidelity` repeats the order of things; `EVENKEEL_FIDELITY_CASES=5000`
//! plays more scripts of chance; a failure says the shortest script that still fails, which
//! `evenkeel selftest --script 'client: …; upstream: …'` plays again.

#[path = "fidelity/chance.rs"]
mod chance;

use std::{env, fmt, path::Path, time::Duration};

use evenkeel::{
    config::{AcceptMode, Forward, Trigger},
    selftest::{
        self, SelftestArgs,
        catalogue::{self, Volume},
        combination::Combination,
        oracle::{self, Oracle},
        play::Manner,
        script::Script,
    },
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestCaseError, TestRunner},
};

/// A script that hangs costs this much, and shrinking plays it again and again.
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn every_combination_forwards_as_direct_tcp_does() {
    let results = selftest::run(&SelftestArgs {
        quick: false,
        accept: Vec::new(),
        trigger: Vec::new(),
        forward: Vec::new(),
        script: Vec::new(),
        seed: Some(seed()),
        program: Some(program().to_owned()),
        verbose: true,
    });
    let results = results.expect("it can be tried");
    assert!(results.differences.is_empty(), "EVENKEEL_SEED={}\n{}", seed(), results.to_text());
}

#[test]
fn scripts_of_chance_come_out_as_by_direct_tcp() {
    let cases =
        number("EVENKEEL_FIDELITY_CASES").map_or(48, |cases| u32::try_from(cases).unwrap_or(u32::MAX));
    let config = Config {
        cases,
        failure_persistence: None,
        // In milliseconds.
        max_shrink_time: 120_000,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let scripts = prop::collection::vec(chance::script(), 1..4);
    let cases = (combination(), scripts).prop_map(|(combination, scripts)| Case { combination, scripts });
    let done = runner.run(&cases, |case| case.play().map_err(TestCaseError::fail));
    if let Err(error) = done {
        panic!("{error}");
    }
}

/// The control: what is compared is really determined, so that direct TCP always passes.
#[test]
fn direct_tcp_is_as_direct_tcp() {
    let mut scripts = catalogue::all(Volume::Some);
    let mut runner = TestRunner::default();
    let chance = prop::collection::vec(chance::script(), 400);
    scripts.extend(chance.new_tree(&mut runner).expect("nothing is rejected").current());
    let mut rng = fastrand::Rng::with_seed(seed());
    let oracle = Oracle::ask(scripts, selftest::PATIENCE, &mut rng).expect("each ends by direct TCP");
    for round in 0..8 {
        let manner =
            Manner { patience: selftest::PATIENCE, rng: &mut rng, is_hasty: round % 2 == 1, stutter: None };
        let outcomes = oracle::direct(oracle.scripts(), manner).expect("it can be played");
        let complaints = oracle.complaints(&outcomes, false);
        let complaints: Vec<_> =
            complaints.map(|(script, complaint)| format!("{complaint}: {script}")).collect();
        assert!(complaints.is_empty(), "EVENKEEL_SEED={}\n{}", seed(), complaints.join("\n"));
    }
}

/// Scripts, and what they are played through.
#[derive(Clone)]
struct Case {
    combination: Combination,
    scripts: Vec<Script>,
}

impl Case {
    /// By direct TCP, then through a proxy of their own.
    fn play(&self) -> Result<(), String> {
        let mut rng = fastrand::Rng::with_seed(seed());
        let oracle = Oracle::ask(self.scripts.clone(), PATIENCE, &mut rng)?;
        let differences = selftest::try_out(program(), &self.combination, &oracle, PATIENCE, &mut rng)?;
        match differences.first() {
            Some(first) => Err(format!("{}\n{}", first.sentence, first.text)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.combination)?;
        for script in &self.scripts {
            write!(f, "\n  {}{script}", if script.narrow { "(narrow) " } else { "" })?;
        }
        Ok(())
    }
}

fn combination() -> impl Strategy<Value = Combination> {
    let (accepts, triggers, forwards) = (AcceptMode::ALL, Trigger::ALL, Forward::ALL);
    let mut all = Combination::all(accepts, triggers, forwards);
    all.extend(Combination::beside_unix(triggers, forwards));
    prop::sample::select(all)
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_evenkeel"))
}

/// The seed of this run: another one each time, or `EVENKEEL_SEED`.
fn seed() -> u64 {
    static SEED: std::sync::LazyLock<u64> =
        std::sync::LazyLock::new(|| number("EVENKEEL_SEED").unwrap_or_else(|| fastrand::u64(..)));
    *SEED
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")))
}
