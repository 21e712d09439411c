//! What a run shows, in plain sentences made from its figures.
//!
//! ```text
//!   spread        who gets the connections: packed, even, or by chance
//!   difference    which figures differ, by how much, and which don't
//!   workers       whether it matters at which worker a client ended up
//!   claim         whether what the scenarios claim holds
//!   trust         what is noise, and what disturbed the run
//!   words         figures and numbers as a person says them
//! ```
//!
//! The most important ten come first. Each opens with what it is about, up to a colon. Nothing is claimed that the
//! trials don't hold: a spread is called packed or even by its dispersion over all rounds (p < 0.01), a figure higher
//! or lower only by `comparison.rs`; all else is 'no difference seen', or 'too few rounds'.

mod claim;
mod difference;
mod spread;
mod trust;
mod words;
mod workers;

use super::results::{Results, ScenarioNote, Trial, Verdict};

/// All sentences about a run; none about what it did not do.
pub fn all(results: &Results) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let mut say = |about: &str, text: Option<String>| {
        verdicts.extend(text.map(|text| Verdict { about: about.to_owned(), text }));
    };
    let (spread, load) = (spread_scenario(results), load_scenario(results));
    say("rounds", trust::too_few_rounds(results));
    if let Some(note) = spread {
        let spreads = spread::all(results, note);
        say("packed", spread::packed(&spreads));
        say("even", spread::even(&spreads));
        say("chance", spread::chance(&spreads));
    }
    if let Some(note) = load {
        say("tail", difference::sentence(results, note));
        say("workers", workers::sentence(results, note));
    }
    say("triggers", difference::triggers(results));
    say("noise", trust::noise(results));
    say("claims", claim::summary(results));
    say("conditions", trust::conditions(results));
    for note in &results.scenarios {
        for sentence in claim::sentences(results, note) {
            say(&note.name, Some(sentence));
        }
        if spread.is_none_or(|said| said.name != note.name) {
            say(&note.name, spread::in_short(results, note));
        }
        if load.is_none_or(|said| said.name != note.name) {
            say(&note.name, difference::sentence(results, note));
            say(&note.name, workers::sentence(results, note));
        }
    }
    verdicts
}

/// One line on whether the figures can be trusted at all: clients and server count the same.
pub fn agreement(results: &Results) -> Result<String, String> {
    let wrong: Vec<_> = results.trials.iter().filter(|trial| !trial.counts_agree).collect();
    let Some(first) = wrong.first() else {
        return Ok(format!(
            "Clients (--greet) and server reports agree on every worker's connections in all {} trials.",
            results.trials.len()
        ));
    };
    Err(format!(
        "WARNING: clients and server DISAGREE in {} of {} trials; do not trust these figures. First: {}: clients saw \
         {:?}, the server reports {:?}.",
        wrong.len(),
        results.trials.len(),
        first.name(),
        first.per_worker,
        first.per_worker_reported
    ))
}

/// The scenario that shows best who gets the connections: one that does nothing but connect.
fn spread_scenario(results: &Results) -> Option<&ScenarioNote> {
    let is_accept = |note: &&ScenarioNote| note.group == "accept" && note.workers > 1;
    let accepts = || results.scenarios.iter().filter(is_accept);
    accepts().find(|note| !note.has_load).or_else(|| accepts().next())
}

/// The scenario whose tail is told first.
fn load_scenario(results: &Results) -> Option<&ScenarioNote> {
    let has_tail =
        |note: &&ScenarioNote| note.has_load && note.figures.iter().any(|figure| words::is_latency(figure));
    let loads = || results.scenarios.iter().filter(has_tail);
    loads().find(|note| note.group == "accept").or_else(|| loads().next())
}

/// The trials of a scenario without those of the A/A twin, which would count the baseline twice.
fn trials<'a>(results: &'a Results, note: &'a ScenarioNote) -> impl Iterator<Item = &'a Trial> + Clone {
    results.trials.iter().filter(|trial| trial.scenario == note.name && !trial.twin)
}

/// What is told apart in a scenario: its accept modes where each is there with every trigger, otherwise its modes.
fn subjects(note: &ScenarioNote) -> Vec<String> {
    match note.grid() {
        Some((accepts, _)) => accepts.into_iter().map(str::to_owned).collect(),
        None => note.modes.clone(),
    }
}

/// Whether a trial is one of such a subject.
fn is_of(trial: &Trial, subject: &str) -> bool {
    trial.mode == subject || trial.mode.split_once('/').is_some_and(|(accept, _)| accept == subject)
}

#[cfg(test)]
mod tests;
