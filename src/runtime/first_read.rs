//! Whether a fresh connection's first read is tried before epoll is asked to watch it.
//!
//! Where clients speak at once, their first bytes are there when accept4 returns: reading them first saves a
//! wakeup, and a connection of one message may come and go without an `epoll_ctl`. Where they don't, the
//! try is a wasted syscall. So each worker keeps score, and asks again now and then.

/// The score of the last tries, from 0 to [`FULL`].
#[derive(Default)]
pub struct FirstRead {
    score: u32,
    untried: u32,
}

const FULL: u32 = 256;
/// A try pays from this score on: it saves about as much as it costs.
const PAYS: u32 = FULL / 2;
/// While it doesn't pay, one connection in so many is tried.
const PROBE_EVERY: u32 = 32;

impl FirstRead {
    /// Whether to try with the connection that was just accepted.
    pub fn should_try(&mut self) -> bool {
        self.untried += 1;
        let tries = self.score >= PAYS || self.untried >= PROBE_EVERY;
        if tries {
            self.untried = 0;
        }
        tries
    }

    /// What came of a try.
    pub fn tried(&mut self, hit: bool) {
        let target = if hit { FULL } else { 0 };
        // A quarter of the way: a few tries in a row decide, a single one doesn't.
        self.score = (3 * self.score + target) / 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tries(policy: &mut FirstRead, connections: u32, hit: bool) -> u32 {
        let tried = (0..connections).filter(|_| {
            let tries = policy.should_try();
            if tries {
                policy.tried(hit);
            }
            tries
        });
        tried.count() as u32
    }

    #[test]
    fn it_follows_the_clients() {
        let mut policy = FirstRead::default();
        assert!(tries(&mut policy, 3200, false) <= 3200 / PROBE_EVERY);
        tries(&mut policy, 10 * PROBE_EVERY, true);
        assert_eq!(tries(&mut policy, 100, true), 100);
        tries(&mut policy, 100, false);
        assert!(tries(&mut policy, 3200, false) <= 3200 / PROBE_EVERY);
    }
}
