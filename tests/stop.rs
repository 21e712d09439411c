//! How a server ends: sessions finish, nothing that was accepted is lost, the exit status tells.

mod support;

use std::io::{Read, Write};

use rustix::process::Signal;
use support::{Server, total};

#[test]
fn an_idle_session_gets_fin_at_once() {
    let server = Server::start(&["--workers", "2"]);
    let mut client = server.connect();
    client.write_all(b"hello").expect("a live connection");
    client.read_exact(&mut [0; 5]).expect("the echo");
    server.signal(Signal::TERM);
    assert_eq!(client.read(&mut [0; 1]).expect("FIN, not a reset"), 0);
    drop(client);
    let report = server.wait().report();
    assert_eq!(total(&report, "closed"), 1);
    assert_eq!(total(&report, "drain_cut"), 0);
}
