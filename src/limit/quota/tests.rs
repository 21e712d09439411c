//! Long histories of many workers, one step after the other; and what a step costs.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// Mailboxes that hold calls until they are delivered, or are full.
#[derive(Default)]
struct Mail {
    calls: VecDeque<usize>,
    is_full: bool,
}

impl Bells for Mail {
    fn call(&mut self, worker: usize) -> bool {
        if !self.is_full {
            self.calls.push_back(worker);
        }
        !self.is_full
    }
}

/// Workers, and how many wait at each.
struct Model {
    quota: Quota,
    shares: Vec<Share>,
    waiting: Vec<u64>,
    mail: Mail,
}

#[derive(Clone, Debug)]
enum Step {
    Come(usize),
    End(usize),
    GiveUp(usize),
    Deliver(usize),
    LookAgain(usize),
    Fill(bool),
}

impl Model {
    fn new(quota: Quota) -> Self {
        let workers = quota.0.posts.len();
        let shares = (0..workers).map(|worker| quota.share(worker)).collect();
        Self { quota, shares, waiting: vec![0; workers], mail: Mail::default() }
    }

    fn step(&mut self, step: &Step) {
        let workers = self.shares.len();
        match *step {
            Step::Come(worker) => self.come(worker % workers),
            Step::End(worker) => self.end(worker % workers),
            Step::GiveUp(worker) => self.give_up(worker % workers),
            Step::Deliver(at) => self.deliver(at),
            Step::LookAgain(worker) => self.look_again(worker % workers),
            Step::Fill(is_full) => self.mail.is_full = is_full,
        }
    }

    fn come(&mut self, worker: usize) {
        if self.waiting[worker] == 0 && self.shares[worker].take() {
            return;
        }
        self.waiting[worker] += 1;
        if !self.shares[worker].wait(&mut self.mail) {
            self.serve(worker);
        }
    }

    fn end(&mut self, worker: usize) {
        if self.shares[worker].used > 0 {
            self.shares[worker].give_back(&mut self.mail);
            self.serve(worker);
        }
    }

    fn give_up(&mut self, worker: usize) {
        if self.waiting[worker] > 0 {
            self.waiting[worker] -= 1;
            self.rest(worker);
        }
    }

    fn deliver(&mut self, at: usize) {
        if !self.mail.calls.is_empty() {
            let worker = self.mail.calls.remove(at % self.mail.calls.len()).expect("it is one of them");
            self.shares[worker].look(&mut self.mail);
            self.serve(worker);
        }
    }

    fn look_again(&mut self, worker: usize) {
        if self.waiting[worker] > 0 {
            self.serve(worker);
            self.shares[worker].ask(&mut self.mail);
        }
    }

    /// Those who wait take what there is.
    fn serve(&mut self, worker: usize) {
        while self.waiting[worker] > 0 && self.shares[worker].take_in_turn() {
            self.waiting[worker] -= 1;
        }
        self.rest(worker);
    }

    fn rest(&mut self, worker: usize) {
        if self.waiting[worker] == 0 {
            self.shares[worker].stop_waiting(&mut self.mail);
        } else {
            // Something may have been free when it came to say so.
            let _ = self.shares[worker].wait(&mut self.mail);
        }
    }

    /// Every call arrives, and everybody looks once more.
    fn settle(&mut self) {
        self.mail.is_full = false;
        for _ in 0..3 {
            while !self.mail.calls.is_empty() {
                self.deliver(0);
            }
            (0..self.shares.len()).for_each(|worker| self.look_again(worker));
        }
        while !self.mail.calls.is_empty() {
            self.deliver(0);
        }
    }

    fn used(&self) -> u64 {
        self.shares.iter().map(|share| share.used).sum()
    }

    fn granted(&self) -> u64 {
        self.quota.0.posts.iter().map(|post| post.granted.load(Ordering::Relaxed)).sum()
    }

    fn permits(&self) -> u64 {
        let cached: u64 = self.shares.iter().map(|share| share.cached).sum();
        self.quota.0.state().free + cached + self.used() + self.granted()
    }
}

fn step() -> impl Strategy<Value = Step> {
    let worker = 0usize..8;
    prop_oneof![
        6 => worker.clone().prop_map(Step::Come),
        5 => worker.clone().prop_map(Step::End),
        1 => worker.clone().prop_map(Step::GiveUp),
        4 => any::<usize>().prop_map(Step::Deliver),
        1 => worker.prop_map(Step::LookAgain),
        1 => prop::bool::weighted(0.2).prop_map(Step::Fill),
    ]
}

proptest! {
    #[test]
    fn never_more_than_the_limit_and_nobody_waits_beside_a_permit(
        limit in 1u64..40,
        workers in 1usize..6,
        batch in 1u64..5,
        plenty in 1u64..20,
        steps in prop::collection::vec(step(), 1..400),
    ) {
        let mut model = Model::new(Quota::of(limit, workers, batch, plenty.max(batch)));
        for step in &steps {
            model.step(step);
            prop_assert_eq!(model.permits(), limit, "after {:?}", step);
            prop_assert!(model.used() <= limit);
            let state = model.quota.0.state();
            let waiting = model.shares.iter().filter(|share| share.waits).count() as u64;
            prop_assert_eq!(state.waiting, waiting);
            for share in &model.shares {
                prop_assert!(share.cached <= 2 * batch || share.waits, "{} cached", share.cached);
            }
        }
        model.settle();
        prop_assert_eq!(model.granted(), 0);
        if model.waiting.iter().any(|waiting| *waiting > 0) {
            prop_assert_eq!(model.used(), limit, "somebody waits, and not all permits are used");
            prop_assert!(model.shares.iter().all(Share::is_used_up));
        }
        let quota = Quota(Arc::clone(&model.quota.0));
        drop(model);
        prop_assert_eq!((quota.0.state().free, quota.0.state().waiting), (limit, 0));
    }
}

/// One worker serves and idles, so that it has cached what it may; all the permits can then be had by the other.
#[test]
fn an_idle_worker_lends() {
    const LIMIT: u64 = 1_000;
    let mut model = Model::new(Quota::new(LIMIT, 2));
    (0..100).for_each(|_| model.come(0));
    (0..100).for_each(|_| model.end(0));
    assert!(model.shares[0].cached > 0, "it has kept some");
    (0..LIMIT + 5).for_each(|_| model.come(1));
    let before = model.shares[1].used;
    assert!(before < LIMIT && !model.shares[1].is_used_up(), "{before} without what the other has");
    model.settle();
    assert_eq!((model.shares[1].used, model.waiting[1]), (LIMIT, 5));
    assert!(model.shares[1].is_used_up());
}

/// How often the shared word changes, for each session that comes and each that goes.
#[test]
fn far_from_the_limit_a_session_costs_no_atomic_step_mostly() {
    const SESSIONS: u64 = 10_000;
    for (workers, limit) in [(2, 1_000), (8, 1_000), (8, 100_000)] {
        let mut model = Model::new(Quota::new(limit, workers));
        let (mut steps, mut free) = (0, limit);
        let mut look = |model: &Model| {
            let now = model.quota.0.state().free;
            steps += u64::from(now != free);
            free = now;
        };
        for session in 0..SESSIONS {
            // Half of what is allowed is open at most.
            let worker = session as usize % workers;
            model.come(worker);
            look(&model);
            if session >= limit / 2 {
                model.end(worker);
                look(&model);
            }
        }
        assert!(steps <= SESSIONS / 8, "{workers} workers, limit {limit}: {steps} for {SESSIONS} sessions");
    }
}

#[test]
fn at_the_limit_a_session_costs_a_step_to_come_and_one_to_go() {
    let mut model = Model::new(Quota::new(10, 8));
    for _ in 0..10 {
        model.come(3);
    }
    assert_eq!(model.quota.0.state().free, 0);
    assert!(!model.shares[3].take() && !model.shares[4].take());
    model.end(3);
    assert_eq!(model.quota.0.state().free, 1);
}

/// Whoever waits gets its turn, though others have more to give and to ask for.
#[test]
fn those_who_wait_are_served_in_turn() {
    let mut model = Model::new(Quota::of(30, 4, 1, 1));
    (0..30).for_each(|_| model.come(0));
    for worker in [0, 1, 3] {
        (0..20).for_each(|_| model.come(worker));
    }
    for _ in 0..9 {
        // A newcomer where nobody waits doesn't overtake them.
        assert!(!model.shares[2].take());
        model.end(0);
        model.settle();
    }
    assert_eq!(model.waiting, [17, 17, 0, 17]);
}

#[test]
fn limits_beyond_all_sessions_are_no_limits() {
    let quota = Quota::new(u64::MAX, 2);
    assert_eq!(quota.limit(), u64::from(u32::MAX));
    let mut share = quota.share(1);
    assert!(share.take());
    assert_eq!(quota.0.state().waiting, 0);
}
