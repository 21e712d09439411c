//! Direct TCP: what each script determines, found by playing it without a proxy.

use std::{io, path::Path, time::Duration};

use super::{
    combination::Combination,
    outcome::{Expected, Outcome},
    play::{Manner, Route, play},
    script::{Role, Script, Step},
    wire::{Family, Listener},
};

/// How often a script is played to find out what is the same each time.
const RUNS: usize = 4;

/// Scripts, and what each determines.
pub struct Oracle {
    scripts: Vec<Script>,
    expected: Vec<[Expected; 2]>,
}

impl Oracle {
    /// Plays the scripts by direct TCP.
    ///
    /// # Errors
    /// A sentence: where one can't be played, or shows by direct TCP what no connection may show.
    pub fn ask(scripts: Vec<Script>, patience: Duration, rng: &mut fastrand::Rng) -> Result<Self, String> {
        let mut runs = Vec::new();
        for run in 0..RUNS {
            let manner = Manner { patience, rng, is_hasty: run % 2 == 1, stutter: None };
            let run = direct(&scripts, manner)
                .map_err(|error| format!("cannot play over direct TCP: {}", crate::sys::reason(&error)))?;
            runs.push(run);
        }
        let of = |(index, script): (usize, &Script)| {
            let runs: Vec<[Outcome; 2]> = runs.iter().map(|run| run[index]).collect();
            Expected::of(script, &runs)
        };
        let expected: Vec<_> = scripts.iter().enumerate().map(of).collect();
        let oracle = Self { scripts, expected };
        for run in &runs {
            // What always holds must hold here too, or the script or this program is wrong.
            if let Some((script, complaint)) = oracle.complaints(run, false).next() {
                return Err(format!("{}, by direct TCP: {complaint} ({script})", script.name));
            }
        }
        Ok(oracle)
    }

    /// The scripts.
    pub fn scripts(&self) -> &[Script] {
        &self.scripts
    }

    /// The part of it that a combination can play. A unix peer hears of no reset, so nothing can wait for one.
    pub fn part_for(&self, combination: &Combination) -> Self {
        let is_unix = combination.is_unix();
        let parts = self.scripts.iter().zip(&self.expected);
        let playable = |script: &Script| !is_unix || !script.has(|step| *step == Step::AwaitReset);
        let parts = parts.filter(|(script, _)| playable(script));
        let (scripts, expected) = parts
            .map(|(script, expected)| {
                let beside_unix = |expected: Expected| expected.beside_unix(script);
                (script.clone(), if is_unix { expected.map(beside_unix) } else { *expected })
            })
            .unzip();
        Self { scripts, expected }
    }

    /// What is wrong about outcomes of these scripts, each with its script.
    pub fn complaints<'a>(
        &'a self,
        outcomes: &'a [[Outcome; 2]],
        is_unix: bool,
    ) -> impl Iterator<Item = (&'a Script, String)> {
        let each = self.scripts.iter().zip(&self.expected).zip(outcomes);
        each.filter_map(move |((script, expected), outcome)| {
            let complain = |role: Role| expected[role.index()].complaint(role, outcome, is_unix);
            Role::BOTH.into_iter().find_map(complain).map(|complaint| (script, complaint))
        })
    }
}

/// Plays scripts by direct TCP.
///
/// # Errors
/// Where a connection couldn't be made.
pub fn direct(scripts: &[Script], manner: Manner<'_>) -> io::Result<Vec<[Outcome; 2]>> {
    let listener = Listener::open(Family::Tcp, Path::new(""))?;
    play(&Route { entrance: &listener.place, exit: &listener }, scripts, manner)
}
