//! The names of a trial's figures in words, and their units.

/// How a figure is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// In words, as an axis or a column has it.
    pub words: &'static str,
    /// Empty where it is a plain number.
    pub unit: &'static str,
    /// What a value is divided by to be in that unit.
    per: f64,
    /// Differences are ratios: the axis is logarithmic.
    pub logarithmic: bool,
}

impl Figure {
    /// The figure of that name; one that isn't known is shown as it is.
    pub fn named(name: &str) -> Self {
        let known = KNOWN.iter().find(|(known, ..)| *known == name);
        let &(_, words, unit, per, logarithmic) = known.unwrap_or(&("", "", "", 1.0, false));
        Self { words, unit, per, logarithmic }
    }

    /// Where a table has it: in the order in which figures are known, then all others.
    pub fn order(name: &str) -> usize {
        KNOWN.iter().position(|(known, ..)| *known == name).unwrap_or(KNOWN.len())
    }

    /// The fewest words: `p99`, `switches per accept`.
    pub fn short(&self, name: &str) -> String {
        name.replace("_ns", "").replace("max_over_m", "max/m").replace("_per_", "/").replace('_', " ")
    }

    /// The value in the figure's unit.
    pub fn value(&self, raw: f64) -> f64 {
        raw / self.per
    }

    /// `p99 of the response time, ms`.
    pub fn title(&self, name: &str) -> String {
        let words = if self.words.is_empty() { name } else { self.words };
        if self.unit.is_empty() { words.to_owned() } else { format!("{words}, {}", self.unit) }
    }
}

/// A multiple of something: what is next to nothing is that.
pub fn times(ratio: f64) -> String {
    match ratio {
        r if r < 0.001 => "<0.001".to_owned(),
        r if r >= 1e4 => ">10000".to_owned(),
        r => three_digits(r),
    }
}

/// Three digits, more only of what is large.
pub fn three_digits(value: f64) -> String {
    match value.abs() {
        v if v == 0.0 || v >= 99.95 => format!("{value:.0}"),
        v if v >= 9.995 => format!("{value:.1}"),
        v if v >= 0.0995 => format!("{value:.2}"),
        v if v >= 0.000_5 => format!("{value:.3}"),
        _ => format!("{value:.0e}"),
    }
}

type Known = (&'static str, &'static str, &'static str, f64, bool);

const MS: f64 = 1e6;
const KNOWN: [Known; 50] = [
    ("dispersion", "dispersion of connections (chance: 1)", "", 1.0, false),
    ("jain", "Jain's index of connections", "", 1.0, false),
    ("max_over_mean", "fullest worker over the mean, connections", "", 1.0, false),
    ("cov", "coefficient of variation, connections", "", 1.0, false),
    ("effective_n", "effective number of connections", "", 1.0, false),
    ("share_max", "largest share of connections", "", 1.0, false),
    ("messages_max_over_mean", "busiest worker over the mean, messages", "", 1.0, false),
    ("busy_max_over_mean", "busiest worker over the mean, busy time", "", 1.0, false),
    ("switches_per_accept", "context switches per accept", "", 1.0, false),
    ("involuntary_switches", "involuntary context switches", "", 1.0, false),
    ("p50_ns", "p50 of the response time", "ms", MS, true),
    ("p90_ns", "p90 of the response time", "ms", MS, true),
    ("p99_ns", "p99 of the response time", "ms", MS, true),
    ("p999_ns", "p99.9 of the response time", "ms", MS, true),
    ("p99_sliced_ns", "p99 of the response time, median slice", "ms", MS, true),
    ("mean_ns", "mean response time", "ms", MS, true),
    ("stddev_ns", "standard deviation of the response time", "ms", MS, true),
    ("max_ns", "longest response time", "ms", MS, true),
    ("service_p50_ns", "p50 of the service time", "ms", MS, true),
    ("service_p99_ns", "p99 of the service time", "ms", MS, true),
    ("lag_p50_ns", "p50 of the client's lag", "ms", MS, true),
    ("lag_p99_ns", "p99 of the client's lag", "ms", MS, true),
    ("connect_p50_ns", "p50 of the connect time", "ms", MS, true),
    ("connect_p99_ns", "p99 of the connect time", "ms", MS, true),
    ("connect_max_ns", "longest connect", "ms", MS, true),
    ("arrival_delay_p50_ns", "p50 from arrival to read", "ms", MS, true),
    ("arrival_delay_p99_ns", "p99 from arrival to read", "ms", MS, true),
    ("achieved_share", "answered of offered", "%", 0.01, false),
    ("rate_per_s", "messages", "per s", 1.0, false),
    ("bytes_per_s", "throughput", "MB/s", 1e6, false),
    ("cpu_ns_per_message", "CPU per message", "µs", 1e3, false),
    ("waits_per_message", "epoll_wait per message", "", 1.0, false),
    ("reads_per_message", "read per message", "", 1.0, false),
    ("eagain_per_message", "EAGAIN per message", "", 1.0, false),
    ("writes_per_message", "write per message", "", 1.0, false),
    ("ctls_per_message", "epoll_ctl per message", "", 1.0, false),
    ("spurious_per_wakeup", "wakeups with nothing to do", "%", 0.01, false),
    ("events_per_wakeup", "events per wakeup", "", 1.0, false),
    ("errors", "client errors", "", 1.0, false),
    ("resets", "resets", "", 1.0, false),
    ("timeouts", "timeouts", "", 1.0, false),
    ("mismatches", "wrong answers", "", 1.0, false),
    ("stalls", "stalls", "", 1.0, false),
    ("worker_p99_max_over_min", "slowest worker's p99 over the fastest's", "", 1.0, false),
    ("variance_between_workers", "variance of p99 between workers", "%", 0.01, false),
    ("hiccup_p99_ns", "p99 of the machine's hiccups", "ms", MS, true),
    ("hiccup_max_ns", "longest hiccup of the machine", "ms", MS, true),
    ("messages", "messages", "", 1.0, false),
    ("connections", "connections", "", 1.0, false),
    ("connects_per_s", "connects", "per s", 1.0, false),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_words_and_units() {
        assert_eq!(Figure::named("p99_ns").title("p99_ns"), "p99 of the response time, ms");
        assert_eq!(Figure::named("p99_ns").value(2.5e6), 2.5);
        assert_eq!(Figure::named("new").title("new"), "new");
    }

    #[test]
    fn three_digits_are_enough() {
        assert_eq!(
            [0.0, 0.0004, 0.012, 0.5, 9.994, 12.34, 1234.5].map(three_digits),
            ["0", "4e-4", "0.012", "0.50", "9.99", "12.3", "1234"]
        );
    }
}
