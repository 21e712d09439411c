//! Draws at random, by weight.
//!
//! A table of the sums of weights turns an even random number into an index by binary search. What may not be drawn is
//! drawn again; only where that fails several times does a walk over all of them decide. Both leave to what remains
//! exactly the shares that its weights give.

use fastrand::Rng;

/// How often an index that isn't open is drawn again before all are looked at.
const DRAWS_MAX: usize = 4;

/// Weights, summed up.
#[derive(Debug)]
pub(super) struct Shares {
    /// Of each index, the sum of all weights up to its own.
    ends: Box<[u64]>,
}

impl Shares {
    /// Of these weights, each at least 1.
    pub fn new(weights: &[u32]) -> Self {
        let ends = weights.iter().scan(0, |sum, &weight| {
            *sum += u64::from(weight);
            Some(*sum)
        });
        Self { ends: ends.collect() }
    }

    /// One of those that are open; `None` where none is.
    pub fn draw(&self, random: &mut Rng, open: impl Fn(usize) -> bool) -> Option<usize> {
        let total = *self.ends.last()?;
        let drawn = (0..DRAWS_MAX).map(|_| self.index_of(random.u64(..total))).find(|&index| open(index));
        drawn.or_else(|| self.draw_from_open(random, open))
    }

    /// Whose share this point between 0 and the sum of all is in.
    fn index_of(&self, point: u64) -> usize {
        self.ends.partition_point(|&end| end <= point)
    }

    fn draw_from_open(&self, random: &mut Rng, open: impl Fn(usize) -> bool) -> Option<usize> {
        let indices = || (0..self.ends.len()).filter(|&index| open(index));
        let total: u64 = indices().map(|index| self.weight(index)).sum();
        let mut point = if total == 0 { return None } else { random.u64(..total) };
        indices().find(|&index| {
            let is_here = point < self.weight(index);
            point = point.saturating_sub(self.weight(index));
            is_here
        })
    }

    fn weight(&self, index: usize) -> u64 {
        self.ends[index] - index.checked_sub(1).map_or(0, |before| self.ends[before])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_point_belongs_to_one_share() {
        let shares = Shares::new(&[1, 3, 2]);
        let owners: Vec<_> = (0..6).map(|point| shares.index_of(point)).collect();
        assert_eq!(owners, [0, 1, 1, 1, 2, 2]);
    }

    #[test]
    fn the_walk_draws_by_weight_as_the_table_does() {
        const DRAWS: u32 = 60_000;
        let (shares, mut random) = (Shares::new(&[5, 1, 90, 2]), Rng::with_seed(1));
        for walk in [false, true] {
            let mut drawn = [0_u32; 4];
            for _ in 0..DRAWS {
                let open = |index| index != 2;
                let index = if walk {
                    shares.draw_from_open(&mut random, open)
                } else {
                    shares.draw(&mut random, open)
                };
                drawn[index.expect("three are open")] += 1;
            }
            for (index, weight) in [(0, 5), (1, 1), (2, 0), (3, 2)] {
                // Six standard deviations of 60,000 draws are at most 735.
                assert!(drawn[index].abs_diff(DRAWS * weight / 8) < 735, "{walk} {drawn:?}");
            }
        }
    }

    #[test]
    fn from_nothing_nothing_is_drawn() {
        let mut random = Rng::with_seed(1);
        assert_eq!(Shares::new(&[]).draw(&mut random, |_| true), None);
        assert_eq!(Shares::new(&[1, 2]).draw(&mut random, |_| false), None);
    }
}
