//! What came of a script at one end, and whether that is what direct TCP makes of it.
//!
//! What must always hold is checked without asking the oracle: bytes come in order, an end-of-file comes after
//! all that was written and not before the peer ended its stream, a reset comes from a peer that has left. What
//! a script determines beyond that is what several direct runs agree on.

use std::fmt;

use rustix::io::Errno;

use super::script::{Aspect, Role, Script, Step};

/// How the stream that an end read came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// FIN.
    Eof,
    /// RST.
    Reset,
    /// Something else.
    Error(Errno),
}

/// What one end has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How many bytes it got.
    pub received: u64,
    /// Where the first of them that isn't right was.
    pub wrong_at: Option<u64>,
    /// `None`: it left before it saw one.
    pub ending: Option<Ending>,
    /// The stream ended though the peer had done nothing that ends one so.
    pub is_early: bool,
    /// How many bytes its socket took.
    pub sent: u64,
    /// Why it took no more.
    pub write_error: Option<Errno>,
    /// The step that it never came past.
    pub hung_at: Option<Step>,
}

/// What a script determines at each end; `None` is left to chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    bytes: Option<u64>,
    ending: Option<Option<Ending>>,
    writes: Option<bool>,
}

impl Expected {
    /// What all runs over direct TCP agree on, less what the script itself leaves open, for each end.
    pub fn of(script: &Script, runs: &[[Outcome; 2]]) -> [Self; 2] {
        Role::BOTH.map(|role| {
            let seen = || runs.iter().map(|run| run[role.index()]);
            let is_open = |aspect: Aspect| script.open.contains(&(role, aspect));
            let known = |aspect| (!is_open(aspect)).then_some(());
            Self {
                bytes: known(Aspect::Bytes).and_then(|()| agreed(seen().map(|outcome| outcome.received))),
                ending: known(Aspect::Ending).and_then(|()| agreed(seen().map(|outcome| outcome.ending))),
                writes: known(Aspect::Writes)
                    .and_then(|()| agreed(seen().map(|outcome| outcome.write_error.is_none()))),
            }
        })
    }

    /// The same for a connection with a unix socket in it: a reset is told as an end there, and a close with unread
    /// input as a reset, even behind an end.
    #[must_use]
    pub fn beside_unix(self, script: &Script) -> Self {
        let breaks = Role::BOTH.into_iter().any(|role| script.leaves(role));
        Self { ending: self.ending.filter(|_| !breaks), ..self }
    }

    /// What is wrong about an end, in words, if anything is.
    pub fn complaint(&self, role: Role, run: &[Outcome; 2], is_unix: bool) -> Option<String> {
        let (outcome, peer) = (&run[role.index()], &run[role.other().index()]);
        if let Some(what) = outcome.fault(peer, is_unix) {
            return Some(format!("the {role} {what}"));
        }
        let differs = self.bytes.is_some_and(|bytes| bytes != outcome.received)
            || self.ending.is_some_and(|ending| ending != outcome.ending)
            || self.writes.is_some_and(|all| all != outcome.write_error.is_none());
        differs.then(|| format!("the {role} {outcome}; by direct TCP {self}"))
    }
}

impl Outcome {
    /// What no connection may ever show.
    fn fault(&self, peer: &Self, is_unix: bool) -> Option<String> {
        if let Some(at) = self.wrong_at {
            return Some(format!("got a wrong byte at offset {at}"));
        }
        if let Some(step) = self.hung_at {
            return Some(format!("never came past '{step}': it {self}"));
        }
        if self.is_early {
            return Some(format!("{self}, though its peer had done nothing to end it so"));
        }
        if self.received > peer.sent {
            return Some(format!("got {} bytes of the {} that were sent", self.received, peer.sent));
        }
        let is_cut = self.ending == Some(Ending::Eof) && self.received < peer.sent && !is_unix;
        is_cut.then(|| format!("got an end-of-file after {} of {} bytes", self.received, peer.sent))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "got {} bytes and {}", self.received, in_words(self.ending))?;
        match self.write_error {
            Some(error) => write!(f, ", its write failed after {} ({})", self.sent, reason(error)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bytes {
            Some(bytes) => write!(f, "{bytes} bytes")?,
            None => f.write_str("any number of bytes")?,
        }
        match self.ending {
            Some(ending) => write!(f, " and {}", in_words(ending))?,
            None => f.write_str(" and any end")?,
        }
        match self.writes {
            Some(true) => f.write_str(", all written"),
            Some(false) => f.write_str(", a write failed"),
            None => Ok(()),
        }
    }
}

fn in_words(ending: Option<Ending>) -> String {
    match ending {
        None => "no end".to_owned(),
        Some(Ending::Eof) => "an end-of-file".to_owned(),
        Some(Ending::Reset) => "a reset".to_owned(),
        Some(Ending::Error(error)) => format!("an error ({})", reason(error)),
    }
}

fn reason(error: Errno) -> String {
    crate::sys::reason(&error.into())
}

/// The value, if all are the same.
fn agreed<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Outcome = Outcome {
        received: 10,
        wrong_at: None,
        ending: Some(Ending::Eof),
        is_early: false,
        sent: 10,
        write_error: None,
        hung_at: None,
    };

    fn complaint(outcome: Outcome) -> Option<String> {
        let expected = Expected::of(&"client:; upstream:".parse().unwrap(), &[[WHOLE; 2]; 3]);
        expected[0].complaint(Role::Client, &[outcome, WHOLE], false)
    }

    #[test]
    fn each_deviation_has_its_sentence() {
        assert_eq!(complaint(WHOLE), None);
        for (outcome, sentence) in [
            (Outcome { wrong_at: Some(3), ..WHOLE }, "the client got a wrong byte at offset 3"),
            (Outcome { received: 9, ..WHOLE }, "the client got an end-of-file after 9 of 10 bytes"),
            (
                Outcome { ending: Some(Ending::Reset), ..WHOLE },
                "the client got 10 bytes and a reset; by direct TCP 10 bytes and an end-of-file, all written",
            ),
            (
                Outcome { is_early: true, ..WHOLE },
                "the client got 10 bytes and an end-of-file, though its peer had done nothing to end it so",
            ),
            (Outcome { received: 11, ..WHOLE }, "the client got 11 bytes of the 10 that were sent"),
            (
                Outcome { ending: None, hung_at: Some(Step::ReadToEnd), ..WHOLE },
                "the client never came past 'read-to-end': it got 10 bytes and no end",
            ),
        ] {
            assert_eq!(complaint(outcome).as_deref(), Some(sentence));
        }
    }

    #[test]
    fn what_direct_runs_disagree_on_is_not_compared() {
        let script = "client:; upstream:".parse().unwrap();
        let other = Outcome { ending: Some(Ending::Reset), ..WHOLE };
        let expected = Expected::of(&script, &[[WHOLE, WHOLE], [other, WHOLE]]);
        assert_eq!(expected[0].complaint(Role::Client, &[other, WHOLE], false), None);
        assert!(expected[1].complaint(Role::Upstream, &[WHOLE, other], false).is_some());
    }
}
