//! Several reports as one: counts added, histograms merged bucket by bucket, nothing averaged that isn't an average.
//!
//! Only runs of the same kind can be merged: a worker's number has to mean the same in each of them, and a histogram
//! of two modes together would be one of neither. So reports that differ in anything that decides how a run goes are
//! refused, with what differs; and so are two of the same run, since reports count from its start.
//!
//! What is added up can hide what single runs did: a mode that loads another worker in each run looks even. So chance
//! is not asked about sums: each run is listed with a verdict of its own, and all are judged together, deal by deal.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    Balances, Config, HistogramJson, Machine, NamedHistograms, Part, Report, Service, Together, Upstream,
    Worker,
    compare::plain,
    round::{to_digits, to_places},
};
use crate::measure::{
    AcceptorSnapshot,
    balance::{Balance, Verdict},
    chance::{Dispersion, Tails},
};

/// A run, by what it is called where something is said of it.
type Run = (String, Report);

impl Report {
    /// One report of all these runs, each with what it is called. A lone report stays as it is.
    ///
    /// # Errors
    /// A sentence: which of them can't be merged, why, and what to do.
    pub fn merge(runs: &[(String, Self)]) -> Result<Self, String> {
        let [(first_name, first), others @ ..] = runs else {
            return Err("there is nothing to merge: name a report".into());
        };
        if others.is_empty() {
            return Ok(first.clone());
        }
        for (name, report) in others {
            check_alike(first, report).map_err(|why| format!("{first_name} and {name} {why}"))?;
        }
        check_distinct(runs)?;
        let workers = workers(runs)?;
        let parts: Vec<Part> = runs.iter().flat_map(|(name, report)| report.runs(name)).collect();
        Ok(Self {
            version: listed(runs, |report| &report.version),
            started: runs.iter().map(|(_, report)| report.started.clone()).min().unwrap_or_default(),
            duration_s: to_places(runs.iter().map(|(_, report)| report.duration_s).sum(), 6),
            machine: Machine {
                kernel: listed(runs, |report| &report.machine.kernel),
                ..first.machine.clone()
            },
            config: Config { cores: cores(runs), ..first.config.clone() },
            services: services(runs)?,
            totals: summed(runs, |report| &report.totals)?,
            balance: balances(&workers),
            histograms: histograms(runs.iter().map(|(name, report)| (name, &report.histograms)))?,
            workers,
            acceptor: acceptor(runs)?,
            ends: summed(runs, |report| &report.ends)?,
            upstreams: upstreams(runs)?,
            notes: notes(runs),
            merged_balance: Together::of(&parts),
            merged: parts,
            ..first.clone()
        })
    }

    /// The runs that a report is of; one that was not merged is of the one called `name`.
    pub fn runs(&self, name: &str) -> Vec<Part> {
        if !self.merged.is_empty() {
            return self.merged.clone();
        }
        let accepted = &self.balance.accepted;
        vec![Part {
            file: name.to_owned(),
            version: self.version.clone(),
            started: self.started.clone(),
            duration_s: self.duration_s,
            machine: self.machine.clone(),
            listen: self.services.iter().flat_map(|service| service.listen.clone()).collect(),
            accepted: self.totals.accepted,
            per_worker: accepted.per_worker.clone(),
            messages: self.totals.messages,
            dispersion: accepted.dispersion,
            max_over_mean: accepted.max_over_mean,
            verdict: accepted.verdict,
        }]
    }

    /// The settings in which another run had other values: name, the value here, the value there.
    pub fn settings_unlike(&self, other: &Self) -> Vec<(String, Value, Value)> {
        let settings = |config: &Config| serde_json::to_value(config).unwrap_or_default();
        let (ours, theirs) = (settings(&self.config), settings(&other.config));
        let all = ours.as_object().into_iter().flatten();
        all.map(|(name, value)| (name.clone(), value.clone(), theirs[name].clone()))
            .filter(|(_, ours, theirs)| ours != theirs)
            .collect()
    }
}

impl Together {
    /// `None` where there is nothing to compare, or where a run doesn't tell who got how many.
    fn of(runs: &[Part]) -> Option<Self> {
        let tell = |part: &Part| part.accepted == 0 || !part.per_worker.is_empty();
        runs.iter().all(tell).then_some(())?;
        let rounds: Vec<&[u64]> = runs.iter().map(|part| part.per_worker.as_slice()).collect();
        Some(Self {
            dispersion: to_digits(Dispersion::of_rounds(&rounds)?.index, 6),
            p_value: to_digits(Tails::of_rounds(&rounds)?.p_value(), 6),
            verdict: Verdict::of_rounds(&rounds),
        })
    }
}

/// All that decides how a run goes, but for where it took place and how it ended.
fn check_alike(a: &Report, b: &Report) -> Result<(), String> {
    const MAY_DIFFER: [&str; 2] = ["cores", "drain_s"];
    let mut unlike = a.settings_unlike(b).into_iter();
    if let Some((setting, a, b)) = unlike.find(|(setting, ..)| !MAY_DIFFER.contains(&setting.as_str())) {
        let (a, b) = (plain(&a), plain(&b));
        return Err(format!(
            "ran differently ({setting}: {a} and {b}), so they can't be merged: --diff shows two side by side"
        ));
    }
    let (a, b) = (served(a), served(b));
    if a != b {
        return Err(format!("served different things ({a}; {b}), so they can't be merged"));
    }
    Ok(())
}

/// What was served, wherever that was: `proxy db p2c auto, echo echo`.
fn served(report: &Report) -> String {
    let kinds = report.services.iter().map(|Service { kind, name, balance, forward, .. }| {
        [kind, name, balance, forward].map(String::as_str).join(" ").trim_end().to_owned()
    });
    kinds.collect::<Vec<_>>().join(", ")
}

/// Reports count from the start of their run: of two of the same one, the earlier is part of the later.
fn check_distinct(runs: &[Run]) -> Result<(), String> {
    let mut seen = BTreeMap::new();
    for (name, report) in runs {
        for Part { started, machine, listen, .. } in report.runs(name) {
            let other = seen.insert((started.clone(), machine.kernel, listen), name);
            if let Some(other) = other.filter(|_| !started.is_empty()) {
                return Err(format!(
                    "{other} and {name} are of the same run (started {started}), and reports count from the \
                     start: name the later one alone"
                ));
            }
        }
    }
    Ok(())
}

/// What differs between runs, each value once.
fn listed(runs: &[Run], of: impl Fn(&Report) -> &String) -> String {
    let mut values: Vec<&str> = Vec::new();
    for value in runs.iter().map(|(_, report)| of(report).as_str()) {
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values.join(", ")
}

/// The cores, where they were the same in each run.
fn cores(runs: &[Run]) -> Vec<usize> {
    let cores = &runs[0].1.config.cores;
    let same = runs.iter().all(|(_, report)| report.config.cores == *cores);
    if same { cores.clone() } else { Vec::new() }
}

fn services(runs: &[Run]) -> Result<Vec<Service>, String> {
    let mut services = runs[0].1.services.clone();
    for (name, report) in &runs[1..] {
        for (sum, service) in services.iter_mut().zip(&report.services) {
            sum.accepted = sum.accepted.checked_add(service.accepted).ok_or_else(|| too_large(name))?;
            let fresh: Vec<_> = service.listeners.iter().filter(|it| !sum.listeners.contains(it)).collect();
            sum.listeners.extend(fresh.into_iter().cloned());
            let fresh: Vec<_> = service.listen.iter().filter(|it| !sum.listen.contains(it)).collect();
            sum.listen.extend(fresh.into_iter().cloned());
        }
    }
    Ok(services)
}

fn workers(runs: &[Run]) -> Result<Vec<Worker>, String> {
    let mut by_number: BTreeMap<usize, Vec<(&String, &Worker, f64)>> = BTreeMap::new();
    for (name, report) in runs {
        for worker in &report.workers {
            by_number.entry(worker.worker).or_default().push((name, worker, report.duration_s));
        }
    }
    by_number.into_values().map(|of_one| worker(&of_one)).collect()
}

/// What one worker did in all the runs in which it has told.
fn worker(of_one: &[(&String, &Worker, f64)]) -> Result<Worker, String> {
    let (_, first, _) = of_one[0];
    let all_s: f64 = of_one.iter().map(|(.., duration_s)| duration_s).sum();
    let area: f64 = of_one.iter().map(|(_, worker, duration_s)| worker.active_avg * duration_s).sum();
    let most = |of: fn(&Worker) -> u64| of_one.iter().map(|(_, worker, _)| of(worker)).max().unwrap_or(0);
    let mut counts = first.counts.clone();
    for (name, worker, _) in &of_one[1..] {
        counts = sum(&counts, &worker.counts).ok_or_else(|| too_large(name))?;
    }
    Ok(Worker {
        worker: first.worker,
        core: first.core.filter(|_| of_one.iter().all(|(_, worker, _)| worker.core == first.core)),
        counts,
        active_avg: if all_s > 0.0 { to_digits(area / all_s, 6) } else { 0.0 },
        active_max: most(|worker| worker.active_max),
        accept_queue_max: most(|worker| worker.accept_queue_max),
        histograms: histograms(of_one.iter().map(|(name, worker, _)| (*name, &worker.histograms)))?,
    })
}

/// The balance of sums; of the longest time, where what is told is a mean or a maximum over time. What chance would
/// give is not asked: see above.
fn balances(workers: &[Worker]) -> Balances {
    let of = |value: fn(&Worker) -> u64| -> Vec<u64> { workers.iter().map(value).collect() };
    let active_avg: Vec<f64> = workers.iter().map(|worker| worker.active_avg).collect();
    Balances {
        accepted: Balance::of_amounts(&of(|worker| worker.counts.accepted)),
        active_avg: Balance::of_averages(&active_avg),
        active_max: Balance::of_amounts(&of(|worker| worker.active_max)),
        messages: Balance::of_amounts(&of(|worker| worker.counts.messages)),
        busy_ns: Balance::of_amounts(&of(|worker| worker.counts.busy_ns)),
    }
}

/// Each histogram that any of them has, bucket by bucket.
fn histograms<'a>(
    of_runs: impl Iterator<Item = (&'a String, &'a NamedHistograms)>,
) -> Result<NamedHistograms, String> {
    let mut merged: Vec<(String, String, Option<Histogram<u64>>)> = Vec::new();
    for (run, named) in of_runs {
        for (name, json) in named.iter() {
            let at = merged.iter().position(|(known, ..)| known == name).unwrap_or_else(|| {
                merged.push((name.to_owned(), json.unit.clone(), None));
                merged.len() - 1
            });
            add(&mut merged[at], json).map_err(|why| format!("{run}: histogram {name}: {why}"))?;
        }
    }
    let histogram = |unit: &str, sum: Option<Histogram<u64>>| match sum {
        Some(sum) => HistogramJson::new(unit, &sum),
        None => HistogramJson { unit: unit.to_owned(), ..HistogramJson::default() },
    };
    Ok(merged.into_iter().map(|(name, unit, sum)| (name, histogram(&unit, sum))).collect())
}

fn add(
    (_, unit, sum): &mut (String, String, Option<Histogram<u64>>),
    json: &HistogramJson,
) -> Result<(), String> {
    if json.count == 0 && json.hdr.is_empty() {
        return Ok(());
    }
    if json.unit != *unit {
        return Err(format!(
            "it counts {:?} here and {unit:?} elsewhere, so they can't be merged",
            json.unit
        ));
    }
    let histogram = json.decode()?;
    if histogram.len() != json.count {
        return Err(format!("it says {} samples, but its 'hdr' has {}", json.count, histogram.len()));
    }
    match sum {
        None => *sum = Some(histogram),
        Some(sum) => sum.add(&histogram).map_err(|error| format!("it can't be added to another: {error}"))?,
    }
    Ok(())
}

fn acceptor(runs: &[Run]) -> Result<Option<AcceptorSnapshot>, String> {
    let mut told = runs.iter().filter_map(|(name, report)| Some((name, report.acceptor.as_ref()?)));
    let Some((_, first)) = told.next() else { return Ok(None) };
    told.try_fold(first.clone(), |all, (name, acceptor)| sum(&all, acceptor).ok_or_else(|| too_large(name)))
        .map(Some)
}

/// By service, address and weight, in the order in which they are first told of.
fn upstreams(runs: &[Run]) -> Result<Vec<Upstream>, String> {
    let mut upstreams: Vec<Upstream> = Vec::new();
    for (name, report) in runs {
        for upstream in &report.upstreams {
            let key = |it: &Upstream| (it.service.clone(), it.address.clone(), it.weight);
            match upstreams.iter_mut().find(|known| key(known) == key(upstream)) {
                None => upstreams.push(upstream.clone()),
                Some(known) => {
                    known.counts = sum(&known.counts, &upstream.counts).ok_or_else(|| too_large(name))?;
                    known.checks_passed = known.checks_passed.saturating_add(upstream.checks_passed);
                    known.checks_failed = known.checks_failed.saturating_add(upstream.checks_failed);
                    (known.state, known.stale) = (upstream.state.clone(), upstream.stale);
                }
            }
        }
    }
    Ok(upstreams)
}

/// Those of all runs, each once, and what a reader should know of the sum.
fn notes(runs: &[Run]) -> Vec<String> {
    let count: usize = runs.iter().map(|(name, report)| report.runs(name).len()).sum();
    let mut notes = vec![format!(
        "{count} runs are added up here, and the time is that of all together. What one run gave to one worker and \
         the next to another evens out in a sum: how even each was by itself stands with the runs."
    )];
    for note in runs.iter().flat_map(|(_, report)| &report.notes) {
        if !notes.contains(note) && !note.contains(" runs are added up here") {
            notes.push(note.clone());
        }
    }
    notes
}

fn summed<T: Clone + Serialize + DeserializeOwned>(
    runs: &[Run],
    of: impl Fn(&Report) -> &T,
) -> Result<T, String> {
    runs[1..].iter().try_fold(of(&runs[0].1).clone(), |all, (name, report)| {
        sum(&all, of(report)).ok_or_else(|| too_large(name))
    })
}

/// The sum of two structs of counters, field by field, as JSON has them; `None` where one grows too large. (They come
/// from files, which may say anything.)
fn sum<T: Serialize + DeserializeOwned>(a: &T, b: &T) -> Option<T> {
    let mut sum = serde_json::to_value(a).ok()?;
    add_value(&mut sum, serde_json::to_value(b).ok()?)?;
    serde_json::from_value(sum).ok()
}

fn add_value(sum: &mut Value, more: Value) -> Option<()> {
    match (sum, more) {
        (Value::Object(sum), Value::Object(more)) => more.into_iter().try_for_each(|(name, more)| {
            if let Some(sum) = sum.get_mut(&name) {
                return add_value(sum, more);
            }
            sum.insert(name, more);
            Some(())
        }),
        (sum, more) => {
            *sum = sum.as_u64()?.checked_add(more.as_u64()?)?.into();
            Some(())
        }
    }
}

fn too_large(name: &str) -> String {
    format!("{name} has counts that are too large to be added up: it is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::report::samples;

    fn at(hour: u32, report: Report) -> Run {
        (format!("{hour}.json"), Report { started: format!("2026-03-01T{hour}:00:00.000Z"), ..report })
    }

    #[test]
    fn counts_are_added_and_histograms_merged_bucket_by_bucket() {
        for sample in [samples::private(), samples::exclusive(), samples::dealt(), samples::proxy()] {
            let merged = Report::merge(&[at(12, sample.clone()), at(13, sample.clone())]).unwrap();
            assert_eq!(merged.totals.accepted, 2 * sample.totals.accepted);
            assert_eq!(merged.totals.errors.reset, 2 * sample.totals.errors.reset);
            assert_eq!(
                (merged.ends.total(), merged.duration_s),
                (2 * sample.ends.total(), 2.0 * sample.duration_s)
            );
            assert_eq!(merged.started, "2026-03-01T12:00:00.000Z");
            for (name, histogram) in sample.histograms.iter() {
                let sum = merged.histograms.get(name).unwrap();
                let mut twice = histogram.decode().unwrap();
                twice += &histogram.decode().unwrap();
                assert_eq!(sum.decode().unwrap(), twice, "{name}");
                assert_eq!((sum.p99, sum.max), (histogram.p99, histogram.max), "{name}");
            }
            for (sum, worker) in merged.workers.iter().zip(&sample.workers) {
                assert_eq!(
                    (sum.worker, sum.core, sum.active_max),
                    (worker.worker, worker.core, worker.active_max)
                );
                assert_eq!(sum.counts.messages, 2 * worker.counts.messages);
                assert!((sum.active_avg - worker.active_avg).abs() < 0.001, "a mean over all the time");
            }
            let upstreams = merged.upstreams.iter().zip(&sample.upstreams);
            upstreams.for_each(|(sum, one)| assert_eq!(sum.counts.connected, 2 * one.counts.connected));
            let accepted = |report: &Report| report.acceptor.as_ref().map(|acceptor| acceptor.accepted);
            assert_eq!(accepted(&merged), accepted(&sample).map(|accepted| 2 * accepted));
            assert_eq!(Report::from_json(&merged.to_json_line()), Ok(merged));
        }
    }

    #[test]
    fn sums_are_not_held_against_chance_but_each_run_is() {
        // Each run packs another worker: the sum looks even, and nothing must be concluded from that.
        let run = |accepted: [u64; 2]| samples::report(crate::config::AcceptMode::Exclusive, &accepted, None);
        let merged = Report::merge(&[at(12, run([400, 0])), at(13, run([0, 400]))]).unwrap();
        let accepted = &merged.balance.accepted;
        assert_eq!((accepted.per_worker.as_slice(), accepted.max_over_mean), (&[400, 400][..], 1.0));
        assert!(accepted.by_chance.is_none() && accepted.verdict.is_none());
        let verdicts: Vec<_> = merged.merged.iter().map(|part| part.verdict).collect();
        assert_eq!(verdicts, [Some(Verdict::WorseThanChance); 2]);
        let together = merged.merged_balance.as_ref().unwrap();
        assert_eq!((together.dispersion, together.verdict), (400.0, Verdict::WorseThanChance));
        assert!(together.p_value < 1e-50, "{together:?}");
        let text = merged.to_text(100, false).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            text.contains("max/mean 1.00 in the sum of 2 runs, 2.00 to 2.00 in single ones: worse"),
            "{text}"
        );
        assert!(text.contains("in 2; together worse than chance, p < 0.0001."), "{text}");
        assert!(text.contains("13.json") && text.contains("2 runs are added up here"), "{text}");
    }

    #[test]
    fn runs_that_chance_gives_each_may_together_be_too_even() {
        // Two workers share 100 equally once in 13 times: five runs that all do are no chance.
        let run = |hour| at(hour, samples::report(crate::config::AcceptMode::Rotate, &[50, 50], None));
        let merged = Report::merge(&[run(12), run(13), run(14), run(15), run(16)]).unwrap();
        assert!(merged.merged.iter().all(|part| part.verdict == Some(Verdict::ByChance)));
        let together = merged.merged_balance.unwrap();
        assert_eq!(together.verdict, Verdict::BetterThanChance);
        assert!(together.p_value < 1e-4, "{together:?}");
    }

    #[test]
    fn runs_that_do_not_tell_who_got_how_many_are_not_judged_together() {
        let mut two = Report::merge(&[at(12, samples::private()), at(13, samples::private())]).unwrap();
        assert!(two.merged_balance.is_some());
        two.merged.iter_mut().for_each(|part| part.per_worker.clear());
        let three = Report::merge(&[("two.json".into(), two), at(14, samples::private())]).unwrap();
        assert_eq!(three.merged_balance, None);
    }

    #[test]
    fn what_was_merged_can_be_merged_again() {
        let of = |hour| at(hour, samples::private());
        let two = ("two.json".into(), Report::merge(&[of(12), of(13)]).unwrap());
        let three = Report::merge(&[two, of(14)]).unwrap();
        let all = Report::merge(&[of(12), of(13), of(14)]).unwrap();
        assert_eq!(three, all);
        assert_eq!(three.merged.len(), 3);
    }

    #[test]
    fn what_cannot_be_merged_is_said() {
        let private = || at(12, samples::private());
        let damaged = |change: fn(&mut Report)| {
            let mut damaged = at(13, samples::private());
            change(&mut damaged.1);
            damaged
        };
        for (other, why) in [
            (
                at(13, samples::exclusive()),
                "12.json and 13.json ran differently (accept: private and exclusive)",
            ),
            (at(13, samples::empty()), "ran differently (workers: 4 and 2)"),
            (private(), "12.json and 12.json are of the same run (started 2026-03-01T12:00:00.000Z)"),
            (
                damaged(|it| it.services[0].kind = "proxy".into()),
                "served different things (echo echo; proxy echo)",
            ),
            (damaged(|it| it.totals.accepted = u64::MAX), "13.json has counts that are too large"),
            (
                damaged(|it| {
                    it.histograms = [("turn".into(), HistogramJson { count: 1, ..HistogramJson::default() })]
                        .into_iter()
                        .collect()
                }),
                "13.json: histogram turn: it counts \"\" here and \"ns\" elsewhere",
            ),
        ] {
            let said = Report::merge(&[private(), other]).unwrap_err();
            assert!(said.contains(why), "{why}: {said}");
        }
        assert!(Report::merge(&[]).unwrap_err().contains("nothing to merge"));
        assert_eq!(Report::merge(&[private()]), Ok(private().1), "a lone one stays as it is");
    }

    #[test]
    fn other_machines_and_versions_are_told() {
        let mut other = at(13, samples::private());
        other.1.machine.kernel = "7.0.0".into();
        other.1.version = "0.2.0".into();
        other.1.config.cores = vec![8, 9, 10, 11];
        let merged = Report::merge(&[at(12, samples::private()), other]).unwrap();
        assert_eq!(
            (merged.version.as_str(), merged.machine.kernel.as_str()),
            ("0.1.0, 0.2.0", "6.18.0, 7.0.0")
        );
        assert!(merged.config.cores.is_empty());
        assert!(merged.to_text(160, false).contains("Linux 7.0.0, 4 CPUs"));
    }
}
