//! Ctrl-C: a run that ends early reports what it measured, and a second signal ends the program.

use std::{
    env, fs,
    io::{Read, Write},
    net::SocketAddr,
    os::unix::net::{UnixListener, UnixStream},
    process::{Child, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{Run, beside_others, command, greeting_from, server};

#[test]
fn an_interrupted_run_reports_what_it_measured() {
    let _machine = beside_others();
    for (flags, signal) in [
        ("--duration 1h", Signal::INT),
        ("--messages 1000000000 --pipeline 3 --churn 50 --threads 2", Signal::TERM),
        ("--duration 1h --rate 3000 --threads 3", Signal::INT),
        ("--duration 1h --rate 500 --arrivals uniform --churn 5", Signal::HUP),
    ] {
        let (address, reads) = counting_server(true);
        let running = Running::start(address, &format!("{flags} --warmup 0 --connections 4 --json"));
        wait_until("messages", || reads.load(Relaxed) > 500);
        running.signal(signal);
        let run = Run::of(running.output());
        run.assert_clean();
        assert!(run.count("/messages") >= 100, "{}", run.json);
        assert_eq!(run.json["interrupted"], true);
        assert_eq!(run.stderr, "");
        // The rate is that of the time until then. What was in flight makes the difference, and what a thread
        // did in the one wakeup before it knew.
        let window = run.json["duration_s"].as_f64().unwrap();
        let answered = window * run.json["rate_per_s"].as_f64().unwrap();
        let messages = run.count("/messages") as f64;
        assert!(window < 3_600.0 && (answered - messages).abs() <= 100.0, "{answered}: {}", run.json);
    }
}

#[test]
fn a_run_interrupted_in_its_warm_up_says_that_nothing_was_measured() {
    let _machine = beside_others();
    for flags in ["", "--rate 1000", "--messages 1000000 --threads 2"] {
        let (address, reads) = counting_server(true);
        let flags = format!("--warmup 1h --connections 4 {flags}");
        let start = |more: &str| {
            let seen = reads.load(Relaxed);
            let running = Running::start(address, &format!("{flags} {more}"));
            wait_until("messages", || reads.load(Relaxed) > seen + 100);
            running.signal(Signal::INT);
            running.output()
        };
        let run = Run::of(start("--json"));
        run.assert_clean();
        assert_eq!((run.count("/sent"), run.count("/connections")), (0, 4), "{}", run.json);
        assert_eq!((&run.json["duration_s"], &run.json["interrupted"]), (&0.0.into(), &true.into()));
        let text = String::from_utf8(start("").stdout).unwrap();
        assert!(text.contains("Interrupted before anything was measured."), "{text}");
    }
}

#[test]
fn a_run_interrupted_while_it_connects_has_the_connections_that_there_are() {
    let _machine = beside_others();
    for flags in ["--connect-only", "--warmup 0 --threads 2"] {
        let greeted = Arc::new(AtomicU64::new(0));
        let address = greeting_from(Arc::clone(&greeted));
        let flags = format!("{flags} --greet --connections 2000 --connect-spacing 20ms --json");
        let running = Running::start(address, &flags);
        // A few, so that the first ones are known to the generator too.
        wait_until("connections", || greeted.load(Relaxed) >= 5);
        running.signal(Signal::INT);
        let run = Run::of(running.output());
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert!((1..2_000).contains(&run.count("/connections")), "{}", run.json);
        assert_eq!((run.count("/sent"), &run.json["interrupted"]), (0, &true.into()), "{}", run.json);
    }
}

#[test]
fn a_run_interrupted_before_any_connection_was_there_has_failed() {
    let _machine = beside_others();
    let path = env::temp_dir().join(format!("evenkeel-load-full-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    // Room for one, which is taken: whoever connects next waits for it.
    rustix::net::listen(&listener, 0).unwrap();
    let _first = UnixStream::connect(&path).unwrap();
    let running = Running::start(format!("unix:{}", path.display()), "--json");
    wait_until("that it listens for signals", || running.listens());
    running.signal(Signal::INT);
    let run = Run::of(running.output());
    fs::remove_file(&path).unwrap();
    assert_eq!((run.code, run.count("/connections")), (Some(1), 0), "{}", run.json);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("interrupted"), "{}", run.stderr);
}

#[test]
fn messages_without_an_answer_are_accounted_when_a_run_is_interrupted() {
    let _machine = beside_others();
    let (address, reads) = counting_server(false);
    for flags in ["", "--rate 1000"] {
        let seen = reads.load(Relaxed);
        let running =
            Running::start(address, &format!("{flags} --duration 1h --warmup 0 --connections 4 --json"));
        wait_until("messages", || reads.load(Relaxed) >= seen + 4);
        running.signal(Signal::INT);
        let run = Run::of(running.output());
        run.assert_accounted();
        assert_eq!((run.code, run.count("/messages")), (Some(0), 0), "{}", run.stderr);
        assert!(run.count("/errors/timeout") >= 4, "{}", run.json);
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let _machine = beside_others();
    // The answers that never come are waited for, a second long.
    let (address, reads) = counting_server(false);
    let running = Running::start(address, "--rate 1000 --duration 1h --warmup 0 --connections 4 --json");
    wait_until("messages", || reads.load(Relaxed) > 0);
    // Two of the same could be taken for one.
    running.signal(Signal::INT);
    running.signal(Signal::TERM);
    let output = running.output();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(130), &b""[..]));
}

/// A server that counts its reads, and answers each if it `answers`.
fn counting_server(answers: bool) -> (SocketAddr, Arc<AtomicU64>) {
    let reads = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&reads);
    let address = server(move |mut stream| {
        let mut buffer = [0; 4 << 10];
        loop {
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                len if answers => stream.write_all(&buffer[..len])?,
                _ => {}
            }
            seen.fetch_add(1, Relaxed);
        }
    });
    (address, reads)
}

/// A generator that is to be interrupted. A test that fails leaves nothing behind.
struct Running(Option<Child>);

impl Running {
    fn start(address: impl ToString, flags: &str) -> Self {
        let mut command = command(&address.to_string(), flags);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Self(Some(child))
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.0.as_ref().unwrap()), signal).unwrap();
    }

    /// Whether SIGINT no longer kills it: the mask of its main thread holds signal 2.
    fn listens(&self) -> bool {
        let status = format!("/proc/{}/status", self.0.as_ref().unwrap().id());
        let status = fs::read_to_string(status).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t")).unwrap();
        u64::from_str_radix(mask, 16).unwrap() & 1 << 1 != 0
    }

    fn output(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn wait_until(what: &str, is_there: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_there() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
