//! A table while it is being made: members take turns at taking entries, as many at a time as there is time for.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{FREE, Named, below, hash, mixed};

/// What is taken so far, and whose turn it is.
#[derive(Debug)]
pub(super) struct Filling {
    table: Box<[u16]>,
    taken: usize,
    walks: Box<[Walk]>,
    /// When each has its next turn.
    turns: BinaryHeap<Reverse<(u64, usize)>>,
}

/// A member's way through its permutation.
#[derive(Debug)]
struct Walk {
    member: u16,
    entry: usize,
    skip: usize,
    /// How far its time goes on at each turn.
    stride: u64,
}

/// The time of a member of weight 1 between two of its turns. A whole table of such turns fits 64 bits.
const STRIDE: u64 = 1 << 40;

impl Filling {
    /// A table of so many entries, a prime, and more than there are members. Of no members: of none.
    pub fn new(size: usize, mut members: Vec<Named<'_>>) -> Self {
        // By name, so that the same members make the same table in whatever order they were found.
        members.sort_unstable_by_key(|it| (it.name, it.number));
        let size = if members.is_empty() { 0 } else { size };
        let walks: Box<[_]> = members.into_iter().map(|member| Walk::new(size, member)).collect();
        // All begin at time 0: each has its first turn before anybody has a second one.
        let turns = (0..walks.len()).map(|rank| Reverse((0, rank))).collect();
        Self { table: vec![FREE; size].into(), taken: 0, walks, turns }
    }

    /// Looks at so many entries at most; whether all are taken now.
    pub fn go_on(&mut self, mut steps: usize) -> bool {
        while self.taken < self.table.len() {
            let Some(mut next) = self.turns.peek_mut() else { break };
            let Reverse((time, rank)) = &mut *next;
            let walk = &mut self.walks[*rank];
            while self.table[walk.entry] != FREE {
                if steps == 0 {
                    return false;
                }
                steps -= 1;
                walk.advance(self.table.len());
            }
            self.table[walk.entry] = walk.member;
            self.taken += 1;
            *time += walk.stride;
        }
        true
    }

    /// The table, and all who have entries of it.
    pub fn end(self) -> (Box<[u16]>, Box<[u16]>) {
        (self.table, self.walks.iter().map(|walk| walk.member).collect())
    }
}

impl Walk {
    fn new(size: usize, Named { name, number, weight }: Named<'_>) -> Self {
        let hash = hash(name);
        Self {
            member: number,
            entry: below(mixed(hash), size),
            // Any step but 0 comes past all entries, as their number is prime.
            skip: below(mixed(!hash), size - 1) + 1,
            stride: STRIDE / u64::from(weight.max(1)),
        }
    }

    fn advance(&mut self, size: usize) {
        self.entry += self.skip;
        if self.entry >= size {
            self.entry -= size;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The size of a small table.
    const SMALL: usize = 251;

    fn named(names: &[String], weight: u32) -> Vec<Named<'_>> {
        names.iter().zip(0..).map(|(name, number)| Named { name, number, weight }).collect()
    }

    /// The paper's pseudo code, line by line.
    fn populate(permutations: &[(usize, usize)], size: usize) -> Vec<usize> {
        let permutation = |i: usize, j: usize| (permutations[i].0 + j * permutations[i].1) % size;
        let mut next = vec![0; permutations.len()];
        let mut entry = vec![None; size];
        let mut n = 0;
        loop {
            for (i, next) in next.iter_mut().enumerate() {
                let mut c = permutation(i, *next);
                while entry[c].is_some() {
                    *next += 1;
                    c = permutation(i, *next);
                }
                entry[c] = Some(i);
                *next += 1;
                n += 1;
                if n == size {
                    return entry.into_iter().flatten().collect();
                }
            }
        }
    }

    proptest! {
        #[test]
        fn with_equal_weights_the_table_is_the_papers(
            names in prop::collection::btree_set("[a-z0-9.:]{1,20}", 1..20), weight in 1..=256_u32,
        ) {
            // In order already, as the set is.
            let names = Vec::from_iter(names);
            let mut filling = Filling::new(SMALL, named(&names, weight));
            let permutations: Vec<_> = filling.walks.iter().map(|walk| (walk.entry, walk.skip)).collect();
            prop_assert!(filling.go_on(usize::MAX));
            let table: Vec<_> = filling.end().0.iter().map(|&member| usize::from(member)).collect();
            prop_assert_eq!(table, populate(&permutations, SMALL));
        }

        #[test]
        fn bit_by_bit_it_is_the_same(members in 0..20_usize, steps in 0..99_usize) {
            let names: Vec<_> = (0..members).map(|number| format!("10.0.0.{number}:80")).collect();
            let [mut whole, mut parts] = [(); 2].map(|()| Filling::new(SMALL, named(&names, 1)));
            prop_assert!(whole.go_on(usize::MAX));
            let mut calls = 0;
            while !parts.go_on(steps + 1) {
                calls += 1;
                prop_assert!(calls < SMALL * SMALL, "without end");
            }
            prop_assert_eq!(whole.end(), parts.end());
        }

        #[test]
        fn a_walk_comes_past_every_entry(name in ".{0,30}") {
            let mut walk = Walk::new(SMALL, Named { name: &name, number: 0, weight: 1 });
            let mut seen = [false; SMALL];
            for _ in 0..SMALL {
                seen[walk.entry] = true;
                walk.advance(SMALL);
            }
            prop_assert!(!seen.contains(&false));
        }
    }
}
