//! An echo server the way people write one with mio: the shape of mio's own `tcp_server` example, with
//! its listing's `println!`s gone and one buffer kept instead of one allocated an event.
//!
//! It shows what a good general-purpose event library costs beside the floor: the table look-up, and the
//! read that says `WouldBlock`, which mio's edge-triggered readiness asks for. The benchmark serves it
//! from its own executable, since `cargo bench` builds no examples.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(0);
const EVENTS_MAX: usize = 256;
const BUFFER_BYTES: usize = 64 * 1024;

/// Serves until the process is killed.
pub fn serve() -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(EVENTS_MAX);
    let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let mut connections = Connections { streams: HashMap::new(), next: LISTENER.0 + 1 };
    let mut buffer = vec![0; BUFFER_BYTES];
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    eprintln!("ready: mio on {}", listener.local_addr()?);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            match event.token() {
                LISTENER => connections.accept_all(&poll, &listener)?,
                token => connections.ready(&poll, token, &mut buffer)?,
            }
        }
    }
}

struct Connections {
    streams: HashMap<Token, TcpStream>,
    next: usize,
}

impl Connections {
    fn accept_all(&mut self, poll: &Poll, listener: &TcpListener) -> io::Result<()> {
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let token = Token(self.next);
            self.next += 1;
            poll.registry().register(&mut stream, token, Interest::READABLE)?;
            self.streams.insert(token, stream);
        }
    }

    fn ready(&mut self, poll: &Poll, token: Token, buffer: &mut [u8]) -> io::Result<()> {
        let Some(stream) = self.streams.get_mut(&token) else { return Ok(()) };
        if echo(stream, buffer).is_err()
            && let Some(mut stream) = self.streams.remove(&token)
        {
            poll.registry().deregister(&mut stream)?;
        }
        Ok(())
    }
}

/// Echoes until the socket would block. An error means that the connection is done, by its end as by a
/// failure; like the floor, this server does not keep what a full socket buffer would not take.
fn echo(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    loop {
        match stream.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(len) => stream.write_all(&buffer[..len])?,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
