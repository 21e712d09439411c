//! iperf3: as fast as it goes, one way and the other.

use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    front::{FORWARDERS, Front},
    peer::{Peer, client, free_address, port, program, said},
    support::TempDir,
};

/// iperf3 opens its streams at once and tells by the order in which they arrive which of them sends: with `--bidir`
/// two that have changed places leave both ends writing into a stream that nobody reads. Workers accept independently
/// of each other, so that order isn't kept by two; one keeps it.
#[test]
#[ignore = "needs iperf3 installed; run by .ci/run"]
fn iperf3_ends_well_both_ways() {
    let (server, dir) = (free_address(), TempDir::new());
    let mut command = Command::new(program("iperf3", "iperf3"));
    command.args(["--server", "--forceflush", "--bind", "127.0.0.1", "--port", port(&server)]);
    let _peer = Peer::start(command, &dir.path().join("log"), "Server listening", Signal::TERM);

    for forward in FORWARDERS {
        for way in [&[][..], &["--reverse"], &["--bidir"]] {
            let dir = TempDir::new();
            let front = Front::start_with("127.0.0.1:0", &server, forward, &dir, &["--workers", "1"]);
            let mut client = client("iperf3", "iperf3");
            client.args(["--json", "--parallel", "2", "--time", "1", "--client", "127.0.0.1"]);
            let text = said(client.args(["--port", port(&front.address())]).args(way));
            let result: Value = serde_json::from_str(&text).expect("iperf3 --json");
            assert!(result["error"].is_null(), "{forward} {way:?}: {result}");
            let bytes = result["end"]["sum_received"]["bytes"].as_u64().expect("a sum");
            assert!(bytes > 0, "{forward} {way:?}: {result}");
            front.finish();
        }
    }
}
