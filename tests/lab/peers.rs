//! The lab's own server and client, each in a trial.

use super::*;

#[test]
fn a_hunter_finds_no_lost_wakeup_in_a_server_that_loses_none() {
    let file = scenario_file(
        "hunt",
        "[server]\nworkers = 2\n[client]\nkind = \"hunter\"\ntakes = \"1s\"\n\
         flags = [\"--connections\", \"8\", \"--messages\", \"2000\"]\n",
    );
    let dir = fresh_dir("hunt-run");
    let ran = lab(&["run", "--trials", "1", "--out"]).arg(&dir).arg(&file).output().unwrap();
    assert!(ran.status.success(), "{}", stderr(&ran));
    for trial in results(&dir)["trials"].as_array().unwrap() {
        assert_eq!(trial["figures"]["stalls"], 0.0, "{trial}");
        assert_eq!(trial["counts_agree"], true, "{trial}");
    }
}

#[test]
fn a_server_whose_workers_leave_has_its_report_read() {
    let file = scenario_file(
        "leaving",
        "[server]\nkind = \"leave-join\"\nworkers = 2\n[client]\n\
         flags = [\"--connections\", \"4\", \"--rate\", \"200\", \"--churn\", \"5\"]\nduration = \"400ms\"\n",
    );
    let dir = fresh_dir("leaving-run");
    let ran = lab(&["run", "--trials", "1", "--modes", "private/level", "--out"])
        .arg(&dir)
        .arg(&file)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", stderr(&ran));
    let results = results(&dir);
    let trial = &results["trials"][0];
    assert!(counts(trial).iter().sum::<u64>() > 4 && trial["figures"]["resets"].is_number(), "{trial}");
}

/// Whether a mode that needs a network of its own can be had is up to the machine; the others run in any case.
fn trials_of(results: &Value, mode: &str, ran: &Output) -> usize {
    let trials = results["trials"].as_array().unwrap();
    let found = trials.iter().filter(|trial| trial["mode"] == mode).count();
    if stderr(ran).contains(&format!("{mode} needs a network namespace of its own")) {
        assert_eq!(found, 0, "it was left out");
        eprintln!("skipped: a network namespace can't be had");
        return 1;
    }
    found
}

#[test]
fn where_one_mode_needs_a_network_of_its_own_each_trial_has_one() {
    let file = scenario_file(
        "apart",
        "modes = [\"rotate/edge\", \"rotate/edge+apart\"]\n[server]\nworkers = 2\n\
         [client]\nflags = [\"--connections\", \"4\", \"--connect-only\"]\n\
         [[beside]]\nname = \"idle\"\nflags = [\"--connections\", \"3\", \"--connect-only\", \"--hold\"]\n\
         [[variant]]\nname = \"apart\"\nnamespace = true\n",
    );
    let dir = fresh_dir("apart-run");
    let ran = lab(&["run", "--trials", "1", "--out"]).arg(&dir).arg(&file).output().unwrap();
    assert!(ran.status.success(), "{}", stderr(&ran));
    let results = results(&dir);
    assert_eq!(trials_of(&results, "rotate/edge+apart", &ran), 1);
    for trial in results["trials"].as_array().unwrap() {
        assert_eq!(counts(trial).iter().sum::<u64>(), 7, "both clients' connections: {trial}");
        assert_eq!(trial["counts_agree"], true, "{trial}");
    }
}

/// The server itself refuses to change the setting of a network that has more than a loopback.
#[test]
fn the_kernel_migrates_a_queue_in_a_network_of_its_own() {
    let file = scenario_file(
        "migrating",
        "modes = [\"private/level\", \"private/level+migrate\"]\n[server]\nkind = \"leave-join\"\nworkers = 2\n\
         [client]\nflags = [\"--connections\", \"4\", \"--rate\", \"200\", \"--churn\", \"5\"]\nduration = \"400ms\"\n\
         [[variant]]\nname = \"migrate\"\nserver = [\"--migrate\"]\nnamespace = true\n",
    );
    let dir = fresh_dir("migrating-run");
    let setting = || fs::read_to_string("/proc/sys/net/ipv4/tcp_migrate_req").ok();
    let before = setting();
    let ran = lab(&["run", "--trials", "1", "--out"]).arg(&dir).arg(&file).output().unwrap();
    assert!(ran.status.success(), "{}", stderr(&ran));
    assert_eq!(trials_of(&results(&dir), "private/level+migrate", &ran), 1);
    assert_eq!(setting(), before, "the machine's own setting");
}
