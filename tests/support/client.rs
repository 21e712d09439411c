//! The client's end of a connection, and bytes that can be told apart.
//!
//! A client may be used by two threads at once, one that writes and one that reads.

use std::{
    io::IoSlice,
    mem::MaybeUninit,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
    time::Duration,
};

use evenkeel::sys::socket::unacknowledged;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown,
        SocketAddrUnix, SocketFlags, SocketType, bind, connect, getpeername, getsockname, recv, send,
        sendmsg, shutdown, socket_with, sockopt,
    },
};

use super::{PATIENCE, eventually};

/// Where a server listens.
#[derive(Clone, Debug)]
pub enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A connected stream socket, TCP or unix.
#[derive(Debug)]
pub struct Client(OwnedFd);

/// How a stream came to its end for whoever read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// FIN: the stream is whole.
    Fin,
    /// RST: it was cut off.
    Reset,
}

/// What a nonblocking send did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    Bytes(usize),
    WouldBlock,
}

impl Target {
    /// From the address in a ready line.
    pub fn parse(text: &str) -> Self {
        match text.strip_prefix("unix:") {
            Some(path) => Self::Unix(path.into()),
            None => Self::Tcp(text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))),
        }
    }
}

impl Client {
    /// Connects, with [`PATIENCE`] for each call from then on.
    pub fn connect(target: &Target) -> Self {
        Self::connect_with(target, |_| ())
    }

    /// The same with small socket buffers, so that a stream of a few hundred kilobytes is more than they hold.
    pub fn connect_narrow(target: &Target) -> Self {
        Self::connect_with(target, |fd| narrow(fd))
    }

    /// Connects over TCP from an address of this machine.
    pub fn connect_from(source: IpAddr, target: &Target) -> Self {
        Self::connect_with(target, |fd| {
            bind(fd, &SocketAddr::new(source, 0)).unwrap_or_else(|error| panic!("{source}: {error}"));
        })
    }

    fn connect_with(target: &Target, prepare: impl FnOnce(BorrowedFd<'_>)) -> Self {
        let family = match target {
            Target::Tcp(SocketAddr::V4(_)) => AddressFamily::INET,
            Target::Tcp(SocketAddr::V6(_)) => AddressFamily::INET6,
            Target::Unix(_) => AddressFamily::UNIX,
        };
        let fd = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .expect("a descriptor is free");
        for direction in [sockopt::Timeout::Recv, sockopt::Timeout::Send] {
            sockopt::set_socket_timeout(&fd, direction, Some(PATIENCE)).expect("a positive timeout");
        }
        prepare(fd.as_fd());
        let connected = match target {
            Target::Tcp(address) => {
                sockopt::set_tcp_nodelay(&fd, true).expect("a TCP socket");
                connect(&fd, address)
            }
            Target::Unix(path) => connect(&fd, &SocketAddrUnix::new(path).expect("a short path without NUL")),
        };
        connected.unwrap_or_else(|error| panic!("cannot connect to {target:?}: {error}"));
        Self(fd)
    }

    /// The next connection to a listener that was given a timeout.
    pub fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().unwrap_or_else(|error| panic!("nobody connects: {error}"));
        Self::from(stream)
    }

    /// Its own address.
    pub fn address(&self) -> SocketAddr {
        let address = getsockname(&self.0).expect("it is a socket");
        address.try_into().expect("it is a TCP socket")
    }

    /// The other end's address.
    pub fn peer(&self) -> SocketAddr {
        let address = getpeername(&self.0).ok().flatten().expect("it is connected");
        address.try_into().expect("it is a TCP socket")
    }

    /// How many bytes of what was sent, and whether FIN, its peer's kernel hasn't got yet.
    pub fn unacknowledged(&self) -> usize {
        unacknowledged(&self.0)
    }

    /// Waits until all that was sent has reached the peer's kernel.
    pub fn flush(&self) {
        eventually("what was sent has arrived", || (self.unacknowledged() == 0).then_some(()));
    }

    /// Waits until no more of what was sent gets any further.
    pub fn until_still(&self) {
        let (mut left, mut looks) = (self.unacknowledged(), 0);
        eventually("nothing moves any more", || {
            let now = self.unacknowledged();
            looks = if now == left { looks + 1 } else { 0 };
            left = now;
            (looks >= 20).then_some(())
        });
    }

    /// Sends all of it.
    pub fn send(&self, bytes: &[u8]) {
        self.send_with(bytes, SendFlags::empty());
    }

    /// The same with flags: `OOB` makes the last byte urgent, `MORE` keeps a last part for the next segment.
    pub fn send_with(&self, mut bytes: &[u8], flags: SendFlags) {
        while !bytes.is_empty() {
            match send(&self.0, bytes, flags | SendFlags::NOSIGNAL) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(Errno::INTR) => {}
                Err(error) => panic!("cannot send: {error}, {} bytes left", bytes.len()),
            }
        }
    }

    /// Sends all of it, or says why not.
    pub fn send_or_fail(&self, mut bytes: &[u8]) -> Result<(), Errno> {
        while !bytes.is_empty() {
            match send(&self.0, bytes, SendFlags::NOSIGNAL) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether this kind of socket has urgent data (unix: Linux 5.15, CONFIG_AF_UNIX_OOB). Sends `!` where it has.
    pub fn takes_urgent_data(&self) -> bool {
        send(&self.0, b"!", SendFlags::OOB | SendFlags::NOSIGNAL).is_ok()
    }

    /// Sends bytes with a descriptor beside them (unix alone).
    pub fn send_with_descriptor(&self, bytes: &[u8], passed: BorrowedFd<'_>) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let passed = [passed];
        assert!(control.push(SendAncillaryMessage::ScmRights(&passed)), "there is space for one");
        let sent = sendmsg(&self.0, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL);
        assert_eq!(sent, Ok(bytes.len()));
    }

    /// Sends what the socket takes at once.
    pub fn try_send(&self, bytes: &[u8]) -> Sent {
        match send(&self.0, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(sent) => Sent::Bytes(sent),
            Err(Errno::AGAIN | Errno::INTR) => Sent::WouldBlock,
            Err(error) => panic!("cannot send: {error}"),
        }
    }

    /// Receives something; 0 is the end of the stream.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        loop {
            match recv(&self.0, &mut *buffer, RecvFlags::empty()) {
                Ok((received, _)) => return Ok(received),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Receives exactly these bytes, and no others.
    pub fn expect(&self, bytes: &[u8]) {
        let mut buffer = vec![0; bytes.len()];
        let mut received = 0;
        while received < bytes.len() {
            match self.receive(&mut buffer[received..]) {
                Ok(0) => panic!("the stream ended after {received} of {} bytes", bytes.len()),
                Ok(more) => received += more,
                Err(error) => panic!("{error} after {received} of {} bytes", bytes.len()),
            }
        }
        assert!(buffer == bytes, "{} bytes came back, but not those that were sent", bytes.len());
    }

    /// Receives the end of the stream.
    pub fn expect_end(&self) {
        match self.receive(&mut [0; 1]) {
            Ok(0) => {}
            other => panic!("not the end of the stream, but {other:?}"),
        }
    }

    /// Receives the end of a stream that was cut off.
    pub fn expect_reset(&self) {
        match self.receive(&mut [0; 1]) {
            Err(Errno::CONNRESET) => {}
            other => panic!("not a reset, but {other:?}"),
        }
    }

    /// Receives whatever comes until the end; how much that was.
    pub fn drain(&self) -> (usize, End) {
        let (mut buffer, mut received) = (vec![0; 64 << 10], 0);
        loop {
            match self.receive(&mut buffer) {
                Ok(0) => return (received, End::Fin),
                Ok(more) => received += more,
                Err(Errno::CONNRESET) => return (received, End::Reset),
                Err(error) => panic!("{error} after {received} bytes"),
            }
        }
    }

    /// Whether there is something to receive, be it an end; without waiting.
    pub fn has_news(&self) -> bool {
        // Not by a peek: that would be told of a reset in place of the read behind it.
        let mut news = [PollFd::new(&self.0, PollFlags::IN)];
        poll(&mut news, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) == Ok(1)
    }

    /// There and back again.
    pub fn ping(&self, bytes: &[u8]) {
        self.send(bytes);
        self.expect(bytes);
    }

    /// Shuts down the writing side.
    pub fn finish(&self) {
        shutdown(&self.0, Shutdown::Write).expect("the connection lives");
    }

    /// Closes with RST (TCP alone).
    pub fn reset(self) {
        sockopt::set_socket_linger(&self.0, Some(Duration::ZERO)).expect("a stream socket");
    }
}

impl From<TcpStream> for Client {
    /// With [`PATIENCE`] for each call from then on.
    fn from(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a positive timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a positive timeout");
        stream.set_nodelay(true).expect("a TCP socket");
        Self(stream.into())
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Small buffers, for a socket before it is connected, or for those that a listener accepts from now on.
pub fn narrow(socket: impl AsFd) {
    const BUFFER_LEN: usize = 64 << 10;
    sockopt::set_socket_send_buffer_size(&socket, BUFFER_LEN).expect("any size is taken");
    sockopt::set_socket_recv_buffer_size(&socket, BUFFER_LEN).expect("any size is taken");
    // Not bbr, where that is the default: it paces, and takes seconds to fill what the other end lets in. A unix
    // socket has neither.
    let _ = sockopt::set_tcp_congestion(&socket, "reno");
}

/// Random bytes without end that repeat after a prime number of bytes: what is lost, doubled or moved within a
/// stream shows, unless by a multiple of that prime.
pub struct Pattern(Vec<u8>);

impl Pattern {
    const PERIOD: usize = 65_521;
    /// The longest part that can be had in one piece.
    pub const PART_MAX: usize = Self::PERIOD;

    pub fn new(rng: &mut fastrand::Rng) -> Self {
        let mut bytes = vec![0; Self::PERIOD];
        rng.fill(&mut bytes);
        bytes.extend_from_within(..);
        Self(bytes)
    }

    /// `len` bytes from `offset` on.
    pub fn at(&self, offset: usize, len: usize) -> &[u8] {
        let start = offset % Self::PERIOD;
        &self.0[start..start + len]
    }
}
