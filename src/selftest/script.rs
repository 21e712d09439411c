//! What the two ends of a connection do: a list of steps for the client, one for the upstream.
//!
//! A script has a text form, `client: write 100, reset; upstream: read-to-end`, so that one that failed can be
//! printed, and typed again. An end reads all the time, unless it was told to stop; so a step that waits, or a
//! write that blocks, never keeps the other side's bytes from being taken. When its steps are done, an end that
//! is still open shuts down, reads to the end, and closes: each script ends by itself.

use std::{fmt, str::FromStr};

use crate::config::units;

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It connects.
    Client,
    /// It is connected to.
    Upstream,
}

impl Role {
    /// Both, in the order of [`Role::index`].
    pub const BOTH: [Self; 2] = [Self::Client, Self::Upstream];

    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Upstream,
            Self::Upstream => Self::Client,
        }
    }

    /// Its place in a pair.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
        })
    }
}

/// Declares the steps with the word, and the kind of number, that each has in a script's text.
macro_rules! steps {
    ($($(#[$doc:meta])* $variant:ident $(($number:ty))? = $word:literal,)+) => {
        /// One thing that an end does. Numbers are bytes where nothing else is said.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Step { $($(#[$doc])* $variant $(($number))?,)+ }

        impl Step {
            fn parse(word: &str, number: Option<u64>) -> Option<Self> {
                match word {
                    $($word => steps!(@parse $variant $(($number))?; number),)+
                    _ => None,
                }
            }

            const WORDS: &'static [&'static str] = &[$($word),+];

            fn parts(self) -> (&'static str, Option<u64>) {
                match self { $(steps!(@pattern $variant $(($number))?; number) => steps!(@parts $word $(($number))?; number),)+ }
            }
        }
    };
    (@parse $variant:ident ($number:ty); $value:ident) => { $value.map(Self::$variant) };
    (@parse $variant:ident; $value:ident) => { $value.is_none().then_some(Self::$variant) };
    (@pattern $variant:ident ($number:ty); $value:ident) => { Self::$variant($value) };
    (@pattern $variant:ident; $value:ident) => { Self::$variant };
    (@parts $word:literal ($number:ty); $value:ident) => { ($word, Some($value)) };
    (@parts $word:literal; $value:ident) => { ($word, None) };
}

steps! {
    /// Writes so many bytes.
    Write(u64) = "write",
    /// Writes so many bytes, each in a segment of its own.
    WriteSlowly(u64) = "write-slowly",
    /// Writes one byte, and marks it as urgent.
    WriteUrgent = "write-urgent",
    /// Ends its stream: FIN.
    ShutDown = "shut-down",
    /// Closes with RST.
    Reset = "reset",
    /// Closes.
    Close = "close",
    /// Takes no bytes from now on, but those that a `read` asks for.
    StopReading = "stop-reading",
    /// Takes bytes again.
    Resume = "resume",
    /// Waits until so many bytes more have come, or the stream has ended.
    Read(u64) = "read",
    /// Waits until the stream has ended.
    ReadToEnd = "read-to-end",
    /// Waits until there is something to read, and leaves it there.
    AwaitInput = "await-input",
    /// Waits until the connection is broken.
    AwaitReset = "await-reset",
    /// Waits until the other end has done so many steps.
    AwaitPeer(u64) = "await-peer",
    /// Does nothing for so many milliseconds.
    Pause(u64) = "pause",
}

/// What both ends do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// What it is called in reports.
    pub name: String,
    /// The steps of each [`Role`].
    pub steps: [Vec<Step>; 2],
    /// Whether both ends have small socket buffers, so that writes are cut short.
    pub narrow: bool,
    /// What direct TCP leaves to chance here.
    pub open: Vec<(Role, Aspect)>,
}

/// What can be compared about an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aspect {
    /// How many bytes it got.
    Bytes,
    /// How the stream that it read ended.
    Ending,
    /// Whether all that it wrote was taken.
    Writes,
}

impl Script {
    /// A script by its text.
    ///
    /// # Errors
    /// A sentence that quotes the step.
    pub fn parse(name: &str, client: &str, upstream: &str) -> Result<Self, String> {
        let steps = [steps_of(client)?, steps_of(upstream)?];
        Ok(Self { name: name.to_owned(), steps, narrow: false, open: Vec::new() })
    }

    /// The same with small socket buffers.
    #[must_use]
    pub fn narrow(self) -> Self {
        Self { narrow: true, ..self }
    }

    /// The same, with something that isn't compared because direct TCP leaves it to chance.
    #[must_use]
    pub fn leaving_open(mut self, role: Role, aspects: &[Aspect]) -> Self {
        self.open.extend(aspects.iter().map(|aspect| (role, *aspect)));
        self
    }

    /// The same, with all that TCP leaves to chance where an end leaves before it has read all: what was in flight
    /// then may be lost, a writer may or may not hear of it, and a close is a reset if input was unread.
    #[must_use]
    pub fn leaving_open_by_rule(mut self) -> Self {
        for role in Role::BOTH {
            let steps = &self.steps[role.index()];
            let leaves = |step: &Step| matches!(step, Step::Close | Step::Reset);
            let Some(at) = steps.iter().position(leaves) else { continue };
            let (has_read_all, is_reset) = (steps[..at].contains(&Step::ReadToEnd), steps[at] == Step::Reset);
            let (has_ended, arrives) = (steps[..at].contains(&Step::ShutDown), arrives(steps));
            self.open.extend(Role::BOTH.map(|role| (role, Aspect::Writes)));
            if !has_read_all {
                self.open.extend([(role, Aspect::Bytes), (role, Aspect::Ending)]);
            }
            if !has_read_all && !is_reset {
                self.open.push((role.other(), Aspect::Ending));
            }
            if !arrives && (is_reset || !has_read_all) {
                self.open.push((role.other(), Aspect::Bytes));
            }
            if !arrives && is_reset && has_ended {
                // The FIN is behind the bytes.
                self.open.push((role.other(), Aspect::Ending));
            }
        }
        self
    }

    /// Whether this end resets or closes.
    pub fn leaves(&self, role: Role) -> bool {
        self.steps[role.index()].iter().any(|step| matches!(step, Step::Reset | Step::Close))
    }

    /// Whether any end does this.
    pub fn has(&self, is_it: impl Fn(&Step) -> bool) -> bool {
        self.steps.iter().flatten().any(is_it)
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |role: Role| {
            let steps = self.steps[role.index()].iter().map(Step::to_string);
            format!("{role}: {}", steps.collect::<Vec<_>>().join(", "))
        };
        write!(f, "{}; {}", list(Role::Client).trim_end(), list(Role::Upstream).trim_end())
    }
}

impl FromStr for Script {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a script: write 'client: STEP, …; upstream: STEP, …'");
        let (client, upstream) = text.split_once(';').ok_or_else(wrong)?;
        let client = client.trim().strip_prefix("client:").ok_or_else(wrong)?;
        let upstream = upstream.trim().strip_prefix("upstream:").ok_or_else(wrong)?;
        Ok(Self::parse("typed", client, upstream)?.leaving_open_by_rule())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            (word, Some(number)) => write!(f, "{word} {}", Size(number)),
            (word, None) => f.write_str(word),
        }
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, number) = text.split_once(' ').map_or((text, None), |(word, number)| (word, Some(number)));
        let number = number.map(units::size).transpose()?.map(|number| number as u64);
        Self::parse(word, number).ok_or_else(|| {
            let known = Self::WORDS.join(", ");
            format!("'{text}' is not a step: use {known}, with a number where there is one to give")
        })
    }
}

/// Whole kilobytes and megabytes as people write them.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0"),
            bytes if bytes.is_multiple_of(1 << 20) => write!(f, "{}M", bytes >> 20),
            bytes if bytes.is_multiple_of(1 << 10) => write!(f, "{}k", bytes >> 10),
            bytes => write!(f, "{bytes}"),
        }
    }
}

/// Whether all that an end writes is in its peer's hands before it leaves: no more segments than a fresh
/// connection may have on its way (10, RFC 6928, less some for what chance splits), and no more bytes than fit a window.
fn arrives(steps: &[Step]) -> bool {
    const SEGMENTS_MAX: u64 = 7;
    const LEN_MAX: u64 = 4000;
    let written = |step: &Step| match step {
        Step::Write(len) => (1, *len),
        Step::WriteSlowly(len) => (*len, *len),
        Step::WriteUrgent => (1, 1),
        _ => (0, 0),
    };
    let (segments, bytes) =
        steps.iter().map(written).fold((0, 0), |sum, more| (sum.0 + more.0, sum.1 + more.1));
    segments <= SEGMENTS_MAX && bytes <= LEN_MAX
}

fn steps_of(text: &str) -> Result<Vec<Step>, String> {
    text.split(',').map(str::trim).filter(|step| !step.is_empty()).map(str::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_survives_a_round_trip() {
        for text in [
            "client:; upstream:",
            "client: write 100, reset; upstream: read-to-end",
            "client: write 64k, write-slowly 3, await-peer 2; upstream: pause 50, write 3M, close",
        ] {
            let script = text.parse::<Script>().expect("it is one");
            assert_eq!(script.to_string(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, why) in [
            ("write 3", "is not a script"),
            ("client: jump; upstream:", "'jump' is not a step: use write, write-slowly,"),
            ("client: write; upstream:", "'write' is not a step"),
            ("client: close 3; upstream:", "'close 3' is not a step"),
            ("client: write x; upstream:", "'x'"),
        ] {
            let message = text.parse::<Script>().unwrap_err();
            assert!(message.contains(why), "{text}: {message}");
        }
    }
}
