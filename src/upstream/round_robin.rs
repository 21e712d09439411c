//! Smooth weighted round robin: nginx's way to take turns.
//!
//! At each turn all rise by their weight; the highest is chosen and falls by what all have risen together. Over a cycle
//! of as many turns as the weights' sum each has exactly its weight in turns, and they lie apart: `a a b a`, not
//! `a a a b`. Those that are passed over neither rise nor fall, so their next turn comes no later for it.
//!
//! Who stays when others come or leave keeps its height, and so its place among those that stay. No height is left that
//! these weights couldn't have come to: one that fell far by a large weight would wait for its next turn for ever.

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

    /// Turns go on with other weights. `before`: whose place each had until now, where it had one.
    pub fn renewed(&self, weights: &[u32], before: impl Fn(usize) -> Option<usize>) -> Self {
        let weights: Box<[_]> = weights.iter().map(|&weight| i64::from(weight)).collect();
        let most = weights.iter().sum::<i64>();
        let height = |index| before(index).map_or(0, |before| self.heights[before].clamp(-most, most));
        let heights = (0..weights.len()).map(height).collect();
        Self { weights, heights }
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

    #[test]
    fn who_stays_keeps_its_turn() {
        let mut round = RoundRobin::new(&[1, 1, 1], 0);
        assert_eq!(round.turn(|_| true), Some(0));
        // The second of three leaves, and another comes.
        let mut round = round.renewed(&[1, 1, 1], |index| [Some(0), Some(2), None][index]);
        let turns: Vec<_> = (0..6).filter_map(|_| round.turn(|_| true)).collect();
        assert_eq!(turns[..2], [1, 2], "who has just had a turn comes last");
        assert_eq!(turns.iter().filter(|&&turn| turn == 0).count(), 2);
    }

    #[test]
    fn a_lighter_weight_is_no_debt() {
        let mut round = RoundRobin::new(&[60_000, 60_000], 0);
        round.turn(|_| true);
        let mut round = round.renewed(&[1, 1], Some);
        let turns: Vec<_> = (0..6).filter_map(|_| round.turn(|_| true)).collect();
        assert!((2..=4).contains(&turns.iter().filter(|&&turn| turn == 0).count()), "{turns:?}");
    }

    proptest! {
        /// However often members come and go, each has its share to within a few turns.
        #[test]
        fn shares_hold_over_changes(
            weights in prop::collection::vec(1..=64_u32, 2..8),
            changes in prop::collection::vec((0..8_usize, 0..99_usize), 0..9),
        ) {
            let mut round = RoundRobin::new(&weights, 0);
            for (away, turns) in changes {
                // One is away for a while, and is back at the end of the line.
                let away = away % weights.len();
                let fewer = [&weights[..away], &weights[away + 1..]].concat();
                round = round.renewed(&fewer, |index| Some(index + usize::from(index >= away)));
                for _ in 0..turns {
                    round.turn(|_| true);
                }
                let back = |index| (index != away).then(|| index - usize::from(index > away));
                round = round.renewed(&weights, back);
            }
            let cycle = weights.iter().sum::<u32>();
            let mut turns = vec![0_u32; weights.len()];
            for _ in 0..10 * cycle {
                turns[round.turn(|_| true).expect("all are open")] += 1;
            }
            for (&weight, &had) in weights.iter().zip(&turns) {
                prop_assert!(had.abs_diff(10 * weight) <= 4, "{weight}: {had}");
            }
        }

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
