//! What one service may choose from, at one moment.
//!
//! A roster never changes. Who learns that a member has come, gone, failed or recovered makes the next roster from the
//! last one, and workers get it as [`News`], between two turns: so none of them ever waits for another, and what a turn
//! has seen holds until it ends.
//!
//! Members are numbered by their slot, through all groups of the service, and workers count by these numbers. An
//! upstream that is an address has one slot for good. One that is a name asked for again and again (`dns:`, `srv:`) has
//! [`Roster::SLOTS_PER_NAME`], which are vacant until somebody is found; an address that comes back gets its old slot.

use std::{ops::Range, sync::Arc};

use super::Target;
use crate::config::{Place, ProxyOptions, UpstreamOptions};

/// The members of all groups of a service, in the order in which they were named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    /// By slot.
    pub members: Box<[Member]>,
    /// The slots of each group: first that of `upstream`, then one a route.
    pub groups: Box<[Range<usize>]>,
}

/// One place to forward to, and whether it is fit for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What reports call it: as it was typed; of one that was found by a name, its address.
    pub name: Arc<str>,
    /// Its share, against the others' of its group.
    pub weight: u32,
    /// Used only while no other of its group is usable.
    pub backup: bool,
    /// Where it is: the addresses of a name, in the order in which they are to be tried. None while it is vacant.
    pub targets: Box<[Target]>,
    /// Whether it gets sessions.
    pub standing: Standing,
    /// Since when it is up, in nanoseconds of the monotonic clock; `None`: from the start. Its share rises from then
    /// on, where that is asked for.
    pub up_since_ns: Option<u64>,
    /// The answer that it comes from is older than it said that it may be.
    pub stale: bool,
}

/// Whether a member gets sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Up,
    /// Its checks fail.
    Down,
    /// It is named no more. It gets no new sessions; those that it has go on.
    Leaving,
    /// Nobody has this slot.
    Vacant,
}

/// A roster that takes the place of the last one.
#[derive(Clone, Debug)]
pub struct News {
    /// The service's number.
    pub service: usize,
    /// Its members from now on; as many slots and groups as before.
    pub roster: Arc<Roster>,
}

impl Roster {
    /// How many addresses of one `dns:` or `srv:` name are used.
    pub const SLOTS_PER_NAME: usize = 32;

    /// The most slots of one service.
    pub const SLOTS_MAX: usize = ProxyOptions::UPSTREAMS_MAX * Self::SLOTS_PER_NAME;

    /// Each upstream that was named, through all groups, with the slots that it has.
    pub fn slots(options: &ProxyOptions) -> impl Iterator<Item = (Range<usize>, &UpstreamOptions)> {
        options.groups().flatten().scan(0, |next, upstream| {
            let first = *next;
            *next += Self::slots_of(&upstream.place);
            Some((first..*next, upstream))
        })
    }

    /// How many slots such an upstream has.
    pub const fn slots_of(place: &Place) -> usize {
        match place {
            Place::Address(_) => 1,
            Place::Dns { .. } | Place::Srv(_) => Self::SLOTS_PER_NAME,
        }
    }

    /// The slots of each group of these options.
    pub fn groups_of(options: &ProxyOptions) -> Box<[Range<usize>]> {
        let groups = options.groups().scan(0, |next, upstreams| {
            let first = *next;
            *next += upstreams.iter().map(|upstream| Self::slots_of(&upstream.place)).sum::<usize>();
            Some(first..*next)
        });
        groups.collect()
    }

    /// The members of a group that get sessions, with their slots.
    pub fn usable(&self, group: usize) -> impl Iterator<Item = (usize, &Member)> {
        let members = self.groups[group].clone().map(|slot| (slot, &self.members[slot]));
        members.filter(|(_, member)| member.standing == Standing::Up)
    }

    /// Whether somebody has gone down since this roster.
    pub fn has_fallen(&self, since: &Self) -> bool {
        let mut pairs = since.members.iter().zip(&self.members);
        pairs.any(|(before, now)| before.standing == Standing::Up && now.standing == Standing::Down)
    }
}

impl Member {
    /// A slot that nobody has, of an upstream that was named so.
    pub fn vacant(upstream: &UpstreamOptions) -> Self {
        Self {
            name: upstream.place.to_string().into(),
            weight: upstream.weight,
            backup: upstream.backup,
            targets: Box::default(),
            standing: Standing::Vacant,
            up_since_ns: None,
            stale: false,
        }
    }
}

impl Standing {
    /// What reports call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Leaving => "leaving",
            Self::Vacant => "vacant",
        }
    }
}

#[cfg(test)]
pub(crate) mod samples {
    //! Rosters of members that are nowhere.

    use super::*;

    /// One group of members that are up, of these weights.
    pub(crate) fn of_weights(weights: &[u32]) -> Roster {
        let member = |(slot, &weight): (usize, &u32)| Member {
            name: format!("member-{slot}").into(),
            weight,
            backup: false,
            targets: Box::from([Target::Unix(format!("/run/{slot}").into())]),
            standing: Standing::Up,
            up_since_ns: None,
            stale: false,
        };
        let members: Box<[_]> = weights.iter().enumerate().map(member).collect();
        let groups = std::iter::once(0..members.len()).collect();
        Roster { members, groups }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RouteOptions;

    fn upstream(text: &str) -> UpstreamOptions {
        text.parse().expect(text)
    }

    fn options(first: &[&str], second: &[&str]) -> ProxyOptions {
        let upstreams = |texts: &[&str]| texts.iter().map(|text| upstream(text)).collect();
        let route = RouteOptions { sni: Vec::new(), alpn: Vec::new(), upstreams: upstreams(second) };
        ProxyOptions { upstreams: upstreams(first), routes: vec![route], ..ProxyOptions::default() }
    }

    #[test]
    fn an_address_has_one_slot_and_a_name_has_many() {
        let options = options(&["127.0.0.1:1", "dns:web:443"], &["srv:_db._tcp.example=3", "127.0.0.1:2"]);
        let slots: Vec<_> = Roster::slots(&options).map(|(slots, _)| slots).collect();
        assert_eq!(slots, [0..1, 1..33, 33..65, 65..66]);
        assert_eq!(*Roster::groups_of(&options), [0..33, 33..66]);
    }

    #[test]
    fn a_group_without_upstreams_has_no_slots() {
        let options = options(&[], &["127.0.0.1:1"]);
        assert_eq!(*Roster::groups_of(&options), [0..0, 0..1]);
    }

    #[test]
    fn who_falls_was_up() {
        let up = samples::of_weights(&[1, 1]);
        let mut next = up.clone();
        next.members[1].standing = Standing::Leaving;
        assert!(!next.has_fallen(&up), "who leaves has not fallen");
        let leaving = next.clone();
        next.members[1].standing = Standing::Down;
        assert!(!next.has_fallen(&leaving) && next.has_fallen(&up));
        assert_eq!(next.usable(0).count(), 1);
    }
}
