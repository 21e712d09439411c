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
//! A table takes milliseconds to make, hundreds of them a large one, and a worker has no such time at once. So a new
//! one is made bit by bit, at each choice a little more, while the old one is still used; at once only where nobody
//! whom that one knows is left.
//!
//! What is promised: the table follows from the names and weights of its members, not from their order, a seed, or
//! what happened before; so all workers, and all proxies with the same upstreams, send a source to the same member.
//! Each member has an entry at least.

mod filling;

use std::net::IpAddr;

use filling::Filling;

/// The size of a table for up to so many members: a prime a hundred times as large, so that shares are within a
/// percent. The larger one is that for 6,553 members; for still more of them shares are coarser.
const SIZES: [(usize, usize); 2] = [(640, 65_537), (usize::MAX, 655_373)];

/// How many entries are looked at for a new table at one choice: that takes less than 0.1 ms.
const STEPS_MAX: usize = 20_000;

/// A member, by its number: as its owner calls it, and below [`FREE`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Named<'a> {
    pub name: &'a str,
    pub number: u16,
    /// At least 1.
    pub weight: u32,
}

/// No member has this entry yet.
const FREE: u16 = u16::MAX;

/// Who has which source.
#[derive(Debug, Default)]
pub(super) struct Maglev {
    /// An entry's owner.
    table: Box<[u16]>,
    /// All owners.
    members: Box<[u16]>,
    /// The next table.
    filling: Option<Filling>,
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
    /// The table of these members.
    pub fn new(members: Vec<Named<'_>>) -> Self {
        let mut maglev = Self::default();
        maglev.renew(members);
        maglev.go_on(usize::MAX);
        maglev
    }

    /// Begins with the table of other members.
    pub fn renew(&mut self, members: Vec<Named<'_>>) {
        let size = SIZES.iter().find(|(most, _)| members.len() <= *most).map_or(0, |(_, size)| *size);
        self.filling = Some(Filling::new(size, members));
    }

    /// Where this source goes; `None` where nobody is open.
    pub fn find(&mut self, source: Source, open: impl Fn(usize) -> bool) -> Option<usize> {
        self.go_on(STEPS_MAX);
        let found = self.owner(source, &open);
        if found.is_some() || self.filling.is_none() {
            return found;
        }
        self.go_on(usize::MAX);
        self.owner(source, open)
    }

    /// A number of steps towards the next table, or to its end.
    #[inline]
    fn go_on(&mut self, steps: usize) {
        let Some(filling) = &mut self.filling else { return };
        if filling.go_on(steps) {
            (self.table, self.members) = self.filling.take().map(Filling::end).unwrap_or_default();
        }
    }

    fn owner(&self, source: Source, open: impl Fn(usize) -> bool) -> Option<usize> {
        let size = self.table.len();
        let first = below(source.0, size.max(1));
        let owner = usize::from(*self.table.get(first)?);
        if open(owner) {
            return Some(owner);
        }
        // To find that nobody is open, the members are fewer than the entries.
        if !self.members.iter().any(|&member| open(usize::from(member))) {
            return None;
        }
        // Any step but 0 comes past all entries, as their number is prime.
        let step = below(mixed(source.0), size - 1) + 1;
        let mut others = (1..size).map(|steps| usize::from(self.table[(first + steps * step) % size]));
        others.find(|&owner| open(owner))
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
