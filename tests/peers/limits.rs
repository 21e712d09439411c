//! The example of limits, in front of nginx: who stays below them notices nothing.

use crate::{
    examples,
    front::ended_by,
    nginx::{Nginx, wrk},
    peer::client,
    support::TempDir,
};

/// What one address may have open, as the example has it.
const PER_SOURCE: usize = 100;

#[test]
#[ignore = "needs nginx-light, wrk and curl installed; run by .ci/run"]
fn the_limits_example_stops_who_wants_too_much() {
    let (nginx, dir) = (Nginx::start(), TempDir::new());
    let front = examples::front(
        "limits",
        &dir,
        &[
            ("127.0.0.1:8180", "127.0.0.1:0"),
            ("127.0.0.1:8181", &nginx.tcp),
            ("192.0.2.0/24", "127.0.66.0/24"),
        ],
    );
    wrk(&front.address(), &["--duration", "2s"]);
    assert!(!fetches(&front.address(), "127.0.66.7"), "this network is denied");

    let held: Vec<_> = (0..PER_SOURCE).map(|_| front.connect()).collect();
    for client in &held {
        client.send(b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client.expect(b"HTTP/1.1 200 OK\r\n");
    }
    front.connect().expect_reset();
    // Others are as welcome as before.
    assert!(fetches(&front.address(), "127.0.0.7"));
    drop(held);
    let ledger = front.finish_but_for(&["AC", "LC"]);
    assert_eq!((ended_by(&ledger, "AC"), ended_by(&ledger, "LC")), (1, 1));
}

/// Whether a download from this address of the client's succeeds.
fn fetches(address: &str, from: &str) -> bool {
    let mut curl = client("curl", "curl");
    curl.args(["--silent", "--show-error", "--fail", "--output", "/dev/null", "--interface", from]);
    curl.arg(format!("http://{address}/small")).output().expect("curl starts").status.success()
}
