//! Who is slow isn't idle; who waits for an upstream doesn't wait for ever.

use std::{net::TcpListener, thread, time::Duration};

use crate::support::{
    client::Client,
    eventually,
    proxy::{Site, Way, address_of, everywhere, listen},
    total,
    upstreams::BlackHole,
};

/// The upstream has sent all and closed; the rest lies in the kernel's buffers, and the client takes its time over
/// it, longer than the half-closed timeout. No byte moves in the proxy meanwhile.
#[test]
fn a_slow_reader_is_not_idle() {
    const LEN: usize = 3 << 20;
    everywhere(|way| {
        let site = Site::start(way, &["--half-closed-timeout", "1s"]);
        let (client, upstream) = site.pair();
        let sender = thread::spawn(move || {
            upstream.send(&vec![b'x'; LEN]);
            upstream.finish();
            upstream
        });
        let (mut received, mut buffer) = (0, vec![0; 64 << 10]);
        while received < LEN {
            thread::sleep(Duration::from_millis(80));
            let len = client.receive(&mut buffer).expect("the stream goes on");
            assert!(len > 0, "an end after {received} of {LEN} bytes");
            received += len;
        }
        client.expect_end();
        drop((client, sender.join().expect("it sends")));
        site.end();
    });
}

/// What goes elsewhere has the time of a connect, and no more.
#[test]
fn going_elsewhere_ends_in_time() {
    everywhere(|way| {
        let (dying, hole): (TcpListener, BlackHole) = (listen("127.0.0.1:0"), BlackHole::new());
        let both = [address_of(&dying).to_string(), hole.address()];
        let flags =
            ["--connect-timeout", "200ms", "--connect-total-timeout", "1s", "--balance", "round-robin"];
        let mut site = Site::before(listen("127.0.0.1:0"), &both, way, &flags);
        let clients: Vec<Client> = (0..4).map(|_| site.connect()).collect();
        eventually("one is connected", || (total(&site.proxy.report_now(), "connects") > 0).then_some(()));
        drop(dying);
        clients.iter().for_each(Client::expect_reset);
        drop(clients);
        site.stop().assert_codes(&["uC", "TC", "FC"]);
    });
}

/// As many retries as can be asked for are no overflow.
#[test]
fn the_most_retries_are_some() {
    let site = Site::start(Way::DEFAULT, &["--retries", "4294967295"]);
    let (client, upstream) = site.acquainted_pair();
    drop((client, upstream));
    site.stop();
}
