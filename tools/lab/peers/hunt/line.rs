//! One connection of the hunt: what it does to the server, and what the server owes it.
//!
//! Everything that it does is drawn from a seed: how many messages it sends and how long they are, in which pieces
//! and with which pauses, whether a piece ends in an urgent byte, how much it reads at a time and when it stops
//! reading, and how it ends. Each is a way in which servers have lost a wakeup: a short read that was
//! not the last, a write that took a part, an end in the same segment as data, a re-arm that came too late.

use std::{collections::VecDeque, net::SocketAddr};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::{self, Errno},
    net::{
        AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, connect, recv, send,
        shutdown, socket_with, sockopt,
    },
};

use super::stream::Stream;

/// Bytes of a greeting.
const GREETING_LEN: usize = 16;

/// The most messages of a connection that have no answer yet.
const IN_FLIGHT_MAX: usize = 8;

/// Of so many lines one is bulk: it sends more than the server's send buffer holds, and stops reading meanwhile.
const BULK_ONE_IN: u32 = 16;

/// The receive buffer of a bulk line, in bytes.
const SMALL_BUFFER: usize = 8 << 10;

/// Of so many pieces (and reads) one is followed by a pause.
const PAUSE_ONE_IN: u32 = 50;

/// The longest pause.
const PAUSE_MAX_NS: u64 = 3_000_000;

/// How long a bulk line doesn't read at first.
const BULK_PAUSE_NS: u64 = 30_000_000;

/// How a connection ends once its messages are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Closed when all answers are there.
    Fin,
    /// Its sending side is closed at once; the answers and then the server's FIN are owed.
    HalfClose,
    /// Reset at once, answers or not.
    Reset,
}

/// What became of a turn.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// Bytes moved.
    Progress,
    /// There is nothing to do until an event, or the end of a pause.
    Idle,
    /// It ended as it meant to.
    Over,
    /// It ended otherwise.
    Failed(Failure),
}

/// What a server must not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection came about.
    Connect(Errno),
    /// The connection broke.
    Reset(Errno),
    /// A wrong byte came, or one too many.
    Mismatch,
    /// The server ended it while it owed bytes.
    Short,
}

/// A connection on its way through its script.
#[derive(Debug)]
pub struct Line {
    socket: OwnedFd,
    random: fastrand::Rng,
    stream: Stream,
    ending: Ending,
    is_bulk: bool,
    is_established: bool,
    /// What is left of the greeting, and the worker that greeted.
    greeting: Vec<u8>,
    greeting_left: usize,
    messages_left: u32,
    /// Where the message that is being sent ends.
    message_end: u64,
    /// End and beginning of each message that is begun and not answered.
    in_flight: VecDeque<(u64, u64)>,
    sent: u64,
    received: u64,
    is_shut: bool,
    pub is_readable: bool,
    pub is_writable: bool,
    write_pause_until_ns: u64,
    read_pause_until_ns: u64,
}

impl Line {
    /// Starts to connect.
    ///
    /// # Errors
    /// The kernel's, where that fails at once.
    pub fn connect(to: SocketAddr, seed: u64, serial: u64, greets: bool) -> io::Result<Self> {
        let mut random = fastrand::Rng::with_seed(seed ^ serial.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let is_bulk = random.u32(..BULK_ONE_IN) == 0;
        let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket =
            socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        if is_bulk {
            sockopt::set_socket_recv_buffer_size(&socket, SMALL_BUFFER)?;
        }
        match connect(&socket, &to) {
            Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        Ok(Self {
            socket,
            stream: Stream::new(seed, serial),
            ending: [Ending::Fin, Ending::HalfClose, Ending::Reset][random.usize(..3)],
            is_bulk,
            is_established: false,
            greeting: Vec::new(),
            greeting_left: if greets { GREETING_LEN } else { 0 },
            messages_left: if is_bulk { random.u32(..12) } else { random.u32(..150) },
            random,
            message_end: 0,
            in_flight: VecDeque::new(),
            sent: 0,
            received: 0,
            is_shut: false,
            is_readable: false,
            is_writable: false,
            write_pause_until_ns: 0,
            read_pause_until_ns: 0,
        })
    }

    /// Whether the connection has come about.
    pub fn is_established(&self) -> bool {
        self.is_established
    }

    /// Whether the server has something to do for it: to accept it, to send what came in, to end its side.
    pub fn is_owed(&self, now_ns: u64) -> bool {
        let owes =
            !self.is_established || self.greeting_left > 0 || self.received < self.sent || self.is_shut;
        owes && now_ns >= self.read_pause_until_ns
    }

    /// When a pause ends that is the only thing that keeps it from going on.
    pub fn resumes_ns(&self, now_ns: u64) -> Option<u64> {
        let reads = self.is_readable.then_some(self.read_pause_until_ns);
        let writes = (self.is_writable && self.may_send()).then_some(self.write_pause_until_ns);
        [reads, writes].into_iter().flatten().filter(|&until_ns| until_ns > now_ns).min()
    }

    /// The worker that greeted, once it has.
    pub fn worker(&self) -> Option<u64> {
        let number = self.greeting.first_chunk::<8>()?;
        (self.greeting.len() == GREETING_LEN).then(|| u64::from_le_bytes(*number))
    }

    /// Bytes that came back.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Bytes sent and received, for a sentence.
    pub fn describe(&self) -> String {
        format!(
            "{} of {} bytes came back, {}, to end by {:?}{}",
            self.received,
            self.sent,
            match (self.is_established, self.worker()) {
                (false, _) => "not connected".to_owned(),
                (true, Some(worker)) => format!("on worker {worker}"),
                (true, None) if self.greeting_left > 0 => "not greeted".to_owned(),
                (true, None) => "not asked for its worker".to_owned(),
            },
            self.ending,
            if self.is_shut { ", half-closed" } else { "" },
        )
    }

    /// Does one piece of each: a write, a read, the end. `answered` is told when each answered message was begun.
    pub fn turn(&mut self, now_ns: u64, scratch: &mut [u8], mut answered: impl FnMut(u64)) -> Turn {
        if !self.is_established {
            match self.establish(now_ns) {
                Ok(true) => {}
                Ok(false) => return Turn::Idle,
                Err(error) => return Turn::Failed(Failure::Connect(error)),
            }
        }
        let read = self.read(now_ns, scratch, &mut answered);
        let wrote = match read {
            Ok(_) if now_ns >= self.write_pause_until_ns => self.write(now_ns, scratch),
            _ => Ok(false),
        };
        match (read, wrote) {
            (Err(turn), _) => turn,
            (_, Err(error)) => Turn::Failed(Failure::Reset(error)),
            (Ok(read), Ok(wrote)) => match self.end() {
                Some(turn) => turn,
                None if read || wrote => Turn::Progress,
                None => Turn::Idle,
            },
        }
    }

    fn establish(&mut self, now_ns: u64) -> io::Result<bool> {
        if !self.is_writable {
            return Ok(false);
        }
        match sockopt::socket_error(&self.socket)? {
            Ok(()) => self.is_established = true,
            Err(error) => return Err(error),
        }
        if self.is_bulk {
            self.read_pause_until_ns = now_ns + BULK_PAUSE_NS;
        }
        Ok(true)
    }

    /// Reads once, a part of random length. Whether bytes came; or how it is over.
    fn read(
        &mut self,
        now_ns: u64,
        scratch: &mut [u8],
        answered: &mut impl FnMut(u64),
    ) -> Result<bool, Turn> {
        if !self.is_readable || now_ns < self.read_pause_until_ns {
            return Ok(false);
        }
        let wanted = match self.random.u32(..4) {
            0 => self.random.usize(1..64),
            _ => self.random.usize(64..scratch.len()),
        };
        let len = match recv(&self.socket, &mut scratch[..wanted], RecvFlags::empty()) {
            Ok((0, _)) => {
                let is_whole = self.is_shut && self.received == self.sent && self.greeting_left == 0;
                return Err(if is_whole { Turn::Over } else { Turn::Failed(Failure::Short) });
            }
            Ok((len, _)) => len,
            Err(Errno::AGAIN | Errno::INTR) => {
                self.is_readable = false;
                return Ok(false);
            }
            Err(error) => return Err(Turn::Failed(Failure::Reset(error))),
        };
        let greeting_len = len.min(self.greeting_left);
        self.greeting.extend_from_slice(&scratch[..greeting_len]);
        self.greeting_left -= greeting_len;
        let bytes = &scratch[greeting_len..len];
        if self.received + bytes.len() as u64 > self.sent || !self.stream.is(self.received, bytes) {
            return Err(Turn::Failed(Failure::Mismatch));
        }
        self.received += bytes.len() as u64;
        while let Some(&(end, begun_ns)) = self.in_flight.front().filter(|(end, _)| *end <= self.received) {
            debug_assert!(end <= self.sent, "an answer comes after what was sent");
            answered(begun_ns);
            self.in_flight.pop_front();
        }
        self.read_pause_until_ns = self.pause(now_ns);
        Ok(true)
    }

    fn may_send(&self) -> bool {
        let may_begin = self.messages_left > 0 && self.in_flight.len() < IN_FLIGHT_MAX;
        self.is_established && !self.is_shut && (self.sent < self.message_end || may_begin)
    }

    /// Writes one piece, of random length. Whether bytes went.
    fn write(&mut self, now_ns: u64, scratch: &mut [u8]) -> io::Result<bool> {
        if !self.is_writable || !self.may_send() {
            return Ok(false);
        }
        if self.sent == self.message_end {
            self.messages_left -= 1;
            self.message_end += self.message_len();
            self.in_flight.push_back((self.message_end, now_ns));
        }
        let left = (self.message_end - self.sent).min(scratch.len() as u64) as usize;
        let len = if self.random.bool() { left } else { self.random.usize(1..=left) };
        self.stream.fill(self.sent, &mut scratch[..len]);
        // The last byte of an urgent piece splits the server's reads (tcp(7), SO_OOBINLINE).
        let urgent = if self.random.u32(..100) == 0 { SendFlags::OOB } else { SendFlags::empty() };
        match send(&self.socket, &scratch[..len], urgent | SendFlags::NOSIGNAL) {
            Ok(taken) => {
                self.sent += taken as u64;
                self.write_pause_until_ns = self.pause(now_ns);
                Ok(true)
            }
            Err(Errno::AGAIN | Errno::INTR) => {
                self.is_writable = false;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// What it does once all is sent.
    fn end(&mut self) -> Option<Turn> {
        if self.messages_left > 0 || self.sent < self.message_end || self.greeting_left > 0 {
            return None;
        }
        match self.ending {
            Ending::Fin => (self.received == self.sent).then_some(Turn::Over),
            Ending::Reset => {
                self.reset();
                Some(Turn::Over)
            }
            Ending::HalfClose if !self.is_shut => {
                // ENOTCONN: the peer has reset it; the next read says so.
                let _ = shutdown(&self.socket, Shutdown::Write);
                self.is_shut = true;
                Some(Turn::Progress)
            }
            Ending::HalfClose => None,
        }
    }

    /// Makes its close a reset.
    pub fn reset(&self) {
        // Cannot fail on a stream socket; if it did, the close would be an orderly one.
        let _ = sockopt::set_socket_linger(&self.socket, Some(std::time::Duration::ZERO));
    }

    fn message_len(&mut self) -> u64 {
        let len_max = match self.random.u32(..100) {
            _ if self.is_bulk => 1 << 20,
            0..80 => 128,
            80..99 => 4 << 10,
            _ => 64 << 10,
        };
        self.random.u64(1..=len_max)
    }

    /// When to go on, seldom later than now.
    fn pause(&mut self, now_ns: u64) -> u64 {
        match self.random.u32(..PAUSE_ONE_IN) {
            0 => now_ns + self.random.u64(..PAUSE_MAX_NS),
            _ => now_ns,
        }
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
