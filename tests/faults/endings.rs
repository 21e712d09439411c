//! How streams end: FIN stays FIN, RST stays RST, each after all that came before it.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
};

use rustix::io::Errno;

use crate::support::{
    client::{Client, End},
    eventually,
    proxy::{Site, everywhere, expect_stream, fill, send_stream},
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Two ends of a session, in an order that a test chooses.
type Ends = (Client, Client);

fn forwards((client, upstream): Ends) -> Ends {
    (client, upstream)
}

fn backwards((client, upstream): Ends) -> Ends {
    (upstream, client)
}

const DIRECTIONS: [fn(Ends) -> Ends; 2] = [forwards, backwards];

/// A FIN ends one direction; the other goes on for as long as it wants.
#[test]
fn half_close_lost() {
    const REQUEST: usize = KIB;
    const ANSWER: usize = 10 * MIB;
    everywhere(|way| {
        let site = Site::start(way, &[]);
        for direction in DIRECTIONS {
            for request in [0, REQUEST] {
                let (first, second) = direction(site.pair());
                send_stream(&first, 0, request);
                first.finish();
                expect_stream(&second, 0, request);
                second.expect_end();
                thread::scope(|scope| {
                    scope.spawn(|| {
                        send_stream(&second, 0, ANSWER);
                        second.finish();
                    });
                    expect_stream(&first, 0, ANSWER);
                });
                first.expect_end();
            }
        }
        // Both at once, before either has read anything.
        let (client, upstream) = site.pair();
        for end in [&client, &upstream] {
            send_stream(end, 0, REQUEST);
            end.finish();
        }
        for end in [&client, &upstream] {
            expect_stream(end, 0, REQUEST);
            end.expect_end();
        }
        drop((client, upstream));
        site.end().assert_codes(&["CW", "CD", "UW", "UD"]);
    });
}

/// A reset of one side is a reset of the other, whatever went before it; never what looks like a whole stream.
#[test]
fn rst_as_fin() {
    everywhere(|way| {
        let site = Site::start(way, &[]);
        for direction in DIRECTIONS {
            reset_in_silence(direction(site.acquainted_pair()));
            reset_after_talk(direction(site.pair()));
            reset_while_refusing(direction(site.narrow_pair()));
            for _ in 0..10 {
                reset_while_written_to(direction(site.pair()));
            }
            reset_after_the_others_fin(direction(site.pair()));
        }
        // The proxy may not even know yet that its connect has succeeded.
        let (client, upstream) = site.pair();
        client.reset();
        upstream.expect_reset();
        site.end().assert_codes(&["cC", "cW", "cD", "cH", "uW", "uD", "uH"]);
    });
}

fn reset_in_silence((first, second): Ends) {
    first.reset();
    second.expect_reset();
}

fn reset_after_talk((first, second): Ends) {
    for bytes in [&b"question"[..], b"answer"] {
        first.send(bytes);
        second.expect(bytes);
        second.send(bytes);
        first.expect(bytes);
    }
    first.reset();
    second.expect_reset();
}

/// The proxy holds bytes for the side that resets.
fn reset_while_refusing((first, second): Ends) {
    assert!(fill(&second, 64 * MIB) < 64 * MIB);
    first.reset();
    second.expect_reset();
}

/// The proxy may meet the reset in a write, which is the only one to be told of it.
fn reset_while_written_to((first, second): Ends) {
    let flows = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            loop {
                match second.send_or_fail(&[b'x'; 64]) {
                    Ok(()) => flows.store(true, Relaxed),
                    Err(error) => return error,
                }
            }
        });
        eventually("it flows", || flows.load(Relaxed).then_some(()));
        let mut buffer = [0; 8 * KIB];
        first.receive(&mut buffer).expect("a live connection");
        first.reset();
        let read = second.receive(&mut buffer);
        let written = writer.join().expect("it ends by an error");
        // Of the two calls one is told of the reset, once.
        assert!(
            [read.err(), Some(written)].contains(&Some(Errno::CONNRESET)),
            "read: {read:?}, write: {written}"
        );
    });
}

/// The second has ended its stream and waits for the first's, which is cut off.
fn reset_after_the_others_fin((first, second): Ends) {
    second.finish();
    first.expect_end();
    send_stream(&first, 0, 10);
    expect_stream(&second, 0, 10);
    first.reset();
    second.expect_reset();
}

/// What had arrived when the reset came is delivered, then the reset.
#[test]
fn rst_drops_data() {
    everywhere(|way| {
        let site = Site::start(way, &[]);
        for direction in DIRECTIONS {
            for len in [1, 10 * KIB, 200 * KIB] {
                let (first, second) = direction(site.pair());
                send_stream(&first, 0, len);
                // An own kernel throws away what it hasn't sent when it resets.
                first.flush();
                first.reset();
                expect_stream(&second, 0, len);
                second.expect_reset();
            }
            // The reader begins to read when all is over: the proxy has far more than its socket takes.
            let (first, second) = direction(site.narrow_pair());
            let len = fill(&first, 64 * MIB);
            let (unsent, len) = (first.unacknowledged(), len);
            assert!(unsent > 0, "{len} bytes were taken from a side whose other doesn't read");
            first.reset();
            let (received, end) = second.drain();
            assert_eq!(end, End::Reset);
            assert!(received >= len - unsent, "{received} of {} bytes that had arrived", len - unsent);
        }
        site.end().assert_codes(&["cW", "cD", "uW", "uD"]);
    });
}

/// A side that goes on sending while the other answers and ends gets the whole answer, and the end of it.
#[test]
fn close_resets_output() {
    const ANSWER: usize = 5 * MIB;
    everywhere(|way| {
        let site = Site::start(way, &[]);
        for direction in DIRECTIONS {
            let (first, second) = direction(site.pair());
            let (is_answered, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
            thread::scope(|scope| {
                scope.spawn(|| {
                    while !is_answered.load(Relaxed) {
                        send_stream(&first, sent.load(Relaxed), 10 * KIB);
                        sent.fetch_add(10 * KIB, Relaxed);
                    }
                    first.finish();
                });
                // It answers without having read the question to its end, and ends its stream.
                expect_stream(&second, 0, 100);
                scope.spawn(|| {
                    send_stream(&second, 0, ANSWER);
                    second.finish();
                });
                expect_stream(&first, 0, ANSWER);
                first.expect_end();
                is_answered.store(true, Relaxed);
                let (rest, end) = second.drain();
                assert_eq!((rest + 100, end), (sent.load(Relaxed), End::Fin));
            });
            closed_for_good(direction(site.narrow_pair()));
        }
        site.end().assert_codes(&["UD", "CW", "CD", "uH", "cH"]);
    });
}

/// Its kernel answers further bytes with a reset: the proxy has the answer and its end to deliver before that.
fn closed_for_good((first, second): Ends) {
    const ANSWER: usize = 100 * KIB;
    first.send(b"question");
    second.expect(b"question");
    send_stream(&second, 0, ANSWER);
    // Until the FIN has arrived too: a kernel whose buffer is full drops it, and then the reset is all that comes, by
    // direct TCP as well.
    second.finish();
    second.flush();
    drop(second);
    first.send(b"one more");
    expect_stream(&first, 0, ANSWER);
    first.expect_end();
}

/// A reader that stalls gets the last byte before the end, however much is on the way when the writer ends.
#[test]
fn shutdown_overtakes() {
    const LEN: usize = 64 * MIB;
    /// What is left of that, at the least, when the writer has ended.
    const LAST: usize = 300 * KIB;
    everywhere(|way| {
        let site = Site::start(way, &[]);
        for (direction, len) in DIRECTIONS.into_iter().zip([LEN / 4, LEN]) {
            let (first, second) = direction(site.pair());
            let sent = fill(&first, len);
            assert!(sent < len, "{sent} bytes were taken from a writer whose reader stalls");
            let has_ended = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    send_stream(&first, sent, len - sent);
                    first.finish();
                    has_ended.store(true, Relaxed);
                });
                let mut received = 0;
                while !has_ended.load(Relaxed) && received < len - LAST {
                    let part = (64 * KIB).min(len - LAST - received);
                    expect_stream(&second, received, part);
                    received += part;
                }
                // Now it stalls with the end on its way.
                eventually("the writer has ended", || has_ended.load(Relaxed).then_some(()));
                first.until_still();
                expect_stream(&second, received, len - received);
            });
            second.expect_end();
            second.finish();
            first.expect_end();
        }
        site.end().assert_codes(&["CW", "UD"]);
    });
}
