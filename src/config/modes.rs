//! The experiment dimensions: how connections reach cores, how epoll triggers, how an idle loop waits.
//!
//! Each is a closed set with the names that flags, reports and documents share.

use std::{fmt, str::FromStr, time::Duration};

use super::units;

/// Declares an enum whose variants have one name each, the same in flags, reports and messages.
macro_rules! named {
    ($(#[$meta:meta])* $type:ident: $what:literal { $($(#[$doc:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $type { $($(#[$doc])* $variant,)+ }

        impl $type {
            /// Every value, in the order in which help and tests list them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The one name of this value.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|value| value.name() == text).ok_or_else(|| {
                    let names: Vec<_> = Self::ALL.iter().map(|value| value.name()).collect();
                    format!("'{text}' is not {}: use {}", $what, names.join(", "))
                })
            }
        }
    };
}

named! {
    /// How connections reach cores (`--accept`).
    AcceptMode: "an accept mode" {
        /// A SO_REUSEPORT listener a worker; the kernel hashes.
        Private = "private",
        /// Private, and the kernel prefers the listener of the core that took the packet.
        Local = "local",
        /// One listener in every worker's epoll: the thundering herd.
        Shared = "shared",
        /// Shared with EPOLLEXCLUSIVE: a fixed priority in the order of registration.
        Exclusive = "exclusive",
        /// Exclusive, and a worker goes to the back of the wait queue after every few accepts.
        Rotate = "rotate",
        /// An acceptor thread deals sockets to the workers' mailboxes.
        Dealt = "dealt",
    }
}

named! {
    /// How epoll reports readiness (`--trigger` for connections, `--listen-trigger` for listeners).
    Trigger: "a trigger" {
        /// Reported for as long as it holds.
        Level = "level",
        /// Reported when it changes.
        Edge = "edge",
        /// Reported once, then re-armed by hand.
        Oneshot = "oneshot",
    }
}

named! {
    /// Whom the acceptor gives the next connection (`--deal`, accept mode `dealt`).
    Deal: "a way to deal" {
        /// Each worker in turn.
        RoundRobin = "round-robin",
        /// The worker with the fewest connections, those still in its mailbox included.
        LeastLoaded = "least-loaded",
    }
}

named! {
    /// How much is recorded (`--measure`).
    Measure: "a measuring level" {
        /// Only what opens, closes and fails, and system calls.
        Off = "off",
        /// Counters; no clock is read for them.
        Counts = "counts",
        /// Counters and histograms.
        Full = "full",
    }
}

named! {
    /// Which upstream a session goes to (`--balance`).
    Balance: "a way to balance" {
        /// Each in turn, by weight.
        RoundRobin = "round-robin",
        /// The one with the fewest sessions for its weight.
        LeastConnections = "least-connections",
        /// Of two chosen at random by weight, the one with fewer sessions for its weight.
        P2c = "p2c",
        /// At random, by weight.
        Random = "random",
        /// Always the same one for the same source address, while members stay the same.
        Maglev = "maglev",
    }
}

named! {
    /// How bytes cross a proxy (`--forward`).
    Forward: "a way to forward" {
        /// Copies, and splices a stream while it is a bulk stream.
        Auto = "auto",
        /// Through the worker's buffer.
        Copy = "copy",
        /// Through a pipe, inside the kernel, where there is enough to make that worth it.
        Splice = "splice",
    }
}

named! {
    /// What becomes of a member's sessions when checks find it down (`--health-on-down`).
    OnDown: "what to do with sessions" {
        /// They go on.
        Keep = "keep",
        /// They are reset.
        Close = "close",
    }
}

named! {
    /// A version of the PROXY protocol (`--proxy-protocol-send`, `--health-proxy`).
    ProxyVersion: "a version of the PROXY protocol" {
        /// A line of text.
        V1 = "v1",
        /// Binary, with TLVs.
        V2 = "v2",
    }
}

named! {
    /// What happens when there is no descriptor left for a connection (`--on-fd-limit`).
    OnFdLimit: "what to do at the descriptor limit" {
        /// It waits in the accept queue.
        Wait = "wait",
        /// It is accepted with a descriptor that was kept for this, and reset.
        Shed = "shed",
    }
}

named! {
    /// How lines of logs are written (`--log-format`).
    LogFormat: "a log format" {
        /// For people.
        Text = "text",
        /// For programs: an object a line.
        Json = "json",
    }
}

impl AcceptMode {
    /// Whether all workers wait for the same listening socket.
    pub const fn shares_listener(self) -> bool {
        matches!(self, Self::Shared | Self::Exclusive | Self::Rotate)
    }

    /// Whether listeners are registered with EPOLLEXCLUSIVE.
    pub const fn is_exclusive(self) -> bool {
        matches!(self, Self::Exclusive | Self::Rotate)
    }

    /// The one pair that the kernel refuses: EPOLLEXCLUSIVE with EPOLLONESHOT is EINVAL
    /// (`do_epoll_ctl` in fs/eventpoll.c).
    pub const fn allows(self, listen_trigger: Trigger) -> bool {
        !(self.is_exclusive() && matches!(listen_trigger, Trigger::Oneshot))
    }
}

/// How an idle worker waits (`--poll`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollMode {
    /// Sleeps in epoll_wait.
    Block,
    /// Asks epoll again and again, never sleeps.
    Spin,
    /// Spins for this long after the last event, then sleeps.
    Adaptive(Duration),
}

impl PollMode {
    /// How long `adaptive` spins where no duration is given.
    pub const ADAPTIVE_DEFAULT: Duration = Duration::from_micros(50);

    /// How long this mode spins after the last event before it sleeps, in nanoseconds.
    pub fn spin_ns(self) -> u64 {
        match self {
            Self::Block => 0,
            Self::Spin => u64::MAX,
            Self::Adaptive(spin) => u64::try_from(spin.as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

impl fmt::Display for PollMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block => f.pad("block"),
            Self::Spin => f.pad("spin"),
            Self::Adaptive(spin) if *spin == Self::ADAPTIVE_DEFAULT => f.pad("adaptive"),
            Self::Adaptive(spin) if spin.subsec_nanos() % 1_000 == 0 => {
                write!(f, "adaptive:{}us", spin.as_micros())
            }
            Self::Adaptive(spin) => write!(f, "adaptive:{}ns", spin.as_nanos()),
        }
    }
}

impl FromStr for PollMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None => match text {
                "block" => Ok(Self::Block),
                "spin" => Ok(Self::Spin),
                "adaptive" => Ok(Self::Adaptive(Self::ADAPTIVE_DEFAULT)),
                _ => Err(format!("'{text}' is not a poll mode: use block, spin, adaptive or adaptive:50us")),
            },
            Some(("adaptive", spin)) => units::duration_above_zero(spin).map(Self::Adaptive),
            Some(_) => Err(format!(
                "'{text}' is not a poll mode: only adaptive takes a duration, as in adaptive:50us"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_a_round_trip() {
        for &mode in AcceptMode::ALL {
            assert_eq!(mode.name().parse(), Ok(mode));
        }
        for poll in ["block", "spin", "adaptive", "adaptive:70us", "adaptive:500ns"] {
            assert_eq!(poll.parse::<PollMode>().map(|mode| mode.to_string()), Ok(poll.to_owned()));
        }
        assert!("adaptive:0us".parse::<PollMode>().is_err());
        assert!("spin:1ms".parse::<PollMode>().is_err());
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let message = "reuseport".parse::<AcceptMode>().unwrap_err();
        assert_eq!(
            message,
            "'reuseport' is not an accept mode: use private, local, shared, exclusive, rotate, dealt"
        );
    }

    #[test]
    fn six_modes_leave_144_combinations() {
        let pairs = AcceptMode::ALL
            .iter()
            .flat_map(|&accept| Trigger::ALL.iter().map(move |&listen| (accept, listen)));
        assert_eq!(pairs.filter(|(accept, listen)| accept.allows(*listen)).count() * 3 * 3, 144);
    }
}
