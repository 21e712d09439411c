//! What a thread knows of one connection. Connections come and go; their place, and the messages that wait
//! for the next one, stay.

use rustix::{fd::OwnedFd, io::Errno};

use super::{exchange::Exchange, pattern::Difference, reading::Reading};

/// A place for a connection; sockets come and go in it.
#[derive(Default)]
pub struct Connection {
    /// Its present socket.
    pub socket: Socket,
    /// Grows with each socket, so that an event for an earlier one finds nobody.
    pub generation: u32,
    /// Which stream of bytes it carries.
    pub key: u64,
    /// When the first attempt at the present connection began.
    pub connect_ns: u64,
    /// Failures since the last answer.
    pub failures: u32,
    /// The socket took less than it was given; an event will tell when it takes more.
    pub is_blocked: bool,
    /// Whether the opening phase has no more to expect of it.
    pub is_settled: bool,
    /// What came of it, where the server greets.
    pub greeting: Greeting,
    /// Where its messages are counted.
    pub group: usize,
    /// Closed loop: users who think before they send their next message.
    pub thinking: usize,
    /// How fast it reads.
    pub reading: Reading,
    /// Its messages.
    pub exchange: Exchange,
}

/// What a place has of a connection.
#[derive(Default)]
pub enum Socket {
    /// Nothing.
    #[default]
    Closed,
    /// The accept queue was full: not even begun.
    Queueing,
    /// On its way.
    Connecting(OwnedFd),
    /// Established.
    Open(OwnedFd),
}

/// The server's first 16 bytes: a worker's number and a sequence number.
#[derive(Default)]
pub struct Greeting {
    bytes: [u8; Greeting::LEN],
    len: usize,
}

/// What epoll hands back: a place, and which of its sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token {
    /// The place.
    pub slot: u32,
    /// Its socket.
    pub generation: u32,
}

/// What a connection asked to be woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// To be opened again, or to try the accept queue again.
    Open,
    /// To read on.
    Read,
    /// To send: a user has thought.
    Think,
}

/// Why a connection is over.
pub enum Failure {
    /// It could not be established.
    Connect(Errno),
    /// It broke.
    Reset(Errno),
    /// A wrong byte, or one too many.
    Mismatch(Option<Difference>),
    /// What should have been a greeting isn't one.
    NoGreeting(u64),
    /// The server ended it.
    Eof,
}

impl Connection {
    /// Whether it is open, or about to be, and its greeting isn't there.
    pub fn awaits_greeting(&self) -> bool {
        !matches!(self.socket, Socket::Closed) && !self.greeting.is_whole()
    }
}

impl Socket {
    /// Whether it may yet become a connection.
    pub fn is_connecting(&self) -> bool {
        matches!(self, Self::Queueing | Self::Connecting(_))
    }
}

impl Greeting {
    const LEN: usize = 16;

    /// Takes what it lacks from the front of `bytes`; the rest.
    pub fn take<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let (own, rest) = bytes.split_at(bytes.len().min(Self::LEN - self.len));
        self.bytes[self.len..self.len + own.len()].copy_from_slice(own);
        self.len += own.len();
        rest
    }

    /// Whether all of it is there.
    pub fn is_whole(&self) -> bool {
        self.len == Self::LEN
    }

    /// The number of the worker that greeted.
    pub fn worker(&self) -> u64 {
        let [worker @ .., _, _, _, _, _, _, _, _] = self.bytes;
        u64::from_le_bytes(worker)
    }
}

impl Token {
    /// The form in which the kernel keeps it.
    pub fn to_u64(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    /// The token in an event.
    pub fn from_u64(data: u64) -> Self {
        Self { slot: data as u32, generation: (data >> 32) as u32 }
    }
}

impl Failure {
    /// The reason as a sentence's subject and predicate, and what to do where there is a usual cause.
    pub fn describe(&self) -> String {
        match self {
            Self::Connect(error) => format!("a connection failed: {error}{}", hint(*error)),
            Self::Reset(error) => format!("a connection broke: {error}"),
            Self::Mismatch(Some(Difference { offset, expected, got })) => format!(
                "a wrong byte came back: byte {offset} of its connection was sent as {expected:#04x} and \
                 returned as {got:#04x}{}",
                if *offset == 0 { GREET_HINT } else { "" }
            ),
            Self::Mismatch(None) => format!("more bytes came back than were sent{GREET_HINT}"),
            Self::NoGreeting(worker) => format!(
                "the first 16 bytes are no greeting (worker {worker}): start the server with --greet, or \
                 leave it out here"
            ),
            Self::Eof => "the server ended a connection while it owed bytes".to_owned(),
        }
    }
}

/// A stream that is wrong from its first byte on usually starts with a greeting.
const GREET_HINT: &str = "; if the server greets, say --greet here too";

/// What to do about an error that has a usual cause.
fn hint(error: Errno) -> &'static str {
    match error {
        Errno::CONNREFUSED | Errno::NOENT => "; is the server running?",
        Errno::ADDRNOTAVAIL => {
            "; no ephemeral port is free (fewer --connections, --churn with more messages, or a wider --source), \
             or --source isn't of this machine"
        }
        Errno::TIMEDOUT => "; the server's accept queue may be full, or it does not greet",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_may_come_in_pieces() {
        let mut stream = Vec::new();
        stream.extend_from_slice(&7u64.to_le_bytes());
        stream.extend_from_slice(&9u64.to_le_bytes());
        stream.extend_from_slice(b"rest");
        for cut in 0..stream.len() {
            let mut greeting = Greeting::default();
            let first = greeting.take(&stream[..cut]).to_vec();
            let second = greeting.take(&stream[cut..]);
            assert_eq!([&first, second].concat(), b"rest");
            assert!(greeting.is_whole());
            assert_eq!(greeting.worker(), 7);
        }
    }

    #[test]
    fn a_token_survives_the_kernel() {
        let token = Token { slot: 17_999, generation: u32::MAX };
        assert_eq!(Token::from_u64(token.to_u64()), token);
    }
}
