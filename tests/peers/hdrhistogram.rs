//! HdrHistogram's own log processor, the Java one that defines the format, on logs of a real run.

use std::{collections::BTreeSet, fs, path::Path, time::SystemTime};

use evenkeel::measure::{hgrm, hlog::Writer};
use hdrhistogram::Histogram;

use crate::{
    peer::{client, said},
    support::{Server, TempDir, eventually, say_hello},
};

const JAR: &str = "/usr/share/java/hdrhistogram.jar";

/// Runs HistogramLogProcessor on a log.
fn process(log: &str, arguments: &[&str]) -> String {
    assert!(Path::new(JAR).is_file(), "{JAR} is missing: install libhdrhistogram-java");
    let mut java = client("java", "default-jre-headless");
    java.args(["-cp", JAR, "org.HdrHistogram.HistogramLogProcessor", "-v", "-i", log]).args(arguments);
    said(&mut java)
}

/// What it makes of all rows with a tag: its intervals, and its percentile table.
fn processed(folder: &TempDir, log: &str, tag: &str) -> (Vec<String>, String) {
    let out = folder.file(tag);
    process(log, &["-tag", tag, "-o", &out]);
    let intervals = read(&out).lines().filter(|line| line.contains("I:")).map(str::to_owned).collect();
    (intervals, read(&format!("{out}.hgrm")))
}

/// The table without what says where it comes from.
fn table(text: &str) -> String {
    let is_ours = |line: &&str| !line.starts_with("#[Overall") && !line.starts_with("#[StartTime");
    text.lines().filter(is_ours).map(|line| format!("{line}\n")).collect()
}

#[test]
#[ignore = "needs Java and its HdrHistogram installed; run by .ci/run"]
fn an_interval_log_is_read_as_it_was_meant() {
    let folder = TempDir::new();
    let log = folder.file("run.hlog");
    // Dealt, so that each worker has something to record.
    let server = Server::start(&["--workers", "2", "--accept", "dealt", "--hlog", &log]);
    let mut clients: Vec<_> = (0..4).map(|_| server.connect()).collect();
    let rows = |name: &str| read(&log).matches(&format!("\nTag={name},")).count();
    eventually("two rows", || {
        clients.iter_mut().for_each(say_hello);
        (rows("turn") >= 2).then_some(())
    });
    drop(clients);
    let report = server.report();
    let known: BTreeSet<String> = process(&log, &["-listtags"]).lines().map(str::to_owned).collect();
    let histograms = report["histograms"].as_object().expect("histograms by name");
    for (name, json) in histograms.iter().filter(|(_, json)| json["count"] != 0) {
        assert!(known.contains(name) && known.contains(&format!("{name}.w0")), "{name}: {known:?}");
        let (intervals, text) = processed(&folder, &log, name);
        assert_eq!(intervals.len(), rows(name), "{name}: {intervals:?}");
        let samples = format!("Total count    = {:>12}]", json["count"].to_string());
        assert!(text.contains(&samples), "{name}: {samples} is not in {text}");
    }
}

/// Draws a value.
type Draw = fn(&mut fastrand::Rng) -> u64;

/// Byte for byte, for histograms of three significant digits.
#[test]
#[ignore = "needs Java and its HdrHistogram installed; run by .ci/run"]
fn a_percentile_table_is_the_one_that_java_writes() {
    let folder = TempDir::new();
    let log = folder.file("made.hlog");
    let mut random = fastrand::Rng::with_seed(7);
    let shapes: [(&str, usize, Draw); 5] = [
        ("none", 0, |_| 0),
        ("one", 1, |_| 2_000_000),
        ("even", 3_224, |random| random.u64(1..100) * 1_000_000),
        ("wide", 50_000, |random| 1 << random.u32(0..35)),
        ("tail", 200_000, |random| (-1e6 * random.f64().ln()) as u64),
    ];
    let made = shapes.map(|(name, count, draw)| {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).expect("valid bounds");
        (0..count).for_each(|_| histogram.saturating_record(draw(&mut random)));
        (name, histogram)
    });
    let file = fs::File::create(&log).expect("a folder of ours");
    let mut writer = Writer::new(file, SystemTime::now()).expect("it can be written");
    for (name, histogram) in &made {
        writer.write(Some(name), 0.0, 1.0, histogram).expect("it can be written");
    }
    for (name, histogram) in &made {
        let (_, text) = processed(&folder, &log, name);
        let (theirs, ours) = (table(&text), hgrm::text(histogram));
        let other = theirs.lines().zip(ours.lines()).find(|(theirs, ours)| theirs != ours);
        assert!(theirs == ours, "{name}: theirs and ours are {other:?}");
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
