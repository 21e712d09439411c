//! `evenkeel report`: real reports of real runs, shown again, added up, side by side, and as a page.

use std::{fs, process::Output};

use serde_json::Value;

mod support;

use support::{Server, TempDir, assert_adds_up, evenkeel, run, say_hello, total};

/// Runs a server for so many connections with a message each, and saves its report.
fn saved(folder: &TempDir, name: &str, connections: usize, arguments: &[&str]) -> String {
    let file = folder.file(name);
    let mut all = vec!["--workers", "2", "--report-file", &file];
    all.extend(arguments);
    let server = Server::start(&all);
    (0..connections).for_each(|_| say_hello(&mut server.connect()));
    server.report();
    file
}

fn stdout(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && error.is_empty(), "{error}");
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn json(arguments: &[&str]) -> Value {
    let text = stdout(&run(&[&["report", "--format", "json"], arguments].concat()));
    assert_eq!(text.lines().count(), 1, "one line");
    serde_json::from_str(&text).expect("JSON")
}

fn assert_refused(arguments: &[&str], why: &str) {
    let output = run(&[&["report"], arguments].concat());
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), error.lines().count()), (Some(2), 1), "{error}");
    assert!(output.stdout.is_empty() && error.contains(why), "{error}");
}

#[test]
fn several_reports_are_added_up() {
    let folder = TempDir::new();
    let files = [5, 7, 11].map(|count| saved(&folder, &format!("{count}.json"), count, &[]));
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let merged = json(&files);
    assert_adds_up(&merged);
    assert_eq!((total(&merged, "accepted"), total(&merged, "messages")), (23, 23));
    let single: Vec<Value> = files.iter().map(|file| json(&[file])).collect();
    let sum = |field: &str| -> u64 {
        single.iter().map(|report| report.pointer(field).and_then(Value::as_u64).expect("a count")).sum()
    };
    for field in ["/histograms/turn/count", "/histograms/session_life/count", "/totals/wakeups"] {
        assert_eq!(merged.pointer(field).and_then(Value::as_u64), Some(sum(field)), "{field}");
    }
    let max = |report: &Value| report["histograms"]["turn"]["max"].as_u64();
    assert_eq!(max(&merged), single.iter().map(max).max().expect("three"));
    let runs: Vec<_> =
        merged["merged"].as_array().expect("the runs").iter().map(|it| it["accepted"].as_u64()).collect();
    assert_eq!(runs, [Some(5), Some(7), Some(11)]);
    assert!(single.iter().all(|report| report.get("merged").is_none()), "a lone report is what it was");

    let text = stdout(&run(&[&["report"], &files[..]].concat()));
    assert!(text.contains("· 3 runs ·") && text.contains("23 connections"), "{text}");
    let again = folder.file("all.json");
    fs::write(&again, merged.to_string()).expect("a folder of ours");
    assert_eq!(json(&[&again]), merged, "what was merged can be read again");
}

#[test]
fn what_cannot_be_added_up_is_refused() {
    let folder = TempDir::new();
    let private = saved(&folder, "private.json", 1, &[]);
    let rotate = saved(&folder, "rotate.json", 1, &["--accept", "rotate"]);
    assert_refused(
        &[&private, &rotate],
        "ran differently (accept: private and rotate), so they can't be merged: --diff",
    );
    assert_refused(&[&private, &private], "are of the same run");
    assert_refused(&[&private, "/nonexistent"], "cannot read /nonexistent");
    assert_refused(&["--diff", &private], "--diff compares two reports, not 1");
    assert_refused(&["--diff", &private, &rotate, &private], "--diff compares two reports, not 3");
    assert_refused(&["--diff", &private, &rotate, "--format", "html"], "--diff has no page");
}

#[test]
fn two_reports_stand_side_by_side() {
    let folder = TempDir::new();
    let private = saved(&folder, "private.json", 10, &[]);
    let rotate = saved(&folder, "rotate.json", 20, &["--accept", "rotate"]);
    let diff = json(&["--diff", &private, &rotate]);
    assert_eq!(diff["schema"], "evenkeel-diff/1");
    let figures = diff["figures"].as_array().expect("a list");
    let figure =
        |name: &str| figures.iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("{name}"));
    let accepted = figure("totals.accepted");
    assert_eq!(
        (&accepted["a"], &accepted["b"], &accepted["ratio"]),
        (&10.0.into(), &20.0.into(), &2.0.into())
    );
    let turns = json(&[&rotate])["histograms"]["turn"]["count"].as_f64();
    assert_eq!(figure("histograms.turn.count")["b"].as_f64(), turns);
    assert!(figures.iter().all(|it| it["name"] != "histograms.turn.p999"), "neither has samples for it");
    let settings: Vec<_> =
        diff["differs"].as_array().expect("a list").iter().map(|it| &it["setting"]).collect();
    assert!(settings.contains(&&"accept".into()), "{settings:?}");

    let text = stdout(&run(&["report", "--diff", &private, &rotate]));
    assert!(text.contains("They differ in accept (private and rotate)"), "{text}");
    assert!(text.contains("No verdict: Two runs cannot tell"), "{text}");
}

#[test]
fn a_page_is_complete_in_itself() {
    let folder = TempDir::new();
    let file = saved(&folder, "run.json", 50, &[]);
    let page = stdout(&run(&["report", &file, "--format", "html"]));
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert!(page.contains("<figcaption>Connections accepted") && page.contains("<figcaption>turn"));
    for outside in ["src=", "href=", "url(", "@import", "http:", "https:"] {
        assert!(!page.contains(outside), "{outside}");
    }
    let data = page.split_once("id=\"results\">").expect("the report is in it").1;
    let data = data.split_once("</script>").expect("its end").0;
    assert_eq!(serde_json::from_str::<Value>(data).expect("JSON"), json(&[&file]));
}

#[test]
fn stdin_is_a_report_among_others() {
    let folder = TempDir::new();
    let (one, other) = (saved(&folder, "one.json", 2, &[]), saved(&folder, "other.json", 3, &[]));
    let mut command = evenkeel();
    command.args(["report", "-", &other, "--format", "json"]);
    command.stdin(fs::File::open(one).expect("it was saved"));
    let merged: Value =
        serde_json::from_str(&stdout(&command.output().expect("the binary starts"))).expect("JSON");
    assert_eq!(total(&merged, "accepted"), 5);
    assert_eq!(merged["merged"][0]["file"], "stdin");
}
