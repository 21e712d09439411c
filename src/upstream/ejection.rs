//! Whom a worker leaves alone, for what its own sessions have met there: passive health.
//!
//! ```text
//!       failures in a row, and another       the rest is over: one
//!       of the group is in                   session takes it
//!   in ───────────────────────────► resting ─────────────────────► probing
//!    ▲                               ▲ │                             │ │
//!    │                               └─┼───── it fails: twice the ───┘ │
//!    │                                 │      rest                     │
//!    └─────────────────────────────────┴────────── it connects ────────┘
//! ```
//! Each worker goes by its own sessions and tells nobody: no message, no shared word; so each meets a dead member for
//! itself (docs/balancing.md has what that costs).
//!
//! What is promised:
//! - Of those members of a group that are up, one is always in. Whoever is the last of them may fail as often as it
//!   likes. When it does, the rest of the others is over: there is nothing better to try.
//! - While a member isn't in, one session at a time finds out whether it is well again, and only after its rest.
//! - A rest is twice as long as the one before, up to [`RESTS_MAX`] times the first. Once a session has had an answer,
//!   all is forgotten. To connect isn't enough for that: a member that accepts and then resets is back, but on
//!   probation.

use std::{ops::Range, sync::Arc, time::Duration};

use super::roster::{Member, Roster, Standing};

/// How many times the first rest the longest one lasts.
pub const RESTS_MAX: u64 = 30;

/// What one worker knows of the members of one service. Members go by their number within the service.
#[derive(Debug)]
pub struct Ejections {
    /// So many failures in a row eject; `None`: never.
    after: Option<u32>,
    rest_ns: u64,
    /// When nothing was heard of a probe for so long, it is over: its client has left.
    probe_ns: u64,
    records: Box<[Record]>,
    /// How many members aren't in.
    out: usize,
}

/// One member.
#[derive(Clone, Debug)]
struct Record {
    name: Arc<str>,
    group: Range<usize>,
    is_up: bool,
    state: State,
    /// In a row.
    failures: u32,
    /// Since it last succeeded.
    rests: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    In,
    /// Left alone until then.
    Resting {
        until_ns: u64,
    },
    /// Left alone by all but one session; if that isn't heard of by then, another may take its place.
    Probing {
        until_ns: u64,
    },
}

impl Ejections {
    /// Nobody is ejected yet; `after` so many failures in a row somebody is, for `rest`. No attempt to connect takes
    /// longer than `attempt_max`.
    pub fn new(after: Option<u32>, rest: Duration, attempt_max: Duration, roster: &Roster) -> Self {
        let probe_ns = nanos(attempt_max).saturating_mul(2);
        Self { after, rest_ns: nanos(rest), probe_ns, records: records(roster), out: 0 }
    }

    /// Another roster. Who isn't who it was, or wasn't up, begins anew.
    pub fn renew(&mut self, roster: &Roster) {
        let mut records = records(roster);
        for (new, old) in records.iter_mut().zip(&self.records) {
            if new.is_up && old.is_up && new.name == old.name {
                *new = Record { group: new.group.clone(), ..old.clone() };
            }
        }
        self.records = records;
        self.out = self.records.iter().filter(|record| record.state != State::In).count();
        for group in &roster.groups {
            self.keep_one_in(group.clone());
        }
    }

    /// Whether a session may be sent to this member: it is in, or its rest is over and nobody has taken it yet.
    #[inline]
    pub fn is_open(&self, member: usize, now_ns: u64) -> bool {
        self.out == 0 || self.records[member].is_due(now_ns)
    }

    /// A session is being sent to this member. Whether it is the probe, which the session has to remember.
    #[inline]
    pub fn began_probe(&mut self, member: usize, now_ns: u64) -> bool {
        if self.out == 0 {
            return false;
        }
        let record = &mut self.records[member];
        let is_probe = record.state != State::In && record.is_due(now_ns);
        if is_probe {
            record.state = State::Probing { until_ns: now_ns.saturating_add(self.probe_ns) };
        }
        is_probe
    }

    /// A session failed to connect there, or was reset before the first byte; whether the member is ejected for it.
    pub fn failed(&mut self, member: usize, is_probe: bool, now_ns: u64) -> bool {
        let Some(after) = self.after else { return false };
        match self.records[member].state {
            State::In => {
                let record = &mut self.records[member];
                record.failures = record.failures.saturating_add(1);
                if record.failures < after {
                    return false;
                }
                if !self.has_another_in(member) {
                    self.end_rests_beside(member, now_ns);
                    return false;
                }
                self.out += 1;
            }
            State::Probing { .. } if is_probe => (),
            // It had begun before the member was ejected: that is known by now.
            State::Probing { .. } | State::Resting { .. } => return false,
        }
        self.records[member].rest(self.rest_ns, now_ns);
        true
    }

    /// A session has connected there. It is in again; what it did is not forgotten yet.
    #[inline]
    pub fn connected(&mut self, member: usize) {
        if self.out > 0 && self.records[member].state != State::In {
            self.records[member].state = State::In;
            self.out -= 1;
        }
    }

    /// A session has had a byte from there, or has ended well without one.
    #[inline]
    pub fn succeeded(&mut self, member: usize) {
        self.connected(member);
        let record = &mut self.records[member];
        if record.failures > 0 {
            (record.failures, record.rests) = (0, 0);
        }
    }

    fn has_another_in(&self, member: usize) -> bool {
        let group = self.records[member].group.clone();
        group.into_iter().any(|other| other != member && self.records[other].is_in())
    }

    /// Of the others of its group, whoever rests may be tried at once. Who is being tried already needn't be twice.
    fn end_rests_beside(&mut self, member: usize, now_ns: u64) {
        let group = self.records[member].group.clone();
        for record in &mut self.records[group] {
            if let State::Resting { until_ns } = &mut record.state {
                *until_ns = now_ns.min(*until_ns);
            }
        }
    }

    /// Where all who are up in a group rest or are probed, the one who would be tried first is in again.
    fn keep_one_in(&mut self, group: Range<usize>) {
        let records = &mut self.records[group];
        if records.iter().any(Record::is_in) {
            return;
        }
        let first = records.iter_mut().filter(|record| record.is_up).min_by_key(|record| record.until_ns());
        if let Some(record) = first {
            record.state = State::In;
            self.out -= 1;
        }
    }
}

impl Record {
    const fn is_in(&self) -> bool {
        self.is_up && matches!(self.state, State::In)
    }

    const fn until_ns(&self) -> u64 {
        match self.state {
            State::In => 0,
            State::Resting { until_ns } | State::Probing { until_ns } => until_ns,
        }
    }

    const fn is_due(&self, now_ns: u64) -> bool {
        self.until_ns() <= now_ns
    }

    fn rest(&mut self, first_ns: u64, now_ns: u64) {
        let times = 1_u64.checked_shl(self.rests).map_or(RESTS_MAX, |times| times.min(RESTS_MAX));
        self.rests = self.rests.saturating_add(1);
        self.state = State::Resting { until_ns: now_ns.saturating_add(first_ns.saturating_mul(times)) };
    }
}

/// A fresh record for each member.
fn records(roster: &Roster) -> Box<[Record]> {
    let fresh = |(number, member): (usize, &Member)| Record {
        name: member.name.clone(),
        group: number..number + 1,
        is_up: member.standing == Standing::Up,
        state: State::In,
        failures: 0,
        rests: 0,
    };
    let mut records: Box<[_]> = roster.members.iter().enumerate().map(fresh).collect();
    for group in &roster.groups {
        for record in &mut records[group.clone()] {
            record.group = group.clone();
        }
    }
    records
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
