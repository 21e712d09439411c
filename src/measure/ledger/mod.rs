//! The close ledger: one line for each session that has ended, and why.
//!
//! A worker fills an [`Entry`], plain data (with heap only for the name in a ClientHello), and hands it on; whoever
//! writes the ledger turns it into a line (`line`). How a session ended is told by a [`Code`] of two letters, the
//! same in the ledger, in reports ([`Ends`] counts by it) and in `docs/ledger.md`.

mod code;
mod ends;
mod line;

pub use code::{Cause, Code, Phase};
pub use ends::Ends;
pub use line::{Names, push_json, push_text};

use std::net::SocketAddr;

use crate::sys::{Errno, socket::Peer};

/// What there is to say of a session that has ended. Times are of the monotonic clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its service, by its index in [`Names::services`].
    pub service: u16,
    /// The worker that had it.
    pub worker: u16,
    /// Its number among that worker's sessions.
    pub session: u64,
    /// Where the client came from.
    pub client: Peer,
    /// The address it came to, by its index in [`Names::listeners`].
    pub listener: u16,
    /// The upstream it was connected to, or the last that was tried, by its index in [`Names::upstreams`].
    pub upstream: Option<u32>,
    /// Where that upstream was tried: what one is called that was found by a name.
    pub place: Option<SocketAddr>,
    /// Our address towards the upstream.
    pub local: Option<SocketAddr>,
    /// Attempts to connect.
    pub attempts: u32,
    /// When it was accepted.
    pub opened_ns: u64,
    /// When it ended.
    pub ended_ns: u64,
    /// What the attempt took that succeeded.
    pub connect_ns: Option<u64>,
    /// From accept to the upstream's first byte.
    pub first_byte_ns: Option<u64>,
    /// Read from the client.
    pub bytes_in: u64,
    /// Written to the client.
    pub bytes_out: u64,
    /// Written to the upstream.
    pub bytes_to_upstream: u64,
    /// Read from the upstream.
    pub bytes_from_upstream: u64,
    /// Read from either side, and not written onward.
    pub bytes_undelivered: u64,
    /// Of the bytes written to either side, those that crossed by splice.
    pub bytes_spliced: u64,
    /// Who sent the PROXY header that says who the client is.
    pub via: Option<Peer>,
    /// The name that the ClientHello asked for.
    pub sni: Option<Box<str>>,
    /// How long it waited for a slot.
    pub queued_ns: Option<u64>,
    /// How it ended.
    pub code: Code,
    /// The last error that a call returned for it.
    pub error: Option<Errno>,
}

#[cfg(test)]
pub(crate) mod samples {
    //! An entry with made-up, fixed figures.

    use super::*;

    /// A session that a client ended, all well.
    pub(crate) fn entry() -> Entry {
        Entry {
            service: 0,
            worker: 1,
            session: 42,
            client: Peer::Tcp("127.0.0.1:40112".parse().unwrap()),
            listener: 0,
            upstream: Some(1),
            place: Some("127.0.0.1:5433".parse().unwrap()),
            local: Some("127.0.0.1:51034".parse().unwrap()),
            attempts: 1,
            opened_ns: 5_000_000_000,
            ended_ns: 6_500_250_000,
            connect_ns: Some(180_000),
            first_byte_ns: Some(2_750_000),
            bytes_in: 512,
            bytes_out: 65_536,
            bytes_to_upstream: 512,
            bytes_from_upstream: 65_536,
            bytes_undelivered: 0,
            bytes_spliced: 0,
            via: None,
            sni: None,
            queued_ns: None,
            code: Code { cause: Cause::ClientFin, phase: Phase::Data },
            error: None,
        }
    }

    /// The names that belong to it.
    pub(crate) fn names() -> Names {
        Names {
            services: vec!["db".to_owned()],
            listeners: vec!["127.0.0.1:7000".to_owned()],
            upstreams: vec!["127.0.0.1:5432".to_owned(), "127.0.0.1:5433".to_owned()],
        }
    }
}
