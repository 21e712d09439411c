//! Scenarios of the user's own: a TOML file that is right, and those that are wrong.

use super::*;

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

/// Everything that a file can ask for, at once.
#[test]
fn a_scenario_of_ones_own_is_run() {
    let file = scenario_file(
        "mine",
        "modes = [\"rotate/edge\", \"rotate/edge+wide\"]\n\
         [server]\nworkers = 2\nflags = [\"--work\", \"block:exp:200us\", \"--budget\", \"64k\"]\n\
         [client]\nflags = [\"--connections\", \"4\", \"--rate\", \"100\"]\nwarmup = \"50ms\"\nduration = \"1500ms\"\n\
         [[beside]]\nname = \"hog\"\nflags = [\"--connections\", \"3\", \"--rate\", \"60\"]\n\
         [[variant]]\nname = \"wide\"\nserver = [\"--budget\", \"unlimited\"]\n\
         [sweep]\nflag = \"--rate\"\nvalues = [100, 200]\n\
         [disturb]\nstop = { after = \"700ms\", for = \"200ms\" }\nburn = { cores = [0] }\n\
         [[claim]]\nsays = \"Nothing fails.\"\nfigure = \"errors\"\nof = \"rotate/edge+wide\"\nat_most = 0\n",
    );
    let dir = fresh_dir("mine-run");
    let ran = lab(&["run", "--trials", "1", "--out"]).arg(&dir).arg(&file).output().unwrap();
    assert!(ran.status.success(), "{}", stderr(&ran));
    assert!(stderr(&ran).contains("6 trials, about"), "{}", stderr(&ran));
    let results = results(&dir);
    assert_eq!((results["suite"].as_str(), &results["scenarios"][0]["name"]), (Some("run"), &"mine".into()));
    let trials = results["trials"].as_array().unwrap();
    // Two modes and the twin, at two rates.
    assert_eq!(trials.len(), 6);
    for trial in trials {
        assert_eq!(counts(trial).iter().sum::<u64>(), 7, "both clients' connections: {trial}");
        assert_eq!(trial["counts_agree"], true, "{trial}");
        let rate = trial["load"]["offered_per_s"].as_f64().unwrap();
        let step = trial["step"].as_f64().unwrap();
        assert!((0.5..2.0).contains(&(rate / step)), "{rate} for {step}");
        // Nothing is answered while the server stands still, which is long after a client has begun, even on a busy
        // machine.
        assert!(trial["figures"]["max_ns"].as_f64() > Some(30e6), "{trial}");
        let beside = trial["client_report"].as_str().unwrap().replace(".client.json", ".hog.client.json");
        assert!(dir.join(&beside).exists(), "{beside}");
    }
    assert_eq!(results["claims"][0]["holds"], true);
}

#[test]
fn pinned_workers_register_in_another_order_each_round() {
    if thread::available_parallelism().map_or(1, std::num::NonZero::get) < 2 {
        return;
    }
    let file = scenario_file(
        "pinned",
        "[server]\nworkers = 2\npin = true\n[client]\nflags = [\"--connections\", \"2\", \"--connect-only\"]\n",
    );
    let dir = fresh_dir("pinned-run");
    let ran = lab(&["run", "--trials", "2", "--out"]).arg(&dir).arg(&file).output().unwrap();
    assert!(ran.status.success(), "{}", stderr(&ran));
    for trial in results(&dir)["trials"].as_array().unwrap() {
        let order = if trial["round"] == 0 { [0, 1] } else { [1, 0] };
        assert_eq!(trial["registration"], serde_json::json!(order), "{trial}");
    }
}

#[test]
fn a_file_that_makes_no_sense_is_shown_where() {
    for (name, text, says) in [
        ("typo", "[server]\nworkrs = 2\n[client]\nflags = []\n", "unknown key 'workrs'\n"),
        ("typo", "[server]\nworkrs = 2\n[client]\nflags = []\n", "help: did you mean 'workers'?"),
        ("not-toml", "[server\n", "this is not TOML"),
        ("no-client", "[server]\nworkers = 2\n", "this scenario has no 'client'"),
        ("own-flag", "[server]\nworkers = 2\n[client]\nflags = [\"--json\"]\n", "--json is the lab's to set"),
    ] {
        let file = scenario_file(name, text);
        let ran = lab(&["run"]).arg(&file).output().unwrap();
        assert_eq!(ran.status.code(), Some(2), "{name}");
        let said = stderr(&ran);
        assert!(said.starts_with(&format!("evenkeel-lab: {}:", file.display())), "{name}: {said}");
        assert!(said.contains(says) && said.lines().count() <= 4, "{name}: {said}");
    }
}

/// The server's own words, in the trial that it would have been.
#[test]
fn a_flag_that_the_server_has_not_is_told_with_its_words() {
    let file = scenario_file(
        "no-flag",
        "[server]\nworkers = 1\nflags = [\"--colour\", \"red\"]\n[client]\nflags = [\"--connect-only\"]\n",
    );
    let dir = fresh_dir("no-flag-run");
    let ran = lab(&["run", "--trials", "1", "--out"]).arg(&dir).arg(&file).output().unwrap();
    assert_eq!(ran.status.code(), Some(1));
    let said = stderr(&ran);
    assert!(said.contains("no-flag") && said.contains("--colour"), "{said}");
}
