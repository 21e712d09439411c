//! The client of every contender: one thread, one epoll, a closed loop of small messages.
//!
//! It exists because the measurement needs what no load generator offers: `exchange(n)` sends exactly `n`
//! messages and returns when the last reply has come, so that the server's CPU between two calls belongs
//! to exactly `n` messages. Every reply is compared with what was sent.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

/// The size of each message.
pub const MESSAGE_BYTES: usize = 64;

const EVENTS_MAX: usize = 256;
/// A server that is silent for so long is broken, even under callgrind.
const SILENCE_MAX: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

/// Connections to one server, each with at most one message under way.
pub struct Client {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    lanes: Vec<Lane>,
}

struct Lane {
    stream: TcpStream,
    message: [u8; MESSAGE_BYTES],
    reply: [u8; MESSAGE_BYTES],
    received_len: usize,
}

impl Client {
    /// Opens `connections` connections, one after the other.
    pub fn connect(address: SocketAddr, connections: usize) -> Result<Self, Box<dyn Error>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut lanes = Vec::with_capacity(connections);
        for index in 0..connections {
            let lane = Lane::connect(address, index)
                .map_err(|error| format!("connection {index} to {address}: {error}"))?;
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&epoll, &lane.stream, data, epoll::EventFlags::IN)?;
            lanes.push(lane);
        }
        Ok(Self { epoll, events: Vec::with_capacity(EVENTS_MAX), lanes })
    }

    /// Sends `messages` messages over all connections, the next one on a connection when the reply to the
    /// last one is complete, and returns when all replies are in.
    pub fn exchange(&mut self, messages: usize) -> Result<(), Box<dyn Error>> {
        let mut sent = messages.min(self.lanes.len());
        for lane in &mut self.lanes[..sent] {
            lane.send()?;
        }
        let mut completed = 0;
        while completed < messages {
            self.wait()?;
            for event in &self.events {
                let lane = &mut self.lanes[event.data.u64() as usize];
                if !lane.receive()? {
                    continue;
                }
                completed += 1;
                if sent < messages {
                    lane.send()?;
                    sent += 1;
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
}

impl Lane {
    /// The message is the lane's number over and over, so that a reply on the wrong lane is noticed.
    fn connect(address: SocketAddr, index: usize) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut message = [0; MESSAGE_BYTES];
        for part in message.chunks_exact_mut(8) {
            part.copy_from_slice(&(index as u64).to_le_bytes());
        }
        Ok(Self { stream, message, reply: [0; MESSAGE_BYTES], received_len: 0 })
    }

    /// The socket blocks, but never here: the server has answered everything that was sent before.
    fn send(&mut self) -> std::io::Result<()> {
        self.stream.write_all(&self.message)
    }

    /// Whether the reply is now complete.
    fn receive(&mut self) -> Result<bool, Box<dyn Error>> {
        match self.stream.read(&mut self.reply[self.received_len..])? {
            0 => return Err("the server closed a connection".into()),
            len => self.received_len += len,
        }
        if self.received_len < MESSAGE_BYTES {
            return Ok(false);
        }
        self.received_len = 0;
        if self.reply != self.message {
            return Err("the server echoed a wrong byte".into());
        }
        Ok(true)
    }
}
