//! evenkeel-lab as its user has it: a short `quick` from end to end, Ctrl-C at any moment, mistyped words.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
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
    assert_eq!(trials.len(), modes.len() * 3);
    for trial in trials {
        let connections = if trial["scenario"] == "trickle" { 400 } else { 64 };
        assert_eq!(counts(trial).iter().sum::<u64>(), connections, "{trial}");
        assert_eq!(trial["per_worker"], trial["per_worker_reported"], "{trial}");
        for report in ["server_report", "client_report"] {
            let text = fs::read_to_string(dir.join(trial[report].as_str().unwrap())).unwrap();
            assert!(serde_json::from_str::<Value>(&text).is_ok(), "{report} of {trial}");
        }
        assert_eq!(trial["load"].is_null(), trial["scenario"] == "trickle");
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
fn ctrl_c_leaves_no_process_and_keeps_what_was_finished() {
    let dir = fresh_dir("interrupted");
    let mut lab = lab(&["quick", "--phase-duration", "200ms", "--out"]);
    let mut running = lab.arg(&dir).process_group(0).spawn().unwrap();
    wait_for_trials(&dir, &mut running);
    // As a terminal does it: to the whole process group.
    kill_process_group(Pid::from_child(&running), Signal::INT).unwrap();
    let lab_id = running.id();
    let ended = running.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", stderr(&ended));
    assert_eq!(children_of(lab_id), Vec::<u32>::new());

    let results = results(&dir);
    let trials = results["trials"].as_array().unwrap().len() as u64;
    assert!(trials > 0 && trials < results["trials_planned"].as_u64().unwrap());
    assert_eq!(results["interrupted"], true);
    let said = stderr(&ended);
    assert!(said.lines().count() == 1 && said.contains(&format!("{trials} of ")), "{said}");
    assert!(fs::read_to_string(dir.join("report.html")).unwrap().contains("INTERRUPTED"));
}

#[test]
fn a_lab_that_is_killed_takes_its_processes_with_it() {
    let dir = fresh_dir("killed");
    let mut running = lab(&["quick", "--phase-duration", "30s", "--modes", "dealt/edge", "--out"])
        .arg(&dir)
        .spawn()
        .unwrap();
    let lab_id = running.id();
    wait_until("a child", || !children_of(lab_id).is_empty(), &mut running);
    running.kill().unwrap();
    running.wait().unwrap();
    // The kernel sends the signal when the lab ends; the children need a moment to die of it.
    let started = Instant::now();
    while !children_of(lab_id).is_empty() {
        assert!(started.elapsed() < PATIENCE, "children survived");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_wrong_is_told_in_one_line_and_nothing_is_started() {
    for words in [
        &["quicker"][..],
        &["quick", "--trials", "none"],
        &["quick", "--modes", "reuseport/edge"],
        &["quick", "--modes", "rotate/level/oneshot"],
        &["quick", "--phase-duration", "0"],
        &["quick", "--speed", "9"],
        &["quick", "--out", "/proc/no/such/place"],
        &["list", "everything"],
        &[],
    ] {
        let ran = lab(words).output().unwrap();
        assert_eq!(ran.status.code(), Some(2), "{words:?}");
        let said = stderr(&ran);
        assert!(said.starts_with("evenkeel-lab: ") && said.lines().count() == 1, "{words:?}: {said}");
        assert!(ran.stdout.is_empty(), "{words:?}");
    }
}

#[test]
fn results_are_never_overwritten() {
    let dir = fresh_dir("kept");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("results.json"), "precious").unwrap();
    let ran = lab(&["quick", "--out"]).arg(&dir).output().unwrap();
    assert_eq!(ran.status.code(), Some(2));
    assert!(stderr(&ran).contains("already holds results"));
    assert_eq!(fs::read_to_string(dir.join("results.json")).unwrap(), "precious");
}

#[test]
fn the_list_is_complete_and_a_closed_stdout_is_no_fault() {
    let listed = lab(&["list"]).output().unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    for name in ["trickle", "light", "busy", "private/level", "dealt/edge"] {
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

/// Returns once a first trial is on disk. A file is replaced as a whole, so it can always be read.
fn wait_for_trials(dir: &Path, running: &mut Child) {
    wait_until("a finished trial", || dir.join("results.json").exists(), running);
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
            && matches!(words.get(1), Some(&b"serve" | &b"load"))
    };
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(of_lab).collect()
}
