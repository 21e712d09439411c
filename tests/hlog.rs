//! `--hlog`: what workers recorded over time, as the file has it and as the report does.

use std::{collections::BTreeMap, fs, process::Command};

use evenkeel::measure::{histograms::histogram, report::HistogramJson};
use hdrhistogram::{
    Histogram,
    serialization::interval_log::{IntervalLogIterator, LogEntry},
};
use serde_json::Value;

mod support;

use support::{Server, TempDir, eventually, say_hello};

/// A row of a log.
struct Row {
    tag: String,
    start_s: f64,
    end_s: f64,
    histogram: Histogram<u64>,
}

/// All rows of a log, in its order.
fn rows(text: &str) -> Vec<Row> {
    let rows = IntervalLogIterator::new(text.as_bytes()).filter_map(|entry| match entry {
        Ok(LogEntry::Interval(row)) => Some(row),
        Ok(_) => None,
        Err(error) => panic!("{error:?} in {text}"),
    });
    rows.map(|row| {
        let start_s = row.start_timestamp().as_secs_f64();
        let hdr = row.encoded_histogram().to_owned();
        Row {
            tag: row.tag().expect("every row has one").as_str().to_owned(),
            start_s,
            end_s: start_s + row.duration().as_secs_f64(),
            histogram: HistogramJson { hdr, ..HistogramJson::default() }.decode().expect("V2 + deflate"),
        }
    })
    .collect()
}

/// The sum of all rows by tag; rows of one tag must not overlap.
fn sums(rows: &[Row]) -> BTreeMap<String, Histogram<u64>> {
    let mut sums: BTreeMap<String, (f64, Histogram<u64>)> = BTreeMap::new();
    for row in rows {
        let (end_s, sum) = sums.entry(row.tag.clone()).or_insert_with(|| (0.0, histogram()));
        // Times are written to the millisecond.
        assert!(row.start_s >= *end_s - 0.002, "{}: {} is before {end_s}", row.tag, row.start_s);
        assert!(row.end_s >= row.start_s, "{}", row.tag);
        *end_s = row.end_s;
        *sum += &row.histogram;
    }
    sums.into_iter().map(|(tag, (_, sum))| (tag, sum)).collect()
}

/// The histograms of a report, or of a worker, that have anything in them; with what their tags end in.
fn reported(of: &Value, ending: &str) -> BTreeMap<String, Histogram<u64>> {
    let all = of["histograms"].as_object().expect("histograms by name").iter();
    all.map(|(name, json)| {
        let json: HistogramJson = serde_json::from_value(json.clone()).expect("the documented form");
        (format!("{name}{ending}"), json.decode().expect("V2 + deflate"))
    })
    .filter(|(_, histogram)| !histogram.is_empty())
    .collect()
}

#[test]
fn its_rows_add_up_to_the_report() {
    let folder = TempDir::new();
    let file = folder.file("turns.hlog");
    let server = Server::start(&["--workers", "2", "--hlog", &file]);
    let mut clients: Vec<_> = (0..8).map(|_| server.connect()).collect();
    let turns =
        || rows(&fs::read_to_string(&file).expect("text")).iter().filter(|row| row.tag == "turn").count();
    eventually("three rows", || {
        clients.iter_mut().for_each(say_hello);
        (turns() >= 3).then_some(())
    });
    drop(clients);
    let report = server.report();
    let mut expected = reported(&report, "");
    for worker in report["workers"].as_array().expect("an object each") {
        expected.extend(reported(worker, &format!(".w{}", worker["worker"])));
    }
    let text = fs::read_to_string(&file).expect("text");
    assert!(text.starts_with("#[Histogram log format version 1.3]\n#[StartTime: "), "{text}");
    let logged = sums(&rows(&text));
    assert_eq!(logged.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    assert!(logged == expected, "the rows of the log add up to the report");
    assert!(logged.contains_key("turn") && logged.contains_key("session_life"), "the last row is there");
}

#[test]
fn a_run_shorter_than_a_second_has_its_one_row() {
    let folder = TempDir::new();
    let file = folder.file("short.hlog");
    fs::write(&file, "what was there before").expect("a folder of ours");
    let server = Server::start(&["--workers", "1", "--hlog", &file]);
    say_hello(&mut server.connect());
    server.report();
    let rows = rows(&fs::read_to_string(&file).expect("text"));
    let turns: Vec<_> = rows.iter().filter(|row| row.tag == "turn").collect();
    assert!(!turns.is_empty() && turns[0].start_s == 0.0);
}

/// The log ends there, which is said once, and the service goes on.
#[test]
fn a_log_that_can_no_longer_be_written_harms_nobody() {
    let folder = TempDir::new();
    let pipe = folder.file("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()));
    // For reading and writing: so it is open before the server writes its head, which is less than a pipe holds.
    let reader = fs::File::options().read(true).write(true).open(&pipe).expect("a pipe");
    let mut server = Server::start(&["--workers", "1", "--hlog", &pipe]);
    let mut client = server.connect();
    say_hello(&mut client);
    drop(reader);
    let line = server.next_stderr_line();
    assert!(
        line.contains(&format!("cannot write the interval log to {pipe}: broken pipe; it ends here")),
        "{line}"
    );
    say_hello(&mut client);
    drop(client);
    let ended = server.stop();
    assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(0), ""));
}
