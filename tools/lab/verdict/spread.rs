//! Who gets the connections: one worker, all alike, or whom chance picks.

use evenkeel::measure::{
    balance::Verdict as Balanced,
    chance::{self, Dispersion, Tails},
};

use super::{
    super::results::{Results, ScenarioNote, Trial},
    is_of, subjects, trials,
    words::{count, join, number, p_value, percent},
};

/// How a mode, or all triggers of an accept mode where they come out alike, spreads connections.
pub struct Spread {
    name: String,
    rounds: usize,
    workers: usize,
    verdict: Balanced,
    dispersion: Dispersion,
    p_value: f64,
    /// The share of connections that the fullest worker of a round had, over all rounds.
    share_max: f64,
    /// The same, as chance has it: half of the time it is less.
    share_by_chance: f64,
}

/// Every mode of a scenario that has connections to tell of.
pub fn all(results: &Results, note: &ScenarioNote) -> Vec<Spread> {
    let of = |name: &str, belongs: &dyn Fn(&Trial) -> bool| {
        let trials: Vec<_> = trials(results, note).filter(|trial| belongs(trial)).collect();
        Spread::of(name, &trials)
    };
    let mut spreads = Vec::new();
    for subject in subjects(note) {
        let modes = note.modes.iter().filter(|mode| {
            **mode == subject || mode.split_once('/').is_some_and(|(accept, _)| accept == subject)
        });
        let each: Vec<_> = modes.filter_map(|mode| of(mode, &|trial| trial.mode == *mode)).collect();
        if each.windows(2).all(|pair| pair[0].verdict == pair[1].verdict) {
            spreads.extend(of(&subject, &|trial| is_of(trial, &subject)));
        } else {
            spreads.extend(each);
        }
    }
    spreads
}

impl Spread {
    fn of(name: &str, trials: &[&Trial]) -> Option<Self> {
        let rounds: Vec<&[u64]> = trials.iter().map(|trial| &trial.per_worker[..]).collect();
        let total = |counts: &&[u64]| counts.iter().sum::<u64>();
        let all: u64 = rounds.iter().map(total).sum();
        let fullest: u64 = rounds.iter().filter_map(|counts| counts.iter().max()).sum();
        // What chance does is drawn for a typical round; they all have as many connections, or nearly.
        let workers = rounds.iter().map(|counts| counts.len()).max()?;
        let by_chance = chance::max_over_mean(workers, all / rounds.len() as u64).p50 / workers as f64;
        Some(Self {
            name: name.to_owned(),
            rounds: rounds.len(),
            workers,
            verdict: Balanced::of_rounds(&rounds),
            dispersion: Dispersion::of_rounds(&rounds)?,
            p_value: Tails::of_rounds(&rounds)?.p_value(),
            share_max: fullest as f64 / all as f64,
            share_by_chance: by_chance,
        })
    }

    /// How much more than an even share the fullest worker has.
    fn over(&self) -> f64 {
        (self.share_max * self.workers as f64 - 1.0).max(0.0)
    }
}

/// Which modes concentrate.
pub fn packed(spreads: &[Spread]) -> Option<String> {
    let each = listed(spreads, Balanced::WorseThanChance, |spread| {
        let (share, index) = (percent(spread.share_max), number(spread.dispersion.index));
        format!("{} ({share} to one worker, dispersion {index})", spread.name)
    })?;
    let even = percent(1.0 / spreads.first()?.workers as f64);
    Some(format!("Packed: {each}; even would be {even}, and dispersion is 1 by chance."))
}

/// Which modes balance.
pub fn even(spreads: &[Spread]) -> Option<String> {
    let each = listed(spreads, Balanced::BetterThanChance, |spread| {
        format!("{} (the fullest worker had {} above its share)", spread.name, percent(spread.over()))
    })?;
    let by_chance =
        spreads.first().map(|spread| percent(spread.share_by_chance * spread.workers as f64 - 1.0))?;
    Some(format!("Even, better than chance: {each}; by chance it would typically be {by_chance}."))
}

/// Which modes a fair hash would match.
pub fn chance(spreads: &[Spread]) -> Option<String> {
    let each = listed(spreads, Balanced::ByChance, |spread| {
        let (low, high) = spread.dispersion.by_chance;
        format!(
            "{} (dispersion {} over {}: a hash gives 1 on average, and {} to {} in 95 of 100 such runs; {}; fullest \
             worker {} above its share)",
            spread.name,
            number(spread.dispersion.index),
            count(spread.rounds, "trial"),
            number(low),
            number(high),
            p_value(spread.p_value),
            percent(spread.over())
        )
    })?;
    Some(format!("Chance, as a fair hash deals: {each}."))
}

/// The same of a scenario in half a sentence each.
pub fn in_short(results: &Results, note: &ScenarioNote) -> Option<String> {
    if note.group != "accept" || note.workers < 2 {
        return None;
    }
    let spreads = all(results, note);
    let short = |spread: &Spread| format!("{} ({} to one worker)", spread.name, percent(spread.share_max));
    let parts = [
        ("packed", Balanced::WorseThanChance),
        ("even", Balanced::BetterThanChance),
        ("as chance gives", Balanced::ByChance),
    ];
    let parts = parts.map(|(word, verdict)| Some(format!("{word}: {}", listed(&spreads, verdict, short)?)));
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("Connections in {}: {}.", note.name, parts.join("; ")))
}

fn listed(spreads: &[Spread], verdict: Balanced, one: impl Fn(&Spread) -> String) -> Option<String> {
    let each: Vec<_> = spreads.iter().filter(|spread| spread.verdict == verdict).map(one).collect();
    (!each.is_empty()).then(|| join(&each))
}
