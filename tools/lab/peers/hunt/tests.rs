//! The hunter itself: it finds what servers get wrong, each mistake by its name, and nothing in one that is right.

use std::{
    collections::HashMap,
    io::{ErrorKind, Read},
    net::{TcpListener, TcpStream},
    thread,
};

use super::*;

/// Answers with what it got, one read at a time, until `fault` is to happen; a thread a connection.
fn server(fault: fn(&mut TcpStream, &mut Vec<u8>)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // Without it an urgent byte vanishes from the stream (tcp(7)).
            rustix::net::sockopt::set_socket_oobinline(&stream, true).unwrap();
            thread::spawn(move || {
                let mut bytes = vec![0; 1 << 16];
                while let Ok(len @ 1..) = stream.read(&mut bytes) {
                    let mut echo = bytes[..len].to_vec();
                    fault(&mut stream, &mut echo);
                    if stream.write_all(&echo).is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

fn hunt(address: SocketAddr, messages: u64) -> Tally {
    let words =
        format!("hunt {address} --connections 20 --messages {messages} --stall-after 300ms --no-greet");
    let args = Args::try_parse_from(words.split_whitespace()).unwrap();
    Hunt::new(&args).unwrap().run().unwrap()
}

#[test]
fn a_server_that_echoes_is_well() {
    let tally = hunt(server(|_, _| {}), 3_000);
    assert!(tally.messages >= 3_000 && tally.connections >= 20, "{} messages", tally.messages);
    assert_eq!(tally.failures(), 0, "{:?}", tally.first_failure);
}

#[test]
fn a_byte_that_is_owed_for_ever_is_a_stall() {
    let tally = hunt(server(|_, echo| echo.clear()), 1_000_000);
    assert!(tally.stalls >= 20, "{} stalls", tally.stalls);
    assert!(tally.first_failure.is_some_and(|failure| failure.contains(" came back")));
}

#[test]
fn a_wrong_byte_is_no_stall() {
    let tally = hunt(server(|_, echo| echo[0] ^= 1), 1_000_000);
    assert!(tally.mismatch > 0);
}

#[test]
fn an_end_that_comes_too_early_is_told() {
    let tally =
        hunt(server(|stream, _| stream.shutdown(std::net::Shutdown::Both).unwrap_or_default()), 1_000_000);
    assert!(tally.short + tally.reset > 0);
}

#[test]
fn nobody_listens() {
    let vacant = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let tally = hunt(vacant, 10);
    assert_eq!((tally.connections, tally.messages, tally.stalls), (0, 0, 0));
    assert!(tally.connect >= FAILURES_MAX);
}

#[test]
fn the_report_reads_like_the_load_generators() {
    let args = Args::try_parse_from(["hunt", "127.0.0.1:1", "--greet", "--json"]).unwrap();
    let mut tally = Tally::new(1);
    (tally.messages, tally.ended_ns) = (500, 2_000_000_001);
    tally.count_connection(Some(2));
    let report = tally.report(&args, "now");
    assert_eq!((&report["rate_per_s"], &report["stalls"]), (&json!(250.0), &json!(0)));
    assert_eq!(report["by_worker"][2]["connections"], 1);
}

/// What an edge-triggered server easily gets wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    None,
    /// It reads once for each event: of what the read leaves behind no event will tell.
    ReadsOnce,
    /// It doesn't ask when there is room again for what the socket didn't take.
    NeverAsksForRoom,
}

/// A connection of the server below.
struct Session {
    stream: TcpStream,
    /// Read and not written yet.
    owed: Vec<u8>,
}

impl Session {
    /// Answers until there is nothing left to do, or as far as the bug has it; whether the connection goes on.
    fn turn(&mut self, bug: Bug) -> bool {
        let mut bytes = [0; 4 << 10];
        for turn in 0.. {
            while !self.owed.is_empty() {
                match self.stream.write(&self.owed) {
                    Ok(taken) => drop(self.owed.drain(..taken)),
                    Err(error) => return error.kind() == ErrorKind::WouldBlock,
                }
            }
            if turn == 1 && bug == Bug::ReadsOnce {
                break;
            }
            match self.stream.read(&mut bytes) {
                Ok(0) => return false,
                Ok(len) => self.owed.extend_from_slice(&bytes[..len]),
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
        true
    }
}

/// An edge-triggered echo server with this bug; one thread, which ends with the tests.
fn edge_triggered(bug: Bug) -> SocketAddr {
    const LISTENER: u64 = u64::MAX;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN).unwrap();
    let asks = match bug {
        Bug::NeverAsksForRoom => EventFlags::IN | EventFlags::ET,
        _ => EventFlags::IN | EventFlags::OUT | EventFlags::ET,
    };
    thread::spawn(move || {
        let (mut sessions, mut serial) = (HashMap::new(), 0);
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            events.clear();
            let Ok(_) = epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None) else {
                continue;
            };
            for event in &events {
                let key = event.data.u64();
                if key != LISTENER {
                    if sessions.get_mut(&key).is_some_and(|session: &mut Session| !session.turn(bug)) {
                        sessions.remove(&key);
                    }
                    continue;
                }
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true).unwrap();
                    rustix::net::sockopt::set_socket_oobinline(&stream, true).unwrap();
                    // Little room, so that it is soon used up.
                    rustix::net::sockopt::set_socket_send_buffer_size(&stream, 8 << 10).unwrap();
                    serial += 1;
                    epoll::add(&epoll, &stream, EventData::new_u64(serial), asks).unwrap();
                    sessions.insert(serial, Session { stream, owed: Vec::new() });
                }
            }
        }
    });
    address
}

#[test]
fn an_edge_triggered_server_that_is_right_loses_no_wakeup() {
    let tally = hunt(edge_triggered(Bug::None), 3_000);
    assert!(tally.messages >= 3_000, "{} messages", tally.messages);
    assert_eq!(tally.failures(), 0, "{:?}", tally.first_failure);
}

#[test]
fn what_one_read_for_an_event_leaves_behind_is_found() {
    let tally = hunt(edge_triggered(Bug::ReadsOnce), 1_000_000);
    let first = tally.first_failure.as_deref().unwrap_or_default();
    assert!(tally.stalls > 0 && first.starts_with("a connection is stalled: "), "{first}");
    assert_eq!((tally.mismatch, tally.short), (0, 0), "no byte is wrong: it only waits");
}

#[test]
fn an_answer_for_which_nobody_asks_for_room_is_found() {
    let tally = hunt(edge_triggered(Bug::NeverAsksForRoom), 100_000);
    assert!(tally.stalls > 0, "{} messages: {:?}", tally.messages, tally.first_failure);
    assert_eq!((tally.mismatch, tally.short), (0, 0), "no byte is wrong: it only waits");
}
