//! A source address always goes to the same member: Maglev's table (Eisenbud et al., *Maglev: A Fast and Reliable
//! Software Network Load Balancer*, NSDI 2016, section 3.4).
//!
//! Each member has a permutation of all entries of the table, from its name alone. Members take turns, and at each turn
//! one takes the first entry of its permutation that nobody has. So each has its share of the entries to within a turn,
//! and where a member leaves or comes most entries keep their owner. Weights are by turns too: the next turn is
//! whoever's time comes first, and a member's time goes on by less the more it weighs.
//!
//! A source hashes to an entry. Where the owner isn't open, the source goes on through the table, by a step of its own,
//! until it comes to one who is: nobody else's sources move, and those of the one who is away spread over all others.
//! (With the same step for all they would spread unevenly: permutations have steps too, and so patterns side by side.)
//!
//! What is promised: the table follows from the names and weights of its members, not from their order, a seed, or
//! what happened before; so all workers, and all proxies with the same upstreams, send a source to the same member.
//! Each member has an entry at least.

use std::{cmp::Reverse, collections::BinaryHeap, net::IpAddr};

/// The size of a table for up to so many members: a prime a hundred times as large, so that shares are within a percent.
/// The larger one is that for 6,553 members; for still more of them shares are coarser.
const SIZES: [(usize, usize); 2] = [(640, 65_537), (usize::MAX, 655_373)];

/// No member has this entry yet.
const FREE: u16 = u16::MAX;

/// An entry's owner, by its place among the members that the table was made of.
#[derive(Debug, Default)]
pub(super) struct Maglev {
    table: Box<[u16]>,
    members: usize,
}

/// Where a client comes from, as a number that is as good as drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source(u64);

impl Source {
    /// An IPv4 address counts whole; of an IPv6 address the network, as a host has all addresses of its /64.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(mixed(u64::from(address.to_bits()))),
            IpAddr::V6(address) => Self(mixed((address.to_bits() >> 64) as u64)),
        }
    }

    /// A source that is nowhere, by an even random number.
    pub const fn by_chance(number: u64) -> Self {
        Self(number)
    }

    /// Between 0 and 1; another for each number.
    pub fn coin(self, number: usize) -> f64 {
        let bits = mixed(self.0 ^ mixed(number as u64));
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }
}

impl Maglev {
    /// Of members with these names and weights, each at least 1. (The 65,535th and further ones are left out.)
    pub fn new<'a>(members: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let mut members: Vec<_> = members.zip(0..FREE).map(|((name, weight), place)| (name, place, weight)).collect();
        // By name, so that the same members make the same table in whatever order they were found.
        members.sort_unstable();
        if members.is_empty() {
            return Self::default();
        }
        let size = SIZES.iter().find(|(most, _)| members.len() <= *most).map_or(0, |(_, size)| *size);
        Self { table: fill(size, &members), members: members.len() }
    }

    /// Where this source goes; `None` where nobody is open.
    pub fn find(&self, source: Source, open: impl Fn(usize) -> bool) -> Option<usize> {
        let size = self.table.len();
        let first = below(source.0, size.max(1));
        let owner = usize::from(*self.table.get(first)?);
        if open(owner) {
            return Some(owner);
        }
        // To find that nobody is open, the members are fewer than the entries.
        if !(0..self.members).any(&open) {
            return None;
        }
        // Any step but 0 comes past all entries, as their number is prime.
        let step = below(mixed(source.0), size - 1) + 1;
        let mut others = (1..size).map(|steps| usize::from(self.table[(first + steps * step) % size]));
        others.find(|&owner| open(owner))
    }
}

/// A member's way through its permutation.
struct Walk {
    entry: usize,
    skip: usize,
    place: u16,
    /// How far its time goes on at each turn.
    stride: u64,
}

/// The time of a member of weight 1 between two of its turns. A whole table of such turns fits 64 bits.
const STRIDE: u64 = 1 << 40;

fn fill(size: usize, members: &[(&str, u16, u32)]) -> Box<[u16]> {
    let mut walks: Vec<_> = members.iter().map(|&(name, place, weight)| Walk::new(size, name, place, weight)).collect();
    // All begin at time 0: each has its first turn before anybody has a second one.
    let mut turns: BinaryHeap<_> = (0..walks.len()).map(|rank| Reverse((0, rank))).collect();
    let mut table: Box<[u16]> = vec![FREE; size].into();
    for _ in 0..size {
        let Some(mut next) = turns.peek_mut() else { break };
        let Reverse((time, rank)) = &mut *next;
        let walk = &mut walks[*rank];
        let entry = walk.next_free(&table);
        table[entry] = walk.place;
        *time += walk.stride;
    }
    table
}

impl Walk {
    fn new(size: usize, name: &str, place: u16, weight: u32) -> Self {
        let hash = hash(name);
        Self {
            entry: below(mixed(hash), size),
            // Any step but 0 comes past all entries, as their number is prime.
            skip: below(mixed(!hash), size - 1) + 1,
            place,
            stride: STRIDE / u64::from(weight.max(1)),
        }
    }

    /// The next entry that is free. There must be one.
    fn next_free(&mut self, table: &[u16]) -> usize {
        while table[self.entry] != FREE {
            self.entry += self.skip;
            if self.entry >= table.len() {
                self.entry -= table.len();
            }
        }
        self.entry
    }
}

const fn below(number: u64, bound: usize) -> usize {
    (number % bound as u64) as usize
}

/// FNV-1a: short, and the same everywhere for ever.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The step of SplitMix64: each number has its own, and neighbours lie far apart.
const fn mixed(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests;
