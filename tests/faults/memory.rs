//! What clients that don't read may cost.

use std::{thread, time::Duration};

use evenkeel::config::Forward;

use crate::support::{
    client::{Client, Sent},
    namespace::{Namespace, within},
    proxy::{PATTERN, Site, Way, expect_stream, for_each},
};

const KIB: usize = 1 << 10;

/// Clients stop reading while their upstreams go on sending: each costs a bounded part, and no more however long
/// it goes on; and when they read again, all of it is there.
#[test]
fn slow_reader_memory() {
    let namespace = Namespace::narrow();
    // Without that, fewer fit the machine.
    let readers = if namespace.is_some() { 800 } else { 60 };
    for_each(&Way::forwarders(), |way| stop_reading(way, readers, namespace.as_ref()));
}

fn stop_reading(way: Way, readers: usize, namespace: Option<&Namespace>) {
    const EACH: usize = 64 * KIB;
    /// The session itself and its place in tables; and for all of them, pools and what an allocator takes besides.
    const SESSION: usize = KIB;
    const SLACK: usize = 2 << 20;
    const PIPE: usize = 64 * KIB;
    let site = Site::start_in(namespace, way, &["--half-closed-timeout", "1h"]);
    let mut stalled = Stalled::new(&site, 20, namespace);
    stalled.write();
    let before = (site.proxy.memory() as usize, site.proxy.open_pipes());
    let mut more = Stalled::new(&site, readers, namespace);
    more.write();
    let held = |before: (usize, usize)| {
        let memory = (site.proxy.memory() as usize).saturating_sub(before.0);
        (memory, site.proxy.open_pipes().saturating_sub(before.1))
    };
    let (memory, pipes) = held(before);
    let what = format!("{memory} bytes of memory and {pipes} pipes for {readers} stopped readers");
    assert!(memory <= readers * EACH + SLACK, "{what}");
    // Each worker keeps a few to lend.
    assert!(pipes <= readers + 16, "{what}");
    assert!(memory + pipes.min(readers) * PIPE <= readers * (EACH + SESSION) + SLACK, "{what}");
    assert!(way.forward != Forward::Splice || pipes > 0, "nothing went through a pipe");
    let written = more.written();
    for _ in 0..50 {
        more.write_once();
        thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(more.written(), written, "bytes are still taken for clients that don't read");
    let (later, later_pipes) = held(before);
    assert!(later <= memory + SLACK / 8 && later_pipes <= pipes, "it grew to {later}, {later_pipes}: {what}");
    stalled.read();
    more.read();
    drop((stalled, more));
    site.end().assert_codes(&["UD"]);
}

/// Sessions whose clients don't read, and how much their upstreams have written.
struct Stalled(Vec<(Client, Client, usize)>);

impl Stalled {
    fn new(site: &Site, count: usize, namespace: Option<&Namespace>) -> Self {
        let open = |_| {
            let (client, upstream) = site.narrow_pair();
            (client, upstream, 0)
        };
        Self(within(namespace, || (0..count).map(open).collect()))
    }

    /// As much as anybody takes.
    fn write(&mut self) {
        let mut refusals = 0;
        while refusals < 30 {
            refusals = if self.write_once() { 0 } else { refusals + 1 };
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// What is taken at once; whether anything was.
    fn write_once(&mut self) -> bool {
        let mut is_taken = false;
        for (_, upstream, written) in &mut self.0 {
            while let Sent::Bytes(more) = upstream.try_send(PATTERN.at(*written, 32 * KIB)) {
                *written += more;
                is_taken = true;
            }
        }
        is_taken
    }

    fn written(&self) -> usize {
        self.0.iter().map(|(.., written)| written).sum()
    }

    /// Every byte, and the end.
    fn read(&self) {
        for (client, upstream, written) in &self.0 {
            upstream.finish();
            expect_stream(client, 0, *written);
            client.expect_end();
        }
    }
}
