//! One way to run a proxy: how it accepts, how epoll triggers, how bytes cross, and what the sockets are.

use std::{fmt, path::Path};

use super::wire::Family;
use crate::config::{AcceptMode, Forward, Trigger};

/// A combination of modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Combination {
    /// `--accept`.
    pub accept: AcceptMode,
    /// `--trigger`.
    pub trigger: Trigger,
    /// `--forward`.
    pub forward: Forward,
    /// What clients connect to.
    pub listen: Family,
    /// What the proxy connects to.
    pub upstream: Family,
}

impl Combination {
    /// Every combination of these modes, over TCP.
    pub fn all(accepts: &[AcceptMode], triggers: &[Trigger], forwards: &[Forward]) -> Vec<Self> {
        let mut all = Vec::new();
        for &accept in accepts {
            for &trigger in triggers {
                all.extend(forwards.iter().map(|&forward| Self::over_tcp(accept, trigger, forward)));
            }
        }
        all
    }

    /// Few of them: each pair of a trigger and a forwarder once, and each accept mode at least as often as it
    /// takes to have them all.
    pub fn few(accepts: &[AcceptMode], triggers: &[Trigger], forwards: &[Forward]) -> Vec<Self> {
        let pairs = Self::all(&accepts[..accepts.len().min(1)], triggers, forwards);
        let count = pairs.len().max(accepts.len());
        let pairs = pairs.into_iter().cycle().take(count);
        pairs.zip(accepts.iter().cycle()).map(|(pair, &accept)| Self { accept, ..pair }).collect()
    }

    /// Unix sockets on either side, and on both, with each forwarder and each trigger.
    pub fn beside_unix(triggers: &[Trigger], forwards: &[Forward]) -> Vec<Self> {
        let sides = [(Family::Unix, Family::Tcp), (Family::Tcp, Family::Unix), (Family::Unix, Family::Unix)];
        let mut all = Vec::new();
        for (index, &forward) in forwards.iter().enumerate() {
            for (shift, (listen, upstream)) in sides.into_iter().enumerate() {
                // Each side has another trigger with the next forwarder.
                let triggers = triggers.iter().cycle().skip(index + shift).take(1);
                let over_tcp = |&trigger| Self::over_tcp(AcceptMode::Private, trigger, forward);
                all.extend(triggers.map(over_tcp).map(|combination| Self {
                    listen,
                    upstream,
                    ..combination
                }));
            }
        }
        all
    }

    /// The arguments of a proxy that listens here (or at this path) and forwards there.
    pub fn arguments(&self, path: &Path, upstream: &str) -> Vec<String> {
        let listen = match self.listen {
            Family::Tcp => "127.0.0.1:0".to_owned(),
            Family::Unix => format!("unix:{}", path.display()),
        };
        let flags = [
            ("--listen", listen.as_str()),
            ("--upstream", upstream),
            ("--accept", self.accept.name()),
            ("--trigger", self.trigger.name()),
            ("--forward", self.forward.name()),
            ("--workers", "2"),
            ("--report", "json"),
        ];
        let flags = flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value.to_owned()]);
        std::iter::once("proxy".to_owned()).chain(flags).collect()
    }

    /// Whether there is a unix socket in it.
    pub fn is_unix(&self) -> bool {
        [self.listen, self.upstream].contains(&Family::Unix)
    }

    fn over_tcp(accept: AcceptMode, trigger: Trigger, forward: Forward) -> Self {
        Self { accept, trigger, forward, listen: Family::Tcp, upstream: Family::Tcp }
    }
}

impl fmt::Display for Combination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = |family| if family == Family::Unix { "unix" } else { "tcp" };
        write!(f, "{}/{}/{}", self.accept, self.trigger, self.forward)?;
        if self.is_unix() {
            write!(f, " {}→{}", family(self.listen), family(self.upstream))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn there_are_as_many_as_the_flags_imply() {
        assert_eq!(Combination::all(AcceptMode::ALL, Trigger::ALL, Forward::ALL).len(), 6 * 3 * 3);
        assert_eq!(Combination::all(&[AcceptMode::Dealt], Trigger::ALL, &[Forward::Copy]).len(), 3);
        assert_eq!(Combination::beside_unix(Trigger::ALL, Forward::ALL).len(), 9);
    }

    #[test]
    fn few_have_every_mode_and_every_pair_of_trigger_and_forwarder() {
        let few = Combination::few(AcceptMode::ALL, Trigger::ALL, Forward::ALL);
        let accepts: HashSet<_> = few.iter().map(|few| few.accept).collect();
        let pairs: HashSet<_> = few.iter().map(|few| (few.trigger, few.forward)).collect();
        assert_eq!((few.len(), accepts.len(), pairs.len()), (9, 6, 9));
        assert_eq!(Combination::few(AcceptMode::ALL, &[Trigger::Edge], &[Forward::Copy]).len(), 6);
    }
}
