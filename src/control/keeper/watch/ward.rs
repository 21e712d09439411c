//! One service as its keeper knows it: who its members are, how each is, and what workers are to hear of that.
//!
//! Results of checks and answers of DNS go in; the next roster and lines for people come out. Nothing here waits,
//! reads a clock or opens a socket. Who has a slot, and where it is, is its *tenure*: each change of that begins
//! another, and what was found out of an earlier one is not taken for the present one's.

use std::{mem, ops::Range, sync::Arc};

use super::{
    check::Outcome,
    found::Found,
    health::{Health, Rule},
    slots::{Change, Slots},
};
use crate::{
    config::{ProxyOptions, UpstreamOptions},
    control::keeper::{Checks, View},
    upstream::{Member, Roster, Standing},
};

/// One service.
#[derive(Debug)]
pub(super) struct Ward {
    /// What people call it.
    name: String,
    rule: Rule,
    members: Box<[Member]>,
    seats: Vec<Seat>,
    entries: Vec<Entry>,
    /// What workers know.
    roster: Arc<Roster>,
    has_news: bool,
    notes: Vec<String>,
}

/// What is known of a slot, beside what workers are told.
#[derive(Clone, Debug)]
struct Seat {
    tenure: u64,
    health: Health,
    checks: Checks,
    /// Its last check could not be made, and that was told.
    is_untried: bool,
}

/// A name that is asked for again and again.
#[derive(Debug)]
struct Entry {
    /// As it was typed.
    name: String,
    range: Range<usize>,
    slots: Slots,
    was_answered: bool,
    was_asked: bool,
    is_stale: bool,
    has_trouble: bool,
    /// So many find no slot, as was told.
    waiting: usize,
}

/// What came of asking for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// All that it leads to; `None`: it can't be told, and the last answer is kept.
    pub found: Option<Vec<Found>>,
    /// What went wrong.
    pub trouble: Option<String>,
    /// What is known is older than it said that it may be.
    pub is_stale: bool,
}

impl Ward {
    /// A service with these options and this first roster.
    pub fn new(name: String, options: &ProxyOptions, roster: Arc<Roster>) -> Self {
        let rule = Rule { rise: options.health.rise, fall: options.health.fall };
        let seat =
            Seat { tenure: 0, health: Health::new(rule), checks: Checks::default(), is_untried: false };
        let named = Roster::slots(options).filter(|(_, upstream)| upstream.place.is_name());
        Self {
            name,
            rule,
            members: roster.members.clone(),
            seats: vec![seat; roster.members.len()],
            entries: named.map(|(range, upstream)| Entry::new(range, upstream)).collect(),
            roster,
            has_news: false,
            notes: Vec::new(),
        }
    }

    /// A member was checked.
    pub fn checked(&mut self, slot: usize, tenure: u64, outcome: &Outcome, now_ns: u64) {
        let (seat, member) = (&mut self.seats[slot], &self.members[slot]);
        if seat.tenure != tenure {
            return;
        }
        let (passed, why) = match outcome {
            Outcome::Passed => (true, ""),
            Outcome::Failed(why) => (false, why.as_str()),
            Outcome::Untried(why) => {
                if !mem::replace(&mut seat.is_untried, true) {
                    let told = format!("upstream {} of {} can't be checked: {why}", member.name, self.name);
                    self.notes.push(told);
                }
                return;
            }
        };
        seat.is_untried = false;
        let count = if passed { &mut seat.checks.passed } else { &mut seat.checks.failed };
        *count += 1;
        let needed = seat.health.needed();
        match seat.health.note(passed) {
            Some(true) => self.risen(slot, now_ns),
            Some(false) => self.fallen(slot, needed, why),
            None => {}
        }
    }

    /// A name was asked for. `is_idle`: nobody has a session with who has this slot.
    pub fn answered(&mut self, entry: usize, answer: Answer, now_ns: u64, is_idle: impl Fn(usize) -> bool) {
        let Answer { found, trouble, is_stale } = answer;
        self.tell_trouble(entry, trouble);
        let Entry { range, slots, was_answered, was_asked, .. } = &mut self.entries[entry];
        let first = range.start;
        // Who is there from the first moment on has no one before it whose share it could slowly take over.
        let is_first = !*was_answered && !mem::replace(was_asked, true);
        let changes = found.map_or_else(Vec::new, |found| {
            *was_answered = true;
            slots.merge(found, now_ns, |slot| is_idle(first + slot))
        });
        self.apply(entry, changes, (!is_first).then_some(now_ns));
        self.mark_stale(entry, is_stale);
    }

    /// Time has passed.
    pub fn tidy(&mut self, now_ns: u64, is_idle: impl Fn(usize) -> bool) {
        for entry in 0..self.entries.len() {
            let Entry { range, slots, .. } = &mut self.entries[entry];
            let first = range.start;
            let changes = slots.tidy(now_ns, |slot| is_idle(first + slot));
            self.apply(entry, changes, Some(now_ns));
        }
    }

    /// Whether time alone will change something.
    pub fn is_restless(&self) -> bool {
        self.entries.iter().any(|entry| entry.slots.is_restless())
    }

    /// What workers don't know yet.
    pub fn news(&mut self) -> Option<Arc<Roster>> {
        mem::take(&mut self.has_news).then(|| {
            let (members, groups) = (self.members.clone(), self.roster.groups.clone());
            self.roster = Arc::new(Roster { members, groups });
            Arc::clone(&self.roster)
        })
    }

    /// What people don't know yet.
    pub fn notes(&mut self) -> Vec<String> {
        mem::take(&mut self.notes)
    }

    /// What reports say.
    pub fn view(&self) -> View {
        View { roster: Arc::clone(&self.roster), checks: self.seats.iter().map(|seat| seat.checks).collect() }
    }

    /// Who is to be checked: each member that has a slot, and its tenure; `None` where nobody has it.
    pub fn to_check(&self) -> impl Iterator<Item = Option<(u64, &Member)>> {
        let is_there = |member: &Member| matches!(member.standing, Standing::Up | Standing::Down);
        let pairs = self.seats.iter().zip(&self.members);
        pairs.map(move |(seat, member)| is_there(member).then_some((seat.tenure, member)))
    }

    fn risen(&mut self, slot: usize, now_ns: u64) {
        let member = &mut self.members[slot];
        (member.standing, member.up_since_ns) = (Standing::Up, Some(now_ns));
        self.notes.push(format!("upstream {} of {} is up again", member.name, self.name));
        self.has_news = true;
    }

    fn fallen(&mut self, slot: usize, failures: u32, why: &str) {
        self.members[slot].standing = Standing::Down;
        self.has_news = true;
        let times =
            if failures > 1 { format!("{failures} checks failed, the last: ") } else { String::new() };
        let left = if self.has_others(slot) { "" } else { "; nobody is left to forward to" };
        self.notes.push(format!(
            "upstream {} of {} is down: {times}{why}{left}",
            self.members[slot].name, self.name
        ));
    }

    /// Whether somebody of a member's group is usable.
    fn has_others(&self, slot: usize) -> bool {
        let group = self.roster.groups.iter().find(|group| group.contains(&slot)).cloned();
        let members = group.map_or(&[][..], |group| &self.members[group]);
        members.iter().any(|member| member.standing == Standing::Up)
    }

    fn apply(&mut self, entry: usize, changes: Vec<Change>, up_since_ns: Option<u64>) {
        let Entry { range, is_stale, .. } = &self.entries[entry];
        let (first, stale) = (range.start, *is_stale);
        self.has_news |= !changes.is_empty();
        let (mut came, mut went) = (Vec::new(), Vec::new());
        for change in changes {
            match change {
                Change::Came(slot, found) => {
                    came.push(found.name.to_string());
                    self.seat(first + slot, found, up_since_ns, stale);
                }
                Change::Changed(slot, found) => self.alter(first + slot, found),
                Change::Went(slot) => {
                    self.members[first + slot].standing = Standing::Leaving;
                    went.push(self.members[first + slot].name.to_string());
                }
                Change::Vacated(slot) => self.members[first + slot].standing = Standing::Vacant,
            }
        }
        self.tell_changes(entry, &came, &went);
    }

    /// Somebody gets a slot. What was counted of somebody else there is not counted of it.
    fn seat(&mut self, slot: usize, found: Found, up_since_ns: Option<u64>, stale: bool) {
        let Found { name, targets, weight, backup } = found;
        let seat = &mut self.seats[slot];
        let checks = if self.members[slot].name == name { seat.checks } else { Checks::default() };
        let tenure = seat.tenure + 1;
        *seat = Seat { tenure, health: Health::new(self.rule), checks, is_untried: false };
        self.members[slot] =
            Member { name, weight, backup, targets, standing: Standing::Up, up_since_ns, stale };
    }

    fn alter(&mut self, slot: usize, found: Found) {
        let member = &mut self.members[slot];
        self.seats[slot].tenure += u64::from(member.targets != found.targets);
        (member.weight, member.backup, member.targets) = (found.weight, found.backup, found.targets);
    }

    fn mark_stale(&mut self, entry: usize, is_stale: bool) {
        let entry = &mut self.entries[entry];
        if mem::replace(&mut entry.is_stale, is_stale) != is_stale {
            self.members[entry.range.clone()].iter_mut().for_each(|member| member.stale = is_stale);
            self.has_news = true;
        }
    }

    /// A failure is told once, and its end.
    fn tell_trouble(&mut self, entry: usize, trouble: Option<String>) {
        let Entry { name, was_answered, has_trouble, .. } = &mut self.entries[entry];
        let had_trouble = mem::replace(has_trouble, trouble.is_some());
        let told = match trouble {
            Some(_) if had_trouble => return,
            None if !had_trouble => return,
            Some(why) if *was_answered => format!("{name} of {}: {why}; its last answer is kept", self.name),
            Some(why) => {
                format!("{name} of {}: {why}; it is asked for again until it leads somewhere", self.name)
            }
            None => format!("{name} of {} is answered again", self.name),
        };
        self.notes.push(told);
    }

    fn tell_changes(&mut self, entry: usize, came: &[String], went: &[String]) {
        let Entry { name, slots, waiting, range, .. } = &mut self.entries[entry];
        let mut told: Vec<String> = Vec::new();
        for (who, does) in [(came, "come"), (went, "leave")] {
            match who {
                [] => {}
                [one] => told.push(format!("{one} {does}s")),
                many => told.push(format!("{} {does}", many.join(", "))),
            }
        }
        if mem::replace(waiting, slots.waiting()) < slots.waiting() {
            told.push(format!("{} more are left out, as {} is the most", slots.waiting(), range.len()));
        }
        if !told.is_empty() {
            self.notes.push(format!("{name} of {}: {}", self.name, told.join("; ")));
        }
    }
}

impl Entry {
    fn new(range: Range<usize>, upstream: &UpstreamOptions) -> Self {
        let slots = Slots::new(range.len());
        Self {
            name: upstream.place.to_string(),
            range,
            slots,
            was_answered: false,
            was_asked: false,
            is_stale: false,
            has_trouble: false,
            waiting: 0,
        }
    }
}

#[cfg(test)]
mod tests;
