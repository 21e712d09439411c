//! An exact limit over all workers, for which an accept pays one atomic step at most, and far from the limit none.
//!
//! A limit of N is N permits, and a session holds one. Each of them is in one of these places at any time:
//!
//! ```text
//!   free       a word that all workers share
//!     |  ^        a batch at a time while there is plenty, one at a time when there isn't, nobody but those who wait
//!     v  |        when somebody does
//!   cached     a plain field of a worker's: taken from and put back to without an atomic step
//!     |  ^
//!     v  |
//!   used       by the sessions of that worker
//!
//!   granted    a word of a worker that waits: where those who give back put what it waits for
//! ```
//! **Plenty** is when nobody waits and no less is free than all workers can cache: a quarter of the limit at most. Only
//! then do workers take more than they need, or keep what comes back, so that near the limit the shared word tells
//! nearly all; but what a worker has cached before it fell idle it still has.
//!
//! **Waiting.** A worker that finds nothing free says that it waits: by a count in the same word, and only by a step
//! that finds nothing free there. So a permit that is given back either was free before that step, which then fails,
//! or comes after it and finds somebody who waits: there is no moment between 'nothing is free' and 'I wait' for a
//! permit to get lost in. From then on who gives back gives to those who wait, one after the other in turn, by a
//! grant and a call (a message). Nobody else can have it, and newcomers elsewhere have to wait too.
//!
//! **Lending.** A worker says by a flag that it caches, before the step that brings it more than it needs. Who waits
//! calls each worker whose flag is up; a worker that is called gives all that it caches, then takes its flag down,
//! and doesn't cache again before there is plenty. The flag is up before the word changes, and the count of those who
//! wait is up before flags are looked at: so whoever caches is seen, or sees that somebody waits. When all flags are
//! down and nothing is free, nothing is to be hoped for but that a session ends.
//!
//! **Calls.** One call a worker is under way at a time: who finds one there need not send another, as the receiver
//! takes note of it before it looks. Where a mailbox is full, what was granted is free again, and those who wait find
//! it when they look by themselves, which they do from time to time.
//!
//! A worker that ends gives back what it has. One thing is not covered: a grant to a worker that ends at that moment.
//! It ends when all do, or by a panic, after which all do.
//!
//! Calls are the caller's business, so that this can be model-checked alone: by loom, all interleavings of two workers
//! and most of three (`cfg(loom)`, below), and by proptest, long histories of many workers.

use std::sync::Arc;

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};

/// The most permits that a worker takes at a time.
const BATCH_MAX: u64 = 16;

/// How a worker is called: `false` where its mailbox is full. Whoever is called has to [`Share::look`].
pub trait Bells {
    /// Calls a worker.
    fn call(&mut self, worker: usize) -> bool;
}

/// The permits of one limit.
pub struct Quota(Arc<Shared>);

/// A worker's share of them.
pub struct Share {
    shared: Arc<Shared>,
    worker: usize,
    cached: u64,
    used: u64,
    /// The same as in its post.
    caches: bool,
    waits: bool,
}

struct Shared {
    limit: u64,
    /// How many permits a worker takes at a time while there is plenty.
    batch: u64,
    /// How many are free at least while there is plenty.
    plenty: u64,
    word: Word,
    posts: Box<[Post]>,
    /// Whose turn it is to be granted something.
    turn: AtomicUsize,
}

/// The one word that all workers write to.
#[repr(align(128))]
struct Word(AtomicU64);

/// What is in it: two numbers that change in one step.
#[derive(Clone, Copy, Debug)]
struct State {
    /// Permits that anybody may take; the lower half.
    free: u64,
    /// Workers that wait; the upper half.
    waiting: u64,
}

/// What others have to know of a worker.
struct Post {
    waits: AtomicBool,
    caches: AtomicBool,
    is_called: AtomicBool,
    granted: AtomicU64,
}

impl Quota {
    /// So many permits for so many workers.
    pub fn new(limit: u64, workers: usize) -> Self {
        let shares = 8 * workers.max(1) as u64;
        let batch = (limit / shares).clamp(1, BATCH_MAX);
        // As much as all workers together can have cached. A batch of one, where the limit is small, caches nothing.
        Self::of(limit, workers, batch, 2 * batch * workers as u64)
    }

    fn of(limit: u64, workers: usize, batch: u64, plenty: u64) -> Self {
        // All tables of all workers together can't hold more sessions than that.
        let limit = limit.min(u64::from(u32::MAX));
        let post = |_| Post {
            waits: AtomicBool::new(false),
            caches: AtomicBool::new(false),
            is_called: AtomicBool::new(false),
            granted: AtomicU64::new(0),
        };
        Self(Arc::new(Shared {
            limit,
            batch,
            plenty,
            word: Word(AtomicU64::new(limit)),
            posts: (0..workers).map(post).collect(),
            turn: AtomicUsize::new(0),
        }))
    }

    /// The share of a worker, which takes it once.
    pub fn share(&self, worker: usize) -> Share {
        let shared = Arc::clone(&self.0);
        Share { shared, worker, cached: 0, used: 0, caches: false, waits: false }
    }

    /// How many permits there are.
    pub fn limit(&self) -> u64 {
        self.0.limit
    }
}

impl Share {
    /// Takes a permit for somebody who comes anew: not while others wait, unless one is cached here.
    #[inline]
    pub fn take(&mut self) -> bool {
        (self.cached > 0 || self.fetch(false)) && self.use_cached()
    }

    /// Takes a permit for somebody who has waited here, and whose turn it is.
    pub fn take_in_turn(&mut self) -> bool {
        self.collect();
        (self.cached > 0 || self.fetch(true)) && self.use_cached()
    }

    /// Gives one back. Where the worker itself waits, it may be the one that gets it.
    #[inline]
    pub fn give_back(&mut self, bells: &mut impl Bells) {
        debug_assert!(self.used > 0, "worker {} gives back what it never had", self.worker);
        self.used = self.used.saturating_sub(1);
        if self.caches && self.shared.has_plenty(self.shared.state()) {
            self.cached += 1;
            if self.cached <= 2 * self.shared.batch {
                return;
            }
            let surplus = self.cached - self.shared.batch;
            self.cached = self.shared.batch;
            return self.give(surplus, bells);
        }
        self.give(1, bells);
    }

    /// Whether [`Self::take`] might bring one, or for somebody whose turn it is [`Self::take_in_turn`].
    #[inline]
    pub fn has_room(&self, in_turn: bool) -> bool {
        let state = self.shared.state();
        let is_granted = || in_turn && self.post().granted.load(Ordering::Relaxed) > 0;
        self.cached > 0 || state.free > 0 && (in_turn || state.waiting == 0) || is_granted()
    }

    /// Whether nothing is to be hoped for but that a session ends.
    pub fn is_used_up(&self) -> bool {
        self.cached == 0 && !self.others_cache() && self.shared.state().free == 0
    }

    /// Says that somebody here waits, and calls those who cache permits. `false`, and nothing is said: something is
    /// free again, to be taken in turn.
    #[must_use]
    pub fn wait(&mut self, bells: &mut impl Bells) -> bool {
        if self.waits {
            return true;
        }
        if self.cached > 0 {
            return false;
        }
        let post = self.post();
        // Up before the count and down after it: where somebody is counted, there is a flag.
        post.waits.store(true, Ordering::Relaxed);
        loop {
            let state = self.shared.state();
            if state.free > 0 {
                post.waits.store(false, Ordering::Release);
                return false;
            }
            if self.shared.change(state, State { waiting: state.waiting + 1, ..state }) {
                break;
            }
        }
        self.waits = true;
        self.stop_caching(bells);
        self.ask(bells);
        true
    }

    /// Calls those who cache permits. Who is called answers, unless its mailbox is full: ask again after a while.
    pub fn ask(&self, bells: &mut impl Bells) {
        for worker in 0..self.shared.posts.len() {
            if worker != self.worker && self.shared.posts[worker].caches.load(Ordering::Acquire) {
                self.shared.call(worker, bells);
            }
        }
    }

    /// Says that nobody here waits any more. What has been granted goes to somebody else.
    pub fn stop_waiting(&mut self, bells: &mut impl Bells) {
        if !std::mem::take(&mut self.waits) {
            return;
        }
        self.shared.word.0.fetch_sub(State::ONE_WAITING, Ordering::AcqRel);
        self.post().waits.store(false, Ordering::Release);
        self.collect();
        let granted = std::mem::take(&mut self.cached);
        self.give(granted, bells);
    }

    /// Whether it has said that somebody here waits.
    #[inline]
    pub fn waits(&self) -> bool {
        self.waits
    }

    /// Permits that have come for those who wait here.
    pub fn at_hand(&self) -> u64 {
        if self.waits { self.cached } else { 0 }
    }

    /// It has been called: it takes what was granted, or lends what is not needed here. Permits for those who wait
    /// here, if any do.
    pub fn look(&mut self, bells: &mut impl Bells) -> u64 {
        // First of all: who grants something or asks from now on calls again.
        self.post().is_called.swap(false, Ordering::AcqRel);
        self.collect();
        if !self.waits {
            self.lend(bells);
        }
        self.at_hand()
    }

    fn lend(&mut self, bells: &mut impl Bells) {
        let cached = std::mem::take(&mut self.cached);
        self.give(cached, bells);
        self.stop_caching(bells);
    }

    /// Says that nothing is cached here, after what was is there for others to see.
    fn stop_caching(&mut self, bells: &mut impl Bells) {
        if !std::mem::take(&mut self.caches) {
            return;
        }
        self.post().caches.store(false, Ordering::Release);
        // Of two who are the last ones at the same time, one sees that they are.
        fence(Ordering::SeqCst);
        if self.others_cache() {
            return;
        }
        // Some may only have waited for this: now they know that nothing is to be hoped for.
        for worker in 0..self.shared.posts.len() {
            if worker != self.worker && self.shared.posts[worker].waits.load(Ordering::Acquire) {
                self.shared.call(worker, bells);
            }
        }
    }

    fn use_cached(&mut self) -> bool {
        self.cached -= 1;
        self.used += 1;
        true
    }

    /// Caches what is free: one, or while there is plenty a batch.
    fn fetch(&mut self, in_turn: bool) -> bool {
        loop {
            let state = self.shared.state();
            let count = match state {
                State { free: 0, .. } => return false,
                State { waiting: 1.., .. } if !in_turn => return false,
                _ if self.shared.has_plenty(state) => self.shared.batch.min(state.free),
                _ => 1,
            };
            if count > 1 && !std::mem::replace(&mut self.caches, true) {
                // Before the step that makes it true, and which whoever counts itself as waiting comes after.
                self.post().caches.store(true, Ordering::Relaxed);
            }
            if self.shared.change(state, State { free: state.free - count, ..state }) {
                self.cached += count;
                return true;
            }
        }
    }

    /// Takes what was granted.
    fn collect(&mut self) {
        let granted = &self.post().granted;
        if granted.load(Ordering::Relaxed) > 0 {
            self.cached += granted.swap(0, Ordering::AcqRel);
        }
    }

    /// Gives permits to those who wait, in turn and in equal parts; else they are free.
    fn give(&mut self, mut count: u64, bells: &mut impl Bells) {
        while count > 0 {
            let state = self.shared.state();
            if state.waiting == 0 {
                if self.shared.change(state, State { free: state.free + count, ..state }) {
                    return;
                }
            } else if let Some(worker) = self.shared.next_waiting() {
                let part = count.div_ceil(state.waiting);
                count -= part;
                if worker == self.worker {
                    self.cached += part;
                } else {
                    self.shared.grant(worker, part, bells);
                }
            }
        }
    }

    fn others_cache(&self) -> bool {
        let posts = self.shared.posts.iter().enumerate();
        posts
            .filter(|(worker, _)| *worker != self.worker)
            .any(|(_, post)| post.caches.load(Ordering::Acquire))
    }

    fn post(&self) -> &Post {
        &self.shared.posts[self.worker]
    }
}

impl Shared {
    fn state(&self) -> State {
        State::of(self.word.0.load(Ordering::Acquire))
    }

    /// One step from one state to another, unless it isn't in that state any more.
    fn change(&self, from: State, to: State) -> bool {
        let result =
            self.word.0.compare_exchange(from.word(), to.word(), Ordering::AcqRel, Ordering::Relaxed);
        result.is_ok()
    }

    fn has_plenty(&self, state: State) -> bool {
        state.waiting == 0 && state.free >= self.plenty
    }

    /// The next one after the last who waits. `None`: whoever was counted waits no more.
    fn next_waiting(&self) -> Option<usize> {
        let (first, workers) = (self.turn.load(Ordering::Relaxed), self.posts.len());
        let mut turns = (0..workers).map(|turn| (first + turn) % workers);
        let worker = turns.find(|&worker| self.posts[worker].waits.load(Ordering::Acquire))?;
        self.turn.store(worker + 1, Ordering::Relaxed);
        Some(worker)
    }

    fn grant(&self, worker: usize, count: u64, bells: &mut impl Bells) {
        self.posts[worker].granted.fetch_add(count, Ordering::AcqRel);
        self.call(worker, bells);
    }

    /// Calls a worker, unless a call is under way. Where its mailbox is full, what was granted to it is free again, by
    /// others too who found this call under way and relied on it.
    fn call(&self, worker: usize, bells: &mut impl Bells) {
        let Post { is_called, granted, .. } = &self.posts[worker];
        if is_called.swap(true, Ordering::AcqRel) || bells.call(worker) {
            return;
        }
        is_called.swap(false, Ordering::AcqRel);
        self.word.0.fetch_add(granted.swap(0, Ordering::AcqRel), Ordering::AcqRel);
    }
}

impl State {
    const ONE_WAITING: u64 = 1 << 32;

    const fn of(word: u64) -> Self {
        Self { free: word % Self::ONE_WAITING, waiting: word / Self::ONE_WAITING }
    }

    const fn word(self) -> u64 {
        self.waiting * Self::ONE_WAITING + self.free
    }
}

/// Nobody can be called any more by who has ended: those who wait look from time to time.
struct Silence;

impl Bells for Silence {
    fn call(&mut self, _: usize) -> bool {
        false
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.stop_waiting(&mut Silence);
        self.collect();
        let all = std::mem::take(&mut self.cached) + std::mem::take(&mut self.used);
        self.give(all, &mut Silence);
        self.post().caches.store(false, Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod model;
