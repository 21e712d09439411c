//! Suites: which scenarios, how many rounds, how long.

use super::Scenario;
use crate::mode::Mode;

/// A named choice of scenarios.
#[derive(Debug)]
pub struct Suite {
    pub name: &'static str,
    /// What it is for, in a few words.
    pub about: &'static str,
    /// Rounds, where a scenario doesn't say that fewer will do.
    pub rounds: usize,
    /// What the phases of a scenario are multiplied by.
    pub factor: f64,
    /// Every scenario is put to each of these modes instead of its own.
    pub modes: fn() -> Vec<Mode>,
    /// By name; empty for all.
    scenarios: &'static [&'static str],
    /// Left out of all.
    without: &'static [&'static str],
}

/// A scenario with the rounds that it is given.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub scenario: Scenario,
    pub rounds: usize,
}

impl Suite {
    pub const QUICK: Self = Self {
        name: "quick",
        about: "five accept modes in level and edge, within a minute",
        rounds: 4,
        factor: 0.5,
        modes: Mode::quick,
        scenarios: &["trickle", "busy"],
        without: &[],
    };
    pub const SMALL: Self = Self {
        name: "small",
        about: "the scenarios that tell most, within ten minutes",
        rounds: 6,
        factor: 1.0,
        modes: Vec::new,
        scenarios: &[
            "trickle",
            "few-long",
            "idle-then-surge",
            "heavy-hitters",
            "stalled-worker",
            "ping-pong",
            "hog-and-mice",
        ],
        without: &[],
    };
    pub const FULL: Self = Self {
        name: "full",
        about: "every scenario",
        rounds: 8,
        factor: 1.0,
        modes: Vec::new,
        scenarios: &[],
        without: &[],
    };

    /// Its scenarios, of those that there are, with `rounds` each or as many as the suite has.
    pub fn parts(&self, all: Vec<Scenario>, rounds: Option<usize>) -> Vec<Part> {
        let chosen = |name: &str| self.scenarios.is_empty() || self.scenarios.contains(&name);
        let is_in = |name: &str| chosen(name) && !self.without.contains(&name);
        let scenarios = all.into_iter().filter(|scenario| is_in(&scenario.name));
        scenarios.map(|scenario| self.part(scenario, rounds)).collect()
    }

    fn part(&self, mut scenario: Scenario, rounds: Option<usize>) -> Part {
        let modes = (self.modes)();
        if !modes.is_empty() {
            scenario.modes = modes;
        }
        let client = &mut scenario.client;
        for phase in [&mut client.warmup, &mut client.duration].into_iter().flatten() {
            *phase = phase.mul_f64(self.factor);
        }
        let enough = scenario.rounds_max.unwrap_or(usize::MAX).min(self.rounds);
        Part { scenario, rounds: rounds.unwrap_or(enough) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario;

    #[test]
    fn suites_name_scenarios_that_exist() {
        let names: Vec<_> = scenario::all().into_iter().map(|scenario| scenario.name).collect();
        for suite in [Suite::QUICK, Suite::SMALL, Suite::FULL] {
            for name in suite.scenarios.iter().chain(suite.without) {
                assert!(names.iter().any(|known| known == name), "{}: {name}", suite.name);
            }
        }
    }

    #[test]
    fn a_scenario_that_needs_fewer_rounds_gets_fewer_unless_asked() {
        let mut scenarios = scenario::all();
        scenarios[0].rounds_max = Some(2);
        let rounds = |asked| -> Vec<_> {
            Suite::FULL.parts(scenarios.clone(), asked).iter().map(|part| part.rounds).collect()
        };
        assert_eq!(rounds(None)[..2], [2, 8]);
        assert_eq!(rounds(Some(5))[..2], [5, 5]);
    }

    #[test]
    fn quick_has_the_grid() {
        let parts = Suite::QUICK.parts(scenario::all(), None);
        assert_eq!(parts.len(), 2);
        assert!(parts.iter().all(|part| part.scenario.modes.len() == 10 && part.rounds == 4));
    }
}
