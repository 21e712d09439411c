//! What any server must do in any mode: bytes come back as they went, ends are honoured, resets survived.

use std::{sync::Barrier, thread, time::Duration};

use crate::{
    client::{Client, Pattern, Sent},
    site::Site,
};

/// How long a socket must refuse bytes until its peer is taken to have stopped reading.
const REFUSALS: usize = 10;
const REFUSAL_PAUSE: Duration = Duration::from_millis(2);

/// More bytes than all the buffers on the way hold, wherever their limits are set.
pub const UNBOUNDED: usize = 256 << 20;

/// A part of the pattern that goes through one connection.
#[derive(Clone, Copy)]
pub struct Stream {
    pub start: usize,
    pub len: usize,
}

/// All four, then the server must have forgotten its clients.
pub fn everything(site: &Site) {
    random_chunks(site);
    half_close(site, 5 * site.volume);
    resets(site);
    churn(site);
}

/// Several connections at once; chunks of random sizes, written while others are read.
pub fn random_chunks(site: &Site) {
    const CONNECTIONS: usize = 3;
    let start = Barrier::new(CONNECTIONS);
    thread::scope(|scope| {
        for number in 0..CONNECTIONS {
            let (mut rng, start) = (site.rng(), &start);
            scope.spawn(move || {
                let client = site.connect();
                start.wait();
                let stream = Stream::random(site, &mut rng);
                stream.exchange(site, &client, || {
                    let most = 1 << rng.u32(0..15);
                    rng.usize(1..=most)
                });
                if number > 0 {
                    client.finish();
                    client.expect_end();
                }
            });
        }
    });
}

/// A client writes, before it reads anything, until nothing more goes; writes the rest while it reads; shuts
/// down writing; gets the rest, then the end.
pub fn half_close(site: &Site, len: usize) {
    let client = site.connect_narrow();
    let stream = Stream { start: 7, len };
    let sent = stream.fill(site, &client);
    thread::scope(|scope| {
        scope.spawn(|| {
            stream.send(site, &client, sent, || Pattern::PART_MAX);
            client.finish();
        });
        stream.expect(site, &client, 0);
    });
    client.expect_end();
    site.enter(&site.books.bytes, len);
}

/// Clients reset their connections: one that is quiet, and some while data are flowing both ways.
pub fn resets(site: &Site) {
    let quiet = site.connect();
    let bytes = site.pattern.at(99, site.volume.min(5000));
    quiet.ping(bytes);
    site.enter(&site.books.bytes, bytes.len());
    quiet.reset();
    for _ in 0..2 {
        let client = site.connect();
        let mut sent = 0;
        while let (Sent::Bytes(more), true) = (client.try_send(site.pattern.at(sent, 30_000)), sent < 300_000)
        {
            sent += more;
        }
        site.enter(&site.books.doubtful_bytes, sent + 30_000);
        client.reset();
    }
    site.enter(&site.books.resets, 3);
    let after = site.connect();
    after.ping(b"still there?");
    site.enter(&site.books.bytes, 12);
}

/// Connections that come and go, each with a message or none, ended by the client in different ways.
pub fn churn(site: &Site) {
    let mut rng = site.rng();
    for number in 0..60 {
        let client = site.connect();
        let len = if number % 5 == 0 { 0 } else { rng.usize(1..200) };
        let bytes = site.pattern.at(rng.usize(..), len);
        client.ping(bytes);
        site.enter(&site.books.bytes, len);
        if number % 2 == 0 {
            client.finish();
            client.expect_end();
        }
    }
}

impl Stream {
    pub fn random(site: &Site, rng: &mut fastrand::Rng) -> Self {
        Self { start: rng.usize(..1 << 30), len: rng.usize(1..=site.volume) }
    }

    /// Sends all of it in pieces and gets it back at the same time.
    pub fn exchange(self, site: &Site, client: &Client, piece_len: impl FnMut() -> usize + Send) {
        thread::scope(|scope| {
            scope.spawn(move || self.send(site, client, 0, piece_len));
            self.expect(site, client, 0);
        });
        site.enter(&site.books.bytes, self.len);
    }

    /// Sends what comes after the first `sent` bytes.
    pub fn send(self, site: &Site, client: &Client, mut sent: usize, mut piece_len: impl FnMut() -> usize) {
        while sent < self.len {
            let len = piece_len().min(self.len - sent);
            client.send(site.pattern.at(self.start + sent, len));
            sent += len;
        }
    }

    /// Receives what comes after the first `received` bytes.
    pub fn expect(self, site: &Site, client: &Client, mut received: usize) {
        let mut buffer = vec![0; Pattern::PART_MAX];
        while received < self.len {
            let wanted = buffer.len().min(self.len - received);
            let (len, at) = (self.len, received);
            match client.receive(&mut buffer[..wanted]) {
                Ok(0) => panic!("the stream ended after {at} of {len} bytes"),
                Ok(more) => {
                    let expected = site.pattern.at(self.start + received, more);
                    assert!(buffer[..more] == *expected, "wrong within {more} bytes after {at} of {len}");
                    received += more;
                }
                Err(error) => panic!("{error} after {at} of {len} bytes"),
            }
        }
    }

    /// Sends without reading until all is sent, or for a while nothing more is taken. Says how much was sent.
    pub fn fill(self, site: &Site, client: &Client) -> usize {
        let (mut sent, mut refusals) = (0, 0);
        while sent < self.len && refusals < REFUSALS {
            let len = Pattern::PART_MAX.min(self.len - sent);
            match client.try_send(site.pattern.at(self.start + sent, len)) {
                Sent::Bytes(more) => (sent, refusals) = (sent + more, 0),
                Sent::WouldBlock => {
                    refusals += 1;
                    thread::sleep(REFUSAL_PAUSE);
                }
            }
        }
        sent
    }
}
