//! Folders that runs leave behind: never overwritten, gone on with, shown again, compared.

use super::*;

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
fn a_run_that_was_killed_goes_on_where_it_was() {
    let dir = fresh_dir("resumed");
    let words = [
        "quick",
        "--trials",
        "2",
        "--phase-duration",
        "50ms",
        "--modes",
        "rotate/edge,private/edge",
        "--out",
    ];
    let mut running = lab(&words).arg(&dir).spawn().unwrap();
    wait_for_trials(&dir, 2, &mut running);
    running.kill().unwrap();
    running.wait().unwrap();
    let before = results(&dir);
    let kept = before["trials"].as_array().unwrap();
    assert!(kept.len() >= 2 && kept.len() < 12, "{}", kept.len());

    let other = lab(&words).arg(&dir).args(["--resume", "--seed", "9"]).output().unwrap();
    assert_eq!(other.status.code(), Some(2));
    assert!(
        stderr(&other).contains("holds another plan") && stderr(&other).contains("seed is 1, not 9"),
        "{other:?}"
    );

    let ran = lab(&words).arg(&dir).arg("--resume").output().unwrap();
    assert!(ran.status.success(), "{}", stderr(&ran));
    let after = results(&dir);
    let trials = after["trials"].as_array().unwrap();
    assert_eq!((trials.len(), after["interrupted"].as_bool()), (12, Some(false)));
    assert_eq!(trials[..kept.len()], kept[..], "what was there is as it was");
    let watched_s = |results: &Value| results["machine"]["watched_cpu_s"].as_f64().unwrap();
    assert!(watched_s(&before) > 0.0 && watched_s(&after) > watched_s(&before), "the machine, in both parts");
    let mut orders: Vec<_> = trials.iter().map(|trial| trial["order"].as_u64().unwrap()).collect();
    assert!(trials.windows(2).all(|pair| pair[0]["at_s"].as_f64() < pair[1]["at_s"].as_f64()));
    orders.sort_unstable();
    assert_eq!(orders, (0..12).collect::<Vec<_>>());
}

#[test]
fn a_finished_run_is_shown_again_and_compared_with_itself() {
    let dir = fresh_dir("shown");
    let ran = lab(&["quick", "--trials", "1", "--phase-duration", "50ms", "--modes", "dealt/edge", "--out"])
        .arg(&dir)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", stderr(&ran));
    let page = fs::read_to_string(dir.join("report.html")).unwrap();
    fs::remove_file(dir.join("report.html")).unwrap();
    let shown = lab(&["show"]).arg(&dir).output().unwrap();
    assert!(shown.status.success(), "{}", stderr(&shown));
    assert_eq!(String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&ran.stdout));
    assert!(fs::read_to_string(dir.join("report.html")).unwrap() == page, "another page");

    let compared = lab(&["compare"]).args([&dir, &dir]).output().unwrap();
    assert!(compared.status.success(), "{}", stderr(&compared));
    let text = String::from_utf8_lossy(&compared.stdout).into_owned();
    assert!(
        text.contains("trickle: 400 connects") && text.contains("dispersion") && text.contains("dealt/edge"),
        "{text}"
    );
    assert!(text.contains("too few rounds to tell"), "{text}");

    let raw = dir.join(results(&dir)["trials"][0]["client_report"].as_str().unwrap());
    fs::remove_file(&raw).unwrap();
    let shown = lab(&["show"]).arg(&dir).output().unwrap();
    assert_eq!(shown.status.code(), Some(2), "half a folder makes half a page");
    assert!(stderr(&shown).contains(&format!("cannot read {}: No such file", raw.display())), "{shown:?}");
}

#[test]
fn a_folder_without_results_is_told() {
    let dir = fresh_dir("nothing");
    fs::create_dir_all(&dir).unwrap();
    let broken = fresh_dir("broken");
    fs::create_dir_all(&broken).unwrap();
    fs::write(broken.join("results.json"), "{\"schema\": 1}").unwrap();
    for (words, says) in [
        (vec!["show", dir.to_str().unwrap()], "results.json: No such file"),
        (vec!["show", broken.to_str().unwrap()], "results.json: invalid type"),
        (vec!["compare", dir.to_str().unwrap(), dir.to_str().unwrap()], "results.json: No such file"),
        (vec!["quick", "--resume", "--out", dir.to_str().unwrap()], "results.json: No such file"),
    ] {
        let ran = lab(&words).output().unwrap();
        assert_eq!(ran.status.code(), Some(2), "{words:?}");
        let said = stderr(&ran);
        assert!(said.contains(says) && said.lines().count() == 1, "{words:?}: {said}");
    }
}
