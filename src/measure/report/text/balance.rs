//! The sentence that says whether connections were spread better than by chance, and by how much.

use super::{
    headline::counted,
    page::{Page, Span, Style, held},
    percent,
};
use crate::measure::{Report, balance::Verdict};

pub(super) fn print(report: &Report, page: &mut Page) {
    let verdict = verdict(report);
    page.paragraph(2, &sentence(report, verdict));
    if report.workers.len() > 1 && report.totals.messages > 0 {
        page.paragraph(2, &[Span::new(Style::Faint, beyond_connections(report))]);
    }
}

/// The sentence without its style, and the verdict in it.
pub(in crate::measure::report) fn told(report: &Report) -> (String, Verdict) {
    let verdict = verdict(report);
    let spans = sentence(report, verdict);
    (spans.iter().map(|span| span.text.as_str()).collect::<Vec<_>>().join(" "), verdict)
}

/// A report of a version that wrote none is judged now.
fn verdict(report: &Report) -> Verdict {
    let accepted = &report.balance.accepted;
    accepted.verdict.unwrap_or_else(|| Verdict::of(&accepted.per_worker))
}

fn sentence(report: &Report, verdict: Verdict) -> Vec<Span> {
    let connections = counted(report.totals.accepted, "connection");
    match verdict {
        Verdict::NoData => vec![Span::plain("Balance: no connection came, so there is nothing to compare.")],
        Verdict::OneWorker => vec![Span::plain(format!(
            "Balance: {connections}, all on the only worker; there is nothing to compare."
        ))],
        _ if !report.merged.is_empty() => vec![Span::plain(run_by_run(report, &connections))],
        _ => against_chance(report, verdict, &connections),
    }
}

/// Sums of runs are not held against chance: see [`Report::merge`].
fn run_by_run(report: &Report, connections: &str) -> String {
    let spreads = || report.merged.iter().map(|part| part.max_over_mean);
    let (least, most) = (spreads().fold(f64::INFINITY, f64::min), spreads().fold(0.0, f64::max));
    let mut verdicts: Vec<(Verdict, usize)> = Vec::new();
    for verdict in report.merged.iter().filter_map(|part| part.verdict) {
        match verdicts.iter_mut().find(|(known, _)| *known == verdict) {
            Some((_, count)) => *count += 1,
            None => verdicts.push((verdict, 1)),
        }
    }
    let verdicts: Vec<String> =
        verdicts.iter().map(|(verdict, count)| format!("{verdict} in {count}")).collect();
    let together = report.merged_balance.as_ref();
    let together = together.map(|it| format!("; together {}, {}", it.verdict, held(p_value(it.p_value))));
    format!(
        "Balance: {connections} over {}, max/mean {:.2} in the sum of {}, {least:.2} to {most:.2} in single ones: \
         {}{}.",
        counted(report.workers.len() as u64, "worker"),
        report.balance.accepted.max_over_mean,
        counted(report.merged.len() as u64, "run"),
        if verdicts.is_empty() { "none was held against chance".to_owned() } else { verdicts.join(", ") },
        together.unwrap_or_default(),
    )
}

fn against_chance(report: &Report, verdict: Verdict, connections: &str) -> Vec<Span> {
    let balance = &report.balance.accepted;
    let chance = balance.by_chance.clone().unwrap_or_default();
    let places = places(chance.max_over_mean_p50);
    let style = match verdict {
        Verdict::BetterThanChance => Style::Good,
        Verdict::WorseThanChance => Style::Bad,
        _ => Style::Strong,
    };
    let busiest = match verdict {
        Verdict::WorseThanChance => format!(": {}", busiest(report)),
        _ => String::new(),
    };
    vec![
        Span::plain(format!(
            "Balance: {connections} over {}, max/mean {:.places$}; chance alone gives {:.places$} {}:",
            counted(report.workers.len() as u64, "worker"),
            balance.max_over_mean,
            chance.max_over_mean_p50,
            held(format!("(95 % below {:.places$})", chance.max_over_mean_p95)),
        )),
        Span::new(style, format!("{verdict},")),
        Span::plain(format!("{}{busiest}.", held(p_value(chance.p_value.unwrap_or(1.0))))),
    ]
}

/// `worker 0 took 98 %`.
fn busiest(report: &Report) -> String {
    let counts = &report.balance.accepted.per_worker;
    let (at, most) =
        counts.iter().enumerate().max_by_key(|&(at, count)| (count, counts.len() - at)).unwrap_or((0, &0));
    let worker = report.workers.get(at).map_or(at, |worker| worker.worker);
    format!("worker {worker} took {}", held(percent(*most as f64, report.totals.accepted as f64)))
}

/// No word on chance: these aren't counts of independent things.
fn beyond_connections(report: &Report) -> String {
    let balance = &report.balance;
    let mut parts = vec![
        format!("messages {:.2}", balance.messages.max_over_mean),
        format!("connections open over time {:.2}", balance.active_avg.max_over_mean),
    ];
    if report.totals.busy_ns > 0 {
        parts.push(format!("busy time {:.2}", balance.busy_ns.max_over_mean));
    }
    format!("Max/mean of {}.", parts.join(", "))
}

/// As many decimal places as it takes to tell what chance gives from 1: of a million connections, 1.0009.
fn places(by_chance: f64) -> usize {
    if by_chance > 1.0 { (-(by_chance - 1.0).log10().floor()).clamp(2.0, 6.0) as usize } else { 2 }
}

fn p_value(p: f64) -> String {
    match p {
        p if p < 0.000_1 => "p < 0.0001".to_owned(),
        p if p < 0.01 => format!("p = {p:.4}"),
        p => format!("p = {p:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_matter() {
        assert_eq!([2.6, 1.12, 1.09, 1.04, 1.009, 1.000_9, 1.0, 0.0].map(places), [2, 2, 2, 2, 3, 4, 2, 2]);
        assert_eq!(
            [0.0, 0.001_3, 0.314, 1.0].map(p_value),
            ["p < 0.0001", "p = 0.0013", "p = 0.31", "p = 1.00"]
        );
    }
}
