//! Two reports side by side: each figure of one beside that of the other, and their ratio.
//!
//! Not more than that. Of two runs nobody can tell whether what differs between them would differ again: that needs
//! runs that are repeated in turn, which is what the lab does. So there is no word here for better or worse.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Config, HistogramJson, Machine, Report, round::to_digits, text::is_backed};
use crate::measure::balance::Balance;

const DIGITS: usize = 6;

/// Two reports, figure by figure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Diff {
    /// [`Diff::SCHEMA`].
    pub schema: String,
    /// The first report.
    pub a: Side,
    /// The second.
    pub b: Side,
    /// The settings in which they differ.
    pub differs: Vec<Difference>,
    /// Each figure that at least one of them has.
    pub figures: Vec<Figure>,
    /// What can't be concluded.
    pub note: String,
}

/// What one of the reports is of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Side {
    /// Where it was read from.
    pub file: String,
    /// The version of evenkeel that wrote it.
    pub version: String,
    /// When the run began.
    pub started: String,
    /// How long it took, in seconds.
    pub duration_s: f64,
    /// Where it ran.
    pub machine: Machine,
    /// What was asked for.
    pub config: Config,
}

/// A setting that two runs had differently.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Difference {
    /// Its name in `config`.
    pub setting: String,
    /// Its value in the first report.
    pub a: Value,
    /// Its value in the second.
    pub b: Value,
}

/// A figure of both.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figure {
    /// Where it stands in a report, or what it was made from.
    pub name: String,
    /// The unit of both values; empty for plain numbers.
    pub unit: String,
    /// The value in the first report; `None` where it has none that means anything.
    pub a: Option<f64>,
    /// The value in the second.
    pub b: Option<f64>,
    /// The second over the first; `None` where one is missing or the first is 0.
    pub ratio: Option<f64>,
}

impl Diff {
    /// The name of this format.
    pub const SCHEMA: &str = "evenkeel-diff/1";
    const NOTE: &str = "Two runs cannot tell what is due to the settings and what to chance: the same server, run \
                        twice, differs too. evenkeel-lab repeats runs in turn and says what is noise.";

    /// The first report and the second, each with what it is called.
    pub fn new((a_name, a): (&str, &Report), (b_name, b): (&str, &Report)) -> Self {
        let differs = a.settings_unlike(b).into_iter();
        let differs = differs.map(|(setting, a, b)| Difference { setting, a, b }).collect();
        let (of_a, of_b) = (figures(a), figures(b));
        let figures = paired(&of_a, &of_b);
        let (a, b) = (Side::new(a_name, a), Side::new(b_name, b));
        Self { schema: Self::SCHEMA.to_owned(), a, b, differs, figures, note: Self::NOTE.to_owned() }
    }

    /// As JSON, on one line, without a line feed.
    pub fn to_json_line(&self) -> String {
        serde_json::to_string(self).expect("a comparison has only string keys and infallible fields")
    }
}

impl Side {
    fn new(file: &str, report: &Report) -> Self {
        Self {
            file: file.to_owned(),
            version: report.version.clone(),
            started: report.started.clone(),
            duration_s: report.duration_s,
            machine: report.machine.clone(),
            config: report.config.clone(),
        }
    }
}

/// A figure of one report: name, unit, value.
type Told = (String, &'static str, Option<f64>);

/// Those of both in the order of the first, then what only the second has; what is nothing in both is left out.
fn paired(of_a: &[Told], of_b: &[Told]) -> Vec<Figure> {
    let value_in = |told: &[Told], name: &str| told.iter().find(|(it, ..)| it == name).and_then(|it| it.2);
    let only_b = of_b.iter().filter(|(name, ..)| of_a.iter().all(|(it, ..)| it != name));
    let paired = of_a.iter().chain(only_b).map(|(name, unit, _)| {
        let (a, b) = (value_in(of_a, name), value_in(of_b, name));
        let ratio = a.zip(b).filter(|(a, _)| *a != 0.0).map(|(a, b)| to_digits(b / a, DIGITS));
        Figure { name: name.clone(), unit: (*unit).to_owned(), a, b, ratio }
    });
    paired.filter(|figure| [figure.a, figure.b].into_iter().flatten().any(|value| value != 0.0)).collect()
}

/// Every figure of a report, in the order of the text.
fn figures(report: &Report) -> Vec<Told> {
    let mut told = rates(report);
    told.extend(balances(report));
    for (name, histogram) in report.histograms.iter() {
        told.extend(latency(name, histogram));
    }
    told.extend(totals(report));
    told
}

/// What doesn't grow with the length of a run.
fn rates(report: &Report) -> Vec<Told> {
    let totals = &report.totals;
    let over = |part: u64, whole: f64| (whole > 0.0).then(|| to_digits(part as f64 / whole, DIGITS));
    let per_s = |count: u64| over(count, report.duration_s);
    let per_message = |count: u64| over(count, totals.messages as f64);
    let worker_ns = report.duration_s * 1e9 * report.workers.len() as f64;
    [
        ("connections_per_s", "1/s", per_s(totals.accepted)),
        ("messages_per_s", "1/s", per_s(totals.messages)),
        ("bytes_in_per_s", "bytes/s", per_s(totals.bytes_in)),
        ("bytes_out_per_s", "bytes/s", per_s(totals.bytes_out)),
        ("busy_share", "", over(totals.busy_ns, worker_ns)),
        ("cpu_ns_per_message", "ns", per_message(totals.cpu_ns)),
        ("wakeups_per_message", "", per_message(totals.wakeups)),
        ("events_per_wakeup", "", over(totals.events, totals.wakeups as f64)),
        ("spurious_share_of_wakeups", "", over(totals.spurious_wakeups, totals.wakeups as f64)),
        ("context_switches_per_message", "", per_message(totals.context_switches)),
    ]
    .map(|(name, unit, value)| (name.to_owned(), unit, value))
    .into()
}

fn balances(report: &Report) -> Vec<Told> {
    fn of<T>(name: &str, balance: &Balance<T>) -> [Told; 3] {
        let told = |figure: &str, value: f64| (format!("balance.{name}.{figure}"), "", Some(value));
        [told("max_over_mean", balance.max_over_mean), told("jain", balance.jain), told("cov", balance.cov)]
    }
    let balance = &report.balance;
    let dispersion = ("balance.accepted.dispersion".to_owned(), "", Some(balance.accepted.dispersion));
    let mut told = vec![dispersion];
    told.extend(of("accepted", &balance.accepted));
    told.extend(of("active_avg", &balance.active_avg));
    told.extend(of("active_max", &balance.active_max));
    told.extend(of("messages", &balance.messages));
    told.extend(of("busy_ns", &balance.busy_ns));
    told
}

/// Quantiles with too few samples beyond them have no value.
fn latency(name: &str, histogram: &HistogramJson) -> Vec<Told> {
    let unit = if histogram.unit == "ns" { "ns" } else { "" };
    let recorded = |value: f64| Some(value).filter(|_| histogram.count > 0);
    let quantile = |at, value: u64| Some(value as f64).filter(|_| is_backed(histogram.count, at));
    [
        ("count", "", Some(histogram.count as f64)),
        ("mean", unit, recorded(histogram.mean)),
        ("p50", unit, quantile(0.5, histogram.p50)),
        ("p90", unit, quantile(0.9, histogram.p90)),
        ("p99", unit, quantile(0.99, histogram.p99)),
        ("p999", unit, quantile(0.999, histogram.p999)),
        ("p9999", unit, quantile(0.9999, histogram.p9999)),
        ("max", unit, recorded(histogram.max as f64)),
    ]
    .map(|(figure, unit, value)| (format!("histograms.{name}.{figure}"), unit, value))
    .into()
}

/// Every counter, by its name in the report.
fn totals(report: &Report) -> Vec<Told> {
    let counts = serde_json::to_value(&report.totals).unwrap_or_default();
    let mut told = Vec::new();
    for (name, value) in counts.as_object().into_iter().flatten() {
        let unit = if name.ends_with("_ns") { "ns" } else { "" };
        match value {
            Value::Object(kinds) => {
                let kind =
                    |(kind, count): (&String, &Value)| (format!("totals.{name}.{kind}"), "", count.as_f64());
                told.extend(kinds.iter().map(kind));
            }
            _ => told.push((format!("totals.{name}"), unit, value.as_f64())),
        }
    }
    told
}

/// A value without the quotes of JSON.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::report::samples;

    fn figure<'a>(diff: &'a Diff, name: &str) -> &'a Figure {
        diff.figures.iter().find(|figure| figure.name == name).unwrap_or_else(|| panic!("{name}"))
    }

    #[test]
    fn figures_stand_side_by_side_with_their_ratio() {
        let (a, b) = (samples::private(), samples::exclusive());
        let diff = Diff::new(("a.json", &a), ("b.json", &b));
        let spread = figure(&diff, "balance.accepted.max_over_mean");
        assert_eq!((spread.a, spread.b), (Some(1.07), Some(3.9)));
        assert_eq!(spread.ratio, Some(3.64486));
        assert_eq!(figure(&diff, "messages_per_s").a, Some(120_000.0));
        let settings: Vec<_> = diff.differs.iter().map(|it| (it.setting.as_str(), &it.a, &it.b)).collect();
        assert!(settings.contains(&("accept", &"private".into(), &"exclusive".into())), "{settings:?}");
        assert!(
            diff.figures.iter().all(|it| it.a != Some(0.0) || it.ratio.is_none()),
            "nothing over nothing"
        );
        let back: Diff = serde_json::from_str(&diff.to_json_line()).unwrap();
        assert_eq!(back, diff);
    }

    #[test]
    fn what_too_few_samples_stand_behind_has_no_value() {
        let diff = Diff::new(("a", &samples::private()), ("b", &samples::empty()));
        let p99 = figure(&diff, "histograms.turn.p99");
        assert!(p99.a.is_some() && p99.b.is_none() && p99.ratio.is_none());
        assert!(diff.figures.iter().all(|it| it.name != "histograms.turn.p9999"), "neither has one");
    }
}
