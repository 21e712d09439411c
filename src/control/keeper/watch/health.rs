//! Whether one member is well, from what its checks found: `fall` failures in a row, and it is down; `rise` passes in a
//! row, and it is up again.
//!
//! A member counts as up from the start, but on trial: as long as none of its checks has passed, the first that fails
//! takes it down. Where the check tells a primary from its replicas, sessions must not go to replicas for `fall`
//! intervals after each start.

/// How many results in a row it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// Passes, to be up again.
    pub rise: u32,
    /// Failures, to be down.
    pub fall: u32,
}

/// The health of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Health {
    rule: Rule,
    is_up: bool,
    is_on_trial: bool,
    /// Results in a row that speak against what it is.
    against: u32,
}

impl Health {
    /// Of a member that nobody has checked yet.
    pub fn new(rule: Rule) -> Self {
        Self { rule, is_up: true, is_on_trial: true, against: 0 }
    }

    /// Takes the result of a check; `Some`: whether it is up from now on, and was not before.
    pub fn note(&mut self, passed: bool) -> Option<bool> {
        if passed == self.is_up {
            self.against = 0;
            self.is_on_trial &= !passed;
            return None;
        }
        self.against += 1;
        if self.against < self.needed() {
            return None;
        }
        *self = Self { is_up: passed, is_on_trial: false, against: 0, ..*self };
        Some(passed)
    }

    /// How many results in a row turn it.
    pub fn needed(&self) -> u32 {
        match (self.is_up, self.is_on_trial) {
            (true, true) => 1,
            (true, false) => self.rule.fall,
            (false, _) => self.rule.rise,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULE: Rule = Rule { rise: 2, fall: 3 };

    /// What each of these results (`+` a pass, `-` a failure) leads to: `u` up, `d` down, `.` nothing.
    fn turns(rule: Rule, results: &str) -> String {
        let mut health = Health::new(rule);
        let turn = |result| match health.note(result == '+') {
            Some(true) => 'u',
            Some(false) => 'd',
            None => '.',
        };
        results.chars().map(turn).collect()
    }

    #[test]
    fn it_takes_so_many_in_a_row() {
        assert_eq!(turns(RULE, "+--+---"), "......d");
        assert_eq!(turns(RULE, "+---+-++"), "...d...u");
        assert_eq!(turns(RULE, "+---++---"), "...d.u..d");
        assert_eq!(turns(Rule { rise: 1, fall: 1 }, "+-+-"), ".dud");
    }

    #[test]
    fn on_trial_one_failure_is_enough() {
        assert_eq!(turns(RULE, "-"), "d");
        assert_eq!(turns(RULE, "-++--+---"), "d.u.....d", "once it was up again, it is on trial no more");
    }

    proptest! {
        /// Against the plainest reading of the rule: look back over the whole history.
        #[test]
        fn a_turn_is_a_run_of_results(
            rise in 1..5_u32, fall in 1..5_u32, rest in prop::collection::vec(any::<bool>(), 0..200),
        ) {
            let mut health = Health::new(Rule { rise, fall });
            prop_assert_eq!(health.note(true), None);
            let (mut is_up, mut turned_at) = (true, 0);
            for at in 0..rest.len() {
                let needed = if is_up { fall } else { rise } as usize;
                let since = &rest[turned_at..=at];
                let is_run = since.len() >= needed && since[since.len() - needed..].iter().all(|it| *it != is_up);
                let turn = health.note(rest[at]);
                prop_assert_eq!(turn, is_run.then_some(!is_up));
                if is_run {
                    (is_up, turned_at) = (!is_up, at + 1);
                }
            }
        }
    }
}
