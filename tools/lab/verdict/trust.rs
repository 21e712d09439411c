//! How far the run can be trusted: what is noise, what takes more rounds, and what disturbed it.

use super::{
    super::{
        comparison::{self, rounds_needed},
        results::{Call, Comparison, Results, Trial},
    },
    words::{self, bounds, count, join, percent, times},
};

/// Where no comparison could have been settled, however clear.
pub fn too_few_rounds(results: &Results) -> Option<String> {
    let all: Vec<_> = results.comparisons.iter().filter(|it| it.ratio.is_some()).collect();
    if all.is_empty() || all.iter().any(|it| it.call != Call::TooFewRounds) {
        return None;
    }
    let rounds = results.trials.iter().map(|trial| trial.round + 1).max().unwrap_or(0);
    let needed = all.iter().map(|it| needed(results, &all, it)).max().unwrap_or(0);
    let why = if needed <= rounds {
        "the baseline wasn't run against itself (A/A)".to_owned()
    } else {
        format!("a difference between so many modes takes {needed} (--trials {needed})")
    };
    Some(format!("Too few rounds: {} can't settle any difference; {why}.", count(rounds, "round")))
}

fn needed(results: &Results, all: &[&Comparison], one: &Comparison) -> usize {
    let family = all.iter().filter(|it| it.scenario == one.scenario && it.figure == one.figure).count();
    let note = results.scenarios.iter().find(|note| note.name == one.scenario);
    let pairs = note.and_then(|note| note.grid()).map_or(1, |(accepts, triggers)| {
        if triggers.contains(&one.mode.as_str()) { accepts.len() } else { triggers.len() }
    });
    rounds_needed(family, pairs)
}

/// What the baseline showed against itself, and how much of the rest is beyond that.
pub fn noise(results: &Results) -> Option<String> {
    let settled: Vec<_> = results.comparisons.iter().filter(|it| it.call != Call::TooFewRounds).collect();
    let differ = settled.iter().filter(|it| it.call != Call::NoDifferenceSeen).count();
    let mut floors: Vec<(bool, String)> = Vec::new();
    for it in &settled {
        let Some(noise) = it.noise.filter(|_| !words::is_balance(&it.figure)) else { continue };
        let at = it.step.map(|step| format!(" at {step}")).unwrap_or_default();
        let (figure, bounds) = (words::figure(&it.figure), bounds(noise.low, noise.high));
        let floor = format!("{figure} in {}{at} {} {bounds}", it.scenario, times(noise.estimate));
        if !floors.iter().any(|(_, known)| *known == floor) {
            floors.push((words::is_latency(&it.figure), floor));
        }
    }
    // Those of latencies are the ones that are large.
    floors.sort_by_key(|(is_latency, _)| !is_latency);
    let shown: Vec<_> = floors.into_iter().take(FLOORS_SHOWN).map(|(_, floor)| floor).collect();
    let floor = if shown.is_empty() { String::new() } else { format!(": {}", join(&shown)) };
    (!settled.is_empty()).then(|| {
        format!(
            "Real or noise: {differ} of {} are differences: they survive Holm's correction and lie beyond what the \
             baseline shows against itself (A/A){floor}.",
            count(settled.len(), "comparison")
        )
    })
}

/// More would hide the sentence; the page has them all.
const FLOORS_SHOWN: usize = 2;

/// What a reader must know before he quotes a figure.
pub fn conditions(results: &Results) -> Option<String> {
    let all = results.trials.len();
    let number = |is_so: &dyn Fn(&Trial) -> bool| results.trials.iter().filter(|trial| is_so(trial)).count();
    let of = |word: &str, number: usize, why: &str| {
        (number > 0).then(|| format!("{word} in {number} of {all} trials ({why})"))
    };
    let contended = results.contended.then(|| {
        let (workers, cpus) = (results.workers, results.machine.cpus);
        format!(
            "CONTENDED: {workers} workers and the client share {}, so counts and orders hold, and latencies are good \
             for comparing only",
            count(cpus, "core")
        )
    });
    let disturbed = of(
        "DISTURBED",
        number(&|trial| trial.conditions.steal_percent + trial.conditions.others_percent > DISTURBED_PERCENT),
        "other processes or the hypervisor took more than 10 % of the CPU",
    );
    let unsteady = of(
        "NON-STATIONARY",
        number(&|trial| trial.stationary == Some(false)),
        "the second half was unlike the first",
    );
    let drops = of(
        "SYNs dropped",
        number(&|trial| trial.conditions.listen_drops > 0),
        "a full accept queue, anywhere on the machine",
    );
    let parts = [contended, disturbed, unsteady, drops, tardy(results)];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("Conditions: {}.", parts.join("; ")))
}

/// As for the whole run.
const DISTURBED_PERCENT: f64 = 10.0;

/// Where the client was late, and what its punctual trials alone would say.
fn tardy(results: &Results) -> Option<String> {
    let loaded = results.trials.iter().filter(|trial| trial.load.is_some());
    let (late, all) = (loaded.clone().filter(|trial| !trial.clean).count(), loaded.count());
    if late == 0 {
        return None;
    }
    let punctual = comparison::among(results, |trial| trial.clean);
    // Fewer trials settle less; what counts is whether anything is turned round.
    let opposite = |(one, other): (&Comparison, &Comparison)| {
        matches!((one.call, other.call), (Call::Lower, Call::Higher) | (Call::Higher, Call::Lower))
    };
    let turned = results.comparisons.iter().zip(&punctual).filter(|pair| opposite(*pair)).count();
    let without = match turned {
        0 => "the others alone contradict nothing".to_owned(),
        turned => format!("the others alone CONTRADICT {}", count(turned, "difference")),
    };
    Some(format!(
        "the client was late in {late} of {all} trials with load ({}; {without})",
        percent(late as f64 / all as f64)
    ))
}
