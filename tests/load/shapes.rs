//! What connections carry and how they are treated: few that carry much, bursts, users who think, slow readers, small
//! writes, resets, addresses to come from, and connections that are only held.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::{Run, beside_others, command, echo, load, server};

fn messages(run: &Run) -> Vec<u64> {
    let messages = run.json["by_connection"]["messages"].as_array().unwrap();
    messages.iter().map(|count| count.as_u64().unwrap()).collect()
}

#[test]
fn elephants_carry_so_many_times_as_much() {
    let flags = "--connections 8 --shape elephants:2,5 --per-connection --duration 500ms --warmup 0";
    let open = load(server(echo), &format!("{flags} --rate 4000 --arrivals uniform"));
    open.assert_clean();
    // 2,000 messages in 16 shares.
    let counts = messages(&open);
    assert!(counts[..2].iter().all(|count| (620..=630).contains(count)), "{counts:?}");
    assert!(counts[2..].iter().all(|count| (123..=127).contains(count)), "{counts:?}");
    // In closed loop they have so many times as many in flight.
    let in_flight = Arc::new(AtomicU64::new(0));
    let most = Arc::clone(&in_flight);
    let address = server(move |mut stream| {
        let mut buffer = [0; 64 << 10];
        loop {
            // Time for all that may be in flight to be there.
            thread::sleep(Duration::from_millis(20));
            let len = stream.read(&mut buffer)?;
            if len == 0 {
                return Ok(());
            }
            most.fetch_max(len as u64 / 64, Relaxed);
            stream.write_all(&buffer[..len])?;
        }
    });
    load(address, &format!("{flags} --pipeline 3")).assert_clean();
    assert_eq!(in_flight.load(Relaxed), 15);
}

#[test]
fn bursts_are_sent_at_once() {
    let flags = "--rate 4000 --arrivals burst:40 --duration 500ms --warmup 0 --connections 4";
    let run = load(server(echo), flags);
    run.assert_clean();
    assert!(run.count("/sent") > 0 && run.count("/sent").is_multiple_of(40), "{}", run.json);
    assert_eq!(run.json["config"]["arrivals"], "burst:40");
}

#[test]
fn users_think_before_they_go_on() {
    let run = load(server(echo), "--think 20ms --connections 4 --pipeline 5 --duration 1s --warmup 200ms");
    run.assert_clean();
    // 20 users, each of whom takes 20 ms and the time of an answer: 1,000 a second at most, with a deviation of 32.
    assert!((300..=1_160).contains(&run.count("/messages")), "{}", run.json);
    let churned = load(server(echo), "--think 1ms --connections 1 --churn 5 --messages 200");
    churned.assert_clean();
    assert_eq!(churned.count("/connections"), 40);
}

#[test]
fn a_slow_reader_reads_as_slowly_as_it_should() {
    let flags = "--read-rate 100k --size 1k --pipeline 50 --connections 2 --duration 1s --warmup 500ms";
    let run = load(server(echo), flags);
    run.assert_clean();
    let (most, bytes) = (2 * (100 << 10), run.json["rate_per_s"].as_f64().unwrap() * 1_024.0);
    assert!((0.5..=1.1).contains(&(bytes / f64::from(most))), "{bytes} of {most}");
}

#[test]
fn a_slow_reader_finds_what_ended_its_connection() {
    let address = server(|mut stream| {
        let mut buffer = [0; 1_000];
        stream.read_exact(&mut buffer)?;
        stream.write_all(&buffer[..950])
    });
    let run = load(
        address,
        "--read-rate 5000 --size 100 --pipeline 10 --connections 2 --duration 500ms --warmup 0",
    );
    run.assert_accounted();
    assert!(run.count("/errors/short") + run.count("/errors/reset") >= 2, "{}", run.json);
    assert!(run.count("/messages") > 0, "{}", run.json);
}

#[test]
fn writes_are_as_small_as_asked_for() {
    load(server(echo), "--write-chunk 1 --size 64 --messages 50 --connections 2").assert_clean();
    let output =
        strace(&format!("{} --write-chunk 10 --size 64 --messages 20 --connections 1", server(echo)));
    let Some(trace) = output else { return };
    let sent = trace
        .lines()
        .filter(|line| line.contains("sendto("))
        .map(|line| line.rsplit(" = ").next().and_then(|taken| taken.trim().parse::<u64>().ok()).unwrap());
    let sent: Vec<_> = sent.collect();
    assert_eq!((sent.len(), sent.iter().max(), sent.iter().sum()), (20 * 7, Some(&10), 20 * 64u64));
}

/// What the generator's threads asked the kernel for, where there is strace.
fn strace(flags: &str) -> Option<String> {
    let _machine = beside_others();
    let output = std::process::Command::new("strace")
        .args(["-f", "-e", "trace=sendto", "-o", "/dev/stdout", env!("CARGO_BIN_EXE_evenkeel-load")])
        .args(flags.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

#[test]
fn used_up_connections_are_closed_as_asked_for() {
    for (close, resets) in [("fin", false), ("rst", true)] {
        let seen = Arc::new(AtomicU64::new(0));
        let reset = Arc::clone(&seen);
        let address = server(move |stream| {
            let ended = echo(stream);
            let was_reset = ended.as_ref().is_err_and(|it| it.kind() == io::ErrorKind::ConnectionReset);
            reset.fetch_add(u64::from(was_reset), Relaxed);
            ended
        });
        let run = load(address, &format!("--churn 2 --close {close} --connections 1 --messages 100"));
        run.assert_clean();
        assert_eq!(run.count("/connections"), 50);
        wait_for(|| !resets || seen.load(Relaxed) == 50);
        assert!(resets || seen.load(Relaxed) == 0);
    }
}

#[test]
fn connections_come_from_the_network_asked_for() {
    let peers = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&peers);
    let address = server(move |stream| {
        seen.lock().unwrap().push(stream.peer_addr()?.ip().to_string());
        echo(stream)
    });
    let run = load(address, "--source 127.3.0.0/30 --connections 6 --threads 2 --messages 600");
    run.assert_clean();
    wait_for(|| peers.lock().unwrap().len() == 6);
    let mut peers = peers.lock().unwrap().clone();
    peers.sort();
    assert_eq!(peers, ["127.3.0.1", "127.3.0.1", "127.3.0.1", "127.3.0.2", "127.3.0.2", "127.3.0.2"]);
    for (flags, word) in [("--source 203.0.113.0/24", "no address"), ("--source ::1", "families")] {
        let run = load(address, flags);
        assert_eq!((run.code, run.stderr.lines().count()), (Some(2), 1), "{}", run.stderr);
        assert!(run.stderr.contains(word), "{}", run.stderr);
    }
}

#[test]
fn held_connections_are_held_until_a_signal() {
    let _machine = beside_others();
    let open = Arc::new(AtomicU64::new(0));
    let address = counting_open(Arc::clone(&open));
    let flags = "--connect-only --hold --greet --connections 5 --threads 2 --json";
    let child =
        command(&address.to_string(), flags).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(|| open.load(Relaxed) == 5);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(open.load(Relaxed), 5, "they are still there");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let run = Run::of(child.wait_with_output().unwrap());
    assert_eq!((run.code, run.count("/connections")), (Some(0), 5), "{}", run.stderr);
    assert_eq!(run.json["interrupted"], false, "that is how it was to end");
    wait_for(|| open.load(Relaxed) == 0);
}

/// A greeting server that keeps count of what is open.
fn counting_open(open: Arc<AtomicU64>) -> SocketAddr {
    server(move |mut stream: TcpStream| {
        open.fetch_add(1, Relaxed);
        let greeted = stream.write_all(&[0; 16]).and_then(|()| echo(stream));
        open.fetch_sub(1, Relaxed);
        greeted
    })
}

fn wait_for(holds: impl Fn() -> bool) {
    for _ in 0..5_000 {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(2));
    }
    panic!("waited in vain");
}

/// In open loop with several messages in flight, each one's service time runs from its own sending: a server that
/// answers in batches of 10 ms is seen to take between nothing and that, however many went before.
#[test]
fn service_time_runs_from_a_messages_own_sending() {
    let address = server(|mut stream| {
        let mut buffer = [0; 64 << 10];
        loop {
            thread::sleep(Duration::from_millis(10));
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                len => stream.write_all(&buffer[..len])?,
            }
        }
    });
    let run = load(address, "--rate 2000 --connections 1 --duration 1s --warmup 200ms");
    run.assert_clean();
    let p50_ns = run.count("/service_latency/p50");
    assert!((3_000_000..=20_000_000).contains(&p50_ns), "half of a batch, with some delay: {p50_ns} ns");
    assert!(run.count("/latency/p50") >= p50_ns, "{}", run.json);
}
