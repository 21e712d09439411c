//! How a session ended, in two letters: what ended it, and how far it had come by then.

use std::{fmt, str::FromStr};

/// What ended a session. Small letters are the rude form of the large ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The client's FIN came first.
    ClientFin,
    /// The client's RST.
    ClientReset,
    /// The upstream's FIN came first.
    UpstreamFin,
    /// The upstream's RST.
    UpstreamReset,
    /// No upstream could be connected.
    NoUpstream,
    /// No local port was free towards the upstream (EADDRNOTAVAIL).
    NoPort,
    /// A timeout: which one, the phase tells.
    Timeout,
    /// The session timeout.
    SessionTimeout,
    /// The drain time was over, or it was said to stop at once.
    Drain,
    /// An error of ours: descriptors, memory.
    Error,
    /// A limit was reached.
    Limit,
    /// The access lists don't admit the client.
    Access,
    /// What it began with was no PROXY header where one is due, or asked for nothing that there is a route for.
    BadHeader,
    /// The checks of its upstream failed, and its sessions are closed then.
    UpstreamDown,
}

/// How far a session had come when the first thing happened that ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Connecting to an upstream.
    Connecting,
    /// Connected; the upstream had sent nothing yet.
    Waiting,
    /// The upstream had sent bytes.
    Data,
    /// One side had ended its stream.
    HalfClosed,
    /// Its PROXY header, or its ClientHello, was being read.
    Header,
    /// It waited for others to end.
    Queued,
}

/// How a session ended: `CD` is 'the client ended its stream first, after the upstream had sent data'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Code {
    /// The first letter.
    pub cause: Cause,
    /// The second one.
    pub phase: Phase,
}

impl Cause {
    /// Every cause, in the order of reports and documents.
    pub const ALL: [Self; 14] = [
        Self::ClientFin,
        Self::ClientReset,
        Self::UpstreamFin,
        Self::UpstreamReset,
        Self::NoUpstream,
        Self::NoPort,
        Self::Timeout,
        Self::SessionTimeout,
        Self::Drain,
        Self::Error,
        Self::Limit,
        Self::Access,
        Self::BadHeader,
        Self::UpstreamDown,
    ];

    /// Its letter.
    pub const fn letter(self) -> char {
        match self {
            Self::ClientFin => 'C',
            Self::ClientReset => 'c',
            Self::UpstreamFin => 'U',
            Self::UpstreamReset => 'u',
            Self::NoUpstream => 'F',
            Self::NoPort => 'P',
            Self::Timeout => 'T',
            Self::SessionTimeout => 'S',
            Self::Drain => 'D',
            Self::Error => 'E',
            Self::Limit => 'L',
            Self::Access => 'A',
            Self::BadHeader => 'B',
            Self::UpstreamDown => 'X',
        }
    }

    /// Who ended the session: `client`, `upstream`, `proxy`.
    pub const fn by(self) -> &'static str {
        match self {
            Self::ClientFin | Self::ClientReset => "client",
            Self::UpstreamFin | Self::UpstreamReset | Self::NoUpstream => "upstream",
            Self::NoPort
            | Self::Timeout
            | Self::SessionTimeout
            | Self::Drain
            | Self::Error
            | Self::Limit
            | Self::Access
            | Self::BadHeader
            | Self::UpstreamDown => "proxy",
        }
    }

    /// By what: `fin`, `rst`, …
    pub const fn how(self) -> &'static str {
        match self {
            Self::ClientFin | Self::UpstreamFin => "fin",
            Self::ClientReset | Self::UpstreamReset => "rst",
            Self::NoUpstream => "connect",
            Self::NoPort => "port",
            Self::Timeout => "timeout",
            Self::SessionTimeout => "session-timeout",
            Self::Drain => "drain",
            Self::Error => "error",
            Self::Limit => "limit",
            Self::Access => "access",
            Self::BadHeader => "header",
            Self::UpstreamDown => "down",
        }
    }
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Self; 6] =
        [Self::Connecting, Self::Waiting, Self::Data, Self::HalfClosed, Self::Header, Self::Queued];

    /// Its letter.
    pub const fn letter(self) -> char {
        match self {
            Self::Connecting => 'C',
            Self::Waiting => 'W',
            Self::Data => 'D',
            Self::HalfClosed => 'H',
            Self::Header => 'R',
            Self::Queued => 'Q',
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Waiting => "waiting",
            Self::Data => "data",
            Self::HalfClosed => "half-closed",
            Self::Header => "header",
            Self::Queued => "queued",
        }
    }
}

impl Code {
    /// How many there are.
    pub const COUNT: usize = Cause::ALL.len() * Phase::ALL.len();

    /// Its place among all, which are in order of cause, then of phase.
    #[inline]
    pub const fn index(self) -> usize {
        self.cause as usize * Phase::ALL.len() + self.phase as usize
    }

    /// Every code, by index.
    pub fn all() -> impl Iterator<Item = Self> {
        Cause::ALL
            .into_iter()
            .flat_map(|cause| Phase::ALL.into_iter().map(move |phase| Self { cause, phase }))
    }

    /// What it means, in words.
    pub fn meaning(self) -> String {
        let what = match (self.cause, self.phase) {
            (Cause::ClientFin, _) => "the client ended its stream first",
            (Cause::ClientReset, _) => "the client reset the connection",
            (Cause::UpstreamFin, _) => "the upstream ended its stream first",
            (Cause::UpstreamReset, _) => "the upstream reset the connection",
            (Cause::NoUpstream, _) => "no upstream could be connected",
            (Cause::NoPort, _) => "no local port was free for the upstream connection",
            (Cause::Timeout, Phase::Connecting) => "connecting took longer than its timeouts",
            (Cause::Timeout, Phase::Waiting | Phase::Data) => "no byte passed for the idle timeout",
            (Cause::Timeout, Phase::HalfClosed) => "no byte passed for the half-closed timeout",
            (Cause::Timeout, Phase::Header) => "the PROXY header or the ClientHello took too long",
            (Cause::Timeout, Phase::Queued) => "no slot came free within the queue timeout",
            (Cause::SessionTimeout, _) => "the session timeout was over",
            (Cause::Drain, _) => "the drain time was over",
            (Cause::Error, _) => "descriptors or memory ran out, or a call failed",
            (Cause::Limit, _) => "a limit was reached",
            (Cause::Access, _) => "the access lists do not admit the client",
            (Cause::BadHeader, _) => "no valid PROXY header, or no route",
            (Cause::UpstreamDown, _) => "the upstream's checks failed",
        };
        match (self.cause, self.phase) {
            (Cause::NoUpstream | Cause::NoPort | Cause::Timeout, Phase::Connecting) => what.to_owned(),
            (Cause::Timeout, Phase::HalfClosed | Phase::Header | Phase::Queued) => what.to_owned(),
            (_, Phase::Connecting) => format!("{what}, before an upstream was connected"),
            (_, Phase::Waiting) => format!("{what}, before the upstream had sent anything"),
            (_, Phase::Data) => format!("{what}, after the upstream had sent data"),
            (_, Phase::HalfClosed) => format!("{what}, after one side had ended its stream"),
            (_, Phase::Header) => format!("{what}, while the header was read"),
            (_, Phase::Queued) => format!("{what}, while it waited for a slot"),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.cause.letter(), self.phase.letter())
    }
}

/// Not two letters that mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCode;

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let mut letters = text.chars();
        let (Some(first), Some(second), None) = (letters.next(), letters.next(), letters.next()) else {
            return Err(UnknownCode);
        };
        let cause = Cause::ALL.into_iter().find(|cause| cause.letter() == first).ok_or(UnknownCode)?;
        let phase = Phase::ALL.into_iter().find(|phase| phase.letter() == second).ok_or(UnknownCode)?;
        Ok(Self { cause, phase })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_code_has_letters_a_place_and_a_meaning_of_its_own() {
        let codes: Vec<Code> = Code::all().collect();
        assert_eq!(codes.len(), Code::COUNT);
        for (at, code) in codes.iter().enumerate() {
            assert_eq!((code.index(), code.to_string().parse()), (at, Ok(*code)));
        }
        let distinct = |value: fn(&Code) -> String| codes.iter().map(value).collect::<HashSet<_>>().len();
        assert_eq!((distinct(Code::to_string), distinct(|code| code.meaning())), (Code::COUNT, Code::COUNT));
    }

    #[test]
    fn what_is_no_code_is_refused() {
        for text in ["", "C", "CX", "YC", "CDC", "cd", "é"] {
            assert_eq!(text.parse::<Code>(), Err(UnknownCode), "{text}");
        }
    }
}
