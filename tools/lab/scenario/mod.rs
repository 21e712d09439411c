//! Scenarios: each a small file that states what it reveals, with which parameters, and what it claims.
//!
//! ```text
//!   NAME.toml ──▶ file (reads it, or says where it makes no sense) ──▶ Scenario ──▶ args (flags of a trial)
//!                                                                       suite      (which, how often, how long)
//! ```
//! A scenario is data. What a trial does with it is the same for all (`trial.rs`), so a new one is a new file
//! and a line in `EMBEDDED`, or a file of the user's own.

mod args;
mod file;
mod note;
mod suite;
mod values;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{mode::Mode, process::Role};

pub use file::{open, parse};
pub use suite::{Part, Suite};
pub use values::meant;

/// The scenarios that the lab brings along, in the order in which they are listed and shown.
const EMBEDDED: &[(&str, &str)] = &[
    ("trickle", include_str!("trickle.toml")),
    ("busy", include_str!("busy.toml")),
    ("storm", include_str!("storm.toml")),
    ("few-long", include_str!("few-long.toml")),
    ("churn", include_str!("churn.toml")),
    ("cpu-heavy", include_str!("cpu-heavy.toml")),
    ("idle-then-surge", include_str!("idle-then-surge.toml")),
    ("heavy-hitters", include_str!("heavy-hitters.toml")),
    ("stalled-worker", include_str!("stalled-worker.toml")),
    ("leave-join", include_str!("leave-join.toml")),
    ("least-conn-vs-cycle", include_str!("least-conn-vs-cycle.toml")),
    ("ping-pong", include_str!("ping-pong.toml")),
    ("pipeline", include_str!("pipeline.toml")),
    ("hog-and-mice", include_str!("hog-and-mice.toml")),
    ("byte-trickle", include_str!("byte-trickle.toml")),
    ("slow-reader", include_str!("slow-reader.toml")),
    ("lost-wakeup-hunt", include_str!("lost-wakeup-hunt.toml")),
    ("mostly-idle", include_str!("mostly-idle.toml")),
    ("crowded", include_str!("crowded.toml")),
    ("noisy-core", include_str!("noisy-core.toml")),
    ("sweep", include_str!("sweep.toml")),
    ("bursty", include_str!("bursty.toml")),
    ("stall", include_str!("stall.toml")),
    ("a-a", include_str!("a-a.toml")),
    ("known-delay", include_str!("known-delay.toml")),
];

/// Every scenario of the lab's own.
///
/// # Panics
/// Never: a test reads each of them.
pub fn all() -> Vec<Scenario> {
    EMBEDDED
        .iter()
        .map(|(name, text)| parse(name, text).expect("a test reads each embedded scenario"))
        .collect()
}

/// One question to a server, put in the same way to each mode.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    pub name: String,
    /// What it reveals, in one sentence.
    pub reveals: String,
    /// Who asked this first, in words that a reader can follow.
    pub source: String,
    pub group: Group,
    /// The first is the baseline.
    pub modes: Vec<Mode>,
    /// What is compared, by its name in a trial's `figures`.
    pub figures: Vec<String>,
    /// More rounds than these show nothing new; a suite takes no more.
    pub rounds_max: Option<usize>,
    pub server: Server,
    pub client: Client,
    /// Further clients, there before the measured one and after it.
    pub beside: Vec<Beside>,
    pub variants: Vec<Variant>,
    pub sweep: Option<Sweep>,
    pub disturb: Disturb,
    pub claims: Vec<Claim>,
}

/// What a scenario is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Accept,
    Trigger,
    Neighbours,
    Load,
    SelfTest,
}

/// The server under study.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    pub kind: ServerKind,
    pub workers: usize,
    /// Each worker stays on a core; which of them registers first changes from round to round.
    pub pin: bool,
    pub flags: Vec<String>,
    /// Echo servers behind a proxy.
    pub upstreams: usize,
    pub upstream_flags: Vec<String>,
}

/// Which server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// `evenkeel echo`.
    Echo,
    /// `evenkeel proxy`, before upstreams.
    Proxy,
    /// The lab's own, whose workers leave and join.
    LeaveJoin,
}

/// The client whose figures are taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    pub kind: ClientKind,
    pub flags: Vec<String>,
    /// Both absent where it only connects, or is bounded by `--messages`.
    pub warmup: Option<Duration>,
    pub duration: Option<Duration>,
    /// How long it takes, roughly, where `duration` doesn't tell.
    pub takes: Option<Duration>,
}

/// Which client it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientKind {
    /// `evenkeel-load`.
    Load,
    /// The lab's own, which looks for lost wakeups.
    Hunter,
}

/// A client beside the measured one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    pub name: String,
    pub flags: Vec<String>,
}

/// Flags that a mode `…+name` has on top of the scenario's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    pub name: String,
    pub server: Vec<String>,
    pub client: Vec<String>,
    /// It changes what is the machine's, but for a network namespace of its own.
    pub namespace: bool,
}

/// A flag of the measured client that takes one value after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    pub flag: String,
    pub values: Vec<f64>,
}

/// What is done to the server meanwhile; times run from the start of the measured client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disturb {
    pub stop: Option<Stop>,
    pub stall: Option<Stall>,
    /// Cores on which another process computes.
    pub burn: Vec<usize>,
}

/// The whole server is stopped (SIGSTOP), once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    pub after: Duration,
    pub length: Duration,
}

/// One worker thread is stopped, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    pub worker: usize,
    pub every: Duration,
    pub length: Duration,
}

/// Something that a scenario says about its modes, and that each run of it tests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    pub says: String,
    pub figure: String,
    /// The mode that it is about.
    pub of: String,
    /// With a mode here the ratio is judged, round by round; without, the value.
    pub over: Option<String>,
    pub at_least: Option<f64>,
    pub at_most: Option<f64>,
}

impl Scenario {
    /// The baseline.
    ///
    /// # Panics
    /// Never: the parser refuses a scenario without modes.
    #[cfg(test)]
    pub fn baseline(&self) -> &Mode {
        self.modes.first().expect("a scenario has at least one mode")
    }

    /// Puts it to these modes instead of its own.
    ///
    /// # Errors
    /// A sentence, where one of them names a variant that it hasn't got.
    pub fn put_to(&mut self, modes: &[Mode]) -> Result<(), String> {
        let missing = modes.iter().filter_map(|mode| mode.variant.as_deref());
        if let Some(missing) = missing.into_iter().find(|name| self.variant(Some(name)).is_none()) {
            return Err(format!("{} has no variant '{missing}': see evenkeel-lab list", self.name));
        }
        self.modes = modes.to_vec();
        Ok(())
    }

    /// Whether messages are measured.
    pub fn has_load(&self) -> bool {
        !self.client.flags.iter().any(|flag| flag == "--connect-only")
    }

    /// The values that are swept, or one trial without any.
    pub fn steps(&self) -> Vec<Option<f64>> {
        match &self.sweep {
            Some(sweep) => sweep.values.iter().copied().map(Some).collect(),
            None => vec![None],
        }
    }

    /// Whether workers and client threads exceed the cores.
    pub fn is_contended(&self, cpus: usize) -> bool {
        self.server.workers + self.client_threads() > cpus
    }

    /// Whether its trials run in network namespaces of their own: where one mode needs it, all have it.
    pub fn in_namespace(&self) -> bool {
        self.modes.iter().any(|mode| self.needs_namespace(mode))
    }

    pub fn needs_namespace(&self, mode: &Mode) -> bool {
        self.variant(mode.variant.as_deref()).is_some_and(|variant| variant.namespace)
    }

    /// How long a trial takes, roughly.
    pub fn estimate(&self) -> Duration {
        /// A server and a client start, settle and end.
        const PROCESSES: Duration = Duration::from_millis(130);
        let beside: Duration = self.beside.iter().map(|beside| args::connecting(&beside.flags)).sum();
        let upstreams = PROCESSES / 5 * u32::try_from(self.server.upstreams).unwrap_or(u32::MAX);
        PROCESSES + self.client_time() + beside + upstreams
    }

    /// How long the measured client takes, roughly.
    fn client_time(&self) -> Duration {
        const UNKNOWN: Duration = Duration::from_secs(1);
        let client = &self.client;
        let phases = match client.duration {
            Some(duration) => duration + client.warmup.unwrap_or_default(),
            None if self.has_load() => client.takes.unwrap_or(UNKNOWN),
            None => client.takes.unwrap_or_default(),
        };
        args::connecting(&client.flags) + phases
    }

    fn client_threads(&self) -> usize {
        args::number(&self.client.flags, "--threads").unwrap_or(1)
    }

    fn variant(&self, name: Option<&str>) -> Option<&Variant> {
        self.variants.iter().find(|variant| Some(variant.name.as_str()) == name)
    }
}

impl Group {
    /// Every group, by its name.
    const NAMES: [(&'static str, Self); 5] = [
        ("accept", Self::Accept),
        ("trigger", Self::Trigger),
        ("neighbours", Self::Neighbours),
        ("load", Self::Load),
        ("self-test", Self::SelfTest),
    ];

    pub fn all() -> impl Iterator<Item = Self> {
        Self::NAMES.into_iter().map(|(_, group)| group)
    }

    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, group)| *group == self).map_or("", |(name, _)| name)
    }
}

impl ServerKind {
    const NAMES: [(&'static str, Self); 3] =
        [("echo", Self::Echo), ("proxy", Self::Proxy), ("leave-join", Self::LeaveJoin)];

    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// What the lab plays to be it.
    pub fn role(self) -> Role {
        match self {
            Self::Echo | Self::Proxy => Role::Server,
            Self::LeaveJoin => Role::LeaveJoin,
        }
    }
}

impl ClientKind {
    const NAMES: [(&'static str, Self); 2] = [("load", Self::Load), ("hunter", Self::Hunter)];

    /// What the lab plays to be it.
    pub fn role(self) -> Role {
        match self {
            Self::Load => Role::Client,
            Self::Hunter => Role::Hunter,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_scenario_can_be_read_and_says_what_it_is_for() {
        for (name, text) in EMBEDDED {
            let scenario = parse(name, text).unwrap_or_else(|message| panic!("{message}"));
            assert!(scenario.reveals.len() > 20 && !scenario.source.is_empty(), "{name}");
            assert!(!scenario.figures.is_empty(), "{name} compares nothing");
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = EMBEDDED.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), EMBEDDED.len());
    }
}
