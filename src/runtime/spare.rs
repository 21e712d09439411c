//! Descriptors to spare, so that connections can be told that there are no others (`--on-fd-limit shed`).
//!
//! accept4(2) wants a free descriptor even for a connection that is to be closed at once. So as many as there are
//! threads that accept are kept for that, all in one place: whoever finds no other gives one up, accepts with it,
//! resets the connection, and takes it back. In between another thread may be faster and have it for a connection of
//! its own. That thread sees that one is missing, and sheds its connection too: no session is opened while a spare is
//! missing, so they don't become fewer.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use crate::sys::eventfd::EventFd;

/// The spare descriptors of all threads that accept. A clone is the same ones.
#[derive(Clone, Debug)]
pub struct Spares(Arc<ArrayQueue<EventFd>>);

impl Spares {
    /// One for each of so many threads.
    pub fn new(threads: usize) -> Self {
        let spares = Self(Arc::new(ArrayQueue::new(threads.max(1))));
        spares.refill();
        spares
    }

    /// Closes one, so that its number is free. `false`: none is left.
    pub fn give_up(&self) -> bool {
        self.0.pop().is_some()
    }

    /// Whether one is missing.
    #[inline]
    pub fn is_short(&self) -> bool {
        !self.0.is_full()
    }

    /// Takes back what is missing, as far as there are descriptors.
    pub fn refill(&self) {
        while self.is_short() {
            let Ok(spare) = EventFd::new() else { return };
            // Full by now: another thread has done the same.
            let _ = self.0.push(spare);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_up_is_taken_back() {
        let spares = Spares::new(2);
        assert!(!spares.is_short());
        assert!(spares.give_up() && spares.is_short() && spares.give_up() && !spares.give_up());
        spares.clone().refill();
        assert!(!spares.is_short());
    }
}
