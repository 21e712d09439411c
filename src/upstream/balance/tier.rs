//! Those members of a group that compete with each other: the ordinary ones, or the backups.
//!
//! Who is down stays a member, and is passed over: so a table of sources needn't change for it, and turns are kept.

use std::{cmp::Ordering, ops::Range, sync::Arc};

use fastrand::Rng;

use crate::{
    config::Balance,
    upstream::{
        maglev::{Maglev, Named, Source},
        roster::{Roster, Standing},
        round_robin::RoundRobin,
        shares::Shares,
    },
};

/// Members, and the way to choose among them.
#[derive(Debug)]
pub(super) struct Tier {
    seats: Box<[Seat]>,
    way: Way,
}

/// A member's place in a tier; ways to balance know members by it.
#[derive(Clone, Debug)]
struct Seat {
    /// Within the service.
    number: usize,
    name: Arc<str>,
    weight: u32,
    is_up: bool,
}

#[derive(Debug)]
enum Way {
    RoundRobin(RoundRobin),
    LeastConnections,
    P2c(Shares),
    Random(Shares),
    Maglev(Maglev),
}

impl Tier {
    /// The backups of a group, or those that aren't. `turns`: how many a round robin has had already.
    pub fn new(balance: Balance, roster: &Roster, group: Range<usize>, backup: bool, turns: usize) -> Self {
        let seats = seats(roster, group, backup);
        let weights = weights(&seats);
        let way = match balance {
            Balance::RoundRobin => Way::RoundRobin(RoundRobin::new(&weights, turns)),
            Balance::LeastConnections => Way::LeastConnections,
            Balance::P2c => Way::P2c(Shares::new(&weights)),
            Balance::Random => Way::Random(Shares::new(&weights)),
            Balance::Maglev => Way::Maglev(Maglev::new(named(&seats))),
        };
        Self { seats, way }
    }

    /// The same tier of another roster. Only where others have come, left or weigh differently is there more to do than
    /// to note who is up.
    pub fn renew(&mut self, roster: &Roster, group: Range<usize>, backup: bool) {
        let seats = seats(roster, group, backup);
        let is_same = seats.len() == self.seats.len()
            && seats.iter().zip(&self.seats).all(|(new, old)| new.is(old) && new.weight == old.weight);
        if !is_same {
            self.way.renew(&seats, &self.seats);
        }
        self.seats = seats;
    }

    /// Somebody who is up and open, by the number within the service, as these are. `sessions` tells how many one has.
    pub fn choose(
        &mut self,
        sessions: impl Fn(usize) -> u64,
        open: impl Fn(usize) -> bool,
        source: Option<Source>,
        random: &mut Rng,
    ) -> Option<usize> {
        let Self { seats, way } = self;
        let open = |seat: usize| seats[seat].is_up && open(seats[seat].number);
        let load = |seat: usize| {
            let Seat { number, weight, .. } = seats[seat];
            Load { sessions: sessions(number) + 1, weight }
        };
        let seat = match way {
            Way::RoundRobin(round) => round.turn(open),
            Way::LeastConnections => least((0..seats.len()).filter(|&seat| open(seat)), load, random),
            Way::P2c(shares) => better_of_two(shares, open, load, random),
            Way::Random(shares) => shares.draw(random, open),
            Way::Maglev(table) => {
                let source = source.unwrap_or_else(|| Source::by_chance(random.u64(..)));
                let number = table.find(source, |number| seat_of(seats, number).is_some_and(&open));
                number.and_then(|number| seat_of(seats, number))
            }
        };
        seat.map(|seat| seats[seat].number)
    }

    /// All members, whether they are up or not.
    pub fn numbers(&self) -> impl Iterator<Item = usize> {
        self.seats.iter().map(|seat| seat.number)
    }

    /// How often a member that has no sessions yet may be chosen: as often as the way to balance has it, but where that
    /// would be always, no more often than its weight says.
    pub fn chance_of_newcomer(&self, number: usize) -> f64 {
        if !matches!(self.way, Way::LeastConnections) {
            return 1.0;
        }
        let up = || self.seats.iter().filter(|seat| seat.is_up);
        let all: u64 = up().map(|seat| u64::from(seat.weight)).sum();
        up().find(|seat| seat.number == number).map_or(1.0, |seat| f64::from(seat.weight) / all as f64)
    }
}

impl Seat {
    /// Whether this is the same member. A number may have been another's before.
    fn is(&self, other: &Self) -> bool {
        self.number == other.number && self.name == other.name
    }
}

impl Way {
    /// The same way among other members.
    fn renew(&mut self, new: &[Seat], old: &[Seat]) {
        match self {
            Self::RoundRobin(round) => {
                let before = |seat: usize| {
                    let seat = &new[seat];
                    seat_of(old, seat.number).filter(|&before| old[before].is(seat))
                };
                *round = round.renewed(&weights(new), before);
            }
            Self::LeastConnections => (),
            Self::P2c(shares) | Self::Random(shares) => *shares = Shares::new(&weights(new)),
            Self::Maglev(table) => table.renew(named(new)),
        }
    }
}

/// Where a member sits. Seats are in the order of their numbers.
fn seat_of(seats: &[Seat], number: usize) -> Option<usize> {
    seats.binary_search_by_key(&number, |seat| seat.number).ok()
}

fn seats(roster: &Roster, group: Range<usize>, backup: bool) -> Box<[Seat]> {
    let seat = |number: usize| {
        let member = &roster.members[number];
        let is_up = match member.standing {
            Standing::Up => true,
            Standing::Down => false,
            Standing::Leaving | Standing::Vacant => return None,
        };
        let seat = Seat { number, name: member.name.clone(), weight: member.weight.max(1), is_up };
        (member.backup == backup).then_some(seat)
    };
    group.filter_map(seat).collect()
}

fn weights(seats: &[Seat]) -> Vec<u32> {
    seats.iter().map(|seat| seat.weight).collect()
}

fn named(seats: &[Seat]) -> Vec<Named<'_>> {
    // A number has 16 bits, and one of those is nobody's: Roster::SLOTS_MAX.
    let seats = seats.iter();
    seats.map(|seat| Named { name: &seat.name, number: seat.number as u16, weight: seat.weight }).collect()
}

/// Sessions for a weight.
#[derive(Clone, Copy, Debug)]
struct Load {
    sessions: u64,
    weight: u32,
}

impl Load {
    /// Which is less for its weight, without the rounding of a quotient.
    fn compare(self, other: Self) -> Ordering {
        let scaled = |load: Self, by: u32| u128::from(load.sessions) * u128::from(by);
        scaled(self, other.weight).cmp(&scaled(other, self.weight))
    }
}

/// The least loaded. Of several the choice is by chance and weight: if it were always the first, all workers would go
/// to the same one whenever all are idle.
fn least(
    candidates: impl Iterator<Item = usize>,
    load: impl Fn(usize) -> Load,
    random: &mut Rng,
) -> Option<usize> {
    let (mut best, mut weights) = (None, 0);
    for index in candidates {
        let this = load(index);
        let order = best.map_or(Ordering::Less, |(_, least)| this.compare(least));
        if order.is_lt() {
            weights = 0;
        }
        if order.is_le() {
            // Each takes the place of those before it with its share of all so far: in the end all have theirs.
            weights += u64::from(this.weight);
            if random.u64(..weights) < u64::from(this.weight) {
                best = Some((index, this));
            }
        }
    }
    best.map(|(index, _)| index)
}

/// The less loaded of two that are drawn by weight; the first drawn if there is nothing between them.
fn better_of_two(
    shares: &Shares,
    open: impl Fn(usize) -> bool,
    load: impl Fn(usize) -> Load,
    random: &mut Rng,
) -> Option<usize> {
    let one = shares.draw(random, &open)?;
    let other = shares.draw(random, |index| index != one && open(index));
    other.filter(|&other| load(other).compare(load(one)).is_lt()).or(Some(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_compared_without_rounding() {
        let load = |sessions, weight| Load { sessions, weight };
        assert_eq!(load(2, 2).compare(load(1, 1)), Ordering::Equal);
        assert_eq!(load(1 << 60, 256).compare(load((1 << 60) + 1, 256)), Ordering::Less);
        assert_eq!(load(u64::MAX, 1).compare(load(u64::MAX, u32::MAX)), Ordering::Greater);
    }
}
