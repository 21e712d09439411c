//! The client of every contender: one thread, one epoll, a closed loop.
//!
//! It exists because the measurement needs what no load generator offers: `exchange(n)` sends exactly `n`
//! messages and returns when the last reply has come, so that the server's CPU between two calls belongs
//! to exactly `n` messages. Every reply is compared with what was sent.

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::EventFlags;
use rustix::event::{Timespec, epoll};

/// What goes over each connection.
#[derive(Clone, Copy)]
pub struct Traffic {
    /// The size of each message, a multiple of 8.
    pub message_bytes: usize,
    /// Messages under way at a time.
    pub window: usize,
    /// Whether a connection carries one message only, and then a new one takes its place.
    pub reconnects: bool,
}

/// Small messages, one at a time.
pub const PING_PONG: Traffic = Traffic { message_bytes: 64, window: 1, reconnects: false };

const EVENTS_MAX: usize = 256;
const BUFFER_BYTES: usize = 64 * 1024;
/// A server that is silent for so long is broken, even under callgrind.
const SILENCE_MAX: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

/// Connections to one server.
pub struct Client {
    address: SocketAddr,
    traffic: Traffic,
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    lanes: Vec<Lane>,
    buffer: Vec<u8>,
}

struct Lane {
    stream: TcpStream,
    message: Box<[u8]>,
    /// Bytes that are due and not sent yet.
    unsent_len: usize,
    /// Where in the message the next byte is to go, and where the next one is to come.
    sent_at: usize,
    received_at: usize,
    waits_to_send: bool,
}

impl Client {
    /// Opens `connections` connections, one after the other.
    pub fn connect(
        address: SocketAddr,
        connections: usize,
        traffic: Traffic,
    ) -> Result<Self, Box<dyn Error>> {
        let mut client = Self {
            address,
            traffic,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(EVENTS_MAX),
            lanes: Vec::with_capacity(connections),
            buffer: vec![0; BUFFER_BYTES],
        };
        for index in 0..connections {
            let lane = client.open_lane(index)?;
            client.lanes.push(lane);
        }
        Ok(client)
    }

    /// Sends `messages` messages over all connections, the next one on a connection when the reply to an
    /// earlier one is complete, and returns when all replies are in (and, with `reconnects`, each
    /// connection has been replaced).
    pub fn exchange(&mut self, messages: usize) -> Result<(), Box<dyn Error>> {
        let mut sent = messages.min(self.lanes.len() * self.traffic.window);
        for turn in 0..sent {
            self.send(turn % self.lanes.len())?;
        }
        let mut completed = 0;
        while completed < messages {
            self.wait()?;
            for event in 0..self.events.len() {
                let index = self.events[event].data.u64() as usize;
                for _ in 0..self.ready(index)? {
                    completed += 1;
                    if self.traffic.reconnects {
                        self.lanes[index] = self.open_lane(index)?;
                    }
                    if sent < messages {
                        self.send(index)?;
                        sent += 1;
                    }
                }
            }
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<(), Box<dyn Error>> {
        self.events.clear();
        let count = epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&SILENCE_MAX))?;
        if count == 0 {
            return Err(format!("no reply within {} s", SILENCE_MAX.tv_sec).into());
        }
        Ok(())
    }

    fn open_lane(&self, index: usize) -> Result<Lane, Box<dyn Error>> {
        let lane = Lane::connect(self.address, index, self.traffic.message_bytes)
            .map_err(|error| format!("connection {index} to {}: {error}", self.address))?;
        epoll::add(&self.epoll, &lane.stream, token(index), EventFlags::IN)?;
        Ok(lane)
    }

    fn send(&mut self, index: usize) -> Result<(), Box<dyn Error>> {
        let lane = &mut self.lanes[index];
        lane.unsent_len += lane.message.len();
        self.go_on_sending(index)
    }

    /// Small messages always fit; whoever has large ones on the way may have to wait.
    fn go_on_sending(&mut self, index: usize) -> Result<(), Box<dyn Error>> {
        let lane = &mut self.lanes[index];
        let must_wait = !lane.send_unsent()?;
        if must_wait != lane.waits_to_send {
            lane.waits_to_send = must_wait;
            let events = if must_wait { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            epoll::modify(&self.epoll, &lane.stream, token(index), events)?;
        }
        Ok(())
    }

    /// How many replies are now complete.
    fn ready(&mut self, index: usize) -> Result<usize, Box<dyn Error>> {
        if self.lanes[index].waits_to_send {
            self.go_on_sending(index)?;
        }
        self.lanes[index].receive(&mut self.buffer)
    }
}

impl Lane {
    /// Each eight bytes of the message tell the lane and the place, so that a reply on the wrong lane is
    /// noticed, and one with a piece missing.
    fn connect(address: SocketAddr, index: usize, message_bytes: usize) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let words = 0..message_bytes as u64 / 8;
        let message = words.flat_map(|word| ((index as u64) << 32 | word).to_le_bytes()).collect();
        Ok(Self { stream, message, unsent_len: 0, sent_at: 0, received_at: 0, waits_to_send: false })
    }

    /// Whether everything that was due is sent.
    fn send_unsent(&mut self) -> std::io::Result<bool> {
        while self.unsent_len > 0 {
            let piece_len = self.unsent_len.min(self.message.len() - self.sent_at);
            match self.stream.write(&self.message[self.sent_at..][..piece_len]) {
                Ok(len) => {
                    self.unsent_len -= len;
                    self.sent_at = (self.sent_at + len) % self.message.len();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Box<dyn Error>> {
        let len = match self.stream.read(buffer) {
            Ok(0) => return Err("the server closed a connection".into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            read => read?,
        };
        let mut received = &buffer[..len];
        let mut completed = 0;
        while !received.is_empty() {
            let expected = &self.message[self.received_at..];
            let (piece, rest) = received.split_at(received.len().min(expected.len()));
            if piece != &expected[..piece.len()] {
                return Err("the server sent a wrong byte back".into());
            }
            self.received_at = (self.received_at + piece.len()) % self.message.len();
            completed += usize::from(self.received_at == 0);
            received = rest;
        }
        Ok(completed)
    }
}

fn token(index: usize) -> epoll::EventData {
    epoll::EventData::new_u64(index as u64)
}
