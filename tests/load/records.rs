//! What is recorded beside the report: an interval log that HdrHistogram's readers take, receive stamps of the kernel.

use std::{collections::BTreeMap, env, fs, process::Stdio, thread, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hdrhistogram::{
    Histogram,
    serialization::{
        Deserializer,
        interval_log::{IntervalLogIterator, LogEntry},
    },
};

use super::{Run, alone, command, echo, greeting_server, load, server, stall};

/// The histograms of a log by tag, each the sum of its rows, and how many rows it has.
fn sums(log: &[u8]) -> BTreeMap<String, (Histogram<u64>, usize)> {
    let mut sums: BTreeMap<String, (Histogram<u64>, usize)> = BTreeMap::new();
    for entry in IntervalLogIterator::new(log) {
        let LogEntry::Interval(row) = entry.unwrap() else { continue };
        let bytes = STANDARD.decode(row.encoded_histogram()).unwrap();
        let histogram: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
        let tag = row.tag().unwrap().as_str().to_owned();
        match sums.get_mut(&tag) {
            Some((sum, rows)) => {
                *sum += histogram;
                *rows += 1;
            }
            None => {
                sums.insert(tag, (histogram, 1));
            }
        }
    }
    sums
}

#[test]
fn the_rows_of_an_interval_log_add_up_to_the_report() {
    let path = env::temp_dir().join(format!("evenkeel-load-{}.hlog", std::process::id()));
    for flags in ["--rate 2000 --churn 100 --slices 100ms --per-connection", "--think 1ms --timestamps"] {
        let flags = format!("{flags} --greet --threads 2 --connections 8 --warmup 200ms --duration 2500ms");
        let run = load(greeting_server(), &format!("{flags} --hlog {}", path.display()));
        run.assert_clean();
        let log = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let sums = sums(&log);
        for (tag, field) in [
            ("resp", "latency"),
            ("svc", "service_latency"),
            ("lag", "send_lag"),
            ("connect", "connect_latency"),
        ] {
            assert_eq!(sums[tag].0, run.histogram(field), "{tag}");
        }
        // 2.7 s are in 3 seconds, or in 4 where the start took long.
        assert!((3..=4).contains(&sums["resp"].1), "{}", String::from_utf8_lossy(&log));
        for worker in run.json["by_worker"].as_array().unwrap() {
            let (own, _) = &sums[&format!("resp.w{}", worker["worker"])];
            assert_eq!(own.len(), worker["messages"].as_u64().unwrap());
        }
        if flags.contains("--timestamps") {
            assert_eq!(sums["receive"].0, run.histogram("receive_delay"));
        }
    }
}

#[test]
fn a_log_that_cannot_be_made_is_a_usage_error() {
    let run = load("127.0.0.1:9", "--hlog /nowhere/at/all.hlog");
    assert_eq!((run.code, run.stderr.lines().count()), (Some(2), 1), "{}", run.stderr);
}

#[test]
fn what_lies_in_the_kernel_while_the_generator_stands_still_is_told() {
    let _machine = alone();
    let flags = "--timestamps --connections 4 --duration 1500ms --warmup 200ms --json";
    let child = command(&server(echo).to_string(), flags)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_millis(700));
    let stalled_ns = stall(&child, Duration::from_millis(400)).as_nanos() as u64;
    let run = Run::of(child.wait_with_output().unwrap());
    run.assert_clean();
    // Every message but a few of the window has a read of its own.
    let told = run.count("/receive_delay/count") + run.count("/unstamped");
    assert!(told.abs_diff(run.count("/messages")) <= 8, "{}", run.json);
    assert!(run.count("/unstamped") < told / 2, "stamping is on after the warm-up: {}", run.json);
    // The answers that were under way when it was stopped; that takes its time as well.
    let longest_ns = run.count("/receive_delay/max");
    assert!(
        (stalled_ns / 2..=stalled_ns + 200_000_000).contains(&longest_ns),
        "{longest_ns} of {stalled_ns}"
    );
    assert!(run.count("/receive_delay/p50") < longest_ns / 10, "{}", run.json);
}

#[test]
fn reports_are_merged_bucket_by_bucket() {
    let address = greeting_server();
    let folder = env::temp_dir().join(format!("evenkeel-load-merge-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let runs: Vec<_> = [("1", "300"), ("2", "700")]
        .map(|(seed, messages)| load(address, &format!("--greet --seed {seed} --messages {messages}")))
        .into_iter()
        .collect();
    let files: Vec<_> = ["one.json", "two.json"].map(|name| folder.join(name)).into_iter().collect();
    for (file, run) in files.iter().zip(&runs) {
        fs::write(file, format!("{}\n", run.json)).unwrap();
    }
    let merge = |flags: &[&str]| {
        let mut command = command("merge", "");
        Run::of(command.args(&files).args(flags).output().unwrap())
    };
    let merged = merge(&["--json"]);
    assert_eq!((merged.code, merged.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        (merged.count("/messages"), merged.count("/runs"), merged.count("/connections")),
        (1_000, 2, 128)
    );
    let sum = runs[0].histogram("latency") + runs[1].histogram("latency");
    assert_eq!(merged.histogram("latency"), sum);
    let by_worker = merged.json["by_worker"].as_array().unwrap();
    assert_eq!(by_worker.iter().map(|worker| worker["messages"].as_u64().unwrap()).sum::<u64>(), 1_000);
    // They differ in the number of messages that was asked for, which a reader should know.
    assert_eq!(merged.json["configs_differ"], true);
    let text = command("merge", "").args(&files).output().unwrap().stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("2 runs merged") && text.contains("Not all runs were alike"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    fs::write(&files[1], "no report\n").unwrap();
    let failed = merge(&[]);
    assert_eq!((failed.code, failed.stderr.lines().count()), (Some(1), 1), "{}", failed.stderr);
    assert!(failed.stderr.contains("two.json, line 1"), "{}", failed.stderr);
    fs::remove_dir_all(&folder).unwrap();
    let bare = Run::of(command("merge", "").output().unwrap());
    assert_eq!((bare.code, bare.stderr.lines().count()), (Some(2), 1), "{}", bare.stderr);
}
