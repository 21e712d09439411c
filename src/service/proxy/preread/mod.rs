//! What a client begins with, read before an upstream is chosen: a PROXY header, which says who the client is, and a
//! ClientHello, which says whom it wants.
//!
//! ```text
//! bytes → PROXY header (consumed) → ClientHello (looked at) → group; for its upstream: our header, what is left
//!         proxy_header.rs           client_hello.rs           routes.rs
//! ```
//! A [`Preread`] is fed with bytes and asked how far it is. It reads no socket and no clock, so that every split, every
//! glued payload and every hostile length can be tried without either. What is fed beyond a header is payload, and
//! goes to the upstream behind our own header, in order, once there is a connection.
//!
//! Memory: nothing is kept of a client that has said nothing. One that speaks and never comes to the point can have
//! 128 KiB kept for it: a ClientHello of 64 KiB, what one read brings beyond it, and the room that a vector grows by.
//! The header of a trusted peer may add half as much in TLVs. It ends with the header timeout, which no byte moves.

pub mod client_hello;
pub mod proxy_header;
pub mod routes;

use client_hello::Hello;
pub use proxy_header::{ProxyHeader, header, own_header};
pub use routes::Routes;

use super::{Proxy, Session};
use crate::{Io, Read, Side, Turn, config::ProxyProtocol, measure::ledger::Cause, sys::socket::Peer};

/// The most bytes of one read, so that what is glued to a hello can't be much.
const READ_LEN_MAX: usize = 16 << 10;

/// What bytes that may go on say so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading<T> {
    /// Not enough yet.
    More,
    /// All of it.
    Whole(T),
    /// It can't become what it should be: why.
    Malformed(&'static str),
}

/// What one client begins with.
#[derive(Debug, Default)]
pub struct Preread {
    wants_header: bool,
    wants_hello: bool,
    header: Option<ProxyHeader>,
    follower: client_hello::Reader,
    hello: Option<Hello>,
    /// What was fed, without the header.
    payload: Vec<u8>,
}

/// How far a [`Preread`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It needs more.
    More,
    /// It has the PROXY header. There may be more to read, for which no more bytes may be needed: feed it nothing.
    Identified,
    /// It has all that was wanted.
    Done,
    /// What came is not what was wanted, or is malformed: why.
    Bad(&'static str),
}

impl Preread {
    /// One that waits for a PROXY header, for a ClientHello, or for one behind the other.
    pub fn new(wants_header: bool, wants_hello: bool) -> Self {
        Self { wants_header, wants_hello, ..Self::default() }
    }

    /// Takes the bytes that have come.
    pub fn feed(&mut self, bytes: &[u8]) -> Progress {
        self.payload.extend_from_slice(bytes);
        if self.wants_header {
            return match proxy_header::read(&self.payload) {
                Reading::More => Progress::More,
                Reading::Malformed(why) => Progress::Bad(why),
                Reading::Whole(header) => self.identify(header),
            };
        }
        if self.wants_hello {
            match self.follower.read(&self.payload) {
                Reading::More => return Progress::More,
                Reading::Malformed(why) => return Progress::Bad(why),
                Reading::Whole(hello) => (self.wants_hello, self.hello) = (false, hello),
            }
        }
        Progress::Done
    }

    /// The PROXY header, once it has come.
    pub fn header(&self) -> Option<&ProxyHeader> {
        self.header.as_ref()
    }

    /// The ClientHello, once it has come; none of a client that doesn't speak TLS.
    pub fn hello(&self) -> Option<&Hello> {
        self.hello.as_ref()
    }

    /// What was fed and is meant for the upstream.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    fn identify(&mut self, header: ProxyHeader) -> Progress {
        self.payload.drain(..header.len);
        self.wants_header = false;
        self.header = Some(header);
        Progress::Identified
    }
}

/// Whether this peer is one of those that have to send a PROXY header, and are believed what it says.
pub fn wants_header(proxy_protocol: &ProxyProtocol, peer: Peer) -> bool {
    proxy_protocol.requires_from(peer.ip())
}

/// How a session goes on that is being read ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Ahead {
    /// It waits for more.
    Wait,
    /// Who the client is has been told, so whether it may come in can be asked. Then it goes on, in the same turn.
    Identified,
    /// Its group is known, and what has come is held for its upstream.
    Routed,
    /// It is over.
    Ended(Turn),
}

impl Proxy {
    /// Reads on in what a client begins with.
    pub(super) fn read_ahead(&mut self, session: &mut Session, io: &mut Io<'_>, scratch: &mut [u8]) -> Ahead {
        // What was glued to a header has been fed already.
        let mut fed = 0;
        loop {
            let Some(preread) = session.extra().preread.as_mut() else { return Ahead::Routed };
            match preread.feed(&scratch[..fed]) {
                Progress::More => {}
                Progress::Identified => {
                    get_to_know(session);
                    return Ahead::Identified;
                }
                Progress::Done => return self.choose_group(session, io),
                Progress::Bad(_) => return refuse(session, Cause::BadHeader),
            }
            let room = scratch.len().min(READ_LEN_MAX);
            match io.read(Side::Client, &mut scratch[..room]) {
                Read::Data(len) => {
                    session.read[Side::Client as usize] += len as u64;
                    fed = len;
                }
                Read::Pending => return Ahead::Wait,
                Read::Eof => return hung_up(session),
                Read::Broken => {
                    session.error = io.fault(Side::Client).or(session.error);
                    return refuse(session, Cause::ClientReset);
                }
            }
        }
    }

    /// Holds the header that tells the upstream of the client, where it is to be told.
    pub(super) fn introduce(&mut self, session: &mut Session, io: &mut Io<'_>) {
        // Told once or not at all, they needn't be kept for the rest of the session's life.
        let tlvs = session.extra.as_mut().map(|extra| std::mem::take(&mut extra.tlvs)).unwrap_or_default();
        let Some(version) = self.route.options.proxy_protocol.send else { return };
        let told = session.extra.as_ref().and_then(|extra| extra.preread.as_ref()?.header()?.server);
        let server = told.or_else(|| io.socket(Side::Client)?.local());
        let header = header(version, session.client, server, &tlvs);
        io.hold(Side::Upstream, &header);
        session.extra().added = header.len() as u64;
    }

    /// All that was wanted is known.
    fn choose_group(&mut self, session: &mut Session, io: &mut Io<'_>) -> Ahead {
        let hello = session.extra().preread.as_ref().and_then(Preread::hello);
        let group = self.route.routes.as_ref().map_or(Some(0), |routes| routes.group(hello));
        let sni = hello.and_then(|hello| hello.sni.as_deref()).map(Box::from);
        session.extra().sni = sni;
        let Some(group) = group else { return refuse(session, Cause::BadHeader) };
        // There are fewer routes than members.
        session.group = group as u16;
        self.introduce(session, io);
        let preread = session.extra().preread.take();
        io.hold(Side::Upstream, preread.as_ref().map_or(&[][..], Preread::payload));
        Ahead::Routed
    }
}

/// The PROXY header has come: whoever sent it isn't the client, but says who is.
fn get_to_know(session: &mut Session) {
    let peer = session.client;
    let extra = session.extra();
    let Some(header) = extra.preread.as_mut().and_then(|preread| preread.header.as_mut()) else { return };
    let client = header.client;
    extra.tlvs = std::mem::take(&mut header.tlvs);
    extra.consumed = header.len as u64;
    extra.via = Some(peer);
    session.client = client.unwrap_or(peer);
}

/// The client has ended its stream before it came to the point. One that has said nothing of its own is no client that
/// went wrong, but a look whether somebody is here.
fn hung_up(session: &mut Session) -> Ahead {
    let is_silent = session.extra().preread.as_ref().is_none_or(|preread| preread.payload().is_empty());
    if !is_silent {
        return refuse(session, Cause::BadHeader);
    }
    session.end(Cause::ClientFin);
    Ahead::Ended(Turn::Close)
}

fn refuse(session: &mut Session, cause: Cause) -> Ahead {
    session.end(cause);
    Ahead::Ended(Turn::Abort)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a header has said, and a hello, and what is left for the upstream.
    type Heard = (Progress, Option<ProxyHeader>, Option<Hello>, Vec<u8>);

    /// Feeds pieces that end at these places, and then goes on while that brings anything; what isn't fed is payload.
    fn hear(mut preread: Preread, bytes: &[u8], ends: &[usize]) -> Heard {
        let (mut start, mut progress) = (0, Progress::More);
        for end in ends.iter().copied().chain([bytes.len()]) {
            progress = preread.feed(&bytes[start..end]);
            start = end;
            if progress == Progress::Identified {
                progress = preread.feed(&[]);
            }
            if progress != Progress::More {
                break;
            }
        }
        let payload = [preread.payload(), &bytes[start..]].concat();
        (progress, preread.header().cloned(), preread.hello().cloned(), payload)
    }

    /// A hello without a name, in one record.
    fn hello() -> Vec<u8> {
        let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0]].concat();
        let message = [&[1, 0, 0, body.len() as u8][..], &body].concat();
        [&[22, 3, 1, 0, message.len() as u8][..], &message].concat()
    }

    #[test]
    fn a_hello_may_be_glued_to_a_header_and_payload_to_that() {
        let header = b"PROXY TCP4 192.0.2.1 198.51.100.2 9 10\r\n";
        let bytes = [&header[..], &hello(), b"early data"].concat();
        let whole = hear(Preread::new(true, true), &bytes, &[]);
        assert_eq!(whole.0, Progress::Done);
        assert_eq!(whole.1.as_ref().map(|header| header.len), Some(header.len()));
        assert_eq!((&whole.2, &whole.3[..]), (&Some(Hello::default()), &bytes[header.len()..]));
        for first in 0..=bytes.len() {
            assert_eq!(hear(Preread::new(true, true), &bytes, &[first]), whole, "split at {first}");
        }
        let each: Vec<_> = (0..bytes.len()).collect();
        assert_eq!(hear(Preread::new(true, true), &bytes, &each), whole);
    }

    #[test]
    fn what_is_not_asked_for_is_payload() {
        let header = b"PROXY TCP4 192.0.2.1 198.51.100.2 9 10\r\n";
        let (progress, told, hello, payload) = hear(Preread::new(false, true), header, &[]);
        assert_eq!((progress, told, hello, &payload[..]), (Progress::Done, None, None, &header[..]));
        let (progress, told, _, payload) =
            hear(Preread::new(true, false), &[&header[..], b"\x16"].concat(), &[]);
        assert_eq!((progress, told.is_some(), &payload[..]), (Progress::Done, true, &b"\x16"[..]));
    }

    #[test]
    fn a_waiting_client_is_kept_in_what_was_said() {
        let mut preread = Preread::new(false, true);
        assert_eq!(preread.payload.capacity(), 0);
        // A hello of the longest that may be, of which nothing comes but records.
        let start = [22, 3, 1, 0x40, 0, 1, 0, 0xff, 0x00];
        let mut bytes = [&start[..], &[0; (16 << 10) - 4]].concat();
        (1..4).for_each(|_| bytes.extend([&[22, 3, 1, 0x40, 0][..], &[0; 16 << 10]].concat()));
        let mut progress = Progress::More;
        for piece in bytes.chunks(READ_LEN_MAX) {
            progress = preread.feed(piece);
            assert!(preread.payload.capacity() <= 128 << 10, "{} bytes", preread.payload.capacity());
        }
        assert!(matches!(progress, Progress::Bad(_)), "{progress:?}");
    }

    /// Bytes that go wrong late: something right, of which one byte is another, and some more.
    fn nearly_right() -> impl Strategy<Value = Vec<u8>> {
        let right = prop::sample::select(vec![
            b"PROXY TCP6 2001:db8::1 2001:db8::2 9 10\r\n".to_vec(),
            proxy_header::own_header(crate::config::ProxyVersion::V2),
            [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x11"[..], &[1; 12], &[5, 0, 2, 7, 7]].concat(),
            hello(),
        ]);
        (right, any::<prop::sample::Index>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(mut bytes, at, other, more)| {
                let at = at.index(bytes.len());
                bytes[at] = other;
                bytes.extend(more);
                bytes
            })
    }

    proptest! {
        /// The same is heard in whatever pieces it comes.
        #[test]
        fn pieces_make_no_difference(
            bytes in nearly_right(),
            mut ends in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
            wants_header: bool,
            wants_hello: bool,
        ) {
            let mut ends: Vec<_> = ends.drain(..).map(|end| end.index(bytes.len() + 1)).collect();
            ends.sort_unstable();
            let new = || Preread::new(wants_header, wants_hello);
            prop_assert_eq!(hear(new(), &bytes, &ends), hear(new(), &bytes, &[]));
        }
    }
}
