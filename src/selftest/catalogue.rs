//! The scripts that every combination has to play: what clients and servers do, and what goes wrong when a
//! proxy stands between them.
//!
//! Where direct TCP itself leaves something to chance, the script says so, and it isn't compared: how much of
//! what was in flight survives a reset, and whether a writer still hears of it.

use super::script::{
    Aspect::{Bytes, Ending, Writes},
    Role::{Client, Upstream},
    Script,
};

/// How many bytes a long stream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volume {
    /// A few buffers full.
    Some,
    /// More than all buffers on the way hold together.
    Much,
}

/// All scripts, each with its own name.
pub fn all(volume: Volume) -> Vec<Script> {
    let mut all = whole(volume);
    all.extend(broken());
    all
}

/// Streams one way that are reset while their reader is behind. By direct TCP what the reader's window has no room
/// for is lost; a proxy may have taken more than that, and has to deliver all that it has taken.
pub fn cut_off() -> Vec<Script> {
    vec![
        of("cut-off", "write 300k, reset", SLOW_READER),
        of("cut-off-by-the-upstream", SLOW_READER, "write 300k, reset"),
        of("cut-off-in-bulk", "write 2M, reset", SLOW_READER),
        of("cut-off-in-bulk-by-the-upstream", SLOW_READER, "write 2M, reset"),
    ]
}

/// Streams that end well: every byte arrives, and then the end.
fn whole(volume: Volume) -> Vec<Script> {
    let (long, both) = match volume {
        Volume::Some => ("3M", "1M"),
        Volume::Much => ("64M", "8M"),
    };
    let ping = "write 64, read 64, ".repeat(200);
    let pong = "read 64, write 64, ".repeat(200);
    vec![
        of("nothing", "", ""),
        of("ping-pong", &ping, &pong),
        of("server-first", "read 100, write 200", "write 100, read 200"),
        of("half-close-client-first", "write 1000, shut-down", "read-to-end, write 100k, shut-down"),
        of("half-close-upstream-first", "read-to-end, write 100k, shut-down", "write 1000, shut-down"),
        of("half-close-empty", "shut-down, read-to-end", "read-to-end, write 10k"),
        of("half-close-both-at-once", "write 10k, shut-down", "write 10k, shut-down"),
        of("request-and-fin", "write 100, shut-down, read-to-end, close", "read-to-end, write 100, close"),
        of("bytes-one-by-one", "write-slowly 300", "write-slowly 300"),
        of("bytes-after-a-pause", "write 10, pause 60, write 10", "read 20, pause 60, write 10"),
        of("urgent", &URGENT.repeat(6), "read 42, write-urgent, write 10"),
        of("urgent-behind-a-long-stream", "read-to-end", "write 500k, write-urgent, shut-down"),
        of("both-stream", &format!("write {both}, shut-down"), &format!("write {both}, shut-down")),
        of("both-stream-narrow", "write 1M, shut-down", "write 1M, shut-down").narrow(),
        of("upload-to-a-stalled-reader", &format!("write {long}, close"), STALLED),
        of("download-to-a-stalled-reader", STALLED, &format!("write {long}, close")),
        of("stalled-reader-narrow", STALLED, "write 300k, close").narrow(),
        of("reader-stops-and-goes", &format!("write {both}, shut-down"), STOP_AND_GO),
        of("answer-while-sending", &format!("write {both}, shut-down"), ANSWER_EARLY),
        of("answer-while-sending-narrow", "write 500k, shut-down", ANSWER_EARLY).narrow(),
        of("bulk-then-ping-pong", &format!("write {both}, {ping}"), &format!("read {both}, {pong}")),
        of("ping-pong-then-bulk", &format!("{ping} write {both}"), &format!("{pong} read-to-end")),
    ]
}

/// Streams that break. What was read before has arrived, and a reset never looks like an end.
fn broken() -> Vec<Script> {
    vec![
        of("reset-at-once", "reset", "read-to-end"),
        of("reset-by-the-upstream-at-once", "read-to-end", "reset"),
        of("reset-after-bytes", "write 1000, reset", "read-to-end"),
        of("reset-by-the-upstream-after-bytes", "read-to-end", "write 1000, reset"),
        of("reset-after-an-exchange", "write 1000, read 5000, reset", "read 1000, write 5000, read-to-end"),
        of("reset-before-a-slow-reader", "write 1000, reset", SLOW_READER),
        of("reset-by-the-upstream-before-a-slow-reader", SLOW_READER, "write 1000, reset"),
        of("reset-in-a-stream", "write 2M, reset", "read-to-end").leaving_open(Upstream, &[Bytes]),
        of("reset-in-a-stream-to-a-stalled-reader", "write 300k, reset", SLOW_READER)
            .leaving_open(Upstream, &[Bytes])
            .leaving_open(Client, &[Writes]),
        of("reset-against-the-stream", "read 300k, reset", "write 4M, read-to-end")
            .leaving_open(Upstream, &[Writes])
            .leaving_open(Client, &[Bytes]),
        of(
            "reset-with-unread-input",
            "stop-reading, write 1000, await-input, reset",
            "write 4M, read-to-end",
        )
        .leaving_open(Upstream, &[Writes]),
        of("reset-between-two-streams", "write 1M, reset", "write 1M, read-to-end")
            .leaving_open(Upstream, &[Bytes, Writes])
            .leaving_open(Client, &[Bytes]),
        of(
            "close-with-unread-input",
            "stop-reading, write 1000, await-input, close",
            "write 1000, read-to-end",
        ),
        of(
            "close-with-unread-input-by-the-upstream",
            "write 1000, read-to-end",
            "stop-reading, await-input, close",
        ),
        of(
            "reset-behind-an-urgent-byte",
            "read 500k, read-to-end",
            "write 500k, await-peer 1, write-urgent, write 10, reset",
        ),
        of("close-with-a-long-answer-unsent", "write 1000, pause 20, read-to-end", CLOSE_UNREAD)
            .leaving_open(Client, &[Bytes]),
        of("fin-then-reset", "write 100, shut-down, await-peer 1, reset", "read-to-end, await-reset"),
        of(
            "fin-then-reset-by-the-upstream",
            "read-to-end, await-reset",
            "write 100, shut-down, await-peer 1, reset",
        ),
        of("fin-then-reset-at-once", "write 100, shut-down, reset", "read-to-end, await-reset"),
        of("fin-one-way-reset-the-other", "shut-down, read-to-end", "read-to-end, write 1000, reset"),
        of(
            "client-gone-before-the-answer",
            "write 100, close",
            "read-to-end, write 100, await-reset, write 10",
        ),
        of("upstream-gone-before-the-question", "read-to-end, write 100, await-reset", "write 100, close"),
        of("client-gone-in-a-download", "write 100, read 300k, close", "read 100, write 4M, read-to-end")
            .leaving_open(Client, &[Bytes])
            .leaving_open(Upstream, &[Ending, Writes]),
    ]
}

const URGENT: &str = "write 3, write-urgent, write 3, ";
const STALLED: &str = "stop-reading, await-input, pause 60, resume, read-to-end";
const STOP_AND_GO: &str = "stop-reading, read 1, read 10000, pause 20, read 100000, pause 20, read 7, resume";
const ANSWER_EARLY: &str = "stop-reading, read 1000, write 500k, shut-down, pause 30, resume, read-to-end";
const SLOW_READER: &str = "stop-reading, await-input, pause 60, read 100, pause 20, resume, read-to-end";
const CLOSE_UNREAD: &str = "stop-reading, await-input, write 500k, close";

fn of(name: &str, client: &str, upstream: &str) -> Script {
    Script::parse(name, client, upstream).expect("a test parses each of them")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_differ() {
        let all = all(Volume::Much);
        let names: HashSet<_> = all.iter().map(|script| &script.name).collect();
        assert_eq!(names.len(), all.len());
    }
}
