//! The ledger's writer: a thread that turns entries into lines, so that no worker ever waits for a disk.
//!
//! Workers put entries into a bounded queue. One that is full gives the entry back: its worker counts it as dropped
//! and goes on. What the queue took is written, or counted here if it can't be: nothing is lost untold. A worker
//! rings only if the writer sleeps, and after each batch the writer naps before it sleeps, so a busy proxy
//! pays a syscall a hundred times a second and not for every session.

mod sink;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::event::PollFlags;

use super::thread::Thread;
use crate::{
    config::{LogFormat, LogTarget},
    measure::ledger::{self, Entry, Names},
    runtime::mailbox::{Mailbox, Sender, mailbox_of},
    sys::{self, clock, epoll::Source, eventfd::EventFd},
};
use sink::Sink;
pub(super) use sink::{may_write, wait_for};

/// The sending end, for workers: `send` never blocks, and gives the entry back where the writer is behind.
pub type JournalSender = Sender<Entry>;

/// Entries that wait for the writer at most.
pub const CAPACITY: usize = 16_384;

/// Lines are written when there are so many bytes of them, or no more entries.
const BATCH_LEN: usize = 64 << 10;

/// How long the writer waits for more entries before it says that it sleeps.
const NAP: Duration = Duration::from_millis(10);

/// How long the last lines may take, in nanoseconds, and how much longer a writer that the kernel holds.
const GIVE_UP_NS: u64 = 1_000_000_000;
const GRACE_NS: u64 = 250_000_000;

/// A ledger that is being written. Dropping it, in place of [`Self::finish`], leaves unwritten what is queued.
pub struct Journal {
    sender: JournalSender,
    thread: Thread<()>,
    ended: Arc<EventFd>,
    tally: Arc<Tally>,
}

/// What has become of the entries that the queue took, but for those that are written.
#[derive(Default)]
struct Tally {
    /// Could not be written.
    dropped: AtomicU64,
    /// Are being written.
    in_hand: AtomicU64,
}

impl Journal {
    /// Whether a ledger could be kept there. Nothing is made or opened.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(target: &LogTarget) -> Result<(), String> {
        Sink::check(target)
    }

    /// Opens the target and starts the writer.
    ///
    /// # Errors
    /// A sentence: what could not be opened or started, why, and what to do.
    pub fn start(
        target: LogTarget,
        format: LogFormat,
        names: Names,
    ) -> Result<(Self, JournalSender), String> {
        Self::start_with(Sink::open(target)?, format, names)
    }

    fn start_with(sink: Sink, format: LogFormat, names: Names) -> Result<(Self, JournalSender), String> {
        let refused = |why: String| {
            format!("cannot start the ledger's writer: {why}; raise `ulimit -n` or `ulimit -u`")
        };
        let no_descriptor = |error: sys::Errno| refused(sys::reason(&error.into()));
        let (sender, mailbox) = mailbox_of(CAPACITY).map_err(no_descriptor)?;
        let ended = Arc::new(EventFd::new().map_err(no_descriptor)?);
        let tally = Arc::new(Tally::default());
        let lines = String::with_capacity(BATCH_LEN + (4 << 10));
        let mut writer = Writer { mailbox, sink, format, names, tally: Arc::clone(&tally), lines };
        let thread = Thread::start("ledger".into(), &ended, move || writer.run())
            .map_err(|error| refused(sys::reason(&error)))?;
        Ok((Self { sender: sender.clone(), thread, ended, tally }, sender))
    }

    /// How many entries that the queue took could not be written so far.
    pub fn dropped(&self) -> u64 {
        self.tally.dropped.load(Ordering::Acquire)
    }

    /// Writes what is queued and ends the writer; call it when nobody sends any more. A reader that doesn't read
    /// is waited for no longer than a second. Returns how many entries that the queue took were never written.
    pub fn finish(mut self) -> u64 {
        let until_ns = clock::now_ns().saturating_add(GIVE_UP_NS);
        self.sender.stop_by(until_ns);
        while !self.thread.has_ended() && clock::now_ns() < until_ns + GRACE_NS {
            wait_for(self.ended.source(), PollFlags::IN, Some(until_ns + GRACE_NS));
        }
        if self.thread.has_ended() {
            // One that has panicked has said so; what it left is dropped.
            let _ = self.thread.join();
        }
        self.dropped() + self.tally.in_hand.load(Ordering::Acquire) + self.sender.queued() as u64
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.sender.stop_by(clock::now_ns());
    }
}

/// What the thread has.
struct Writer {
    mailbox: Mailbox<Entry>,
    sink: Sink,
    format: LogFormat,
    names: Names,
    tally: Arc<Tally>,
    lines: String,
}

impl Writer {
    fn run(&mut self) {
        loop {
            // In this order: what was sent before the stop was said is in the queue when the stop is seen.
            let stop_by_ns = self.mailbox.stop_by_ns();
            match (self.take(stop_by_ns), stop_by_ns) {
                (0, Some(_)) => return,
                (0, None) => self.sleep(),
                (taken, _) => self.write(taken),
            }
        }
    }

    /// Makes lines of what is queued, up to a batch, and says how many; where it is too late to write any, or
    /// nobody reads them, none are made.
    fn take(&mut self, stop_by_ns: Option<u64>) -> u64 {
        let push = match self.format {
            LogFormat::Text => ledger::push_text,
            LogFormat::Json => ledger::push_json,
        };
        // Each time, since the clock on the wall may be set.
        let wall_offset_ns = wall_offset_ns();
        let is_in_vain = self.sink.is_over() || stop_by_ns.is_some_and(|by_ns| by_ns <= clock::now_ns());
        self.lines.clear();
        let mut taken = 0;
        while self.lines.len() < BATCH_LEN
            && let Some(entry) = self.mailbox.receive()
        {
            taken += 1;
            self.tally.in_hand.store(taken, Ordering::Release);
            if !is_in_vain {
                push(&mut self.lines, &entry, &self.names, wall_offset_ns);
            }
        }
        taken
    }

    fn write(&mut self, taken: u64) {
        let mailbox = &self.mailbox;
        let written = self.sink.write(self.lines.as_bytes(), clock::now_ns(), &|| mailbox.stop_by_ns());
        self.tally.dropped.fetch_add(taken.saturating_sub(written), Ordering::Release);
        self.tally.in_hand.store(0, Ordering::Release);
        if self.lines.len() < BATCH_LEN && self.mailbox.stop_by_ns().is_none() {
            std::thread::sleep(NAP);
        }
    }

    fn sleep(&self) {
        if self.mailbox.may_sleep(None) {
            wait_for(self.mailbox.bell().source(), PollFlags::IN, None);
        }
        self.mailbox.awake();
        self.mailbox.bell().silence();
    }
}

/// What the monotonic clock lacks to the time since 1970.
fn wall_offset_ns() -> u64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX).saturating_sub(clock::now_ns())
}

#[cfg(test)]
mod tests;
