//! `sys::trace`: one worker of a running server stands still, the others don't notice, and it goes on as if nothing
//! had been.

mod support;

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

use evenkeel::sys::trace::Stopped;
use support::{PATIENCE, Server, eventually, skip, total};

#[test]
fn a_worker_that_stands_holds_up_its_own_clients_alone() {
    for flags in [["--poll", "block"], ["--poll", "spin"]] {
        // Dealt: each worker has one of the two, whatever the other does.
        let arguments = ["--workers", "2", "--accept", "dealt", "--greet", "--no-pin"];
        let server = Server::start(&[&arguments[..], &flags].concat());
        let mut clients = [server.connect(), server.connect()].map(|client| (greeted_by(&client), client));
        clients.sort_by_key(|(worker, _)| *worker);
        let [(0, mut held_up), (1, mut served)] = clients else { panic!("two workers, two clients") };
        let stopped = match Stopped::stop(thread(&server, "worker-0")) {
            Ok(stopped) => stopped,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return skip("threads of a child may not be traced: none is stopped");
            }
            Err(error) => panic!("{error}"),
        };
        assert_eq!(state(&server, "worker-0"), 't');
        held_up.write_all(b"x").expect("the kernel takes it");
        for _ in 0..100 {
            served.write_all(b"x").expect("the kernel takes it");
            served.read_exact(&mut [0]).expect("its worker runs");
        }
        held_up.set_read_timeout(Some(Duration::from_millis(50))).expect("a positive timeout");
        let none = held_up.read(&mut [0]).expect_err("its worker stands");
        assert_eq!(none.kind(), ErrorKind::WouldBlock);
        drop(stopped);
        held_up.set_read_timeout(Some(PATIENCE)).expect("a positive timeout");
        held_up.read_exact(&mut [0]).expect("its worker runs again");
        eventually("nobody traces it", || (state(&server, "worker-0") != 't').then_some(()));
        let report = server.report();
        assert_eq!((total(&report, "messages"), report["workers"][0]["messages"].as_u64()), (101, Some(1)));
    }
}

/// The worker that has greeted a fresh connection.
fn greeted_by(mut client: &TcpStream) -> u64 {
    let mut greeting = [0; 16];
    client.read_exact(&mut greeting).expect("a greeting");
    let (worker, _) = greeting.split_first_chunk().expect("it is longer");
    u64::from_le_bytes(*worker)
}

/// The id of the server's thread of this name.
fn thread(server: &Server, name: &str) -> i32 {
    let pid = server.pid().as_raw_nonzero();
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the server runs");
    let mut tasks = tasks.map(|task| task.expect("its threads stay").path());
    let is_it = |path: &std::path::PathBuf| {
        fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim_end() == name)
    };
    let path = tasks.find(is_it).expect("the server has such a thread");
    path.file_name().and_then(|tid| tid.to_str()?.parse().ok()).expect("tasks are numbers")
}

/// `t` while it is stopped by a tracer.
fn state(server: &Server, name: &str) -> char {
    let stat = server.proc(&format!("task/{}/stat", thread(server, name)));
    stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).expect("a state behind its name")
}
