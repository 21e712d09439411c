//! A server's life as whoever started it sees it: ready, signals, reports, the end.
//!
//! When it ends, sessions finish, nothing that was accepted or queued is lost, and the exit status tells.

mod support;

use std::{
    collections::HashSet,
    fs,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::MetadataExt,
            net::{SocketAddr, UnixDatagram, UnixListener, UnixStream},
        },
    },
    path::Path,
    time::{Duration, Instant},
};

use evenkeel::{AcceptMode, Trigger, measure::Report};
use rustix::process::Signal;
use serde_json::Value;
use support::{PATIENCE, Server, TempDir, assert_adds_up, evenkeel, eventually, say_hello, total};

/// A session that would go on for ever if it were let.
const FOR_EVER: &str = "24h";

#[test]
fn an_idle_session_gets_fin_at_once() {
    let server = Server::start(&["--workers", "2"]);
    let mut client = server.connect();
    say_hello(&mut client);
    server.signal(Signal::TERM);
    assert_eq!(client.read(&mut [0; 1]).expect("FIN, not a reset"), 0);
    drop(client);
    let report = server.wait().report();
    assert_eq!(total(&report, "closed"), 1);
    assert_eq!(total(&report, "drain_cut"), 0);
}

#[test]
fn term_int_and_hup_stop_it() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let server = Server::start(&["--workers", "2"]);
        say_hello(&mut server.connect());
        server.signal(signal);
        let report = server.wait().report();
        assert_eq!((total(&report, "accepted"), total(&report, "messages")), (1, 1), "{signal:?}");
    }
}

#[test]
fn a_reader_that_stops_reading_does_not_keep_it_from_ending() {
    let mut server = Server::start(&["--report-every", "1ms"]);
    eventually("the pipe is full", || server.next_stderr_line().contains("nobody reads").then_some(()));
    say_hello(&mut server.connect());
    server.signal(Signal::TERM);
    eventually("the workers have ended", || TcpStream::connect(server.address()).err());
    server.signal(Signal::TERM);
    // Signals of a kind don't queue: one that came while the first was heeded may be the first.
    eventually("it ends though nobody reads", || {
        server.signal(Signal::TERM);
        server.proc("stat").contains(") Z ").then_some(())
    });
    let ended = server.wait();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("the report was not read to its end"), "{}", ended.stderr);
}

/// As nohup(1) wants it.
#[test]
fn a_hangup_that_was_ignored_from_the_start_stays_ignored() {
    let mut command = std::process::Command::new("env");
    command.args(["--ignore-signal=HUP", env!("CARGO_BIN_EXE_evenkeel")]);
    let mut server = Server::start_with(command, &["echo", "--listen", "127.0.0.1:0", "--report", "json"]);
    server.signal(Signal::HUP);
    // Signals are heeded in order: once the report is there, the hangup would have been.
    server.signal(Signal::USR1);
    server.next_stdout_line();
    say_hello(&mut server.connect());
    assert_eq!(total(&server.report(), "accepted"), 1);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for second in [Signal::TERM, Signal::INT, Signal::HUP] {
        let server = Server::start(&["--workers", "2", "--drain", FOR_EVER]);
        let _unread = with_backlog(&server);
        server.signal(Signal::TERM);
        eventually("the listeners are closed", || TcpStream::connect(server.address()).err());
        // It drains: the session that nobody reads keeps it.
        server.signal(second);
        let ended = server.wait();
        assert!(ended.stderr.contains("note: stopping at once"), "{}", ended.stderr);
        let report = ended.report();
        assert_eq!(total(&report, "drain_cut"), 1, "{second:?}");
        assert!(total(&report, "bytes_undelivered") > 0, "what was cut off is told");
    }
}

/// Not a moment less than was said, wherever in a timer's tick the stop falls.
#[test]
fn the_drain_time_is_given_in_full() {
    const DRAIN: Duration = Duration::from_millis(150);
    for _ in 0..8 {
        let server = Server::start(&["--workers", "2", "--drain", "150ms"]);
        let (mut unread, _) = with_backlog(&server);
        let start = Instant::now();
        let report = server.report();
        assert!(start.elapsed() >= DRAIN, "cut off after {:?}", start.elapsed());
        assert_eq!(total(&report, "drain_cut"), 1);
        // Bytes are missing, so it doesn't end as if it were whole.
        unread.set_nonblocking(false).expect("a TCP socket");
        let end = unread.read_to_end(&mut Vec::new()).expect_err("no end of a stream");
        assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
    }
}

#[test]
fn a_reader_that_comes_back_while_it_drains_gets_everything() {
    let server = Server::start(&["--workers", "2", "--drain", FOR_EVER]);
    let (mut client, _) = with_backlog(&server);
    server.signal(Signal::TERM);
    eventually("the listeners are closed", || TcpStream::connect(server.address()).err());
    client.set_nonblocking(false).expect("a TCP socket");
    let mut received = Vec::new();
    client.read_to_end(&mut received).expect("FIN, not a reset");
    drop(client);
    let report = server.wait().report();
    let [bytes_in, bytes_out, undelivered, drain_cut] =
        ["bytes_in", "bytes_out", "bytes_undelivered", "drain_cut"].map(|name| total(&report, name));
    assert_eq!(received.len() as u64, bytes_out, "what was written has arrived");
    // What it had not read before the stop is not answered any more, but told.
    assert_eq!((bytes_in, drain_cut), (bytes_out + undelivered, 0));
    assert!(received.iter().all(|byte| *byte == b'x'));
}

#[test]
fn the_duration_ends_it_whatever_its_sessions_do() {
    let server = Server::start(&["--workers", "2", "--duration", "300ms"]);
    let mut idle = server.connect();
    say_hello(&mut idle);
    let _unread = with_backlog(&server);
    assert_eq!(idle.read(&mut [0; 1]).expect("FIN, not a reset"), 0);
    drop(idle);
    let report = server.wait().report();
    assert_eq!((total(&report, "accepted"), total(&report, "drain_cut")), (2, 1));
}

/// Connections that wait in the accept queue when the stop comes were promised to be served: the kernel has
/// finished their handshakes, and they have sent what they want.
#[test]
fn what_is_queued_is_served_before_it_ends() {
    const CLIENTS: u64 = 20;
    for accept in AcceptMode::ALL {
        for listen in Trigger::ALL.iter().filter(|listen| accept.allows(**listen)) {
            let server = Server::start(&[
                "--workers",
                "3",
                "--accept",
                accept.name(),
                "--listen-trigger",
                listen.name(),
            ]);
            server.freeze();
            let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
            clients.iter_mut().for_each(|client| client.write_all(b"hello").expect("a live connection"));
            server.signal(Signal::TERM);
            server.thaw();
            for mut client in clients {
                let mut answer = Vec::new();
                client.read_to_end(&mut answer).expect("FIN, not a reset");
                assert_eq!(answer, b"hello", "{accept} {listen}");
            }
            let report = server.wait().report();
            for (name, count) in [("accepted", CLIENTS), ("messages", CLIENTS), ("drain_cut", 0)] {
                assert_eq!(total(&report, name), count, "{accept} {listen}: {name}");
            }
        }
    }
}

#[test]
fn sigusr1_reports_and_it_goes_on() {
    let mut server = Server::start(&["--workers", "2", "--accept", "dealt"]);
    let mut client = server.connect();
    for messages in 1..=3 {
        say_hello(&mut client);
        let report = server.report_now();
        let counts = ["accepted", "active", "messages"].map(|name| total(&report, name));
        assert_eq!(counts, [1, 1, messages], "reports are cumulative");
    }
    drop(client);
    let ended = server.stop();
    assert_eq!(total(&ended.report(), "messages"), 3);
}

#[test]
fn sigusr1_reports_as_text_on_stderr_where_stdout_has_none() {
    let arguments = ["echo", "--listen", "127.0.0.1:0", "--workers", "2", "--report", "none"];
    let mut server = Server::start_with(evenkeel(), &arguments);
    say_hello(&mut server.connect());
    server.signal(Signal::USR1);
    let address = server.address();
    let first = server.next_stderr_line();
    assert!(first.contains(&format!("echo on {address}")), "{first}");
    say_hello(&mut server.connect());
    let ended = server.stop();
    assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(0), ""));
    assert!(ended.stderr.contains("Balance: "), "{}", ended.stderr);
    assert!(!ended.stderr.contains('\x1b'), "no colour when piped");
}

#[test]
fn sigusr2_is_ignored_and_says_so() {
    let mut server = Server::start(&["--workers", "1"]);
    server.signal(Signal::USR2);
    let line = server.next_stderr_line();
    assert!(line.starts_with("note: ") && line.contains("SIGUSR2"), "{line}");
    say_hello(&mut server.connect());
    assert_eq!(total(&server.report(), "accepted"), 1);
}

#[test]
fn report_every_reports_until_the_last() {
    let mut server = Server::start(&["--workers", "2", "--report-every", "20ms"]);
    let mut client = server.connect();
    let mut messages = 0;
    for _ in 0..5 {
        say_hello(&mut client);
        let report: Value = serde_json::from_str(&server.next_stdout_line()).expect("a line of JSON");
        assert_adds_up(&report);
        assert!(total(&report, "messages") >= messages, "reports are cumulative");
        messages = total(&report, "messages");
    }
    drop(client);
    let ended = server.stop();
    let last: Value =
        serde_json::from_str(ended.stdout.lines().last().expect("the last report")).expect("JSON");
    assert_adds_up(&last);
    assert_eq!(total(&last, "messages"), 5);
}

#[test]
fn the_report_file_is_always_whole() {
    let folder = TempDir::new();
    let file = folder.file("report.json");
    let mut server = Server::start(&["--workers", "2", "--report-every", "1ms", "--report-file", &file]);
    let mut client = server.connect();
    let mut inodes = HashSet::new();
    for _ in 0..50 {
        say_hello(&mut client);
        // The file is replaced right after the line was printed, and again a millisecond later.
        server.next_stdout_line();
        for _ in 0..20 {
            let Ok(text) = fs::read_to_string(&file) else { continue };
            Report::from_json(&text).unwrap_or_else(|reason| panic!("{reason}: {text:?}"));
            assert!(text.ends_with('\n') && text.lines().count() == 1);
            inodes.extend(fs::metadata(&file).map(|metadata| metadata.ino()));
        }
    }
    assert!(inodes.len() > 1, "a file of its own each time");
    drop(client);
    let ended = server.stop();
    assert_eq!(ended.status.code(), Some(0));
    let last = ended.stdout.lines().last().expect("the last report");
    assert_eq!(fs::read_to_string(&file).expect("it is there").trim_end(), last);
    assert_eq!(fs::read_dir(folder.path()).expect("it is ours").count(), 1, "no remains");
}

#[test]
fn the_report_file_has_the_format_of_stdout_and_json_where_there_is_none() {
    for (format, shows) in [("text", "Balance: "), ("json", "\"schema\":"), ("none", "\"schema\":")] {
        let folder = TempDir::new();
        let file = folder.file("report");
        let arguments = ["echo", "--listen", "127.0.0.1:0", "--report", format, "--report-file", &file];
        let ended = Server::start_with(evenkeel(), &arguments).stop();
        let saved = fs::read_to_string(&file).expect("it is there");
        assert!(saved.contains(shows), "{format}: {saved}");
        assert_eq!(ended.stdout, if format == "none" { "" } else { &saved }, "{format}");
    }
}

/// A link leads where it led, and a private report stays private.
#[test]
fn a_report_file_keeps_its_link_and_its_mode() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = TempDir::new();
    let (file, link) = (folder.file("report"), folder.file("link"));
    fs::write(&file, "old").expect("it is ours");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    symlink(&file, &link).expect("it is ours");
    Server::start(&["--report-file", &link]).report();
    assert!(fs::symlink_metadata(&link).expect("it is there").is_symlink());
    assert!(fs::read_to_string(&file).expect("it is there").contains("\"schema\":"));
    assert_eq!(fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
}

/// A full disk is no reader that has gone.
#[test]
fn a_report_that_stdout_does_not_take_is_a_failure() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("it is always there");
    let output = evenkeel()
        .args(["echo", "--listen", "127.0.0.1:0", "--duration", "1ms", "--report", "json"])
        .stdout(full)
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("cannot write the report to stdout: no space left on device"), "{stderr}");
}

#[test]
fn a_report_that_cannot_be_written_is_told_and_it_goes_on() {
    let folder = TempDir::new();
    let gone = folder.path().join("gone");
    fs::create_dir(&gone).expect("it is ours");
    let file = folder.file("gone/report.json");
    let mut server = Server::start(&["--workers", "2", "--report-file", &file]);
    fs::remove_dir(&gone).expect("it is empty");
    server.report_now();
    let line = server.next_stderr_line();
    assert!(line.starts_with("evenkeel: cannot write the report to ") && line.contains(&file), "{line}");
    say_hello(&mut server.connect());
    let ended = server.stop();
    assert_eq!(ended.status.code(), Some(1), "the last report was not saved: it failed while running");
    assert_eq!(ended.stdout.lines().count(), 1, "but it was printed");
}

#[test]
fn a_unix_socket_is_unlinked_at_the_end() {
    let folder = TempDir::new();
    let path = folder.file("socket");
    let address = format!("unix:{path}");
    for accept in AcceptMode::ALL {
        let arguments = ["echo", "--listen", &address, "--report", "json", "--accept", accept.name()];
        let server = Server::start_with(evenkeel(), &arguments);
        assert_eq!(fs::metadata(&path).expect("a socket's file").mode() & 0o777, 0o660);
        let mut client = UnixStream::connect(&path).expect("it listens");
        client.write_all(b"hello").expect("a live connection");
        client.read_exact(&mut [0; 5]).expect("the echo");
        drop(client);
        assert_eq!(total(&server.report(), "messages"), 1);
        assert!(!Path::new(&path).exists(), "{accept}");
    }
}

#[test]
fn a_unix_socket_of_somebody_else_stays() {
    let folder = TempDir::new();
    let path = folder.file("socket");
    let address = format!("unix:{path}");
    let server = Server::start_with(evenkeel(), &["echo", "--listen", &address, "--report", "json"]);
    fs::remove_file(&path).expect("it is ours");
    let _other = UnixListener::bind(&path).expect("the name is free again");
    server.report();
    UnixStream::connect(&path).expect("the other one still has its file");
}

#[test]
fn systemd_is_told() {
    let folder = TempDir::new();
    let path = folder.file("notify");
    let name = path.trim_start_matches('/').to_owned();
    let by_path = UnixDatagram::bind(&path).expect("a fresh path");
    let by_name = SocketAddr::from_abstract_name(&name).and_then(|address| UnixDatagram::bind_addr(&address));
    let by_name = by_name.expect("a fresh name");
    for (socket, name) in [(by_path, path), (by_name, format!("@{name}"))] {
        socket.set_read_timeout(Some(PATIENCE)).expect("a positive timeout");
        let mut command = evenkeel();
        command.env("NOTIFY_SOCKET", &name);
        let server = Server::start_with(command, &["echo", "--listen", "127.0.0.1:0", "--report", "json"]);
        let mut message = [0; 64];
        let len = socket.recv(&mut message).expect("a message");
        assert_eq!(&message[..len], b"READY=1");
        server.report();
    }
    let mut command = evenkeel();
    command.env("NOTIFY_SOCKET", folder.file("nobody"));
    Server::start_with(command, &["echo", "--listen", "127.0.0.1:0", "--report", "json"]).report();
}

#[test]
fn ready_lines_are_as_the_contract_has_them() {
    let folder = TempDir::new();
    let unix = format!("unix:{}", folder.file("socket"));
    let listen = ["echo", "--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0", "--listen", &unix];
    let modes = ["--workers", "2", "--trigger", "level", "--poll", "adaptive:70us", "--report", "json"];
    for quiet in [&["--quiet"][..], &[]] {
        let server = Server::start_with(evenkeel(), &[&listen[..], &modes, quiet].concat());
        let [first, second, third] = server.listening().try_into().expect("one line for each --listen");
        let shows = |address: &str, accept: &str| {
            format!("ready: echo on {address} · 2 workers · accept={accept} trigger=level poll=adaptive:70us")
        };
        assert_eq!(server.ready[0], shows(&first, "private"));
        assert_eq!(server.ready[1], shows(&second, "private"));
        assert_eq!(server.ready[2], shows(&unix, "rotate"), "{third}");
        for (address, host) in [(first, "127.0.0.1"), (second, "127.0.0.2")] {
            let address: std::net::SocketAddr = address.parse().expect("an address");
            assert_eq!(address.ip().to_string(), host);
            assert_ne!(address.port(), 0, "the real port");
            say_hello(&mut TcpStream::connect(address).expect("it listens"));
        }
        let notes = server.notes.clone();
        assert_eq!(notes.is_empty(), !quiet.is_empty(), "{notes:?}");
        assert!(notes.iter().all(|note| note.starts_with("note: ")), "{notes:?}");
        assert_eq!(total(&server.report(), "messages"), 2);
    }
}

#[test]
fn ipv6_and_the_wildcard_have_addresses_that_can_be_connected_to() {
    if TcpListener::bind("[::1]:0").is_err() {
        return support::skip("no IPv6 here");
    }
    let arguments = ["echo", "--listen", "[::1]:0", "--listen", ":0", "--report", "json"];
    let server = Server::start_with(evenkeel(), &arguments);
    let [v6, any] = server.listening().try_into().expect("one line for each --listen");
    assert!(v6.starts_with("[::1]:") && any.starts_with("[::]:"), "{v6} {any}");
    let port = any.rsplit(':').next().expect("split gives at least one part");
    for address in [&v6, &format!("127.0.0.1:{port}"), &format!("[::1]:{port}")] {
        say_hello(&mut TcpStream::connect(address).expect("it listens"));
    }
    assert_eq!(total(&server.report(), "messages"), 3);
}

#[test]
fn a_port_is_free_again_as_soon_as_it_has_ended() {
    let server = Server::start(&["--workers", "2"]);
    let address = server.address().to_string();
    // The server closes first, so that its side of the connection stays in TIME_WAIT.
    let mut client = server.connect();
    say_hello(&mut client);
    server.report();
    for accept in AcceptMode::ALL {
        let arguments = ["echo", "--listen", &address, "--report", "json", "--accept", accept.name()];
        let server = Server::start_with(evenkeel(), &arguments);
        assert_eq!(server.listening(), [address.as_str()]);
        server.report();
    }
}

/// A client that has sent until nothing more went out, and reads nothing: its session holds bytes that it would
/// not take. And how many it has sent.
fn with_backlog(server: &Server) -> (TcpStream, usize) {
    let mut client = server.connect();
    client.set_nonblocking(true).expect("a TCP socket");
    let chunk = [b'x'; 64 << 10];
    let (mut sent, mut refused) = (0, 0);
    // The sockets' buffers grow for a while: full is what stays full.
    while refused < 50 {
        match client.write(&chunk) {
            Ok(len) => (sent, refused) = (sent + len, 0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                refused += 1;
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(error) => panic!("a live connection: {error}"),
        }
    }
    (client, sent)
}
