//! How cores speak: a bounded queue, and an eventfd that is written only when the receiver may sleep.
//!
//! The protocol is Dekker's. The receiver says 'I sleep', then looks at the queue once more; the sender
//! puts its message there, then looks whether the receiver sleeps. With a full fence between the two steps
//! on either side, at least one of them sees the other: a message is never left to a sleeping receiver.
//! A receiver that is awake costs its senders no syscall. `cargo test` with `--cfg loom` tries every order.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use crate::sys::{Errno, eventfd::EventFd};

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering, fence};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// Messages that a mailbox holds at most.
pub const CAPACITY: usize = 4096;

/// The sending end; any number of threads may hold one.
pub struct Sender<M>(Arc<Shared<M>>);

/// The receiving end, a worker's own.
pub struct Mailbox<M>(Arc<Shared<M>>);

struct Shared<M> {
    queue: ArrayQueue<M>,
    sleep: Sleep,
    bell: EventFd,
}

/// Makes a mailbox.
///
/// # Errors
/// Those of making an eventfd.
pub fn mailbox<M>() -> Result<(Sender<M>, Mailbox<M>), Errno> {
    let shared = Shared { queue: ArrayQueue::new(CAPACITY), sleep: Sleep::new(), bell: EventFd::new()? };
    let shared = Arc::new(shared);
    Ok((Sender(Arc::clone(&shared)), Mailbox(shared)))
}

impl<M> Sender<M> {
    /// Puts a message in the mailbox.
    ///
    /// # Errors
    /// The message itself, where the mailbox is full.
    pub fn send(&self, message: M) -> Result<(), M> {
        self.0.queue.push(message)?;
        if self.0.sleep.must_ring() {
            self.0.bell.ring();
        }
        Ok(())
    }
}

impl<M> Clone for Sender<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M> Mailbox<M> {
    /// What epoll has to watch while the receiver sleeps.
    pub fn bell(&self) -> &EventFd {
        &self.0.bell
    }

    /// The oldest message.
    #[inline]
    pub fn receive(&self) -> Option<M> {
        self.0.queue.pop()
    }

    /// Whether no message is there.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.queue.is_empty()
    }

    /// Says that the receiver is about to sleep. `false`: a message is there, don't.
    #[inline]
    pub fn may_sleep(&self) -> bool {
        self.0.sleep.announce();
        let empty = self.is_empty();
        if !empty {
            self.0.sleep.cancel();
        }
        empty
    }

    /// Says that the receiver is awake again.
    #[inline]
    pub fn awake(&self) {
        self.0.sleep.cancel();
    }
}

/// The flag of the protocol, apart from queue and bell, so that it can be model-checked alone.
#[derive(Debug)]
struct Sleep(AtomicBool);

impl Sleep {
    fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Receiver: 'I sleep'. Look at the queue after this.
    #[inline]
    fn announce(&self) {
        self.0.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Receiver: 'I don't'.
    #[inline]
    fn cancel(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Sender, after it put its message in the queue: whether it is the one who must ring. Of several
    /// senders one rings.
    #[inline]
    fn must_ring(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_full_mailbox_gives_the_message_back() {
        let (sender, mailbox) = mailbox().expect("an eventfd");
        for number in 0..CAPACITY {
            assert_eq!(sender.send(number), Ok(()));
        }
        assert_eq!(sender.send(CAPACITY), Err(CAPACITY));
        assert_eq!(mailbox.receive(), Some(0));
        assert_eq!(sender.send(CAPACITY), Ok(()));
    }

    #[test]
    fn a_waiting_message_forbids_sleep() {
        let (sender, mailbox) = mailbox().expect("an eventfd");
        assert!(mailbox.may_sleep());
        mailbox.awake();
        assert_eq!(sender.send(1), Ok(()));
        assert!(!mailbox.may_sleep());
    }
}

/// Every interleaving of two senders and a receiver that goes to sleep. Run by
/// `RUSTFLAGS="--cfg loom" cargo test --profile model --lib mailbox`.
#[cfg(all(test, loom))]
mod model {
    use loom::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        thread,
    };

    use super::Sleep;

    /// The queue is a counter (crossbeam's own is checked by its authors), the bell another.
    struct Model {
        sleep: Sleep,
        queued: AtomicUsize,
        rung: AtomicUsize,
    }

    impl Model {
        fn send(&self) {
            self.queued.fetch_add(1, Ordering::Release);
            if self.sleep.must_ring() {
                self.rung.fetch_add(1, Ordering::Release);
            }
        }
    }

    #[test]
    fn no_message_is_left_to_a_sleeper() {
        loom::model(|| {
            let model = Arc::new(Model {
                sleep: Sleep::new(),
                queued: AtomicUsize::new(0),
                rung: AtomicUsize::new(0),
            });
            let senders: Vec<_> = (0..2)
                .map(|_| {
                    let model = Arc::clone(&model);
                    thread::spawn(move || model.send())
                })
                .collect();
            model.sleep.announce();
            let saw = model.queued.load(Ordering::Acquire);
            let sleeps = saw == 0;
            if !sleeps {
                model.sleep.cancel();
            }
            for sender in senders {
                sender.join().expect("a sender does not panic");
            }
            let rung = model.rung.load(Ordering::Acquire);
            assert!(!sleeps || rung == 1, "asleep with {} messages and {rung} rings", 2);
            assert!(rung <= 1, "a bell too many");
        });
    }
}
