//! Scenarios: each a small file that states what it reveals, and with which parameters.
//!
//! A scenario is data: the flags of a server and the flags of a client. What a trial does with them is the
//! same for all (`trial.rs`), so a new scenario is a new file and a line in `ALL`.

mod busy;
mod light;
mod trickle;

use std::time::Duration;

/// The emulated service time of a message, mean, in microseconds.
///
/// Long enough that oversleeping (some 60 µs) and the scheduler's hiccups stay small beside it.
const SERVICE_MEAN_US: u64 = 400;
/// Connections of the scenarios with load: few enough that the hash's luck shows, many enough for a tail.
const CONNECTIONS: u64 = 64;
/// The pause between two connects. A worker has long gone back to sleep by then, so each connection finds
/// all workers idle: what happens is the mode's doing, not the queue's.
const SPACING_MS: u64 = 1;

/// One question to a server, put in the same way to each mode.
#[derive(Debug)]
pub struct Scenario {
    pub name: &'static str,
    /// What it reveals, in one sentence.
    pub reveals: &'static str,
    pub load: Load,
}

/// What the client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Opens so many connections, spaced, and sends nothing.
    ConnectOnly { connections: u64 },
    /// Opens [`CONNECTIONS`], spaced, then sends messages at times drawn beforehand (Poisson), answered or
    /// not: `rate` a second in all.
    Open { rate: u64 },
}

/// What all scenarios of a run have in common.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub workers: usize,
    /// How long messages are measured in the scenarios with load.
    pub phase: Duration,
}

impl Settings {
    /// Part of each phase: it is dropped, so that the queues have filled when measuring begins.
    pub const WARMUP: Duration = Duration::from_millis(150);
    /// Four workers even where there are fewer cores: their work blocks, so they take turns on a core
    /// without being in each other's way.
    pub const WORKERS: usize = 4;
}

/// Every scenario, in the order in which they are listed and shown.
pub const ALL: [&Scenario; 3] = [&trickle::TRICKLE, &light::LIGHT, &busy::BUSY];

impl Scenario {
    /// The server's flags, those of the mode apart.
    pub fn server_args(&self, settings: &Settings, seed: u64) -> Vec<String> {
        let work = format!("block:exp:{SERVICE_MEAN_US}us");
        let workers = settings.workers.to_string();
        let seed = seed.to_string();
        // Unpinned: which core a worker sleeps on is no part of the question, and two of four pinned
        // workers would have to share a core that the client keeps busy.
        ["--workers", &workers, "--no-pin", "--work", &work, "--seed", &seed, "--greet", "--report", "json"]
            .map(str::to_owned)
            .to_vec()
    }

    /// The client's flags.
    pub fn client_args(&self, settings: &Settings, seed: u64) -> Vec<String> {
        let spacing = format!("{SPACING_MS}ms");
        let mut args: Vec<String> =
            ["--greet", "--json", "--connect-spacing", &spacing, "--seed"].map(str::to_owned).to_vec();
        args.push(seed.to_string());
        let more = match self.load {
            Load::ConnectOnly { connections } => {
                vec!["--connections".into(), connections.to_string(), "--connect-only".into()]
            }
            Load::Open { rate } => vec![
                "--connections".into(),
                CONNECTIONS.to_string(),
                "--rate".into(),
                rate.to_string(),
                "--arrivals".into(),
                "poisson".into(),
                "--warmup".into(),
                format!("{}ms", Settings::WARMUP.as_millis()),
                "--duration".into(),
                format!("{}ms", settings.phase.as_millis()),
            ],
        };
        args.extend(more);
        args
    }

    /// What happens, in a few words: the heading of its columns and charts.
    pub fn heading(&self) -> String {
        match self.load {
            Load::ConnectOnly { connections } => format!("{connections} connects, {SPACING_MS} ms apart"),
            Load::Open { rate } => format!("{}, {rate}/s", self.name),
        }
    }

    /// The parameters in words, for `list` and for the page.
    pub fn parameters(&self) -> String {
        match self.load {
            Load::ConnectOnly { connections } => {
                format!("{connections} connects, {SPACING_MS} ms apart, then silence")
            }
            Load::Open { rate } => format!(
                "{CONNECTIONS} connections opened {SPACING_MS} ms apart, {rate} messages/s in all (Poisson), each \
                 {SERVICE_MEAN_US} µs of blocking work on average (exponential)"
            ),
        }
    }

    /// Whether there are messages, and so latencies.
    pub fn has_load(&self) -> bool {
        matches!(self.load, Load::Open { .. })
    }
}
