//! Figures and numbers as a person says them.

/// Whether a figure is a time that a client waits, and so means nothing once the server is overloaded.
pub fn is_latency(figure: &str) -> bool {
    figure.ends_with("_ns") && !figure.starts_with("lag_") && !figure.starts_with("connect_")
}

/// Whether a figure says how evenly connections are spread, for which there are sentences of their own.
pub fn is_balance(figure: &str) -> bool {
    ["dispersion", "jain", "max_over_mean", "cov", "share_max", "effective_n"].contains(&figure)
}

/// A figure by the name that a reader knows.
pub fn figure(name: &str) -> String {
    let known = match name {
        "p50_ns" => "median latency",
        "p999_ns" => "p99.9",
        "p99_sliced_ns" => "p99 of a typical 100 ms",
        "mean_ns" => "mean latency",
        "stddev_ns" => "standard deviation of the latency",
        "max_ns" => "largest latency",
        "max_over_mean" => "max/mean of connections",
        "messages_max_over_mean" => "max/mean of messages",
        "busy_max_over_mean" => "max/mean of busy time",
        "share_max" => "the fullest worker's share",
        "cov" => "coefficient of variation",
        "jain" => "Jain's index",
        "effective_n" => "effective number of connections",
        "switches_per_accept" => "context switches per connection",
        "cpu_ns_per_message" => "CPU per message",
        "waits_per_message" => "epoll_waits per message",
        "eagain_per_message" => "EAGAINs per message",
        "ctls_per_message" => "epoll_ctls per message",
        "rate_per_s" => "messages per second",
        "bytes_per_s" => "bytes per second",
        "achieved_share" => "share of the load answered",
        "worker_p99_max_over_min" => "the slowest worker's p99 over the fastest's",
        "variance_between_workers" => "variance between workers",
        _ => return name.strip_suffix("_ns").unwrap_or(name).replace('_', " "),
    };
    known.to_owned()
}

/// A value of a figure, with its unit.
pub fn value(figure: &str, value: f64) -> String {
    if figure.ends_with("_ns") || figure.starts_with("cpu_ns") {
        duration(value)
    } else if figure.contains("share") || figure.starts_with("variance") {
        percent(value)
    } else {
        number(value)
    }
}

/// Three digits and a unit.
pub fn duration(nanos: f64) -> String {
    match nanos {
        ns if ns < 999.5 => format!("{ns:.0} ns"),
        ns if ns < 999.5e3 => format!("{} µs", number(ns / 1e3)),
        ns if ns < 999.5e6 => format!("{} ms", number(ns / 1e6)),
        ns => format!("{} s", number(ns / 1e9)),
    }
}

/// Three digits, and none behind the point that say nothing.
pub fn number(value: f64) -> String {
    let text = match value.abs() {
        v if v < 9.995 => format!("{value:.2}"),
        v if v < 99.95 => format!("{value:.1}"),
        _ => return format!("{value:.0}"),
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A factor between figures.
pub fn times(ratio: f64) -> String {
    match ratio {
        r if r < 0.005 => "×0.00".to_owned(),
        r if r < 99.95 => format!("×{r:.*}", if r < 9.995 { 2 } else { 1 }),
        r if r < 1e5 => format!("×{r:.0}"),
        _ => "×100000 or more".to_owned(),
    }
}

/// The bounds of an interval of such factors.
pub fn bounds(low: f64, high: f64) -> String {
    format!("[{}, {}]", times(low).trim_start_matches('×'), times(high).trim_start_matches('×'))
}

/// A share: `100 %`, `37 %`, `0.4 %`.
pub fn percent(share: f64) -> String {
    match share * 100.0 {
        p if p < 0.05 => "0 %".into(),
        p if p < 9.95 => format!("{p:.1} %"),
        p => format!("{p:.0} %"),
    }
}

/// A p-value: what is very small is that.
pub fn p_value(p: f64) -> String {
    if p < 0.001 { "p < 0.001".to_owned() } else { format!("p = {p:.*}", if p < 0.1 { 3 } else { 2 }) }
}

/// `a`, `a and b`, `a, b and c`.
pub fn join(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// `1 round`, `3 rounds`.
pub fn count(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_read_like_sentences() {
        let parts = ["a", "b", "c"].map(str::to_owned);
        assert_eq!([join(&parts[..1]), join(&parts[..2]), join(&parts)], ["a", "a and b", "a, b and c"]);
        assert_eq!([count(1, "round"), count(2, "round")], ["1 round", "2 rounds"]);
    }

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        assert_eq!([0.0, 0.004, 0.25, 1.0].map(percent), ["0 %", "0.4 %", "25 %", "100 %"]);
        assert_eq!(
            [850.0, 4_512.0, 20e3, 2.31e6, 145e6, 1.5e9].map(duration),
            ["850 ns", "4.51 µs", "20 µs", "2.31 ms", "145 ms", "1.5 s"]
        );
        assert_eq!([0.0, 1.0, 1.234, 98.76, 400.0].map(number), ["0", "1", "1.23", "98.8", "400"]);
        assert_eq!(
            [1e-6, 0.72, 3.1, 12.34, 398.2, 1e6].map(times),
            ["×0.00", "×0.72", "×3.10", "×12.3", "×398", "×100000 or more"]
        );
        assert_eq!(bounds(0.5, 12.0), "[0.50, 12.0]");
        assert_eq!([1e-9, 0.031, 0.7].map(p_value), ["p < 0.001", "p = 0.031", "p = 0.70"]);
    }

    #[test]
    fn figures_have_names() {
        assert_eq!(
            ["p99_ns", "service_p99_ns", "reads_per_message", "p999_ns"].map(figure),
            ["p99", "service p99", "reads per message", "p99.9"]
        );
        assert_eq!(value("p99_ns", 2e6), "2 ms");
        assert_eq!(value("cpu_ns_per_message", 2e3), "2 µs");
        assert_eq!(value("share_max", 0.5), "50 %");
        assert_eq!(value("reads_per_message", 1.9999), "2");
        assert!(is_latency("p99_ns") && !is_latency("cpu_ns_per_message") && !is_latency("dispersion"));
    }
}
