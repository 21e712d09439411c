//! A worker's sessions: a slab, with a serial in each slot.
//!
//! An ended session is unlinked at once: from then on its token finds nobody. Its slot is freed when the
//! batch is over, so that within a batch no slot has two owners. Either alone would do; the serial is what
//! the correctness rests on, the quarantine is what keeps a session's memory where it was while the rest of
//! its last turn still looks at it.

use slab::Slab;

use super::token::{SLOTS_MAX, Serial, Token};

/// Sessions by token.
pub struct Table<T> {
    slots: Slab<Slot<T>>,
    next_serial: Serial,
    unlinked: Vec<u32>,
}

struct Slot<T> {
    /// `None` once the session is unlinked.
    serial: Option<Serial>,
    value: T,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { slots: Slab::new(), next_serial: Serial::FIRST, unlinked: Vec::new() }
    }
}

impl<T> Table<T> {
    /// The token that the next [`Self::insert`] will give, or `None` where the table is full.
    pub fn next_token(&self) -> Option<Token> {
        let slot = self.slots.vacant_key();
        (slot < SLOTS_MAX).then(|| Token::session(self.next_serial, slot))
    }

    /// Takes a session in.
    ///
    /// # Panics
    /// Where [`Self::next_token`] says that the table is full.
    pub fn insert(&mut self, value: T) -> Token {
        let token = self.next_token().expect("the caller asked whether there is room");
        self.slots.insert(Slot { serial: Some(self.next_serial), value });
        self.next_serial = self.next_serial.next();
        token
    }

    /// The session of this token, unless it has ended.
    #[inline]
    pub fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        let slot = self.slots.get_mut(token.slot())?;
        (slot.serial == Some(token.serial())).then_some(&mut slot.value)
    }

    /// Ends a session: its token finds nobody from now on. Says whether it was there.
    pub fn unlink(&mut self, token: Token) -> bool {
        let Some(slot) = self.slots.get_mut(token.slot()) else { return false };
        if slot.serial != Some(token.serial()) {
            return false;
        }
        slot.serial = None;
        // A slot number has 22 bits.
        self.unlinked.push(token.slot() as u32);
        true
    }

    /// Frees the slots of the sessions that have ended since the last call.
    #[inline]
    pub fn free_unlinked(&mut self) {
        while let Some(slot) = self.unlinked.pop() {
            self.slots.remove(slot as usize);
        }
    }

    /// How many sessions are open.
    #[inline]
    pub fn len(&self) -> usize {
        self.slots.len() - self.unlinked.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tokens of all open sessions.
    pub fn tokens(&self) -> Vec<Token> {
        let open = |(index, slot): (usize, &Slot<T>)| slot.serial.map(|serial| Token::session(serial, index));
        self.slots.iter().filter_map(open).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert,
        Unlink(prop::sample::Index),
        Free,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => Just(Step::Insert),
            3 => any::<prop::sample::Index>().prop_map(Step::Unlink),
            1 => Just(Step::Free),
        ]
    }

    proptest! {
        /// Against a map that never reuses a key: every token ever given finds its own session or nobody.
        #[test]
        fn no_token_finds_another_session(steps in prop::collection::vec(step(), 1..200)) {
            let mut table = Table::default();
            let mut model: HashMap<Token, u32> = HashMap::new();
            let mut given: Vec<Token> = Vec::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Insert => {
                        let token = table.insert(number as u32);
                        prop_assert!(model.insert(token, number as u32).is_none(), "a token was given twice");
                        given.push(token);
                    }
                    Step::Unlink(_) if given.is_empty() => {}
                    Step::Unlink(index) => {
                        let token = *index.get(&given);
                        prop_assert_eq!(table.unlink(token), model.remove(&token).is_some());
                    }
                    Step::Free => table.free_unlinked(),
                }
                prop_assert_eq!(table.len(), model.len());
                for token in &given {
                    prop_assert_eq!(table.get_mut(*token).copied(), model.get(token).copied());
                }
            }
        }
    }

    /// The case that one reuse bit gets wrong: the slot is reused twice before the stale event is looked at.
    #[test]
    fn a_slot_reused_twice_in_one_batch_is_told_apart() {
        let mut table = Table::default();
        let first = table.insert("first");
        let mut slots = vec![first.slot()];
        for name in ["second", "third"] {
            let last = *slots.last().expect("the first is there");
            let token = table.tokens().into_iter().find(|token| token.slot() == last).expect("it is open");
            assert!(table.unlink(token));
            table.free_unlinked();
            slots.push(table.insert(name).slot());
        }
        assert_eq!(slots, vec![slots[0]; 3], "the slab gives the slot again at once");
        assert_eq!(table.get_mut(first), None);
    }

    #[test]
    fn an_unlinked_slot_is_not_given_before_the_batch_is_over() {
        let mut table = Table::default();
        let first = table.insert(1);
        assert!(table.unlink(first));
        assert!(!table.unlink(first), "a session ends once");
        assert_ne!(table.insert(2).slot(), first.slot());
    }
}
