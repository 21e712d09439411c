//! The limits of the process: how many sessions it has, and what it does when it is out of descriptors.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    process::Command,
};

use evenkeel::AcceptMode;

use crate::support::{Server, eventually, say_hello, total};

/// `ulimit -n` of the servers that run out.
const DESCRIPTORS: usize = 128;

/// Whether a new client is served; else it is reset.
fn is_served(server: &Server) -> Option<TcpStream> {
    let mut client = server.connect();
    // What is sent may meet the reset, and is told of it then.
    let sent = client.write_all(b"hello");
    match client.read(&mut [0; 5]) {
        Ok(5) => Some(client),
        Ok(len) => {
            assert!(len == 0 && sent.is_err(), "{len} bytes of an echo");
            None
        }
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
            None
        }
    }
}

#[test]
fn the_process_has_a_limit_over_all_its_workers_and_services() {
    for accept in AcceptMode::ALL {
        let flags = [
            "--listen",
            "127.0.0.1:0",
            "--workers",
            "4",
            "--max-connections",
            "10",
            "--accept",
            accept.name(),
        ];
        let server = Server::start(&flags);
        let mut clients: Vec<_> = (0..10).map(|_| server.connect()).collect();
        clients.iter_mut().for_each(say_hello);
        for _ in 0..5 {
            assert!(is_served(&server).is_none(), "{accept}: one too many");
        }
        drop(clients.pop());
        let next = eventually("there is room again", || is_served(&server));
        drop((clients, next));
        let report = server.report();
        assert!(total(&report, "refused_limit") >= 5);
        assert_eq!(total(&report, "accepted"), 11 + total(&report, "refused_limit"), "{accept}");
    }
}

/// Whoever it has no descriptor for is reset at once, and counted; it goes on serving the others, and serves anew as
/// soon as it can.
#[test]
fn what_it_has_no_descriptor_for_is_shed() {
    for accept in AcceptMode::ALL {
        let mut command = Command::new("sh");
        let script = format!("ulimit -n {DESCRIPTORS}; exec \"$@\"");
        command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_evenkeel")]);
        let common = ["echo", "--listen", "127.0.0.1:0", "--report", "json", "--workers", "2"];
        let flags = ["--on-fd-limit", "shed", "--accept", accept.name()];
        let mut server = Server::start_with(command, &[&common[..], &flags].concat());
        let (mut served, mut shed) = (Vec::new(), 0);
        // The first shed is followed by others: nobody waits.
        while shed < 20 {
            match is_served(&server) {
                Some(client) => served.push(client),
                None => shed += 1,
            }
            assert!(served.len() < DESCRIPTORS, "{accept}: it has no more than that");
        }
        served.iter_mut().for_each(say_hello);
        served.truncate(10);
        let next = eventually("it serves again", || {
            let client = is_served(&server);
            shed += u64::from(client.is_none());
            client
        });
        let report = server.report_now();
        let acceptors = report["acceptor"]["shed"].as_u64().unwrap_or(0);
        assert_eq!(total(&report, "shed") + acceptors, shed, "{accept}");
        drop((served, next));
        server.report();
    }
}
