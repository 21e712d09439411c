//! Smooth weighted round robin: nginx's way to take turns.
//!
//! At each turn all rise by their weight; the highest is chosen and falls by what all have risen together. Over a cycle
//! of as many turns as the weights' sum each has exactly its weight in turns, and they lie apart: `a a b a`, not
//! `a a a b`. Those that are passed over neither rise nor fall, so their next turn comes no later for it.

/// Whose turn it is.
#[derive(Debug)]
pub(super) struct RoundRobin {
    weights: Box<[i64]>,
    heights: Box<[i64]>,
}

impl RoundRobin {
    /// Of these weights, so many turns into the cycle.
    pub fn new(weights: &[u32], turns: usize) -> Self {
        let weights: Box<[_]> = weights.iter().map(|&weight| i64::from(weight)).collect();
        let heights = vec![0; weights.len()].into();
        let cycle_len = weights.iter().sum::<i64>().max(1) as usize;
        let mut round = Self { weights, heights };
        for _ in 0..turns % cycle_len {
            round.turn(|_| true);
        }
        round
    }

    /// The next of those that are open; `None` where none is.
    pub fn turn(&mut self, open: impl Fn(usize) -> bool) -> Option<usize> {
        let (mut risen, mut highest) = (0, None);
        for index in (0..self.weights.len()).filter(|&index| open(index)) {
            risen += self.weights[index];
            self.heights[index] += self.weights[index];
            if highest.is_none_or(|highest: usize| self.heights[index] > self.heights[highest]) {
                highest = Some(index);
            }
        }
        self.heights[highest?] -= risen;
        highest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn turns_lie_apart() {
        let mut round = RoundRobin::new(&[5, 1, 1], 0);
        let turns: Vec<_> = (0..7).filter_map(|_| round.turn(|_| true)).collect();
        assert_eq!(turns, [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn workers_with_one_session_each_make_up_a_cycle() {
        let first_of = |worker| RoundRobin::new(&[3, 1, 2], worker).turn(|_| true);
        let mut chosen: Vec<_> = (0..6).filter_map(first_of).collect();
        chosen.sort_unstable();
        assert_eq!(chosen, [0, 0, 0, 1, 2, 2]);
        assert_eq!(first_of(6), first_of(0));
    }

    proptest! {
        #[test]
        fn a_cycle_gives_exact_shares_wherever_it_starts(
            weights in prop::collection::vec(1..=256_u32, 1..8), start in 0..5_000_usize,
        ) {
            let mut round = RoundRobin::new(&weights, start);
            let mut turns = vec![0; weights.len()];
            for _ in 0..weights.iter().sum() {
                turns[round.turn(|_| true).expect("all are open")] += 1;
            }
            prop_assert_eq!(turns, weights);
        }

        #[test]
        fn who_is_passed_over_keeps_the_others_to_their_shares(
            weights in prop::collection::vec(1..=64_u32, 2..8), away in any::<prop::sample::Index>(),
        ) {
            let away = away.index(weights.len());
            let mut round = RoundRobin::new(&weights, 0);
            let mut turns = vec![0; weights.len()];
            for _ in 0..weights.iter().sum::<u32>() - weights[away] {
                turns[round.turn(|index| index != away).expect("others are open")] += 1;
            }
            turns[away] = weights[away];
            prop_assert_eq!(turns, weights);
        }
    }
}
