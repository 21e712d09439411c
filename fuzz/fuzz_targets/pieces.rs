//! What both targets do: feed a reader bytes in pieces, and tell what it has understood.

use evenkeel::service::proxy::preread::{Preread, Progress, ProxyHeader, client_hello::Hello};

/// What was understood in the end.
#[derive(Debug, PartialEq)]
pub struct Heard {
    pub progress: Progress,
    pub header: Option<ProxyHeader>,
    pub hello: Option<Hello>,
    /// What is left for the upstream.
    pub payload: Vec<u8>,
}

/// The sizes of pieces, and the bytes that come in them.
pub fn of(input: &[u8]) -> (&[u8], &[u8]) {
    let (count, rest) =
        input.split_first().map_or((0, input), |(count, rest)| (usize::from(count % 16), rest));
    rest.split_at(count.min(rest.len()))
}

/// Feeds pieces of these sizes, then the rest in one, until it has heard enough.
pub fn hear(mut preread: Preread, mut bytes: &[u8], sizes: &[u8]) -> Heard {
    let mut progress = Progress::More;
    for size in sizes.iter().copied().map(usize::from).chain([bytes.len()]) {
        let (piece, rest) = bytes.split_at(size.min(bytes.len()));
        bytes = rest;
        progress = preread.feed(piece);
        if progress == Progress::Identified {
            progress = preread.feed(&[]);
        }
        if progress != Progress::More {
            break;
        }
    }
    let payload = [preread.payload(), bytes].concat();
    Heard { progress, header: preread.header().cloned(), hello: preread.hello().cloned(), payload }
}
