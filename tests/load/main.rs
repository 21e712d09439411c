//! evenkeel-load against servers that are right, wrong, gone, or stalled.
//!
//! The servers here are plain threads with blocking sockets, so that the generator is judged by something
//! that shares no code with it.
#![cfg(feature = "tools")]

mod detail;
mod interrupt;
mod records;
mod shapes;

use std::{
    env,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixListener,
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hdrhistogram::{Histogram, serialization::Deserializer};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A run that ended: its exit status, its JSON, and what it said.
struct Run {
    code: Option<i32>,
    json: Value,
    stderr: String,
}

impl Run {
    fn of(output: Output) -> Self {
        let stdout = String::from_utf8(output.stdout).unwrap();
        Self {
            code: output.status.code(),
            json: serde_json::from_str(&stdout).unwrap_or(Value::Null),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn count(&self, pointer: &str) -> u64 {
        self.json
            .pointer(pointer)
            .and_then(Value::as_u64)
            .unwrap_or_else(|| panic!("{pointer} in {}", self.json))
    }

    fn histogram(&self, name: &str) -> Histogram<u64> {
        let encoded = self.json[name]["hdr"].as_str().unwrap();
        let bytes = STANDARD.decode(encoded).unwrap();
        Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap()
    }

    /// Every message that was issued ended in exactly one way.
    fn assert_accounted(&self) {
        let ended = self.count("/messages") + self.count("/errors/timeout") + self.count("/lost");
        assert_eq!(self.count("/sent"), ended, "{}", self.json);
        let recorded = self.count("/messages") + self.count("/errors/timeout");
        assert_eq!(self.count("/latency/count"), recorded, "{}", self.json);
        assert_eq!(self.count("/send_lag/count"), self.count("/sent"), "{}", self.json);
    }

    fn assert_clean(&self) {
        self.assert_accounted();
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        assert_eq!(self.count("/sent"), self.count("/messages"), "{}", self.json);
        for kind in ["connect", "reset", "timeout", "mismatch", "short"] {
            assert_eq!(self.count(&format!("/errors/{kind}")), 0, "{}", self.json);
        }
    }
}

fn command(address: &str, flags: &str) -> Command {
    let mut command = Command::new("env");
    // Whoever runs the tests may have hangups ignored (nohup).
    command.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_evenkeel-load")]);
    command.arg(address).args(flags.split_whitespace()).stdin(Stdio::null());
    command
}

/// Tests about time run alone: with a dozen generators beside them on two cores they would measure those.
static MACHINE: RwLock<()> = RwLock::new(());

fn beside_others() -> impl Drop {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

fn alone() -> impl Drop {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

fn load(address: impl ToString, flags: &str) -> Run {
    let _machine = beside_others();
    Run::of(command(&address.to_string(), flags).arg("--json").output().unwrap())
}

/// Serves each connection by `serve` on a thread of its own, for as long as the test process lives.
fn server(serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || serve_all(&listener, serve));
    address
}

fn serve_all(listener: &TcpListener, serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) {
    let serve = Arc::new(serve);
    for stream in listener.incoming().map_while(Result::ok) {
        let serve = Arc::clone(&serve);
        // How a connection ends is what the client is asked about.
        thread::spawn(move || stream.set_nodelay(true).and_then(|()| serve(stream)));
    }
}

fn echo(mut stream: impl Read + Write) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            len => stream.write_all(&buffer[..len])?,
        }
    }
}

#[test]
fn a_closed_loop_counts_exactly_what_was_asked_for() {
    let bytes = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&bytes);
    let address = server(move |mut stream| {
        let mut buffer = [0; 1_000];
        loop {
            let len = stream.read(&mut buffer)?;
            if len == 0 {
                return Ok(());
            }
            seen.fetch_add(len as u64, Relaxed);
            stream.write_all(&buffer[..len])?;
        }
    });
    let run = load(address, "--messages 20001 --connections 7 --size 100 --pipeline 3 --threads 2");
    run.assert_clean();
    assert_eq!(run.count("/messages"), 20_001);
    assert_eq!(run.count("/bytes"), 2_000_100);
    assert_eq!(run.count("/connections"), 7);
    assert_eq!(bytes.load(Relaxed), 2_000_100);
    assert_eq!(run.json["schema"], "evenkeel-load/1");
    assert_eq!(run.json["interrupted"], false);
}

#[test]
fn messages_of_every_size_come_back_whole() {
    let address = server(echo);
    for (size, messages) in [("1", 3_000), ("63k", 200), ("3M", 20)] {
        let flags = format!("--size {size} --messages {messages} --connections 3 --pipeline 4");
        let run = load(address, &flags);
        run.assert_clean();
        assert_eq!(run.count("/messages"), messages);
    }
}

#[test]
fn a_unix_socket_is_driven_as_well() {
    let path = env::temp_dir().join(format!("evenkeel-load-test-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    // A short accept queue, so that connecting finds it full: std asks for the longest.
    rustix::net::listen(&listener, 4).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || echo(stream));
        }
    });
    // Messages are larger than a socket's buffer.
    let run = load(
        format!("unix:{}", path.display()),
        "--connections 300 --messages 3000 --size 300k --pipeline 2",
    );
    std::fs::remove_file(&path).unwrap();
    run.assert_clean();
    assert_eq!(run.count("/connections"), 300);
}

#[test]
fn the_window_leaves_out_the_warm_up() {
    let run = load(server(echo), "--duration 400ms --warmup 400ms --connections 4");
    run.assert_clean();
    assert_eq!(run.json["duration_s"], 0.4);
    let (messages, rate) = (run.count("/messages") as f64, run.json["rate_per_s"].as_f64().unwrap());
    // Those in flight at either end of the window make the difference.
    assert!((rate * 0.4 - messages).abs() <= 8.0, "{messages} messages, {rate}/s");
}

#[test]
fn one_wrong_byte_is_found_and_fails_the_run() {
    let address = server(|mut stream| {
        let mut buffer = [0; 640];
        stream.read_exact(&mut buffer)?;
        buffer[333] ^= 1;
        stream.write_all(&buffer)?;
        echo(stream)
    });
    let flags = "--connections 1 --pipeline 10 --duration 200ms --warmup 0";
    let run = load(address, flags);
    assert_eq!(run.code, Some(1));
    assert!(run.count("/errors/mismatch") >= 1, "{}", run.json);
    assert!(run.stderr.contains("byte 333 of its connection"), "{}", run.stderr);
    run.assert_accounted();
    load(address, &format!("{flags} --no-verify")).assert_clean();
}

#[test]
fn bytes_that_were_never_sent_are_found() {
    let address = server(|mut stream| {
        stream.write_all(b"hello")?;
        echo(stream)
    });
    let run = load(address, "--connections 2 --duration 200ms --warmup 0");
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("--greet"), "{}", run.stderr);
}

#[test]
fn nobody_listening_is_a_failure_in_one_line() {
    // Bound but not listening: refused, and nobody else can take the port.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let run = load(address, "--connections 3");
    assert_eq!((run.code, run.count("/errors/connect")), (Some(1), 3));
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains(&address.to_string()) && run.stderr.contains("refused"), "{}", run.stderr);
}

#[test]
fn wrong_flags_exit_with_2_and_one_line() {
    for flags in [
        "--connections 0",
        "--size 0",
        "--pipeline 0",
        "--rate 0",
        "--rate NaN",
        "--duration 0",
        "--threads 3 --connections 2",
        "--cores 60000",
        "--connections 900000",
        "--hlog no/such/folder/x",
        "--nonsense",
        "extra",
    ] {
        let run = load("127.0.0.1:9", flags);
        assert_eq!((run.code, &run.json), (Some(2), &Value::Null), "{flags}");
        assert_eq!(run.stderr.lines().count(), 1, "{flags}: {}", run.stderr);
        assert!(run.stderr.starts_with("evenkeel-load: "), "{flags}: {}", run.stderr);
    }
    for address in ["127.0.0.1:0", "127.0.0.1", "[::1", "unix:", "no such host:1"] {
        let run = load(address, "");
        assert_eq!((run.code, run.stderr.lines().count()), (Some(2), 1), "{address}: {}", run.stderr);
    }
}

/// A server that greets as worker `sequence % 3`.
fn greeting_server() -> SocketAddr {
    greeting_from(Arc::default())
}

fn greeting_from(sequence: Arc<AtomicU64>) -> SocketAddr {
    server(move |mut stream| {
        let own = sequence.fetch_add(1, Relaxed);
        stream.write_all(&[(own % 3).to_le_bytes(), own.to_le_bytes()].concat())?;
        echo(stream)
    })
}

#[test]
fn greetings_group_by_worker() {
    let run = load(greeting_server(), "--greet --connections 9 --messages 3000 --threads 2");
    run.assert_clean();
    let workers = run.json["by_worker"].as_array().unwrap();
    assert_eq!(workers.len(), 3);
    for (index, worker) in workers.iter().enumerate() {
        assert_eq!(
            (worker["worker"].as_u64(), worker["connections"].as_u64()),
            (Some(index as u64), Some(3))
        );
        assert_eq!(worker["messages"], worker["latency"]["count"]);
    }
    let messages: u64 = workers.iter().map(|worker| worker["messages"].as_u64().unwrap()).sum();
    assert_eq!(messages, 3_000);
}

/// As where the server's side of a handshake takes three SYN-ACKs: longer than answers are waited for.
#[test]
fn a_late_greeting_is_waited_for() {
    const LATE: Duration = Duration::from_secs(6);
    let begun = Instant::now();
    let address = server(move |mut stream| {
        if begun.elapsed() > Duration::from_millis(200) {
            thread::sleep(LATE);
        }
        stream.write_all(&[0; 16])?;
        echo(stream)
    });
    let run = load(address, "--greet --connections 2 --churn 1 --warmup 0 --duration 400ms");
    assert!(begun.elapsed() > LATE, "the last connections were greeted late");
    assert_eq!(run.count("/by_worker/0/connections"), run.count("/connections"), "{}", run.stderr);
}

#[test]
fn connections_may_be_opened_greeted_and_held() {
    let run =
        load(greeting_server(), "--greet --connect-only --connections 30 --connect-spacing 2ms --threads 2");
    assert_eq!((run.code, run.count("/connections"), run.count("/messages")), (Some(0), 30, 0));
    assert!(run.json["duration_s"].as_f64().unwrap() >= 29.0 * 0.002);
    let workers = run.json["by_worker"].as_array().unwrap();
    assert!(workers.iter().all(|worker| worker["connections"] == 10), "{workers:?}");
}

#[test]
fn what_is_no_greeting_is_not_taken_for_one() {
    let run = load(server(echo), "--greet --connections 2 --size 100 --duration 200ms --warmup 0");
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("no greeting"), "{}", run.stderr);
}

#[test]
fn churn_replaces_connections_and_loses_nothing() {
    let one = load(server(echo), "--churn 10 --connections 1 --messages 1000");
    one.assert_clean();
    assert_eq!(one.count("/connections"), 100);
    assert_eq!(one.count("/connect_latency/count"), 100);
    let pipelined =
        load(greeting_server(), "--churn 10 --pipeline 4 --connections 8 --messages 1000 --greet");
    pipelined.assert_clean();
    let (opened, messages) = (pipelined.count("/connections"), pipelined.count("/messages"));
    assert!((100..108).contains(&opened) && messages == 1_000, "{opened} connections");
    let open = load(server(echo), "--churn 5 --connections 4 --rate 4000 --duration 500ms --warmup 0");
    open.assert_clean();
    let (opened, messages) = (open.count("/connections"), open.count("/messages"));
    assert!(opened >= messages / 5 && opened <= messages / 5 + 4, "{opened} for {messages}");
}

#[test]
fn a_stream_that_ends_early_is_short_and_the_run_goes_on() {
    let address = server(|mut stream| {
        let mut buffer = [0; 1_000];
        stream.read_exact(&mut buffer)?;
        stream.write_all(&buffer[..950])?;
        stream.shutdown(Shutdown::Write)?;
        stream.read_to_end(&mut Vec::new()).map(|_| ())
    });
    let run = load(address, "--size 100 --pipeline 10 --connections 2 --duration 300ms --warmup 0");
    run.assert_accounted();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.count("/errors/short") >= 2, "{}", run.json);
    // Of each connection 9 messages came back, and 10 or 11 were sent.
    assert!(run.count("/messages") > 0 && run.count("/messages") % 9 == 0, "{}", run.json);
    assert!(run.count("/lost") >= run.count("/errors/short"), "{}", run.json);
}

#[test]
fn a_server_that_never_answers_is_in_the_latencies() {
    let address = server(|mut stream| stream.read_to_end(&mut Vec::new()).map(|_| ()));
    let run = load(address, "--rate 200 --arrivals uniform --duration 500ms --warmup 0 --connections 2");
    run.assert_accounted();
    assert_eq!((run.count("/messages"), run.count("/errors/timeout")), (0, 100), "{}", run.json);
    assert_eq!(run.json["fell_short"], true);
    // Given up 5 s after the end: the message that was due first has waited longest.
    assert!(run.count("/latency/min") >= 5_000_000_000, "{}", run.json);
}

#[test]
fn an_open_loop_offers_the_rate() {
    let run = load(server(echo), "--rate 3000 --arrivals uniform --duration 1s --warmup 200ms --threads 2");
    run.assert_clean();
    // Each thread's window may catch one message more or less.
    assert!((2_998..=3_002).contains(&run.count("/sent")), "{}", run.json);
    assert!(run.json["fell_short"].is_boolean());
    assert!(run.count("/latency/min") >= run.count("/service_latency/min"));
}

#[test]
fn a_closed_stdout_is_no_failure() {
    let _machine = beside_others();
    let mut child =
        command(&server(echo).to_string(), "--messages 100").stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_text_fits_80_columns_and_has_no_colour() {
    let _machine = beside_others();
    let mute = server(|mut stream| stream.read_to_end(&mut Vec::new()).map(|_| ()));
    for (address, flags, words) in [
        (greeting_server(), "--greet --messages 2000", "worker"),
        (mute, "--rate 1000 --duration 100ms --warmup 0", "never answered"),
    ] {
        let output = command(&address.to_string(), flags).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("p99.9") && text.contains(words), "{text}");
        assert!(!text.contains('\x1b') && output.stderr.is_empty(), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}

/// An echo server in a process of its own, so that it can be stopped as a whole.
struct ServerProcess {
    child: Child,
    address: String,
}

/// Makes `server_process` serve.
const SERVE: &str = "EVENKEEL_TEST_SERVE";

/// Not a test: what `ServerProcess` runs. It ends when its standard input does, that is, with the test.
#[test]
#[ignore = "the server process of other tests"]
fn server_process() {
    if env::var_os(SERVE).is_none() {
        return;
    }
    let port = env::var(SERVE).unwrap();
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    eprintln!("serving {}", listener.local_addr().unwrap());
    thread::spawn(move || serve_all(&listener, echo));
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
    std::process::exit(0);
}

impl ServerProcess {
    fn start(port: u16) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "server_process", "--ignored", "--nocapture"])
            .env(SERVE, port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = lines
            .filter_map(|line| line.strip_prefix("serving ").map(str::to_owned))
            .next()
            .expect("the server process says where it serves");
        Self { child, address }
    }

    fn port(&self) -> u16 {
        self.address.parse::<SocketAddr>().unwrap().port()
    }

    /// Stops the process for about `time`; how long it really was.
    fn stall(&self, time: Duration) -> Duration {
        stall(&self.child, time)
    }
}

fn stall(process: &Child, time: Duration) -> Duration {
    let pid = Pid::from_child(process);
    let start = Instant::now();
    kill_process(pid, Signal::STOP).unwrap();
    thread::sleep(time);
    kill_process(pid, Signal::CONT).unwrap();
    start.elapsed()
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the generator for 3 s against a server that is stopped for half a second in the middle.
fn stalled(flags: &str) -> (Run, Duration) {
    let _machine = alone();
    let server = ServerProcess::start(0);
    let child = command(&server.address, flags)
        .args(["--duration", "3s", "--warmup", "300ms", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_millis(1_500));
    let stall = server.stall(Duration::from_millis(500));
    (Run::of(child.wait_with_output().unwrap()), stall)
}

/// How often an experiment with a stall is tried. The machine's own stalls come on top of ours and only ever
/// add slow messages: too few are a defect at once, too many are one if it happens each time.
const TRIES: usize = 5;

/// The share of messages that a stall makes wait for at least half of it is arithmetic in open loop: they
/// were due in its first half.
#[test]
fn an_open_loop_shows_a_stall() {
    let is_as_computed = |_| {
        let (run, stall) = stalled("--rate 2000 --connections 16");
        run.assert_clean();
        let latency = run.histogram("latency");
        let slow = latency.count_between(stall.as_nanos() as u64 / 2, u64::MAX) as f64;
        let expected = 2_000.0 * stall.as_secs_f64() / 2.0;
        let max_per_stall = latency.max() as f64 / stall.as_nanos() as f64;
        assert!(slow >= 0.7 * expected && max_per_stall >= 0.9, "{slow} of {expected}, max {max_per_stall}");
        slow < 1.4 * expected && max_per_stall < 1.5
    };
    assert!((0..TRIES).any(is_as_computed), "far more messages were slow than were due in the stall");
}

/// In closed loop only those can notice that were in flight when it began.
#[test]
fn a_closed_loop_omits_a_stall() {
    let is_as_computed = |_| {
        let (run, stall) = stalled("--connections 16");
        run.assert_clean();
        let latency = run.histogram("latency");
        let slow = latency.count_between(stall.as_nanos() as u64 / 2, u64::MAX);
        assert!(slow >= 1 && latency.max() as f64 >= 0.9 * stall.as_nanos() as f64, "{slow}");
        slow <= 16
    };
    assert!((0..TRIES).any(is_as_computed), "more messages were slow than were in flight");
}

/// The other way round: a generator that was late says so, and its messages don't look faster for it.
#[test]
fn a_late_generator_tells_on_itself() {
    let is_as_computed = |_| {
        let _machine = alone();
        let child = command(&server(echo).to_string(), "--rate 2000 --duration 2s --warmup 0 --json")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(700));
        let stall = stall(&child, Duration::from_millis(400));
        let run = Run::of(child.wait_with_output().unwrap());
        run.assert_clean();
        let slow = |name| run.histogram(name).count_between(stall.as_nanos() as u64 / 2, u64::MAX) as f64;
        let expected = 2_000.0 * stall.as_secs_f64() / 2.0;
        let (latency, lag) = (slow("latency"), slow("send_lag"));
        assert!(latency.min(lag) >= 0.7 * expected, "{latency} and {lag} of {expected}");
        latency.max(lag) < 1.4 * expected && slow("service_latency") < 0.2 * expected
    };
    assert!((0..TRIES).any(is_as_computed), "far more messages were slow than were due in the stall");
}

#[test]
fn a_server_that_comes_back_is_used_again() {
    let _machine = beside_others();
    let server = ServerProcess::start(0);
    let port = server.port();
    let child = command(&server.address, "--connections 4 --duration 2s --warmup 0 --json")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_millis(500));
    drop(server);
    thread::sleep(Duration::from_millis(300));
    let _server = ServerProcess::start(port);
    let run = Run::of(child.wait_with_output().unwrap());
    run.assert_accounted();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.count("/connections") >= 8, "{}", run.json);
    assert!(run.count("/errors/connect") > 0, "{}", run.json);
    // A connection that ended between two messages owed nothing, and is no error: at most 4 are.
    assert!(run.count("/errors/reset") + run.count("/errors/short") <= 4, "{}", run.json);
}
