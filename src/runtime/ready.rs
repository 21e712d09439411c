//! Sessions that have work, in the order in which they will get their turns.
//!
//! An iteration runs the sessions that were here when it began, each once; one that used up its budget
//! goes to the tail. So between two turns of a session every other ready session has one, and a firehose
//! starves nobody.

use std::collections::VecDeque;

use super::token::Token;

/// A queue of tokens. Who pushes sees to it that no session is in it twice (a flag in the session).
#[derive(Default)]
pub struct ReadyList(VecDeque<Token>);

impl ReadyList {
    /// Adds one at the tail.
    #[inline]
    pub fn push(&mut self, token: Token) {
        self.0.push_back(token);
    }

    /// Takes the one at the head.
    #[inline]
    pub fn pop(&mut self) -> Option<Token> {
        self.0.pop_front()
    }

    /// How many wait.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::runtime::token::Serial;

    proptest! {
        /// Sessions with work for 1 to 20 turns, arriving at any time, run as the worker runs them: between
        /// two turns of one, each other that was ready all the while has had exactly one.
        #[test]
        fn turns_alternate(arrivals in prop::collection::vec((0usize..30, 1u32..20), 1..40)) {
            let mut ready = ReadyList::default();
            let mut work: Vec<u32> = arrivals.iter().map(|(_, turns)| *turns).collect();
            let mut history: Vec<usize> = Vec::new();
            let mut ready_since: Vec<Option<usize>> = vec![None; arrivals.len()];
            let token = |slot| Token::session(Serial::FIRST, slot);
            for iteration in 0.. {
                for (slot, _) in arrivals.iter().enumerate().filter(|(_, (at, _))| *at == iteration) {
                    ready_since[slot] = Some(history.len());
                    ready.push(token(slot));
                }
                if ready.is_empty() && iteration > 30 {
                    break;
                }
                for _ in 0..ready.len() {
                    let slot = ready.pop().expect("counted").slot();
                    history.push(slot);
                    work[slot] -= 1;
                    if work[slot] > 0 {
                        ready.push(token(slot));
                    }
                }
            }
            prop_assert!(work.iter().all(|turns| *turns == 0), "a session was forgotten");
            for slot in 0..arrivals.len() {
                let turns: Vec<usize> = (0..history.len()).filter(|at| history[*at] == slot).collect();
                for pair in turns.windows(2) {
                    for other in (0..arrivals.len()).filter(|other| *other != slot) {
                        let last = history.iter().rposition(|ran| *ran == other);
                        let all_the_while = ready_since[other].is_some_and(|since| since <= pair[0])
                            && last.is_some_and(|last| last > pair[1]);
                        let had = history[pair[0] + 1..pair[1]].iter().filter(|ran| **ran == other).count();
                        prop_assert!(had <= 1, "{other} ran {had} times between two turns of {slot}");
                        prop_assert!(!all_the_while || had == 1, "{other} was passed over by {slot}");
                    }
                }
            }
        }
    }
}
