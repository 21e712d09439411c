//! The whole page, as people see it.

use proptest::prelude::*;

use super::{is_backed, percent};
use crate::{
    config::AcceptMode,
    measure::{
        Counts, Report, UpstreamCounts,
        report::{HistogramJson, Listener, Service, Upstream, samples},
    },
};

#[test]
fn a_page_of_80_columns() {
    let expected = "\
evenkeel 0.1.0: echo on 127.0.0.1:7000 · 4 workers · 10.0 s
accept=private trigger=edge listen-trigger=level poll=block ·
  Linux 6.18.0, 4 CPUs · 2026-03-01T12:00:00.000Z
400 connections (18 open) · 1.20 M messages (120 k/s) ·
  76.8 MB in, 76.8 MB out · 6.10 µs of CPU a message

worker  core  accepted           active  peak  messages           busy
     0     0       104 ███████▊    52.0    62     312 k ███████▊  19 % █▌
     1     1        98 ███████▍    49.0    58     294 k ███████▍  18 % █▍
     2     2        91 ██████▊     45.5    54     273 k ██████▊   16 % █▎
     3     3       107 ████████    53.5    64     321 k ████████  19 % █▌
   all             400              200          1.20 M           18 %

Balance: 400 connections over 4 workers, max/mean 1.07; chance alone gives 1.09
  (95 % below 1.20): as chance gives, p = 0.64.
Max/mean of messages 1.07, connections open over time 1.07, busy time 1.07.

latency        count      p50      p90      p99    p99.9  p99.99      max
event_delay   12.0 k   471 ns  33.8 µs   301 µs   389 µs       –   399 µs
turn          12.0 k  2.54 µs  24.3 µs  77.8 µs  88.6 µs       –  90.1 µs
iteration     12.0 k  3.52 µs  91.1 µs   483 µs   590 µs       –   598 µs
wait          12.0 k  13.1 µs  1.36 ms  14.7 ms  19.4 ms       –  19.9 ms
session_life     400   2.50 s   2.90 s        –        –       –   3.07 s

spectrum      100 ns  1 µs    10 µs   100 µs  1 ms    10 ms   100 ms  1 s
event_delay      ██▇▇▇▆▆▆▆▆▆▆▆▆▆▆▆▅▅▅▅▅▅▅▅▅
turn                    █▇▇▇▆▆▆▆▆▆▆▆▆▅
iteration                █▇▇▆▆▆▆▆▆▆▆▆▆▅▅▅▅▅▅▄
wait                         █▇▇▆▆▆▆▆▆▆▆▆▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▄
session_life                                                            ██

                                     ─ event_delay ──  ───── turn ─────
worker  wakeups  spurious  switches      p50      p99      p50      p99
     0    250 k    <0.1 %     234 k   471 ns   301 µs  2.54 µs  77.8 µs
     1    235 k    <0.1 %     220 k   471 ns   301 µs  2.54 µs  77.8 µs
     2    218 k    <0.1 %     205 k   471 ns   301 µs  2.54 µs  77.8 µs
     3    257 k    <0.1 %     241 k   471 ns   301 µs  2.54 µs  77.8 µs
   all    960 k    <0.1 %     900 k   471 ns   301 µs  2.54 µs  77.8 µs

Errors: 6 reset by peers.
Also counted: 400 accepts found the queue empty, longest accept queue 3.
";
    assert_eq!(samples::private().to_text(80, false), expected);
}

#[test]
fn a_page_of_60_columns_has_fewer_columns_and_the_same_sentences() {
    let expected = "\
evenkeel 0.1.0: echo on 127.0.0.1:7000 · 4 workers · 10.0 s
accept=exclusive trigger=edge listen-trigger=level
  poll=block · Linux 6.18.0, 4 CPUs ·
  2026-03-01T12:00:00.000Z
400 connections (19 open) · 1.20 M messages (120 k/s) ·
  76.8 MB in, 76.8 MB out · 6.10 µs of CPU a message

worker  accepted        active  messages         busy
     0       390 █████     195    1.17 M █████   70 % ███▌
     1         8 ▏         4.0    24.0 k ▏      1.4 % ▏
     2         2 ▏         1.0      6000 ▏      0.4 % ▏
     3         0           0.0         0          0 %
   all       400           200    1.20 M         18 %

Balance: 400 connections over 4 workers, max/mean 3.90;
  chance alone gives 1.09 (95 % below 1.20): worse than
  chance, p < 0.0001: worker 0 took 98 %.
Max/mean of messages 3.90, connections open over time 3.90,
  busy time 3.90.

latency        count      p50      p99    p99.9      max
event_delay   12.0 k   471 ns   301 µs   389 µs   401 µs
turn          12.0 k  2.54 µs  77.8 µs  88.6 µs  90.1 µs
iteration     12.0 k  3.54 µs   483 µs   590 µs   602 µs
wait          12.0 k  13.1 µs  14.7 ms  19.4 ms  20.1 ms
session_life     400   3.89 s        –        –   5.91 s

spectrum      100 ns    10 µs     1 ms      100 ms
event_delay     █▇▇▇▆▆▆▆▆▆▆▆▆▆▅▅▂
turn                █▇▇▇▆▆▆▆▆
iteration           ██▇▇▇▆▆▆▆▆▆▆▆
wait                   █▇▇▇▆▆▆▆▆▆▆▆▆▆▆▅▅▅
session_life                                      ▇██

                 ─ event_delay ──  ───── turn ─────
worker  wakeups      p50      p99      p50      p99
     0    936 k   471 ns   301 µs  2.54 µs  77.8 µs
     1   19.2 k   467 ns        –  2.53 µs        –
     2     4800   457 ns        –  2.51 µs        –
     3        0        –        –        –        –
   all    960 k   471 ns   301 µs  2.54 µs  77.8 µs

Errors: 7 reset by peers.
Also counted: 400 accepts found the queue empty, longest
  accept queue 13.
";
    assert_eq!(samples::exclusive().to_text(60, false), expected);
}

#[test]
fn a_proxy_has_its_upstreams_and_endings_too() {
    let expected = "\
evenkeel 0.1.0: proxy db on 127.0.0.1:5000 (balance=p2c forward=auto); proxy
  cache on unix:/run/evenkeel/cache.sock (balance=p2c forward=auto) ·
  2 workers · 10.0 s
accept=private trigger=edge listen-trigger=level poll=block ·
  Linux 6.18.0, 4 CPUs · 2026-03-01T12:00:00.000Z
400 connections (19 open) · 1.20 M messages (120 k/s) · 76.8 MB in, 922 MB out ·
  461 MB spliced · 6.10 µs of CPU a message

worker  core  accepted           active  peak  messages           busy
     0     0       210 ████████     105   126     630 k ████████  38 % ███
     1     1       190 ███████▎    95.0   114     570 k ███████▎  34 % ██▊
   all             400              200          1.20 M           36 %

Balance: 400 connections over 2 workers, max/mean 1.05; chance alone gives 1.03
  (95 % below 1.10): as chance gives, p = 0.63.
Max/mean of messages 1.05, connections open over time 1.05, busy time 1.05.

upstream        service  weight  connected       active  failed       to    from
127.0.0.1:5432  db            2        236 ████      19       0  46.1 MB  553 MB
127.0.0.1:5433  db            1         80 █▍         0      14  15.4 MB  184 MB
127.0.0.1:6379  cache         1         80 █▍         0       0  15.4 MB  184 MB
all                                    396           19      14  76.8 MB  922 MB

ending  sessions share  what happened
CD           333  87 %  the client ended its stream first, after the upstream
                        had sent data
UD            22 5.8 %  the upstream ended its stream first, after the upstream
                        had sent data
CW             8 2.1 %  the client ended its stream first, before the upstream
                        had sent anything
uD             8 2.1 %  the upstream reset the connection, after the upstream
                        had sent data
FC             4 1.0 %  no upstream could be connected
cW             2 0.5 %  the client reset the connection, before the upstream had
                        sent anything
TD             2 0.5 %  no byte passed for the idle timeout, after the upstream
                        had sent data
TH             2 0.5 %  no byte passed for the half-closed timeout

latency        count      p50      p90      p99    p99.9  p99.99      max
event_delay   12.0 k   471 ns  33.8 µs   301 µs   389 µs       –   399 µs
turn          12.0 k  2.54 µs  24.3 µs  77.8 µs  89.1 µs       –  90.1 µs
iteration     12.0 k  3.54 µs  91.1 µs   483 µs   590 µs       –   602 µs
wait          12.0 k  13.1 µs  1.36 ms  14.7 ms  19.4 ms       –  20.1 ms
session_life     400   3.00 s   3.79 s        –        –       –   4.09 s
connect          400   438 µs   717 µs        –        –       –   823 µs
first_byte       400  4.88 ms  8.52 ms        –        –       –  9.83 ms
transit       12.0 k  13.6 µs  21.5 µs  23.3 µs  23.3 µs       –  23.3 µs

spectrum      100 ns  1 µs    10 µs   100 µs  1 ms    10 ms   100 ms  1 s
event_delay      ██▇▇▇▆▆▆▆▆▆▆▆▆▆▆▆▅▅▅▅▅▅▅▅▅
turn                    █▇▇▇▆▆▆▆▆▆▆▆▆▅
iteration                █▇▇▆▆▆▆▆▆▆▆▆▆▅▅▅▅▅▅▄
wait                         █▇▇▆▆▆▆▆▆▆▆▆▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▄
session_life                                                            ▇██
connect                              ▄▆▆▇▇███▆
first_byte                                ▂▄▄▅▅▆▆▇▇███
transit                   ▅▇▇████

                                     ─ event_delay ──  ───── turn ─────
worker  wakeups  spurious  switches      p50      p99      p50      p99
     0    504 k    <0.1 %     472 k   471 ns   301 µs  2.54 µs  77.8 µs
     1    456 k    <0.1 %     428 k   471 ns   301 µs  2.54 µs  77.8 µs
   all    960 k    <0.1 %     900 k   471 ns   301 µs  2.54 µs  77.8 µs

Errors: 10 reset by peers, 4 timed out, 14 failed connects to upstreams.
Also counted: 400 accepts found the queue empty, 2 sessions missing from the
  ledger, longest accept queue 7.
";
    assert_eq!(samples::proxy().to_text(80, false), expected);
}

#[test]
fn the_manual_shows_real_upstreams_and_endings() {
    let manual = include_str!("../../../../docs/report.md");
    let page = samples::proxy().to_text(80, false);
    let sections: Vec<_> = page.split("\n\n").filter(|section| section.starts_with(['u', 'e'])).collect();
    // The headline begins with an e as well.
    assert_eq!(sections.len(), 3);
    assert!(sections[1..].iter().all(|section| manual.contains(section)));
}

#[test]
fn of_one_service_with_equal_weights_neither_is_mentioned() {
    let mut report = samples::proxy();
    report.services.truncate(1);
    report.upstreams.truncate(1);
    let text = report.to_text(120, false);
    assert!(!text.contains("weight") && !text.contains("service"), "{text}");
    assert!(text.contains("\n127.0.0.1:5432") && !text.contains("\nall   "), "{text}");
    report.upstreams[0].address = format!("unix:/run/{}db.sock", "deeper/".repeat(9));
    let text = report.to_text(80, false);
    assert!(text.contains("…er/deeper/deeper/deeper/db.sock "), "{text}");
}

#[test]
fn codes_of_a_newer_version_are_counted_without_words() {
    let mut report = samples::proxy();
    report.ends = serde_json::from_str(r#"{"XY":900,"CD":100}"#).unwrap();
    let text = report.to_text(80, false);
    assert!(text.contains("\nXY           900  90 %  a code that this version doesn't know\nCD"), "{text}");
}

#[test]
fn the_manual_shows_a_real_page() {
    let manual = include_str!("../../../../docs/report.md");
    assert!(manual.contains(&samples::exclusive().to_text(80, false)));
}

#[test]
fn a_wide_page_has_more() {
    let text = samples::private().to_text(120, false);
    let titles = "─ event_delay ──  ───── turn ─────  ── iteration ───  ───── wait ─────";
    assert!(text.contains(titles), "{text}");
}

#[test]
fn balance_is_told_in_words() {
    for (report, words) in [
        (samples::private(), "as chance gives, p = 0.64."),
        (samples::dealt(), "better than chance, p = 0.0003."),
        (samples::exclusive(), "worse than chance, p < 0.0001: worker 0 took 98 %."),
        (samples::empty(), "Balance: no connection came, so there is nothing to compare."),
        (samples::report(AcceptMode::Private, &[7], None), "Balance: 7 connections, all on the only worker"),
    ] {
        let text = report.to_text(200, false);
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn what_is_zero_and_should_be_is_not_mentioned() {
    let mut report = samples::private();
    report.totals.errors.reset = 0;
    report.totals.accept_eagain = 0;
    report.workers.iter_mut().for_each(|worker| worker.accept_queue_max = 0);
    let text = report.to_text(80, false);
    for head in ["Errors:", "Also counted:", "Acceptor:", "Note:"] {
        assert!(!text.contains(head), "{head} in\n{text}");
    }
    report.totals.stale_events = 1;
    report.totals.errors.fd_limit = 2;
    report.notes.push("Unix listeners are served as rotate.".to_owned());
    let text = report.to_text(80, false);
    for said in
        ["Also counted: 1 stale events.", "Errors: 2 pauses at", "Note: Unix listeners are served as rotate."]
    {
        assert!(text.contains(said), "{said} not in\n{text}");
    }
    assert!(samples::dealt().to_text(80, false).contains("Acceptor: 400 connections accepted, 398 wakeups"));
}

#[test]
fn of_many_workers_the_first_are_shown_and_the_rest_is_summed_up() {
    let text = samples::report(AcceptMode::Private, &[3; 40], None).to_text(80, false);
    assert!(text.contains("\n    31    31") && !text.contains("\n    32    32"), "{text}");
    assert!(text.contains("… and 8 more (workers 32 to 39): accepted 3 to 3 each"), "{text}");
}

#[test]
fn without_histograms_the_page_says_why_there_is_no_latency() {
    let text = samples::empty().to_text(80, false);
    assert!(text.contains("no histograms were recorded") && !text.contains("p99"), "{text}");
}

#[test]
fn colour_changes_nothing_but_colour() {
    for report in
        [samples::private(), samples::exclusive(), samples::empty(), samples::dealt(), samples::proxy()]
    {
        let coloured = report.to_text(100, true);
        assert!(coloured.contains("\x1b[1m") && coloured.matches("\x1b[0m").count() > 3);
        assert_eq!(without_escapes(&coloured), report.to_text(100, false));
    }
}

#[test]
fn widths_out_of_range_are_taken_for_the_nearest() {
    let report = samples::exclusive();
    assert_eq!(report.to_text(0, false), report.to_text(60, false));
    assert_eq!(report.to_text(usize::MAX, false), report.to_text(200, false));
}

#[test]
fn percentages_show_that_something_is_there() {
    let shown = [0.0, 1e-9, 0.0004, 0.004, 0.0994, 0.12, 1.0].map(|part| percent(part, 1.0));
    assert_eq!(shown, ["0 %", "<0.1 %", "<0.1 %", "0.4 %", "9.9 %", "12 %", "100 %"]);
    assert_eq!(percent(3.0, 0.0), "0 %");
    assert!(is_backed(100_000, 0.9999) && !is_backed(99_000, 0.9999));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn no_line_is_longer_than_the_page(
        width in 60_usize..=160,
        accepted in prop::collection::vec(0_u64..40, 0..40),
        notes in prop::collection::vec(".{0,100}", 0..3),
    ) {
        let report = Report { notes, ..samples::report(AcceptMode::Private, &accepted, None) };
        check_lines(&report, width)?;
    }
}

#[test]
fn no_line_is_longer_at_any_width_whatever_the_report_says() {
    let (honest, hostile) =
        ([samples::private(), samples::exclusive(), samples::empty(), samples::proxy()], hostile());
    for width in 60..=160 {
        check_lines(&hostile, width).unwrap();
        for report in &honest {
            check_lines(report, width).unwrap();
            // What is cut is cut for lack of manners; an honest report fits.
            assert!(!report.to_text(width, false).contains('…'), "{}", report.to_text(width, false));
        }
    }
}

fn check_lines(report: &Report, width: usize) -> Result<(), TestCaseError> {
    let text = report.to_text(width, false);
    prop_assert!(text.ends_with('\n') && !text.ends_with("\n\n") && !text.starts_with('\n'));
    for line in text.lines() {
        prop_assert!(line.chars().count() <= width, "{} columns of {width}: {line}", line.chars().count());
        prop_assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
        prop_assert_eq!(line.trim_end(), line);
    }
    Ok(())
}

/// A file that someone made up: numbers without bounds, names without manners.
fn hostile() -> Report {
    let mut report = samples::report(AcceptMode::Private, &[1; 40], None);
    let counts = Counts { accepted: u64::MAX, messages: u64::MAX, busy_ns: u64::MAX, ..Counts::default() };
    for worker in &mut report.workers {
        worker.worker = usize::MAX;
        worker.active_avg = f64::MAX;
        worker.counts = counts.clone();
    }
    let name = "\x1b[31m 漢字\u{200b}\u{301} ".to_owned() + &"x".repeat(300);
    let listen = vec![name.clone(); 3];
    report.services.push(Service {
        name: name.clone(),
        listen,
        listeners: vec![Listener::default()],
        ..Service::default()
    });
    let most = UpstreamCounts { connected: u64::MAX, bytes_to: u64::MAX, ..UpstreamCounts::default() };
    let upstream = Upstream {
        service: name.clone(),
        address: name.clone(),
        weight: u32::MAX,
        state: name.clone(),
        counts: most,
        ..Upstream::default()
    };
    report.upstreams = vec![upstream; 40];
    let ends: serde_json::Map<_, _> = (0..100).map(|n| (format!("{name}{n}"), u64::MAX.into())).collect();
    report.ends = serde_json::from_value(ends.into()).unwrap();
    report.config.accept = name.clone();
    report.notes = vec![name, String::new(), "\n\n".to_owned()];
    report.totals = counts;
    report.duration_s = -1e300;
    report.balance.accepted.per_worker = vec![u64::MAX; 40];
    report.balance.accepted.verdict = None;
    report.balance.accepted.max_over_mean = f64::MAX;
    let wrong =
        HistogramJson { count: u64::MAX, max: u64::MAX, hdr: "*".to_owned(), ..HistogramJson::default() };
    let histograms = serde_json::json!({"turn": wrong, "wait": wrong});
    report.histograms = serde_json::from_value(histograms).unwrap();
    report
}

fn without_escapes(text: &str) -> String {
    let mut parts = text.split('\x1b');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| plain + part.split_once('m').map_or(part, |(_, rest)| rest))
}
