//! How cores speak: a bounded queue, and an eventfd that is written only when the receiver may sleep.
//!
//! The protocol is Dekker's. The receiver says 'I sleep', then looks at the queue once more; the sender
//! puts its message there, then looks whether the receiver sleeps. With a full fence between the two steps
//! on either side, at least one of them sees the other: a message is never left to a sleeping receiver.
//! A receiver that is awake costs its senders no syscall. `cargo test` with `--cfg loom` tries every order.
//!
//! That the receiver has to stop isn't put in the queue but said by a word beside it: it must get there though
//! the mailbox be full, and be seen by a receiver that has no time for its mail.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use crate::sys::{Errno, eventfd::EventFd};

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

/// Messages that a mailbox of the usual size holds at most.
pub const CAPACITY: usize = 4096;

/// The sending end; any number of threads may hold one.
pub struct Sender<M>(Arc<Shared<M>>);

/// The receiving end, a worker's own.
pub struct Mailbox<M>(Arc<Shared<M>>);

struct Shared<M> {
    queue: ArrayQueue<M>,
    /// When the receiver has to have stopped; [`NOT_YET`] until that was said.
    stop_by_ns: AtomicU64,
    sleep: Sleep,
    bell: EventFd,
}

/// No time that a clock will show.
const NOT_YET: u64 = u64::MAX;

/// Makes a mailbox of the usual size.
///
/// # Errors
/// Those of making an eventfd.
pub fn mailbox<M>() -> Result<(Sender<M>, Mailbox<M>), Errno> {
    mailbox_of(CAPACITY)
}

/// Makes a mailbox that holds so many messages at most.
///
/// # Errors
/// Those of making an eventfd.
pub fn mailbox_of<M>(capacity: usize) -> Result<(Sender<M>, Mailbox<M>), Errno> {
    let queue = ArrayQueue::new(capacity);
    let stop_by_ns = AtomicU64::new(NOT_YET);
    let shared = Arc::new(Shared { queue, stop_by_ns, sleep: Sleep::new(), bell: EventFd::new()? });
    Ok((Sender(Arc::clone(&shared)), Mailbox(shared)))
}

impl<M> Sender<M> {
    /// Puts a message in the mailbox.
    ///
    /// # Errors
    /// The message itself, where the mailbox is full.
    pub fn send(&self, message: M) -> Result<(), M> {
        self.0.queue.push(message)?;
        self.0.wake();
        Ok(())
    }

    /// How many messages wait.
    pub fn queued(&self) -> usize {
        self.0.queue.len()
    }

    /// Tells the receiver by when, in nanoseconds of the monotonic clock, it has to have stopped. May be said
    /// again, with another time.
    pub fn stop_by(&self, by_ns: u64) {
        // 'For ever' is one less than 'not yet'.
        self.0.stop_by_ns.store(by_ns.min(NOT_YET - 1), Ordering::Release);
        self.0.wake();
    }
}

impl<M> Shared<M> {
    fn wake(&self) {
        if self.sleep.must_ring() {
            self.bell.ring();
        }
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

    /// By when the receiver has to have stopped, once that was said.
    #[inline]
    pub fn stop_by_ns(&self) -> Option<u64> {
        Some(self.0.stop_by_ns.load(Ordering::Acquire)).filter(|by_ns| *by_ns != NOT_YET)
    }

    /// Whether no message is there.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.queue.is_empty()
    }

    /// Says that the receiver is about to sleep. `false`: a message is there, or another word about stopping
    /// than the one that it knows of; don't.
    #[inline]
    pub fn may_sleep(&self, known_stop_ns: Option<u64>) -> bool {
        self.0.sleep.announce();
        let has_no_news = self.is_empty() && self.stop_by_ns() == known_stop_ns;
        if !has_no_news {
            self.0.sleep.cancel();
        }
        has_no_news
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
        assert!(mailbox.may_sleep(None));
        mailbox.awake();
        assert_eq!(sender.send(1), Ok(()));
        assert!(!mailbox.may_sleep(None));
    }

    #[test]
    fn a_stop_gets_through_though_the_mailbox_is_full() {
        let (sender, mailbox) = mailbox().expect("an eventfd");
        (0..CAPACITY).for_each(|number| assert_eq!(sender.send(number), Ok(())));
        assert_eq!(mailbox.stop_by_ns(), None);
        sender.stop_by(7);
        assert_eq!(mailbox.stop_by_ns(), Some(7));
        while mailbox.receive().is_some() {}
        assert!(!mailbox.may_sleep(None));
        assert!(mailbox.may_sleep(Some(7)));
        sender.stop_by(u64::MAX);
        assert_eq!(mailbox.stop_by_ns(), Some(u64::MAX - 1));
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
