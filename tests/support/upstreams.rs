//! Upstreams that can't be connected to, each in its own way.

use std::{
    io::{self, ErrorKind::ConnectionRefused},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    thread,
    time::Duration,
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, listen, socket_with};

/// A listener whose queue is full: what else wants to connect is neither refused nor let in.
pub struct BlackHole {
    pub listener: TcpListener,
    /// In its queue, or on the way into it.
    queued: Vec<TcpStream>,
}

impl BlackHole {
    pub fn new() -> Self {
        let socket = stream_socket(SocketFlags::CLOEXEC);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        bind(&socket, &any).expect("a port is free");
        listen(&socket, 0).expect("it is bound");
        let mut hole = Self { listener: TcpListener::from(socket), queued: Vec::new() };
        while !hole.is_full() {}
        hole
    }

    pub fn address(&self) -> String {
        self.listener.local_addr().expect("it is bound").to_string()
    }

    /// Whether a connection is one of those that fill it.
    pub fn is_filler(&self, address: SocketAddr) -> bool {
        self.queued.iter().any(|queued| queued.local_addr().ok() == Some(address))
    }

    /// Lets in whoever asks again.
    pub fn open(&self) {
        listen(&self.listener, 1024).expect("it listens");
    }

    /// Puts one more into the queue, if that takes it.
    fn is_full(&mut self) -> bool {
        let socket = stream_socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK);
        let address = self.listener.local_addr().expect("it is bound");
        // EINPROGRESS.
        let _ = connect(&socket, &address);
        // On the loopback the answer is there at once, or never.
        thread::sleep(Duration::from_millis(20));
        let stream = TcpStream::from(socket);
        let is_full = stream.peer_addr().is_err();
        self.queued.push(stream);
        is_full
    }
}

fn stream_socket(flags: SocketFlags) -> OwnedFd {
    socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).expect("a descriptor is free")
}

/// Ports below those that connections come from, where nobody listens: they refuse, and are never by chance
/// connected to themselves.
pub fn dead_ports() -> impl Iterator<Item = String> {
    let addresses = (1..1024).map(|port| format!("127.0.0.1:{port}"));
    let is_refused =
        |tried: io::Result<TcpStream>| tried.is_err_and(|error| error.kind() == ConnectionRefused);
    addresses.filter(move |address| is_refused(TcpStream::connect(address)))
}
