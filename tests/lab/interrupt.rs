//! Whatever ends a run early leaves valid results, and no process behind.

use std::os::unix::process::CommandExt;

use rustix::process::{Pid, Signal, kill_process_group};

use super::*;

#[test]
fn ctrl_c_leaves_no_process_and_keeps_what_was_finished() {
    let dir = fresh_dir("interrupted");
    let mut lab = lab(&["quick", "--phase-duration", "200ms", "--out"]);
    let mut running = lab.arg(&dir).process_group(0).spawn().unwrap();
    wait_for_trials(&dir, 1, &mut running);
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

/// Clients beside, upstreams, a process that burns a core: all are there, and all go.
#[test]
fn ctrl_c_ends_everything_that_a_trial_started() {
    let file = scenario_file(
        "everything",
        "[server]\nkind = \"proxy\"\nworkers = 1\nupstreams = 2\n\
         [client]\nflags = [\"--connections\", \"2\", \"--rate\", \"50\"]\nduration = \"1m\"\n\
         [[beside]]\nname = \"idle\"\nflags = [\"--connections\", \"3\", \"--connect-only\", \"--hold\"]\n\
         [disturb]\nburn = { cores = [0] }\n",
    );
    // The proxy and its two upstreams, two clients, and the burner.
    end_in_the_middle("everything", &file, |lab_id| children_of(lab_id).len() == 6);
}

/// A server that stands still can't answer SIGTERM, nor a thread that is traced.
#[test]
fn ctrl_c_ends_a_server_that_is_stopped() {
    let client = "[client]\nflags = [\"--connections\", \"2\", \"--rate\", \"50\"]\nduration = \"1m\"\n";
    for (name, disturbance) in [
        ("stopped", "stop = { after = \"100ms\", for = \"50s\" }"),
        // Nearly always.
        ("stalled", "stall = { worker = 1, every = \"2s\", for = \"1900ms\" }"),
    ] {
        let text = format!("[server]\nworkers = 2\n{client}[disturb]\n{disturbance}\n");
        end_in_the_middle(name, &scenario_file(name, &text), |lab_id| {
            children_of(lab_id).into_iter().any(has_a_stopped_thread)
        });
    }
}

/// `T` is stopped by a signal, `t` by a tracer (proc_pid_stat(5)).
fn has_a_stopped_thread(id: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let stats = threads.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
    stats.filter_map(|stat| stat.rsplit_once(") ").map(|(_, rest)| rest.starts_with(['T', 't']))).any(|it| it)
}

/// Runs a scenario until `is_there`, then presses Ctrl-C.
fn end_in_the_middle(name: &str, file: &Path, is_there: impl Fn(u32) -> bool) {
    let dir = fresh_dir(&format!("{name}-run"));
    let mut running =
        lab(&["run", "--trials", "1", "--out"]).arg(&dir).arg(file).process_group(0).spawn().unwrap();
    let lab_id = running.id();
    wait_until("all of its processes", || is_there(lab_id), &mut running);
    let started = Instant::now();
    kill_process_group(Pid::from_child(&running), Signal::INT).unwrap();
    let ended = running.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", stderr(&ended));
    assert_eq!(children_of(lab_id), Vec::<u32>::new());
    assert!(started.elapsed() < Duration::from_secs(30), "it waited for the end of the trial");
    assert_eq!(results(&dir)["trials"].as_array().map(Vec::len), Some(0));
    assert!(dir.join("report.html").exists());
    assert_eq!(fs::read_dir(dir.join("hlog")).unwrap().count(), 0, "half a log");
}
