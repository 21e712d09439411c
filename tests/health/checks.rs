//! How a member is checked.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::net::UnixListener,
    sync::{Arc, Mutex},
    thread,
};

use crate::{
    played::{Listening, Nurse, checks, greeter, listeners, shares, until, upstream},
    support::{Server, TempDir, eventually, total, upstreams::dead_ports},
};

/// By default it is a member that can be connected to.
#[test]
fn who_refuses_connections_is_down_and_gets_no_sessions() {
    let mut members = listeners(1);
    let (listener, _) = members.remove(0);
    let (well, dead) = (greeter(listener, 0), dead_ports().next().expect("a port is unused"));
    let upstreams = [well.address.to_string(), dead.clone()];
    let mut proxy = Server::proxy(&upstreams, &["--health-interval", "20ms", "--balance", "round-robin"]);
    until(&mut proxy, &dead, "down");
    let failed_before = total(&proxy.report_now(), "connects_failed");
    assert_eq!(shares::<1>(&proxy, 20), [20]);
    let report = proxy.report_now();
    assert_eq!(total(&report, "connects_failed"), failed_before, "nobody was sent to the dead one");
    let of_dead = upstream(&report, &dead).expect("it is named");
    assert!(of_dead["checks_failed"].as_u64() >= Some(1) && of_dead["checks_passed"] == 0, "{of_dead}");
    assert!(well.connections() > 20, "it was checked too");
}

#[test]
fn the_status_of_a_request_at_another_port_decides() {
    let (mut sessions, mut nurses) = (Vec::new(), Vec::new());
    for (number, (listener, checked)) in listeners(2).into_iter().enumerate() {
        let nurse = Nurse::default();
        nurse.always(204);
        nurses.push((nurse.serve(checked), nurse));
        sessions.push(greeter(listener, number as u8));
    }
    let port = nurses[0].0.address.port().to_string();
    let http = ["--health-http", "/ready?x=1", "--health-port", &port, "--health-interval", "20ms"];
    let upstreams = [0, 1].map(|number: usize| sessions[number].address.to_string());
    let flags =
        [&http[..], &["--health-http-status", "204", "--balance", "round-robin", "--workers", "1"]].concat();
    let mut proxy = Server::proxy(&upstreams, &flags);
    eventually("both have passed", || {
        (checks(&mut proxy, "127.0.0.11:").0 > 0 && checks(&mut proxy, "127.0.0.12:").0 > 0).then_some(())
    });
    assert_eq!(shares::<2>(&proxy, 10), [5, 5]);
    nurses[1].1.always(200);
    until(&mut proxy, "127.0.0.12:", "down");
    assert_eq!(shares::<2>(&proxy, 10), [10, 0], "200 is not among the statuses that pass");
    let heard = nurses[0].1.heard();
    let request =
        format!("GET /ready?x=1 HTTP/1.0\r\nHost: {}\r\nUser-Agent: evenkeel\r\n\r\n", upstreams[0]);
    assert_eq!(heard.first(), Some(&request));
}

#[test]
fn what_is_sent_and_expected_may_be_anything() {
    let answer = Arc::new(Mutex::new("+PONG\r\n"));
    let said = Arc::clone(&answer);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let member = Listening::start(listener, move |_, mut stream| {
        let mut ping = [0; 6];
        let is_ping = stream.read_exact(&mut ping).is_ok() && ping == *b"PING\r\n";
        let answer = *said.lock().expect("nobody panics with it");
        let _ = stream.write_all(if is_ping { answer.as_bytes() } else { b"?" });
    });
    let address = member.address.to_string();
    let flags = ["--health-send", "PING\\r\\n", "--health-expect", "+PONG", "--health-interval", "20ms"];
    let mut proxy = Server::proxy(&[&address], &flags);
    eventually("it passes", || (checks(&mut proxy, &address).0 >= 2).then_some(()));
    until(&mut proxy, &address, "up");
    *answer.lock().expect("nobody panics with it") = "-LOADING\r\n";
    until(&mut proxy, &address, "down");
    *answer.lock().expect("nobody panics with it") = "+PONG\r\n";
    until(&mut proxy, &address, "up");
}

/// For members that take no connection without one.
#[test]
fn a_check_has_a_proxy_header_of_its_own() {
    for (version, header) in [("v1", &b"PROXY UNKNOWN\r\n"[..]), ("v2", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")] {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&heard);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let member = Listening::start(listener, move |_, mut stream| {
            let mut said = Vec::new();
            let _ = stream.read_to_end(&mut said);
            hears.lock().expect("nobody panics with it").push(said);
        });
        let address = member.address.to_string();
        let mut proxy = Server::proxy(&[&address], &["--health-proxy", version, "--health-interval", "20ms"]);
        eventually("it was checked", || (checks(&mut proxy, &address).0 > 0).then_some(()));
        let first =
            eventually("it has heard", || heard.lock().expect("nobody panics with it").first().cloned());
        assert_eq!(first, header, "{version}");
    }
}

#[test]
fn a_unix_socket_is_checked_too() {
    let folder = TempDir::new();
    let path = folder.file("member");
    let listener = UnixListener::bind(&path).expect("a path of its own");
    let taken = listener.try_clone().expect("a descriptor is free");
    thread::spawn(move || for _stream in taken.incoming() {});
    let address = format!("unix:{path}");
    let mut proxy = Server::proxy(&[&address], &["--health-interval", "20ms"]);
    eventually("it passes", || (checks(&mut proxy, &address).0 > 0).then_some(()));
    until(&mut proxy, &address, "up");
    fs::remove_file(&path).expect("it is there");
    until(&mut proxy, &address, "down");
}
