//! Every legal combination of the four dimensions, and few of them that cover all pairs.
//!
//! The dimensions come from the program's own types, so a mode that is added is tested without a change here.

use std::{collections::HashSet, fmt};

use evenkeel::config::{AcceptMode, PollMode, Trigger};

/// One way to run a server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Combination {
    pub accept: AcceptMode,
    pub listen: Trigger,
    pub trigger: Trigger,
    pub poll: PollMode,
}

/// One of each kind.
const POLLS: [PollMode; 3] =
    [PollMode::Block, PollMode::Spin, PollMode::Adaptive(PollMode::ADAPTIVE_DEFAULT)];

/// Two values of two dimensions, written as flags.
type Pair = (String, String);

impl Combination {
    /// Every legal one.
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for &accept in AcceptMode::ALL {
            for &listen in Trigger::ALL.iter().filter(|listen| accept.allows(**listen)) {
                for &trigger in Trigger::ALL {
                    all.extend(POLLS.map(|poll| Self { accept, listen, trigger, poll }));
                }
            }
        }
        all
    }

    /// Few, among which each pair of values that is legal occurs: always the one that adds the most pairs.
    pub fn cover() -> Vec<Self> {
        let all = Self::all();
        let mut missing = pairs_of(&all);
        let mut cover = Vec::new();
        while !missing.is_empty() {
            let gain = |combination: &Self| combination.pairs().filter(|pair| missing.contains(pair)).count();
            // Of several that add as many, the first: the cover is the same on each run.
            let best = all.iter().rev().max_by_key(|combination| gain(combination));
            let best = *best.expect("a missing pair came from one of them");
            best.pairs().for_each(|pair| {
                missing.remove(&pair);
            });
            cover.push(best);
        }
        cover
    }

    /// As flags.
    pub fn arguments(&self) -> Vec<String> {
        self.flags().into_iter().flat_map(|flag| [flag.0.to_owned(), flag.1]).collect()
    }

    fn flags(&self) -> [(&'static str, String); 4] {
        [
            ("--accept", self.accept.to_string()),
            ("--listen-trigger", self.listen.to_string()),
            ("--trigger", self.trigger.to_string()),
            ("--poll", self.poll.to_string()),
        ]
    }

    fn pairs(&self) -> impl Iterator<Item = Pair> {
        let flags = self.flags().map(|(flag, value)| format!("{flag} {value}"));
        (0..flags.len())
            .flat_map(|first| (first + 1..4).map(move |second| (first, second)))
            .map(move |(first, second)| (flags[first].clone(), flags[second].clone()))
    }
}

impl fmt::Display for Combination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arguments().join(" "))
    }
}

fn pairs_of(combinations: &[Combination]) -> HashSet<Pair> {
    combinations.iter().flat_map(Combination::pairs).collect()
}

/// Six accept modes × three listen triggers × three triggers × three poll modes, less the two accept modes
/// that the kernel refuses under a oneshot listener.
#[test]
fn there_are_as_many_as_the_flags_imply() {
    assert_eq!(Combination::all().len(), 6 * 3 * 3 * 3 - 2 * 3 * 3);
    assert_eq!(Combination::all().len(), 144);
}

#[test]
fn the_cover_has_every_pair_and_is_small() {
    let (all, cover) = (Combination::all(), Combination::cover());
    assert_eq!(pairs_of(&cover), pairs_of(&all));
    assert!(cover.iter().all(|combination| all.contains(combination)));
    // Two dimensions alone, accept and trigger, need 6 × 3.
    assert!((18..=24).contains(&cover.len()), "{} in the cover", cover.len());
}
