//! evenkeel in front of a peer, and what must hold when they are done.

use std::fs;

use serde_json::Value;

use crate::support::{Server, TempDir, evenkeel, total};

/// A running proxy with a ledger.
pub struct Front {
    server: Server,
    ledger: String,
}

impl Front {
    /// A proxy before one upstream, with its ledger in a folder of the test's.
    pub fn start(listen: &str, upstream: &str, forward: &str, dir: &TempDir) -> Self {
        Self::start_with(listen, upstream, forward, dir, &[])
    }

    /// The same, with flags of the test's own.
    pub fn start_with(listen: &str, upstream: &str, forward: &str, dir: &TempDir, more: &[&str]) -> Self {
        let ledger = dir.file("ledger");
        let arguments = [
            ["proxy", "--quiet"],
            ["--listen", listen],
            ["--upstream", upstream],
            ["--forward", forward],
            ["--access-log", &ledger],
            ["--log-format", "json"],
            ["--report", "json"],
        ];
        let arguments = [arguments.as_flattened(), more].concat();
        Self { server: Server::start_with(evenkeel(), &arguments), ledger }
    }

    /// Where clients go to, as its ready line has it.
    pub fn address(&self) -> String {
        self.server.listening().swap_remove(0)
    }

    /// Stops it, once its clients are gone. Everybody who came was served to the end that the peers made.
    /// Returns the ledger.
    pub fn finish(self) -> Vec<Value> {
        let report = self.server.report();
        let ledger = ledger(&self.ledger);
        assert_served(&report, &ledger);
        ledger
    }
}

/// The lines of a ledger in JSON.
pub fn ledger(path: &str) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("the ledger was written");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// Each session is in the ledger; peers ended it, not we; and what was read was delivered, where nobody reset it.
pub fn assert_served(report: &Value, ledger: &[Value]) {
    assert!(!ledger.is_empty(), "somebody connected");
    assert_eq!(total(report, "accepted"), ledger.len() as u64, "sessions and lines of the ledger");
    assert_eq!(total(report, "active"), 0);
    assert_eq!(total(report, "ledger_dropped"), 0);
    for line in ledger {
        let end = line["end"].as_str().expect("each line has an end");
        // FIN or RST, of client or upstream. Load generators reset what they leave behind.
        assert!(end.starts_with(['C', 'c', 'U', 'u']), "ended by us: {line}");
        if end.starts_with(['C', 'U']) {
            assert_eq!(line["bytes_undelivered"], 0, "{line}");
            assert_eq!(line["bytes_in"], line["bytes_to_upstream"], "{line}");
            assert_eq!(line["bytes_out"], line["bytes_from_upstream"], "{line}");
        }
    }
}

/// The ways that bytes can cross.
pub const FORWARDERS: [&str; 3] = ["auto", "copy", "splice"];
