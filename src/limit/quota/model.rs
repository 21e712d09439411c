//! Every interleaving of a few steps of two workers, and of three those with up to four preemptions, by loom. Run by
//! `RUSTFLAGS="--cfg loom" cargo test --profile model --lib quota`.

use loom::{
    sync::{Arc, atomic::AtomicBool},
    thread,
};

use super::*;

/// A mailbox for each worker: a flag says that a call lies there.
#[derive(Clone)]
struct Mail(Arc<[AtomicBool; 3]>);

impl Mail {
    fn new() -> Self {
        Self(Arc::new(std::array::from_fn(|_| AtomicBool::new(false))))
    }

    fn receive(&self, worker: usize) -> bool {
        self.0[worker].swap(false, Ordering::AcqRel)
    }
}

impl Bells for Mail {
    fn call(&mut self, worker: usize) -> bool {
        // No plain store: loom would let it come before a swap that has not seen it.
        self.0[worker].swap(true, Ordering::AcqRel);
        true
    }
}

type Steps = fn(&mut Share, &mut Mail);

/// All interleavings of three workers would take hours.
fn model_of(workers: usize) -> loom::model::Builder {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = (workers > 2).then_some(4);
    model
}

/// Workers do their steps, each on a thread of its own, and read their mail once; then all calls are seen to.
fn run<const WORKERS: usize>(
    quota: fn() -> Quota,
    prepare: fn(&mut [Share], &mut Mail),
    steps: [Steps; WORKERS],
    check: fn(&[Share], &Quota),
) {
    model_of(WORKERS).check(move || {
        let (quota, mut mail) = (quota(), Mail::new());
        let mut shares: Vec<_> = (0..WORKERS).map(|worker| quota.share(worker)).collect();
        prepare(&mut shares, &mut mail);
        let act = |(worker, mut share): (usize, Share)| {
            let mut mail = mail.clone();
            move || {
                steps[worker](&mut share, &mut mail);
                if mail.receive(worker) {
                    share.look(&mut mail);
                }
                share
            }
        };
        // The last one is played by this thread: loom's threads are few.
        let mut acts: Vec<_> = shares.into_iter().enumerate().map(act).collect();
        let last = acts.pop().expect("there are workers");
        let threads: Vec<_> = acts.into_iter().map(thread::spawn).collect();
        let last = last();
        let mut shares: Vec<_> =
            threads.into_iter().map(|thread| thread.join().expect("no worker panics")).collect();
        shares.push(last);
        while let Some(called) = (0..WORKERS).find(|&worker| mail.receive(worker)) {
            shares[called].look(&mut mail);
        }
        check_books(&shares, &quota);
        check(&shares, &quota);
    });
}

/// All permits are somewhere, and nobody waits while one is to be had.
fn check_books(shares: &[Share], quota: &Quota) {
    let shared = &quota.0;
    let granted: u64 = shared.posts.iter().map(|post| post.granted.load(Ordering::Relaxed)).sum();
    assert_eq!(granted, 0, "a grant that nobody was called for");
    let held: u64 = shares.iter().map(|share| share.cached + share.used).sum();
    let state = shared.state();
    assert_eq!(state.free + held, shared.limit, "permits are lost, or made");
    assert_eq!(state.waiting, shares.iter().filter(|share| share.waits).count() as u64);
    for share in shares.iter().filter(|share| share.waits && share.cached == 0) {
        assert_eq!(state.free, 0, "worker {} waits beside a free permit", share.worker);
        let idle = shares.iter().filter(|other| !other.waits).map(|other| other.cached).sum::<u64>();
        assert_eq!(idle, 0, "worker {} waits beside a cached permit", share.worker);
        assert!(share.is_used_up(), "worker {} hopes for nothing", share.worker);
    }
}

/// Somebody comes: is served, or waits.
fn come(share: &mut Share, mail: &mut Mail) {
    if !share.take() {
        while !share.wait(mail) {
            if share.take_in_turn() {
                return;
            }
        }
    }
}

fn take(share: &mut Share, _: &mut Mail) {
    assert!(share.take(), "there is one");
}

fn give_back(share: &mut Share, mail: &mut Mail) {
    share.give_back(mail);
}

fn stop_waiting(share: &mut Share, mail: &mut Mail) {
    share.stop_waiting(mail);
}

#[test]
fn what_is_given_back_reaches_who_waits() {
    run(
        || Quota::of(1, 2, 1, 1),
        |shares, mail| take(&mut shares[0], mail),
        [give_back, come],
        |shares, _| assert_eq!(shares[1].used + shares[1].cached, 1),
    );
}

#[test]
fn two_who_come_at_once_share_one_permit() {
    run(
        || Quota::of(1, 3, 1, 1),
        |shares, mail| take(&mut shares[0], mail),
        [give_back, come, come],
        |shares, _| assert_eq!(shares[1].used + shares[1].cached + shares[2].used + shares[2].cached, 1),
    );
}

/// It caches at the very moment at which the other runs out.
#[test]
fn what_is_cached_is_lent() {
    fn come_and_go(share: &mut Share, mail: &mut Mail) {
        if share.take() {
            share.give_back(mail);
        }
    }
    run(
        || Quota::of(3, 2, 2, 3),
        |_, _| {},
        [come_and_go, |share, mail| (0..3).for_each(|_| come(share, mail))],
        |shares, _| assert_eq!(shares[1].used + shares[1].cached, 3, "the other needs none"),
    );
}

/// It keeps what comes back, though the other has run out just now.
#[test]
fn what_would_be_cached_is_lent() {
    run(
        || Quota::of(4, 2, 2, 2),
        |shares, mail| {
            take(&mut shares[0], mail);
            take(&mut shares[1], mail);
        },
        [give_back, |share, mail| (0..3).for_each(|_| come(share, mail))],
        |shares, _| assert_eq!(shares[1].used + shares[1].cached, 4),
    );
}

/// Whoever waited has gone in the meantime.
#[test]
fn what_nobody_waits_for_any_more_is_free() {
    run(
        || Quota::of(1, 2, 1, 1),
        |shares, mail| {
            take(&mut shares[0], mail);
            assert!(shares[1].wait(mail));
        },
        [give_back, stop_waiting],
        |_, quota| assert_eq!(quota.0.state().free, 1),
    );
}

#[test]
fn who_leaves_passes_on_what_it_was_granted() {
    run(
        || Quota::of(1, 3, 1, 1),
        |shares, mail| {
            take(&mut shares[0], mail);
            assert!(shares[1].wait(mail) && shares[2].wait(mail));
        },
        [give_back, stop_waiting, |_, _| {}],
        |shares, _| assert_eq!(shares[2].cached, 1),
    );
}

/// Two give back at once, one of them by ending altogether.
#[test]
fn who_ends_leaves_everything_behind() {
    fn end(share: &mut Share, mail: &mut Mail) {
        share.give_back(mail);
        share.stop_waiting(mail);
    }
    run(
        || Quota::of(2, 3, 1, 1),
        |shares, mail| {
            take(&mut shares[0], mail);
            take(&mut shares[1], mail);
        },
        [give_back, end, come],
        |shares, quota| assert_eq!(shares[2].used + shares[2].cached + quota.0.state().free, 2),
    );
}

/// The mailbox of the one who waits is full: what it was granted is free, and it finds that by itself.
#[test]
fn a_full_mailbox_loses_nothing() {
    struct Full;
    impl Bells for Full {
        fn call(&mut self, _: usize) -> bool {
            false
        }
    }
    model_of(3).check(|| {
        let quota = Quota::of(2, 3, 1, 1);
        let mut shares: Vec<_> = (0..3).map(|worker| quota.share(worker)).collect();
        assert!(shares[0].take() && shares[1].take() && shares[2].wait(&mut Full));
        let mut waiting = shares.pop().expect("there are three");
        let threads: Vec<_> = shares
            .into_iter()
            .map(|mut share| {
                thread::spawn(move || {
                    share.give_back(&mut Full);
                    share
                })
            })
            .collect();
        let mut served = u64::from(waiting.take_in_turn());
        let shares: Vec<_> =
            threads.into_iter().map(|thread| thread.join().expect("no worker panics")).collect();
        served += u64::from(waiting.take_in_turn()) + u64::from(waiting.take_in_turn());
        assert_eq!((served, waiting.used, quota.0.state().free), (2, 2, 0));
        drop(shares);
    });
}
