//! What can't be done is said: one line on stderr that names what is wrong, exit status 2, nothing started.
//!
//! Never a panic, never a backtrace, never half a start; and whoever stops listening to stdout or stderr is no
//! error at all.

mod support;

use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    process::{Command, Output, Stdio},
};

use evenkeel::AcceptMode;
use rustix::process::{Pid, Signal, kill_process};
use support::{PATIENCE, Server, TempDir, evenkeel, eventually, skip};

/// Where any port will do.
const FREE: &str = "--listen 127.0.0.1:0";

/// What the command line is refused for, before anything else is looked at.
const USAGE: &[(&str, &str)] = &[
    ("", "say what to do: echo, proxy, run, check, config, report, selftest, completions or man"),
    ("serve", "there is no command 'serve': use echo, proxy, run,"),
    ("echo", "--listen <ADDR> is missing"),
    ("echo --listen", "--listen needs a value"),
    ("echo --listen 127.0.0.1:0 --frobnicate", "unexpected argument '--frobnicate'"),
    ("echo --listen 127.0.0.1:0 --worker 2", "'--workers'"),
    ("echo --listen 127.0.0.1:0 stray", "unexpected argument 'stray'"),
    ("echo --listen 127.0.0.1:0 -q -v", "'--quiet' cannot be used with '--verbose'"),
    (
        "echo --listen 127.0.0.1:0 --accept shared --accept rotate",
        "'--accept <MODE>' cannot be used multiple",
    ),
    ("report", "<FILE>... is missing"),
    ("report one --format pdf", "--format: 'pdf' is none of text, json, html"),
    ("report - --diff -", "stdin (-) can be read only once"),
];

/// Addresses that can't be listened on, whoever tries.
const ADDRESSES: &[(&str, &str)] = &[
    ("", "(no port): write HOST:PORT"),
    ("127.0.0.1", "(no port)"),
    ("127.0.0.1:http", "(the port is not a number)"),
    ("127.0.0.1:-1", "(the port is not a number)"),
    ("127.0.0.1:65536", "(a port is 0 to 65535)"),
    ("::1:80", "an IPv6 address goes in brackets"),
    ("[::1:80", "between the brackets is no IPv6 address"),
    ("unix:", "(no path)"),
    // 192.0.2.0/24 and 2001:db8::/32 are for examples (RFC 5737, RFC 3849): nobody has them.
    ("192.0.2.1:0", "192.0.2.1:0: cannot assign requested address; it is not an address of this machine"),
    ("unix:/nonexistent/evenkeel.sock", "no such file or directory; make the folder first"),
];

/// Flags of `echo` with values that make no sense.
const VALUES: &[(&str, &str)] = &[
    ("--workers 0", "use 1 or more, or auto"),
    ("--workers -1", "--workers: '-1' is not a number of workers"),
    ("--workers many", "--workers: 'many' is not a number of workers: write 1 or more, or auto"),
    ("--workers 1025", "1025 workers are too many: use at most 1024"),
    ("--workers 99999999999999999999999", "is not a number of workers"),
    ("--cores ''", "--cores: '' is not a list of cores: write numbers and ranges, such as 0-3,6"),
    ("--cores 3-1", "'3-1' is not a list of cores"),
    ("--cores -1", "'-1' is not a list of cores"),
    ("--cores 8191", "core 8191 is not to be had: this process may use cores "),
    ("--cores 0-8191", "is not to be had: this process may use cores "),
    ("--accept reuseport", "'reuseport' is not an accept mode: use private, local, shared"),
    ("--trigger both", "--trigger: 'both' is not a trigger: use level, edge, oneshot"),
    ("--listen-trigger both", "--listen-trigger: 'both' is not a trigger: use level, edge, oneshot"),
    ("--poll busy", "'busy' is not a poll mode: use block, spin, adaptive or adaptive:50us"),
    ("--poll block:1ms", "only adaptive takes a duration"),
    ("--poll adaptive:0us", "--poll: '0us' is no time at all"),
    (
        "--accept exclusive --listen-trigger oneshot",
        "accept mode exclusive cannot have listen trigger oneshot",
    ),
    ("--accept rotate --listen-trigger oneshot", "(EINVAL); use level or edge"),
    ("--deal random", "'random' is not a way to deal: use round-robin, least-loaded"),
    ("--rotate-every 0", "rotate-every must be 1 or more"),
    ("--rotate-every -1", "--rotate-every: '-1' is not a number of accepts: write 1 or more"),
    ("--rotate-every 4294967296", "--rotate-every: '4294967296'"),
    ("--accept-budget 0", "accept-budget must be 1 or more"),
    ("--accept-budget -1", "--accept-budget: '-1' is not a number of accepts: write 1 or more, or unlimited"),
    ("--budget 0", "budget must be 1 or more"),
    ("--budget -1", "--budget: '-1' is not a size"),
    ("--budget 64q", "'64q' is not a size: write bytes, or a number with k, M or G"),
    ("--budget 99999999999G", "is not a size"),
    ("--backlog 0", "backlog must be 1 or more"),
    ("--backlog -1", "--backlog: '-1' is not the length of a queue"),
    ("--backlog 4294967296", "--backlog: '4294967296' is not the length of a queue"),
    ("--duration 0", "--duration: '0' is no time at all: give a duration above zero, such as 10s"),
    ("--duration 0s", "is no time at all"),
    ("--duration 10", "'10' is not a duration: write a number and a unit, such as 50us, 10ms, 2s or 5m"),
    ("--duration -1s", "--duration: '-1s' is not a duration"),
    ("--duration 9e9h", "'9e9h' is not a duration"),
    ("--duration", "--duration needs a value"),
    ("--drain never", "--drain: 'never' is not a duration"),
    ("--idle-timeout 0", "--idle-timeout: '0' is no time at all"),
    ("--report-every 0ms", "--report-every: '0ms' is no time at all"),
    ("--report xml", "--report: 'xml' is none of text, json, none"),
    ("--measure some", "'some' is not a measuring level: use off, counts, full"),
    ("--seed -1", "--seed: '-1' is not a seed"),
    ("--unix-mode 0888", "'0888' is not a file mode: write octal digits, such as 0660"),
    ("--unix-mode 7777", "'7777' is not a file mode"),
    ("--work slowly", "'slowly' is no work (no distribution): write spin:DIST or block:DIST"),
    ("--work burn:fixed:1ms", "'burn' is neither spin nor block"),
    ("--work spin:gauss:1ms", "'gauss' is none of fixed, exp, bimodal"),
    ("--work spin:fixed:1", "'1' is not a duration"),
    ("--work block:bimodal:1ms,2ms,3", "the share '3' is not between 0 and 1"),
    ("--work block:bimodal:1ms,2ms", "bimodal takes two times and a share"),
    ("--report-file /nonexistent/report", "/nonexistent/report: no such file or directory; choose a path"),
    ("--report-file /", "cannot write the report to /: is a directory"),
    ("--hlog -", "--hlog: stdout carries reports: name a file, or off"),
    (
        "--hlog /nonexistent/log",
        "cannot write the interval log to /nonexistent/log: no such file or directory; choose",
    ),
    ("--hlog /", "cannot write the interval log to /: is a directory; choose a path"),
    ("--hlog log --measure counts", "with --measure counts nothing is timed, so --hlog has nothing to log"),
];

/// Contents of files that aren't reports.
const NO_REPORTS: &[(&str, &str)] = &[
    ("", "there is nothing in it"),
    ("accepted: 400\n", "not JSON: expected value at line 1 column 1"),
    ("{\"schema\":\"evenkeel-report/1\",", "not JSON: EOF while parsing"),
    ("[1, 2]", "JSON, but no evenkeel report: it has no \"schema\""),
    ("{\"schema\":\"evenkeel-load/1\"}", "its schema is \"evenkeel-load/1\""),
    ("{\"schema\":\"evenkeel-report/2\"}", "from a newer evenkeel; this one reads evenkeel-report/1"),
    ("{\"schema\":\"evenkeel-report/1\",\"workers\":7}", "damaged evenkeel-report/1: invalid type"),
];

#[test]
fn the_command_line() {
    for (line, says) in USAGE {
        assert_refused(&words(line), &[says]);
    }
}

/// Flags of a proxy to 127.0.0.1:9 that make no sense, or not together.
const PROXY: &[(&str, &str)] = &[
    ("--upstream dns:web", "--upstream: 'web' is no name to look up (no port): write HOST:PORT"),
    ("--upstream dns:10.0.0.1:80", "(it is an address already, which is no name)"),
    ("--upstream dns:web:0", "(a port is 1 to 65535)"),
    ("--upstream srv:web:80", "--upstream: 'web:80' is no name of SRV records (its records have the ports)"),
    ("--upstream srv:_web._tcp.internal=2", "have their own weights: leave the weight out"),
    ("--backup 127.0.0.1:9", "--upstream: upstream 127.0.0.1:9 is named twice"),
    ("--backup 10.0.0.1", "--backup: '10.0.0.1' is not an address (no port)"),
    ("--health-interval 0", "--health-interval: '0' is no time at all"),
    ("--health-interval 5", "--health-interval: '5' is not a duration"),
    ("--health-rise 0", "--health-rise: '0' is not a number of times in a row: write 1 or more"),
    ("--health-fall -1", "--health-fall: '-1' is not a number of times in a row"),
    ("--health-port 0", "--health-port: '0' is not a port: write 1 to 65535"),
    ("--health-port 80", "--health-port: nobody is checked without a health interval: set it too"),
    ("--health-expect OK", "--health-expect: nobody is checked without a health interval"),
    (
        "--health-send \\q",
        "--health-send: '\\q' has a \\ that stands for nothing: use \\r, \\n, \\t, \\\\ or \\xHH",
    ),
    ("--health-interval 1s --health-expect ''", "--health-expect: expect 1 to 4096 bytes, or none"),
    ("--health-http health", "--health-http: 'health' is nothing to ask a server for: write a path"),
    ("--health-http-status 2xx", "--health-http-status: '2xx' are no statuses: write numbers and ranges"),
    (
        "--health-interval 1s --health-http-status 200",
        "--health-http-status: only a check by HTTP has a status",
    ),
    (
        "--health-interval 1s --health-http / --health-send x",
        "--health-send: a check by HTTP sends its own request",
    ),
    ("--health-proxy v3", "--health-proxy: 'v3' is not a version of the PROXY protocol: use v1, v2"),
    ("--health-on-down close", "--health-on-down: nobody is checked without a health interval"),
    ("--health-on-down reset", "--health-on-down: 'reset' is not what to do with sessions: use keep, close"),
    (
        "--health-slow-start 30s",
        "--health-slow-start: no member would ever come back: set the health interval too",
    ),
    ("--health-eject-after 0", "--health-eject-after: '0' is not a number of times in a row"),
    ("--health-interval 1s --health-port 1 --upstream unix:/a", "--health-port: unix:/a has no ports"),
    ("--limit-connections 0", "--limit-connections: a limit of 0 would let nobody in: use 1 or more, or off"),
    ("--limit-upstream many", "--limit-upstream: 'many' is not a limit: write 1 or more, or off"),
    ("--limit-source-v6-prefix 129", "--limit-source-v6-prefix: '129' is not the length of an IPv6 prefix"),
    ("--limit-accept-rate 0/s", "--limit-accept-rate: '0/s' would let nobody in: use 1 or more, or off"),
    ("--limit-accept-rate 2000", "--limit-accept-rate: '2000' is not a rate: write a number per time"),
    ("--limit-queue 5", "--limit-queue: nobody would ever wait in a queue: it takes a limit"),
    ("--limit-queue -1", "--limit-queue: '-1' is not the length of a queue: write 0 or more"),
    (
        "--limit-connections 9 --limit-queue 5 --limit-queue-timeout 0",
        "--limit-queue-timeout: '0' is no time",
    ),
    ("--max-connections 0", "--max-connections: a limit of 0 would let nobody in"),
    (
        "--on-fd-limit close",
        "--on-fd-limit: 'close' is not what to do at the descriptor limit: use wait, shed",
    ),
    ("--resolver localhost", "--resolver: 'localhost' is not the address of a DNS server: write IP:PORT"),
    ("--resolver 127.0.0.1:0", "is not the address of a DNS server"),
    ("--allow 10.1.2.3/8", "--allow: '10.1.2.3/8' has bits set beyond its prefix: did you mean 10.0.0.0/8?"),
    ("--allow localhost", "--allow: 'localhost' is not a network: write one such as 10.0.0.0/8"),
    ("--deny 10.0.0.0/33", "--deny: '10.0.0.0/33' has a prefix of 33 bits, but its addresses have 32"),
    ("--allow ::1 --deny ::1", "--deny: ::1 is allowed and denied: choose one"),
    ("--proxy-protocol-accept-from all", "--proxy-protocol-accept-from: 'all' is not a network"),
    ("--proxy-protocol-send v3", "--proxy-protocol-send: 'v3' is not a version of the PROXY protocol"),
    ("--header-timeout 0s", "--header-timeout: '0s' is no time at all"),
    (
        "--work none",
        "unexpected argument '--work': it is a flag of echo; a file has it as work of a [[service]]",
    ),
];

#[test]
fn flags_of_a_proxy() {
    for (flags, says) in PROXY {
        assert_refused(&words(&format!("proxy {FREE} --upstream 127.0.0.1:9 {flags}")), &[says]);
    }
}

#[test]
fn addresses() {
    for (address, says) in ADDRESSES {
        assert_refused(&["echo", "--listen", address], &[says]);
    }
    let long = format!("unix:/tmp/{}", "x".repeat(108));
    assert_refused(&["echo", "--listen", &long], &["a unix socket's path has at most 107 bytes"]);
}

#[test]
fn values() {
    for (flags, says) in VALUES {
        assert_refused(&words(&format!("echo {FREE} {flags}")), &[says]);
    }
}

#[test]
fn a_port_that_another_program_has() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    for accept in AcceptMode::ALL {
        assert_refused(
            &["echo", "--listen", &address, "--accept", accept.name()],
            &[&address, "address already in use; stop whoever has it"],
        );
    }
}

/// SO_REUSEPORT would let a second server of the same user share the port with the first, silently.
#[test]
fn a_port_that_another_evenkeel_has() {
    for first in AcceptMode::ALL {
        let server = Server::start(&["--workers", "2", "--accept", first.name()]);
        let address = server.address().to_string();
        for second in AcceptMode::ALL {
            let arguments = ["echo", "--listen", &address, "--accept", second.name(), "--workers", "2"];
            assert_refused(&arguments, &[&address, "already in use"]);
        }
        drop(server.connect());
        assert_eq!(support::total(&server.report(), "accepted"), 1, "{first}: the first one serves on");
    }
}

#[test]
fn of_several_addresses_all_are_bound_or_none() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("it is bound").to_string();
    let folder = TempDir::new();
    let socket = format!("unix:{}", folder.file("socket"));
    assert_refused(&["echo", "--listen", &socket, "--listen", &taken], &[&taken, "already in use"]);
    let left: Vec<_> = fs::read_dir(folder.path()).expect("it is ours").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_port_that_only_root_may_have() {
    let path = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    let first_free = fs::read_to_string(path).ok().and_then(|start| start.trim().parse::<u16>().ok());
    if first_free.is_none_or(|first| first <= 1) {
        return skip("no port is privileged here (net.ipv4.ip_unprivileged_port_start)");
    }
    let folder = TempDir::new();
    let Some(unprivileged) = unprivileged(&folder) else { return };
    let says = ["127.0.0.1:1: permission denied; choose a port from 1024 on"];
    assert_refused_by(unprivileged, &["echo", "--listen", "127.0.0.1:1"], &says);
}

#[test]
fn a_folder_that_one_may_not_write_to() {
    let (binary, folder) = (TempDir::new(), TempDir::new());
    let Some(mut unprivileged) = unprivileged(&binary) else { return };
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).expect("it is ours");
    let socket = format!("unix:{}", folder.file("socket"));
    let arguments = ["echo", "--listen", &socket, "--accept", "shared"];
    let output = unprivileged.args(arguments).output().expect("the binary starts");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
    assert_complaint(
        &arguments,
        &output,
        &[&socket, "permission denied; choose a folder that you may write to"],
    );
}

#[test]
fn a_unix_path_with_something_else_at_it() {
    let folder = TempDir::new();
    let file = folder.file("notes.txt");
    fs::write(&file, "precious").expect("it is ours");
    let says = "what is there is no socket; remove it, or choose another path";
    for path in [file.as_str(), folder.path().to_str().expect("UTF-8")] {
        assert_refused(&["echo", "--listen", &format!("unix:{path}")], &[path, says]);
    }
    assert_eq!(fs::read_to_string(&file).expect("it is still there"), "precious");
}

#[test]
fn a_unix_socket_that_somebody_listens_on() {
    let folder = TempDir::new();
    let path = folder.file("socket");
    let listener = UnixListener::bind(&path).expect("a fresh path");
    let address = format!("unix:{path}");
    for accept in AcceptMode::ALL {
        let arguments = ["echo", "--listen", &address, "--accept", accept.name()];
        assert_refused(&arguments, &[&address, "already in use; stop whoever has it"]);
    }
    drop(listener);
    let server = Server::start_with(evenkeel(), &["echo", "--listen", &address, "--report", "json"]);
    assert_eq!(server.listening(), [address], "a socket file that nobody listens on is replaced");
    server.report();
}

/// From too few to find the libraries up to enough to serve: it serves, or says what to raise, and leaves nothing.
#[test]
fn too_few_descriptors() {
    let folder = TempDir::new();
    let listen = format!("{FREE} --listen unix:{}", folder.file("socket"));
    for accept in ["private", "shared", "dealt"] {
        let mut refusals = 0;
        for descriptors in 4..32 {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("ulimit -n {descriptors}; exec \"$@\""), "sh"]);
            command.arg(env!("CARGO_BIN_EXE_evenkeel"));
            let line = format!("echo {listen} --workers 4 --accept {accept} --duration 1ms --report none -q");
            let output = command.args(words(&line)).output().expect("sh is there");
            let stderr = String::from_utf8_lossy(&output.stderr);
            match output.status.code() {
                Some(0) => assert!(stderr.lines().all(|line| line.starts_with("ready: ")), "{stderr}"),
                _ => {
                    assert_complaint(&words(&line), &output, &["too many open files; raise `ulimit -n`"]);
                    refusals += 1;
                }
            }
            let left = fs::read_dir(folder.path()).expect("it is ours").count();
            assert_eq!(left, 0, "{accept}, {descriptors} descriptors: {stderr}");
        }
        assert!((1..28).contains(&refusals), "{accept}: {refusals} refusals");
    }
}

#[test]
fn files_that_are_no_reports() {
    let folder = TempDir::new();
    let file = folder.file("report.json");
    for (text, says) in NO_REPORTS {
        fs::write(&file, text).expect("it is ours");
        assert_refused(&["report", &file], &[&format!("{file} is not a report: "), says]);
    }
    fs::write(&file, b"\xff\xfe").expect("it is ours");
    assert_refused(&["report", &file], &[&file, "UTF-8"]);
    assert_refused(&["report", "/nonexistent/report"], &["/nonexistent/report: no such file or directory"]);
    assert_refused(&["report", folder.path().to_str().expect("UTF-8")], &["is a directory"]);
    assert_refused(&["report", "-"], &["stdin is not a report: there is nothing in it"]);
    assert_refused(&["report", "two\nlines"], &["two?lines"]);
}

#[test]
fn a_report_file_that_one_may_not_read() {
    let folder = TempDir::new();
    let Some(unprivileged) = unprivileged(&folder) else { return };
    let file = folder.file("report.json");
    fs::write(&file, "{}").expect("it is ours");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).expect("it is ours");
    assert_refused_by(unprivileged, &["report", &file], &[&file, "permission denied"]);
}

#[test]
fn a_device_is_written_to_and_stays_one() {
    let folder = TempDir::new();
    let pipe = folder.file("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()));
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe).expect("the report is text")
    });
    let server = Server::start(&["--workers", "1", "--report-file", &pipe]);
    let report = server.stop().stdout;
    assert_eq!(reader.join().expect("no panic"), report);
    assert!(!fs::symlink_metadata(&pipe).expect("it is still there").is_file());
}

#[test]
fn nobody_reads_stdout() {
    let folder = TempDir::new();
    let saved = folder.file("report.json");
    for format in ["text", "json"] {
        let server = Server::start(&["--workers", "1", "--report-file", &saved]);
        drop(server.stop());
        let shown = ["report", &saved, "--format", format];
        let served = format!("echo {FREE} --duration 1ms --report {format}");
        for arguments in [&shown[..], &words(&served), &["--help"], &["--version"]] {
            let stderr = without_stdout(arguments);
            let is_quiet = |line: &str| line.starts_with("ready: ") || line.starts_with("note: ");
            assert!(stderr.lines().all(is_quiet), "{arguments:?}: {stderr}");
        }
    }
}

/// `evenkeel … 2>&1 | head -1`: the server can't tell anybody that it is ready, and serves.
#[test]
fn nobody_reads_stderr() {
    let folder = TempDir::new();
    let path = folder.file("socket");
    let mut command = evenkeel();
    command.args(["echo", "--listen", &format!("unix:{path}"), "--verbose", "--report", "json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    drop(child.stderr.take());
    eventually("it listens", || std::os::unix::net::UnixStream::connect(&path).ok());
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    let output = child.wait_with_output().expect("it is our child");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1);
}

/// Runs it with a stdout that nobody reads; it must end well. What it said on stderr.
fn without_stdout(arguments: &[&str]) -> String {
    let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
    drop(reader);
    let mut command = evenkeel();
    command.args(arguments).stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped());
    let output = command.env("RUST_BACKTRACE", "1").output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    String::from_utf8(output.stderr).expect("stderr is text")
}

#[test]
fn a_source_that_no_upstream_can_be_reached_from() {
    let proxy = "proxy --listen 127.0.0.1:0 --upstream 127.0.0.1:9 --source";
    for (source, says) in [
        (
            "203.0.113.9",
            "cannot connect from 203.0.113.9: cannot assign requested address; name an address of this",
        ),
        ("::1", "cannot connect from ::1 to 127.0.0.1:9: one is IPv4, the other IPv6"),
    ] {
        assert_refused(&words(&format!("{proxy} {source}")), &[says]);
    }
}

fn assert_refused(arguments: &[&str], says: &[&str]) {
    assert_refused_by(evenkeel(), arguments, says);
}

fn assert_refused_by(mut command: Command, arguments: &[&str], says: &[&str]) {
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.env("RUST_BACKTRACE", "1").spawn().expect("the binary starts");
    // One that was not refused would serve until it is stopped.
    let start = std::time::Instant::now();
    while child.try_wait().expect("it is our child").is_none() {
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let output = child.wait_with_output().expect("it is our child");
    assert_complaint(arguments, &output, says);
}

fn assert_complaint(arguments: &[&str], output: &Output, says: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{arguments:?}: {:?}", output.stdout);
    assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
    assert!(stderr.starts_with("evenkeel: ") && stderr.ends_with('\n'), "{arguments:?}: {stderr}");
    for noise in ["panicked", "backtrace", "os error", "invalid value", "error:"] {
        assert!(!stderr.contains(noise), "{arguments:?}: {stderr}");
    }
    for part in says {
        assert!(stderr.contains(part), "{arguments:?}: no {part:?} in {stderr}");
    }
}

/// A command of somebody who isn't root, or nothing where there is no way to be nobody. The binary is copied to
/// where everybody can read it.
fn unprivileged(folder: &TempDir) -> Option<Command> {
    if !rustix::process::geteuid().is_root() {
        return Some(evenkeel());
    }
    let binary = folder.file("evenkeel");
    fs::copy(env!("CARGO_BIN_EXE_evenkeel"), &binary).expect("it can be read");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&binary);
    let works = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "true"])
        .status()
        .is_ok_and(|status| status.success());
    if !works {
        skip("setpriv cannot become nobody, so nothing is forbidden");
        return None;
    }
    Some(command)
}

/// The words of a command line; `''` is the empty one.
fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().map(|word| if word == "''" { "" } else { word }).collect()
}
