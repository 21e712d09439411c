//! What clients do that is rare, or meant badly, and perfectly legal.

use std::thread;

use rustix::net::SendFlags;

use crate::{
    client::{Client, Pattern},
    exchange::{Stream, UNBOUNDED},
    site::Site,
};

/// All of them.
pub fn everything(site: &mut Site) {
    single_bytes(site, 2000);
    urgent_data(site);
    one_segment(site);
    gone_at_once(site);
    stopped_reader(site);
    many_at_once(site, 200);
}

/// Each byte a segment of its own.
pub fn single_bytes(site: &Site, count: usize) {
    let client = site.connect();
    Stream { start: 3, len: count }.exchange(site, &client, || 1);
}

/// An urgent byte in mid-stream splits reads, and epoll has nothing more to say: all must come back, in order,
/// with no further traffic to wake anyone. The server stands still while it is sent, so that it finds the data on
/// both sides of the mark at once; first on a connection that it has to accept yet.
pub fn urgent_data(site: &Site) {
    let send = |client: &Client| {
        client.send(b"abc");
        client.send_with(b"X", SendFlags::OOB);
        client.send(b"def");
    };
    let client = site.while_frozen(|| {
        let client = site.connect();
        send(&client);
        client
    });
    client.expect(b"abcXdef");
    for _ in 0..3 {
        site.while_frozen(|| send(&client));
        client.expect(b"abcXdef");
    }
    // And as chance has it; with an urgent byte before anything else, behind everything, and alone.
    for _ in 0..30 {
        send(&client);
        client.expect(b"abcXdef");
        client.send_with(b"Y", SendFlags::OOB);
        client.send_with(b"opqZ", SendFlags::OOB);
        client.expect(b"YopqZ");
    }
    site.enter(&site.books.bytes, 4 * 7 + 30 * (7 + 5));
    client.finish();
    client.expect_end();
}

/// Data and FIN in one segment come as one event or two; the answer must come whole, and then the end.
pub fn one_segment(site: &Site) {
    let send = |client: &Client, bytes: &[u8]| {
        // MORE keeps the last part back until something follows it: the FIN.
        client.send_with(bytes, SendFlags::MORE);
        client.finish();
    };
    for len in [1, 1000, 50_000] {
        let bytes = site.pattern.at(11, len);
        let frozen = site.while_frozen(|| {
            let client = site.connect();
            send(&client, bytes);
            client
        });
        let known = site.connect();
        known.ping(bytes);
        site.while_frozen(|| send(&known, bytes));
        let flowing = site.connect();
        send(&flowing, bytes);
        let apart = site.connect();
        apart.send(bytes);
        apart.finish();
        for client in [frozen, known, flowing, apart] {
            client.expect(bytes);
            client.expect_end();
        }
        site.enter(&site.books.bytes, 5 * len);
    }
}

/// Connections that end as soon as they are there: in good order, by reset, with a word and without.
pub fn gone_at_once(site: &Site) {
    for _ in 0..20 {
        drop(site.connect());
        site.enter(&site.books.doubtful_resets, 2);
        site.connect_in_passing().reset();
        let hasty = site.connect();
        hasty.send(b"and good bye");
        site.enter(&site.books.doubtful_bytes, 12);
        drop(hasty);
    }
    // Now with the server finding them dead in its accept queue.
    site.while_frozen(|| {
        for _ in 0..5 {
            site.enter(&site.books.doubtful_resets, 1);
            site.connect_in_passing().reset();
            drop(site.connect());
        }
    });
}

/// A client that doesn't read blocks nobody, on its worker or another; when it reads again, nothing is missing.
pub fn stopped_reader(site: &Site) {
    let stopped = site.connect_narrow();
    let stream = Stream { start: 5, len: UNBOUNDED };
    let sent = stream.fill(site, &stopped);
    assert!(sent < stream.len, "{sent} bytes were taken from a client that reads nothing");
    let others: Vec<Client> = (0..8).map(|_| site.connect()).collect();
    for round in 0..10 {
        others.iter().for_each(|client| client.ping(site.pattern.at(round, 100)));
    }
    site.enter(&site.books.bytes, 10 * 8 * 100);
    // What was sent so far comes back, then it goes on in both directions.
    let rest = Stream { len: sent + 100_000, ..stream };
    thread::scope(|scope| {
        scope.spawn(|| rest.send(site, &stopped, sent, || Pattern::PART_MAX));
        rest.expect(site, &stopped, 0);
    });
    site.enter(&site.books.bytes, rest.len);
}

/// Many connections that are all open at once, each with something to say of its own.
pub fn many_at_once(site: &mut Site, count: usize) {
    let clients: Vec<Client> = (0..count).map(|_| site.connect()).collect();
    for round in 0..3 {
        let part = |number: usize| site.pattern.at(number * 61 + round * 7919, 50 + number % 50);
        clients.iter().enumerate().for_each(|(number, client)| client.send(part(number)));
        clients.iter().enumerate().for_each(|(number, client)| client.expect(part(number)));
        site.enter(&site.books.bytes, (0..count).map(|number| part(number).len()).sum());
    }
    let open = site.interim()["totals"]["active"].as_u64().expect("a count");
    assert!(open >= count as u64, "{open} sessions, but {count} clients");
}

/// 64 MiB through one connection, as fast as they go.
pub fn long_stream(site: &Site) {
    let client = site.connect();
    Stream { start: 1, len: 64 << 20 }.exchange(site, &client, || Pattern::PART_MAX);
    client.finish();
    client.expect_end();
}
