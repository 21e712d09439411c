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
