//! evenkeel in front of a peer, and what must hold when they are done.

use std::fs;

use serde_json::Value;

use crate::support::{
    Server, TempDir,
    client::{Client, Target},
    evenkeel, total,
};

/// A running proxy with a ledger in JSON.
pub struct Front {
    pub server: Server,
    ledger: String,
}

impl Front {
    /// A proxy before one upstream, with its ledger in a folder of the test's.
    pub fn start(listen: &str, upstream: &str, forward: &str, dir: &TempDir) -> Self {
        Self::start_with(listen, upstream, forward, dir, &[])
    }

    /// The same, with flags of the test's own.
    pub fn start_with(listen: &str, upstream: &str, forward: &str, dir: &TempDir, more: &[&str]) -> Self {
        let common = [["--listen", listen], ["--upstream", upstream], ["--forward", forward]];
        Self::with_flags(dir, &[common.as_flattened(), more].concat())
    }

    /// A proxy with these flags, which also say where it listens and where to.
    pub fn with_flags(dir: &TempDir, flags: &[&str]) -> Self {
        let ledger = dir.file("ledger");
        let common =
            ["proxy", "--quiet", "--report", "json", "--log-format", "json", "--access-log", &ledger];
        Self::of(Server::start_with(evenkeel(), &[&common[..], flags].concat()), ledger)
    }

    /// A proxy of one service, whose table is this text.
    pub fn with_service(dir: &TempDir, text: &str) -> Self {
        let (file, ledger) = (dir.file("evenkeel.toml"), dir.file("ledger"));
        let report = format!("[report]\naccess_log = \"{ledger}\"\nlog_format = \"json\"\n");
        fs::write(&file, format!("{report}[[service]]\nkind = \"proxy\"\n{text}")).expect("a folder of ours");
        Self::of(Server::start_for(evenkeel(), &["run", &file, "--report", "json"], 1), ledger)
    }

    /// Of a proxy that runs and writes this ledger.
    pub fn of(server: Server, ledger: String) -> Self {
        Self { server, ledger }
    }

    /// Where clients go to, as its first ready line has it.
    pub fn address(&self) -> String {
        self.server.listening().swap_remove(0)
    }

    /// A client of its first listener.
    pub fn connect(&self) -> Client {
        Client::connect(&Target::parse(&self.address()))
    }

    /// Stops it, once its clients are gone. Everybody who came was served to the end that the peers made.
    /// Returns the ledger.
    pub fn finish(self) -> Vec<Value> {
        self.finish_but_for(&[])
    }

    /// The same where sessions may also end by these codes, or by those that begin so.
    pub fn finish_but_for(self, codes: &[&str]) -> Vec<Value> {
        let report = self.server.report();
        let ledger = ledger(&self.ledger);
        assert_served(&report, &ledger, codes);
        ledger
    }
}

/// How many sessions ended by this code, or by one that begins so.
pub fn ended_by(ledger: &[Value], code: &str) -> usize {
    ledger.iter().filter(|line| end(line).starts_with(code)).count()
}

/// The whole lines of a ledger in JSON.
fn ledger(path: &str) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("the ledger was written");
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// Each session is in the ledger; peers ended it, not we, but for these codes; and what was read was delivered,
/// where nobody reset it.
fn assert_served(report: &Value, ledger: &[Value], codes: &[&str]) {
    assert!(!ledger.is_empty(), "somebody connected");
    assert_eq!(total(report, "accepted"), ledger.len() as u64, "sessions and lines of the ledger");
    assert_eq!(total(report, "active"), 0);
    assert_eq!(total(report, "ledger_dropped"), 0);
    for line in ledger {
        let end = end(line);
        // FIN or RST, of client or upstream. Load generators reset what they leave behind.
        let is_theirs = end.starts_with(['C', 'c', 'U', 'u']);
        assert!(is_theirs || codes.iter().any(|code| end.starts_with(code)), "ended by us: {line}");
        if end.starts_with(['C', 'U']) {
            assert_eq!(line["bytes_undelivered"], 0, "{line}");
            assert_eq!(line["bytes_in"], line["bytes_to_upstream"], "{line}");
            assert_eq!(line["bytes_out"], line["bytes_from_upstream"], "{line}");
        }
    }
}

fn end(line: &Value) -> &str {
    line["end"].as_str().expect("each line has an end")
}

/// The ways that bytes can cross.
pub const FORWARDERS: [&str; 3] = ["auto", "copy", "splice"];
