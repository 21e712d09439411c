//! Scripts of chance: steps at random, less those that would wait for ever.

use evenkeel::selftest::script::{Role, Script, Step};
use proptest::prelude::*;

/// A script that ends by itself, whatever is between its ends.
pub fn script() -> impl Strategy<Value = Script> {
    (steps(), steps(), any::<bool>()).prop_map(|(client, upstream, narrow)| {
        let script =
            Script { name: "chance".to_owned(), steps: [client, upstream], narrow, open: Vec::new() };
        without_deadlock(script).leaving_open_by_rule()
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let last = prop_oneof![
        4 => Just(vec![]),
        1 => Just(vec![Step::Close]),
        1 => Just(vec![Step::ReadToEnd, Step::Close]),
        1 => Just(vec![Step::Reset]),
        1 => Just(vec![Step::ReadToEnd, Step::Reset]),
    ];
    (prop::collection::vec(step(), 0..8), last).prop_map(|(mut steps, last)| {
        steps.extend(last);
        steps
    })
}

fn step() -> impl Strategy<Value = Step> {
    let len = || prop_oneof![6 => 1..2000_u64, 3 => 2000..100_000_u64, 1 => 100_000..2_000_000_u64];
    prop_oneof![
        6 => len().prop_map(Step::Write),
        1 => (1..20_u64).prop_map(Step::WriteSlowly),
        1 => Just(Step::WriteUrgent),
        3 => len().prop_map(Step::Read),
        1 => Just(Step::ReadToEnd),
        2 => Just(Step::ShutDown),
        1 => Just(Step::StopReading),
        1 => Just(Step::Resume),
        1 => (1..6_u64).prop_map(Step::AwaitPeer),
        2 => (0..8_u64).prop_map(Step::Pause),
    ]
}

/// Takes steps out until the rest can be played to the end, whether the way holds every byte or hardly any.
fn without_deadlock(mut script: Script) -> Script {
    for hold in [u64::MAX, 4000] {
        while let Some((role, at)) = blocked(&script, hold) {
            script.steps[role.index()].remove(at);
        }
    }
    script
}

/// A step that waits for ever, where a way holds at most so many bytes that a peer hasn't read.
fn blocked(script: &Script, hold: u64) -> Option<(Role, usize)> {
    let mut ends = script.steps.each_ref().map(|steps| End::new(steps));
    loop {
        let mut did = false;
        for index in [0, 1] {
            let peer = ends[1 - index].clone();
            did |= ends[index].advance(&peer, hold);
        }
        if ends.iter().all(End::is_done) {
            return None;
        }
        if !did {
            let stuck = |role: &Role| {
                let end = &ends[role.index()];
                // The steps that each script ends with can't be taken out; then the other end is to blame.
                (!end.is_done() && end.at < script.steps[role.index()].len()).then_some((*role, end.at))
            };
            return Role::BOTH.iter().find_map(stuck);
        }
    }
}

/// An end as far as waiting goes.
#[derive(Clone)]
struct End {
    steps: Vec<Step>,
    at: usize,
    left: Option<u64>,
    sent: u64,
    received: u64,
    asked: u64,
    is_reading: bool,
    has_ended: bool,
    has_left: bool,
}

impl End {
    fn new(steps: &[Step]) -> Self {
        let steps = steps.iter().chain(&[Step::ShutDown, Step::ReadToEnd, Step::Close]).copied().collect();
        Self {
            steps,
            at: 0,
            left: None,
            sent: 0,
            received: 0,
            asked: 0,
            is_reading: true,
            has_ended: false,
            has_left: false,
        }
    }

    fn is_done(&self) -> bool {
        self.at == self.steps.len()
    }

    fn advance(&mut self, peer: &Self, hold: u64) -> bool {
        let mut did = self.read(peer);
        while let Some(step) = self.steps.get(self.at).copied() {
            let sent = self.sent;
            let is_first = self.left.is_none();
            if !self.attempt(step, is_first, peer, hold) {
                return did || self.sent > sent;
            }
            self.at += 1;
            self.left = None;
            did = true;
            self.read(peer);
        }
        did
    }

    fn read(&mut self, peer: &Self) -> bool {
        let before = self.received;
        let most = if self.is_reading { u64::MAX } else { self.asked };
        self.received = self.received.max(peer.sent.min(most));
        self.received > before
    }

    fn attempt(&mut self, step: Step, is_first: bool, peer: &Self, hold: u64) -> bool {
        match step {
            Step::Write(len) | Step::WriteSlowly(len) => self.write(len, peer, hold),
            Step::WriteUrgent => self.write(1, peer, hold),
            Step::Read(len) => {
                self.asked += if is_first { len } else { 0 };
                self.left = Some(0);
                self.read(peer);
                self.received >= self.asked || self.sees_end(peer)
            }
            Step::ReadToEnd => {
                self.is_reading = true;
                self.read(peer);
                self.sees_end(peer)
            }
            Step::AwaitPeer(count) => peer.at as u64 >= count,
            Step::StopReading => self.set_reading(false),
            Step::Resume => self.set_reading(true),
            Step::ShutDown => {
                self.has_ended = true;
                true
            }
            Step::Close | Step::Reset => {
                (self.has_ended, self.has_left) = (true, true);
                true
            }
            Step::Pause(_) | Step::AwaitInput | Step::AwaitReset => true,
        }
    }

    fn write(&mut self, len: u64, peer: &Self, hold: u64) -> bool {
        let left = self.left.unwrap_or(len);
        if self.has_ended || peer.has_left {
            return true;
        }
        let room = hold.saturating_sub(self.sent.saturating_sub(peer.received));
        let sent = left.min(room);
        self.sent += sent;
        self.left = Some(left - sent);
        sent == left
    }

    fn set_reading(&mut self, is_reading: bool) -> bool {
        self.is_reading = is_reading;
        true
    }

    /// An end comes after all bytes before it.
    fn sees_end(&self, peer: &Self) -> bool {
        self.has_left || peer.has_left || (peer.has_ended && self.received >= peer.sent)
    }
}
