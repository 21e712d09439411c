//! A service that panics is a defect, but not one that its clients should take for an answer.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use evenkeel::{Arrival, Io, Options, Read, Server, Service, Side, Turn};

/// Answers what it is told, until it is told to fail.
struct Fragile;

impl Service for Fragile {
    type Session = ();

    fn open(&mut self, _: &Arrival, _: &mut Io<'_>) {}

    fn turn(&mut self, _: &mut (), io: &mut Io<'_>, scratch: &mut [u8]) -> Turn {
        while let Read::Data(len) = io.read(Side::Client, scratch) {
            assert_ne!(&scratch[..len], b"fail", "as it was told");
            io.write(Side::Client, &scratch[..len]);
        }
        Turn::Keep
    }
}

#[test]
fn sessions_of_a_worker_that_panics_are_reset() {
    let options = Options { workers: Some(1), ..Options::default() };
    let server = Server::bind(options, &["127.0.0.1:0".parse().expect("an address")]).expect("a free port");
    let running = server.start(|_| Fragile).expect("a worker");
    let address = running.served()[0].address.to_string();
    let mut clients = [(); 2].map(|()| TcpStream::connect(&address).expect("it listens"));
    let mut buffer = [0; 16];
    for client in &mut clients {
        client.set_read_timeout(Some(Duration::from_secs(30))).expect("a positive timeout");
        client.write_all(b"well").expect("it is connected");
        assert_eq!(client.read(&mut buffer).expect("an answer"), 4);
    }
    clients[0].write_all(b"fail").expect("it is connected");
    for client in &mut clients {
        let end = client.read(&mut buffer).expect_err("no end of a stream");
        assert_eq!(end.kind(), ErrorKind::ConnectionReset);
    }
}
