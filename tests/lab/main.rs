//! evenkeel-lab as its user has it: a short run from end to end, what ends it early, what it is told wrongly.

mod files;
mod folders;
mod interrupt;
mod peers;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// Far more than anything here takes: only a hang runs into it.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_short_quick_keeps_every_trial_and_its_counts_add_up() {
    let dir = fresh_dir("quick");
    let modes = ["exclusive/level", "rotate/edge", "dealt/level", "private/edge"];
    let ran =
        lab(&["quick", "--trials", "1", "--phase-duration", "100ms", "--modes", &modes.join(","), "--out"])
            .arg(&dir)
            .output()
            .unwrap();
    assert!(ran.status.success(), "{}", stderr(&ran));

    let results = results(&dir);
    assert_eq!(results["schema"], "evenkeel-lab/1");
    assert_eq!(results["interrupted"], false);
    let trials = results["trials"].as_array().unwrap();
    // Two scenarios, and the baseline of each once more.
    assert_eq!(trials.len(), (modes.len() + 1) * 2);
    for trial in trials {
        let connections = if trial["scenario"] == "trickle" { 400 } else { 64 };
        assert_eq!(counts(trial).iter().sum::<u64>(), connections, "{trial}");
        assert_eq!(trial["per_worker"], trial["per_worker_reported"], "{trial}");
        for report in ["server_report", "client_report"] {
            let text = fs::read_to_string(dir.join(trial[report].as_str().unwrap())).unwrap();
            assert!(serde_json::from_str::<Value>(&text).is_ok(), "{report} of {trial}");
        }
        let hlog = fs::read_to_string(dir.join(trial["hlog"].as_str().unwrap())).unwrap();
        assert!(hlog.starts_with("#[Histogram log format version 1.3]"), "{hlog}");
        assert_eq!(trial["load"].is_null(), trial["scenario"] == "trickle");
        assert!(trial["figures"]["dispersion"].is_number(), "{trial}");
        assert_eq!(trial["figures"]["p50_ns"].is_number(), trial["scenario"] == "busy", "{trial}");
        assert!(trial["conditions"]["hiccup_max_ns"].as_u64() > Some(0), "{trial}");
    }
    assert!(!results["verdicts"].as_array().unwrap().is_empty());

    let printed = String::from_utf8(ran.stdout).unwrap();
    assert!(modes.iter().all(|mode| printed.lines().any(|line| line.starts_with(mode))), "{printed}");
    // The last line is a path, as long as it happens to be.
    let lines: Vec<_> = printed.lines().collect();
    assert!(lines[..lines.len() - 1].iter().all(|line| line.chars().count() <= 100), "{printed}");
    assert!(!printed.contains('\x1b'), "colour in a pipe");
    assert_eq!(printed.lines().last(), Some(dir.to_str().unwrap()));
    let page = fs::read_to_string(dir.join("report.html")).unwrap();
    assert!(page.contains("<svg") && page.ends_with("</html>\n"));
    let curve = fs::read_to_string(dir.join("hgrm/busy-private-edge.hgrm")).unwrap();
    assert!(curve.contains("1/(1-Percentile)") && curve.contains("#[Max "), "{curve}");
}

#[test]
fn spaced_connects_show_what_each_mode_does() {
    let dir = fresh_dir("spread");
    let ran = lab(&["quick", "--trials", "1", "--phase-duration", "50ms", "--out"])
        .arg(&dir)
        .args(["--modes", "exclusive/edge,rotate/level,dealt/edge"])
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", stderr(&ran));
    let results = results(&dir);
    let trial = |mode: &str| {
        let trials = results["trials"].as_array().unwrap();
        trials.iter().find(|trial| trial["scenario"] == "trickle" && trial["mode"] == mode).unwrap()
    };
    // Dealing in turn is exact. The other two depend on workers being asleep again when the next connection
    // comes: on a busy machine some are not, so only the order of their dispersions is sure.
    assert_eq!(counts(trial("dealt/edge")), [100; 4]);
    let dispersion = |mode| trial(mode)["dispersion"].as_f64().unwrap();
    let (packed, rotated) = (dispersion("exclusive/edge"), dispersion("rotate/level"));
    assert!(packed > 5.0 * rotated && packed > 20.0, "exclusive {packed}, rotate {rotated}");
}

#[test]
fn the_list_is_complete_and_a_closed_stdout_is_no_fault() {
    let listed = lab(&["list"]).output().unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    for name in ["trickle", "busy", "small", "private/level", "dealt/edge"] {
        assert!(text.contains(name), "{name} is not in {text}");
    }
    let mut unread = lab(&["list"]).spawn().unwrap();
    drop(unread.stdout.take());
    let ended = unread.wait_with_output().unwrap();
    assert!(ended.status.success() && ended.stderr.is_empty(), "{}", stderr(&ended));
}

fn lab(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel-lab"));
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A folder of this test's own that isn't there yet.
fn fresh_dir(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("lab-{name}-{}", std::process::id()));
    if dir.exists() {
        fs::remove_dir_all(&dir).unwrap();
    }
    dir
}

fn results(dir: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(dir.join("results.json")).unwrap()).unwrap()
}

fn counts(trial: &Value) -> Vec<u64> {
    trial["per_worker"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).collect()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Returns once so many trials are on disk. A file is replaced as a whole, so it can always be read.
fn wait_for_trials(dir: &Path, count: usize, running: &mut Child) {
    let are_there =
        || dir.join("results.json").exists() && results(dir)["trials"].as_array().unwrap().len() >= count;
    wait_until("finished trials", are_there, running);
}

/// A file of a scenario, of which these are the tables, and perhaps the modes before them.
fn scenario_file(name: &str, tables: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("lab-files-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let mut text = String::from(
        "reveals = \"Whether the lab does as it is told.\"\nsource = \"none\"\ngroup = \"self-test\"\n\
         figures = [\"errors\"]\n",
    );
    if !tables.starts_with("modes = ") {
        text += "modes = [\"rotate/edge\"]\n";
    }
    let file = dir.join(format!("{name}.toml"));
    fs::write(&file, text + tables).unwrap();
    file
}

fn wait_until(what: &str, there: impl Fn() -> bool, running: &mut Child) {
    let started = Instant::now();
    while !there() {
        assert!(running.try_wait().unwrap().is_none(), "the lab ended before {what}");
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Processes that were started as a server or a client of this lab, wherever they are in the process tree.
fn children_of(lab_id: u32) -> Vec<u32> {
    let of_lab = |id: &u32| {
        let words = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let words: Vec<_> = words.split(|byte| *byte == 0).collect();
        words.get(2).is_some_and(|word| *word == lab_id.to_string().as_bytes())
            && matches!(words.get(1), Some(&b"serve" | &b"load" | &b"burn" | &b"hunt" | &b"leave-join"))
    };
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(of_lab).collect()
}
