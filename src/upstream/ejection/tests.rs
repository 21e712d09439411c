//! Whom passive ejection lets sessions go to, and when.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::upstream::roster::samples::of_weights;

const SECOND: u64 = 1_000_000_000;
const REST: Duration = Duration::from_secs(1);
const ATTEMPT_MAX: Duration = Duration::from_secs(1);

/// Of one group of members.
fn ejections(after: u32, members: usize) -> Ejections {
    Ejections::new(Some(after), REST, ATTEMPT_MAX, &of_weights(&vec![1; members]))
}

/// A session that fails at a member, whether it is its probe or not.
fn fail(ejections: &mut Ejections, member: usize, now_ns: u64) -> bool {
    let is_probe = ejections.began_probe(member, now_ns);
    ejections.failed(member, is_probe, now_ns)
}

#[test]
fn failures_in_a_row_eject() {
    let mut ejections = ejections(3, 2);
    assert!(!fail(&mut ejections, 0, 0) && !fail(&mut ejections, 0, 0));
    ejections.succeeded(0);
    assert!(!fail(&mut ejections, 0, 0) && !fail(&mut ejections, 0, 0) && ejections.is_open(0, 0));
    assert!(fail(&mut ejections, 0, 0));
    assert!(!ejections.is_open(0, SECOND - 1) && ejections.is_open(1, 0));
    assert!(ejections.is_open(0, SECOND));
}

#[test]
fn never_where_it_is_off() {
    let mut ejections = Ejections::new(None, REST, ATTEMPT_MAX, &of_weights(&[1, 1]));
    assert!((0..1_000).all(|_| !fail(&mut ejections, 0, 0) && ejections.is_open(0, 0)));
}

#[test]
fn a_rest_is_twice_the_one_before_up_to_the_longest() {
    let mut ejections = ejections(1, 2);
    let mut now_ns = 0;
    for rest_s in [1, 2, 4, 8, 16, 30, 30] {
        assert!(fail(&mut ejections, 0, now_ns));
        let until_ns = now_ns + rest_s * SECOND;
        assert!(!ejections.is_open(0, until_ns - 1) && ejections.is_open(0, until_ns), "{rest_s} s");
        now_ns = until_ns;
    }
    // Success makes it forget all that.
    assert!(ejections.began_probe(0, now_ns));
    ejections.succeeded(0);
    assert!(fail(&mut ejections, 0, now_ns) && ejections.is_open(0, now_ns + SECOND));
}

#[test]
fn a_rest_without_end_is_no_overflow() {
    let mut ejections = Ejections::new(Some(1), Duration::MAX, Duration::MAX, &of_weights(&[1, 1]));
    for _ in 0..200 {
        assert!(fail(&mut ejections, 0, u64::MAX - 1) && !ejections.is_open(0, u64::MAX - 1));
        assert!(ejections.began_probe(0, u64::MAX) && ejections.failed(0, true, u64::MAX));
        ejections.connected(0);
    }
}

#[test]
fn one_session_probes_and_the_others_wait_for_it() {
    let mut ejections = ejections(1, 2);
    fail(&mut ejections, 0, 0);
    assert!(!ejections.began_probe(0, SECOND - 1), "its rest isn't over");
    assert!(!ejections.began_probe(1, SECOND), "nothing is wrong with it");
    assert!(ejections.began_probe(0, SECOND));
    assert!(!ejections.is_open(0, SECOND) && !ejections.began_probe(0, SECOND));
    // It has connected: all may come.
    ejections.connected(0);
    assert!(ejections.is_open(0, SECOND) && !ejections.began_probe(0, SECOND));
}

#[test]
fn a_probe_that_is_never_heard_of_is_followed_by_another() {
    let mut ejections = ejections(1, 2);
    fail(&mut ejections, 0, 0);
    assert!(ejections.began_probe(0, SECOND));
    assert!(!ejections.is_open(0, 3 * SECOND - 1) && ejections.is_open(0, 3 * SECOND));
    assert!(ejections.began_probe(0, 3 * SECOND));
}

/// To connect is not enough: one that takes connections and resets them would never be ejected otherwise.
#[test]
fn who_has_connected_is_on_probation() {
    let mut ejections = ejections(3, 2);
    let reset_unused = |ejections: &mut Ejections, now_ns| {
        let is_probe = ejections.began_probe(0, now_ns);
        ejections.connected(0);
        ejections.failed(0, is_probe, now_ns)
    };
    let ejected: Vec<_> = (0..3).map(|_| reset_unused(&mut ejections, 0)).collect();
    assert_eq!(ejected, [false, false, true]);
    assert!(reset_unused(&mut ejections, SECOND), "once more is enough");
    assert!(!ejections.is_open(0, 3 * SECOND - 1), "and its rest is longer");
    ejections.succeeded(0);
    assert!(
        !fail(&mut ejections, 0, SECOND)
            && !fail(&mut ejections, 0, SECOND)
            && fail(&mut ejections, 0, SECOND)
    );
}

/// Many are on their way when the first of them fails. They are old news, whatever becomes of them.
#[test]
fn sessions_that_had_begun_before_lengthen_no_rest() {
    let mut ejections = ejections(1, 2);
    assert!(ejections.failed(0, false, 0));
    assert!((0..100).all(|_| !ejections.failed(0, false, SECOND / 2)));
    assert!(ejections.began_probe(0, SECOND));
    assert!(!ejections.failed(0, false, SECOND), "the probe is still out");
    assert!(!ejections.is_open(0, SECOND));
    // Where one of them has connected after all, the member can't be dead.
    ejections.connected(0);
    assert!(ejections.is_open(0, SECOND));
}

#[test]
fn the_last_one_is_never_ejected_and_ends_the_others_rest() {
    let mut ejections = ejections(1, 3);
    assert!(fail(&mut ejections, 0, 0) && fail(&mut ejections, 1, 0));
    assert!(ejections.began_probe(1, SECOND), "one of the others is being probed");
    assert!(ejections.failed(1, true, SECOND) && ejections.began_probe(0, SECOND));
    for _ in 0..10 {
        assert!(!fail(&mut ejections, 2, SECOND) && ejections.is_open(2, SECOND));
    }
    // 1 rests no more; 0 is still being probed, and nobody has to do that twice.
    assert!(ejections.is_open(1, SECOND) && !ejections.is_open(0, SECOND));
    // As soon as there is another, it isn't the last any more.
    ejections.connected(1);
    assert!(fail(&mut ejections, 2, SECOND) && !ejections.is_open(2, SECOND));
}

#[test]
fn groups_have_nothing_to_do_with_each_other() {
    let mut roster = of_weights(&[1; 4]);
    roster.groups = Box::from([0..1, 1..2, 2..4]);
    let mut ejections = Ejections::new(Some(1), REST, ATTEMPT_MAX, &roster);
    let ejected: Vec<_> = (0..4).map(|member| fail(&mut ejections, member, 0)).collect();
    assert_eq!(ejected, [false, false, true, false]);
}

#[test]
fn who_is_down_is_nobody_to_go_to() {
    let mut roster = of_weights(&[1; 3]);
    let mut ejections = Ejections::new(Some(1), REST, ATTEMPT_MAX, &roster);
    assert!(fail(&mut ejections, 0, 0));
    roster.members[1].standing = Standing::Down;
    ejections.renew(&roster);
    assert!(!ejections.is_open(0, 0) && !fail(&mut ejections, 2, 0), "2 is the last one");
    // Now nobody is left but who had rested.
    fail(&mut ejections, 0, 0);
    roster.members[2].standing = Standing::Leaving;
    ejections.renew(&roster);
    assert!(ejections.is_open(0, 0) && !fail(&mut ejections, 0, 0) && ejections.is_open(0, 0));
}

#[test]
fn whoever_comes_up_or_takes_a_slot_begins_anew() {
    let mut roster = of_weights(&[1; 3]);
    let mut ejections = Ejections::new(Some(1), REST, ATTEMPT_MAX, &roster);
    fail(&mut ejections, 0, 0);
    fail(&mut ejections, 1, 0);
    // Nothing has changed for these.
    roster.members[2].weight = 7;
    ejections.renew(&roster);
    assert!(!ejections.is_open(0, 0) && !ejections.is_open(1, 0));
    roster.members[0].name = "another".into();
    ejections.renew(&roster);
    assert!(ejections.is_open(0, 0) && !ejections.is_open(1, 0));
    for standing in [Standing::Down, Standing::Up] {
        roster.members[1].standing = standing;
        ejections.renew(&roster);
    }
    assert!(ejections.is_open(1, 0));
}

/// What it costs that workers tell each other nothing.
#[test]
fn each_worker_meets_a_dead_member_for_itself() {
    for workers in [1, 2, 8] {
        let mut all: Vec<_> = (0..workers).map(|_| ejections(1, 2)).collect();
        let mut vain = 0;
        // A minute, 1,000 sessions a second to each worker, all of which would rather have the dead one.
        for now_ns in (0..60 * SECOND).step_by(SECOND as usize / 1_000) {
            for ejections in all.iter_mut().filter(|ejections| ejections.is_open(0, now_ns)) {
                fail(ejections, 0, now_ns);
                vain += 1;
            }
        }
        println!("{workers} workers: {vain} attempts in vain in a minute, of {} sessions", 60_000 * workers);
        // At 0, 1, 3, 7, 15, 31 seconds.
        assert_eq!(vain, 6 * workers);
    }
}

const MEMBERS: usize = 6;
const GROUPS: [Range<usize>; 2] = [0..4, 4..6];

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A session goes to a member, if it is open.
    Begin(usize),
    /// One of those on their way, by its place among them, has this outcome.
    End(usize, Outcome),
    Pass(u64),
    Stand(usize, bool),
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Failed,
    Connected,
    Succeeded,
    /// The client has left.
    Forgotten,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![
        3 => Just(Outcome::Failed),
        1 => Just(Outcome::Connected),
        1 => Just(Outcome::Succeeded),
        1 => Just(Outcome::Forgotten),
    ];
    let step = prop_oneof![
        6 => (0..MEMBERS).prop_map(Step::Begin),
        5 => (any::<usize>(), outcome).prop_map(|(place, outcome)| Step::End(place, outcome)),
        3 => (0..2 * SECOND).prop_map(Step::Pass),
        1 => (0..MEMBERS, any::<bool>()).prop_map(|(member, is_up)| Step::Stand(member, is_up)),
    ];
    vec(step, 0..300)
}

/// A session that tries a member.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    member: usize,
    is_probe: bool,
    begun_ns: u64,
}

/// Sessions on their way, and what the ejections are to know.
struct World {
    ejections: Ejections,
    roster: Roster,
    attempts: Vec<Attempt>,
    now_ns: u64,
    /// Until when a member must not be open: set by its ejections alone, counted here.
    closed_until_ns: [u64; MEMBERS],
    /// Ejections since the last success.
    rests: [u32; MEMBERS],
}

impl World {
    fn new(after: u32) -> Self {
        let roster = Roster { groups: Box::from(GROUPS), ..of_weights(&[1; MEMBERS]) };
        let ejections = Ejections::new(Some(after), REST, ATTEMPT_MAX, &roster);
        let (attempts, now_ns) = (Vec::new(), 0);
        Self { ejections, roster, attempts, now_ns, closed_until_ns: [0; MEMBERS], rests: [0; MEMBERS] }
    }

    fn go(&mut self, step: Step) {
        match step {
            Step::Begin(member) if self.ejections.is_open(member, self.now_ns) => self.begin(member),
            Step::End(place, outcome) if !self.attempts.is_empty() => {
                let attempt = self.attempts.swap_remove(place % self.attempts.len());
                self.end(attempt, outcome);
            }
            Step::Pass(time_ns) => self.pass(time_ns),
            Step::Stand(member, is_up) => self.stand(member, is_up),
            Step::Begin(_) | Step::End(..) => (),
        }
    }

    fn begin(&mut self, member: usize) {
        assert!(self.closed_until_ns[member] <= self.now_ns, "{member} is open in its rest");
        let was_in = self.is_in(member);
        let is_probe = self.ejections.began_probe(member, self.now_ns);
        assert_eq!(is_probe, !was_in);
        assert!(!is_probe || !self.is_probed(member), "{member} is probed twice");
        self.attempts.push(Attempt { member, is_probe, begun_ns: self.now_ns });
    }

    fn end(&mut self, Attempt { member, is_probe, .. }: Attempt, outcome: Outcome) {
        match outcome {
            Outcome::Failed => self.fail(member, is_probe),
            Outcome::Connected => self.ejections.connected(member),
            Outcome::Succeeded => {
                self.ejections.succeeded(member);
                self.rests[member] = 0;
            }
            Outcome::Forgotten => return,
        }
        if !matches!(outcome, Outcome::Failed) {
            self.is_back(member);
        }
    }

    fn fail(&mut self, member: usize, is_probe: bool) {
        let serves = |other: usize| other != member && self.is_up(other) && self.is_in(other);
        let is_last = self.is_in(member) && !self.group_of(member).any(serves);
        let is_ejected = self.ejections.failed(member, is_probe, self.now_ns);
        if is_ejected {
            assert!(!is_last, "{member} is ejected, the last one");
            let times = (1 << self.rests[member].min(6)).min(RESTS_MAX);
            self.closed_until_ns[member] = self.now_ns + times * SECOND;
            self.rests[member] += 1;
        } else if is_last {
            self.group_of(member).for_each(|other| self.closed_until_ns[other] = 0);
        }
    }

    /// No attempt takes longer than the longest.
    fn pass(&mut self, time_ns: u64) {
        self.now_ns += time_ns;
        let oldest_ns = self.now_ns.saturating_sub(nanos(ATTEMPT_MAX));
        while let Some(place) = self.attempts.iter().position(|attempt| attempt.begun_ns <= oldest_ns) {
            let attempt = self.attempts.swap_remove(place);
            self.fail(attempt.member, attempt.is_probe);
        }
    }

    fn stand(&mut self, member: usize, is_up: bool) {
        let (was_in, was_up) = (self.all(Self::is_in), self.all(Self::is_up));
        self.roster.members[member].standing = if is_up { Standing::Up } else { Standing::Down };
        self.ejections.renew(&self.roster);
        for member in 0..MEMBERS {
            let begins_anew = !was_up[member] || !self.is_up(member);
            if begins_anew {
                self.rests[member] = 0;
            }
            if begins_anew || (!was_in[member] && self.is_in(member)) {
                self.is_back(member);
            }
        }
    }

    /// Sessions go there as to any other; none of those on their way is a probe any more.
    fn is_back(&mut self, member: usize) {
        self.closed_until_ns[member] = 0;
        for attempt in self.attempts.iter_mut().filter(|attempt| attempt.member == member) {
            attempt.is_probe = false;
        }
    }

    fn all(&self, is: impl Fn(&Self, usize) -> bool) -> [bool; MEMBERS] {
        std::array::from_fn(|member| is(self, member))
    }

    fn is_up(&self, member: usize) -> bool {
        self.roster.members[member].standing == Standing::Up
    }

    fn is_in(&self, member: usize) -> bool {
        self.ejections.records[member].state == State::In
    }

    fn is_probed(&self, member: usize) -> bool {
        self.attempts.iter().any(|attempt| attempt.member == member && attempt.is_probe)
    }

    fn group_of(&self, member: usize) -> Range<usize> {
        GROUPS.into_iter().find(|group| group.contains(&member)).expect("each is in one")
    }

    fn check(&self) {
        let out = (0..MEMBERS).filter(|&member| !self.is_in(member)).count();
        assert_eq!(self.ejections.out, out);
        for group in GROUPS {
            let mut up = group.filter(|&member| self.is_up(member)).peekable();
            assert!(up.peek().is_none() || up.any(|member| self.is_in(member)), "nobody is left");
        }
    }
}

proptest! {
    #[test]
    fn in_any_world_one_is_left_and_one_session_probes(steps in steps(), after in 1..4_u32) {
        let mut world = World::new(after);
        for step in steps {
            world.go(step);
            world.check();
        }
    }
}
