//! Which upstream a session goes to.
//!
//! Each worker has a balancer of its own for each service, so that choosing takes no lock; what other workers do it
//! sees in [`Loads`]. Nothing here connects, waits or reads a clock: who asks is told an index, counts the session with
//! [`Loads::add`] at once (while it connects it is a load too), and if that came to nothing takes it back, notes it in
//! [`Tried`] and asks again.
//!
//! Loads are compared by what they would be *with* the session, for their weight: (sessions + 1) / weight. So an
//! upstream of weight 2 gets the first session before one of weight 1, and the second one too, or not, by chance.

use std::cmp::Ordering;

use fastrand::Rng;

use super::{loads::Loads, round_robin::RoundRobin, shares::Shares, tried::Tried};
use crate::config::Balance;

/// Chooses among the upstreams of one service, for one worker.
#[derive(Debug)]
pub struct Balancer {
    /// The number, in [`Loads`], of the service's first upstream.
    first: usize,
    weights: Box<[u32]>,
    random: Rng,
    way: Way,
}

#[derive(Debug)]
enum Way {
    RoundRobin(RoundRobin),
    LeastConnections,
    P2c(Shares),
    Random(Shares),
}

impl Balancer {
    /// A balancer for upstreams of these weights (0 counts as 1), numbered in [`Loads`] from `first` on. Workers may
    /// have the same seed: each draws numbers of its own from it, or they would all choose alike.
    pub fn new(balance: Balance, weights: &[u32], first: usize, worker: usize, seed: u64) -> Self {
        let weights: Box<[_]> = weights.iter().map(|&weight| weight.max(1)).collect();
        let way = match balance {
            Balance::RoundRobin => Way::RoundRobin(RoundRobin::new(&weights, worker)),
            Balance::LeastConnections => Way::LeastConnections,
            Balance::P2c => Way::P2c(Shares::new(&weights)),
            Balance::Random => Way::Random(Shares::new(&weights)),
        };
        let random = Rng::with_seed(seed ^ spread(first as u64) ^ spread(worker as u64).rotate_left(32));
        Self { first, weights, random, way }
    }

    /// The upstream for a session, by its number within the service; `None` once all have been tried.
    pub fn choose(&mut self, loads: &Loads, tried: &Tried) -> Option<usize> {
        let Self { first, weights, random, way } = self;
        let open = |index| !tried.contains(index);
        let load = |index: usize| Load { sessions: loads.total(*first + index) + 1, weight: weights[index] };
        match way {
            Way::RoundRobin(round) => round.turn(open),
            Way::LeastConnections => least((0..weights.len()).filter(|&index| open(index)), load, random),
            Way::P2c(shares) => better_of_two(shares, open, load, random),
            Way::Random(shares) => shares.draw(random, open),
        }
    }
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

/// Numbers that lie close together, far apart: 2^64 divided by the golden ratio.
const fn spread(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests;
