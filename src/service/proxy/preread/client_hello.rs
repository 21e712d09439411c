//! The ClientHello: which server a TLS client asks for, read in passing and passed on untouched.
//!
//! It is the first message of a TLS connection, and nobody's secret yet. It comes in one record as a rule, but may come
//! in several (RFC 8446, section 5.1), and each of those in as many segments as TCP likes: one with a post-quantum key
//! share seldom fits into one. So records are followed byte by byte, and the message is only looked into once it is
//! whole. What a byte means depends on those before it alone, so it makes no difference in which pieces they come.
//!
//! Strict where a name is at stake: what could be read in two ways, so that a server might see another name than we do,
//! is malformed. Lenient in all else: versions, ciphers and unknown extensions are between the two ends.

use super::Reading;

/// The most bytes that a ClientHello may take, with its records. The largest that clients send have a few thousand.
pub const LEN_MAX: usize = 64 << 10;

/// A record: its type, a version whose major part never changed, its length.
const RECORD_START_LEN: usize = 5;
const RECORD_LEN_MAX: usize = 1 << 14;
const HANDSHAKE: u8 = 22;
const MAJOR_VERSION: u8 = 3;

/// A message: its type and its length.
const MESSAGE_START_LEN: usize = 4;
const CLIENT_HELLO: u8 = 1;

/// Extensions, and the one kind of name that there is (RFC 6066, RFC 7301).
const SERVER_NAME: usize = 0;
const PROTOCOL_NAMES: usize = 16;
const HOST_NAME: usize = 0;
/// A name of the DNS has at most 253 bytes.
const NAME_LEN_MAX: usize = 255;

const NO_HANDSHAKE: &str = "a ClientHello that goes on with something else";
const TOO_LONG: &str = "a ClientHello of more than 64 KiB";
const MALFORMED: &str = "a malformed ClientHello";

/// What a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// The name of the server, in lower case.
    pub sni: Option<String>,
    /// The protocols that it would speak.
    pub alpn: Protocols,
}

/// Names of protocols, each behind a byte that tells its length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protocols(Vec<u8>);

impl Protocols {
    /// Each of them, in the client's order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = Bytes(&self.0);
        std::iter::from_fn(move || rest.vector(1).map(|name| name.0))
    }
}

/// How far the records of a ClientHello have been followed.
#[derive(Debug, Default)]
pub struct Reader {
    /// The bytes that have been.
    at: usize,
    /// Bytes of the record that it stopped in, which are yet to come.
    left: usize,
    /// Bytes of the message so far, and the first of them.
    gathered: usize,
    start: [u8; MESSAGE_START_LEN],
}

impl Reader {
    /// Goes on with a stream, of which this is all that has come; `None` within `Whole` is one that isn't TLS.
    pub fn read(&mut self, bytes: &[u8]) -> Reading<Option<Hello>> {
        let seen = &bytes[..bytes.len().min(LEN_MAX)];
        loop {
            if self.left == 0 {
                match record_len(&seen[self.at..]) {
                    Reading::Whole(len) => (self.at, self.left) = (self.at + RECORD_START_LEN, len),
                    Reading::Malformed(_) if self.at == 0 => return Reading::Whole(None),
                    Reading::Malformed(why) => return Reading::Malformed(why),
                    Reading::More => return wait(seen),
                }
            }
            self.follow(seen);
            if self.gathered > 0 && self.start[0] != CLIENT_HELLO {
                return Reading::Whole(None);
            }
            if let Some(len) = self.message_len() {
                if len > LEN_MAX {
                    return Reading::Malformed(TOO_LONG);
                }
                if self.gathered >= len {
                    let message = message(seen, len);
                    let hello = parse(&message[MESSAGE_START_LEN..]);
                    return hello.map_or(Reading::Malformed(MALFORMED), |hello| Reading::Whole(Some(hello)));
                }
            }
            if self.left > 0 {
                return wait(seen);
            }
        }
    }

    /// Takes what has come of a record.
    fn follow(&mut self, seen: &[u8]) {
        let part = &seen[self.at..];
        let part = &part[..part.len().min(self.left)];
        self.start.iter_mut().skip(self.gathered).zip(part).for_each(|(start, byte)| *start = *byte);
        self.gathered += part.len();
        self.at += part.len();
        self.left -= part.len();
    }

    /// How long the message says that it is, with its start.
    fn message_len(&self) -> Option<usize> {
        let len = Bytes(&self.start[1..]).number(MESSAGE_START_LEN - 1)?;
        (self.gathered >= MESSAGE_START_LEN).then_some(MESSAGE_START_LEN + len)
    }
}

/// More has to come, if more may.
fn wait<T>(seen: &[u8]) -> Reading<T> {
    if seen.len() < LEN_MAX { Reading::More } else { Reading::Malformed(TOO_LONG) }
}

/// The length of a record of a handshake, if that is what begins here.
fn record_len(bytes: &[u8]) -> Reading<usize> {
    let is_handshake = bytes.first().is_none_or(|&kind| kind == HANDSHAKE);
    if !is_handshake || bytes.get(1).is_some_and(|&version| version != MAJOR_VERSION) {
        return Reading::Malformed(NO_HANDSHAKE);
    }
    match bytes.get(3..RECORD_START_LEN).and_then(|len| Bytes(len).number(2)) {
        None => Reading::More,
        Some(len) if (1..=RECORD_LEN_MAX).contains(&len) => Reading::Whole(len),
        // An empty one would be no progress.
        Some(_) => Reading::Malformed(NO_HANDSHAKE),
    }
}

/// So many first bytes of the message that these records carry. The last one may have come in part.
fn message(mut records: &[u8], len: usize) -> Vec<u8> {
    let mut message = Vec::with_capacity(len);
    while message.len() < len {
        let (start, rest) = records.split_at(RECORD_START_LEN);
        let record = usize::from(u16::from_be_bytes([start[3], start[4]]));
        let (content, rest) = rest.split_at(record.min(rest.len()));
        message.extend_from_slice(&content[..content.len().min(len - message.len())]);
        records = rest;
    }
    message
}

/// RFC 8446, section 4.1.2. (Before TLS 1.3 it was the same, and extensions could be left out.)
fn parse(message: &[u8]) -> Option<Hello> {
    let mut rest = Bytes(message);
    let _version_and_random = rest.take(2 + 32)?;
    let _session = rest.vector(1)?;
    let _ciphers = rest.vector(2)?;
    let _compressions = rest.vector(1)?;
    if rest.is_empty() {
        return Some(Hello::default());
    }
    let mut extensions = rest.vector(2)?;
    let (mut names, mut protocols) = (None, None);
    while !extensions.is_empty() {
        let kind = extensions.number(2)?;
        let content = extensions.vector(2)?;
        let known = match kind {
            SERVER_NAME => &mut names,
            PROTOCOL_NAMES => &mut protocols,
            _ => continue,
        };
        // There is one of each, or servers could differ in which one they take.
        if known.replace(content).is_some() {
            return None;
        }
    }
    let sni = names.map(server_name).unwrap_or(Some(None))?;
    let alpn = protocols.map(protocol_names).unwrap_or(Some(Protocols::default()))?;
    rest.is_empty().then_some(Hello { sni, alpn })
}

/// RFC 6066, section 3: a list with one name, as there is one type of names.
fn server_name(mut content: Bytes<'_>) -> Option<Option<String>> {
    let mut names = content.vector(2)?;
    let kind = names.number(1)?;
    let name = names.vector(2)?;
    if kind != HOST_NAME || !names.is_empty() || !content.is_empty() {
        return None;
    }
    let name = str::from_utf8(name.0).ok()?;
    let name = name.strip_suffix('.').unwrap_or(name);
    // It will be printed.
    let is_name =
        (1..=NAME_LEN_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    is_name.then(|| Some(name.to_ascii_lowercase()))
}

/// RFC 7301, section 3.1: names of one byte or more.
fn protocol_names(mut content: Bytes<'_>) -> Option<Protocols> {
    let list = content.vector(2)?;
    let mut names = list;
    while !names.is_empty() {
        names.vector(1).filter(|name| !name.is_empty())?;
    }
    content.is_empty().then(|| Protocols(list.0.to_vec()))
}

/// Bytes that are read from the front.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of so many bytes.
    fn number(&mut self, len: usize) -> Option<usize> {
        let bytes = self.take(len)?;
        Some(bytes.iter().fold(0, |number, byte| (number << 8) | usize::from(*byte)))
    }

    /// Bytes behind their length, which has so many bytes.
    fn vector(&mut self, len_bytes: usize) -> Option<Self> {
        let len = self.number(len_bytes)?;
        self.take(len).map(Self)
    }
}

#[cfg(test)]
pub(super) mod samples {
    //! What clients ask for.

    use super::*;

    /// A client that asks for this server, and would speak these protocols.
    pub(in super::super) fn hello(sni: Option<&str>, alpn: &[&str]) -> Hello {
        let names = alpn.iter().flat_map(|name| [&[name.len() as u8][..], name.as_bytes()].concat());
        Hello { sni: sni.map(str::to_owned), alpn: Protocols(names.collect()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes behind their length.
    fn vector(len_bytes: usize, content: &[u8]) -> Vec<u8> {
        let len = content.len().to_be_bytes();
        [&len[len.len() - len_bytes..], content].concat()
    }

    fn extension(kind: u8, content: &[u8]) -> Vec<u8> {
        [&[0, kind][..], &vector(2, content)].concat()
    }

    fn sni(name: &[u8]) -> Vec<u8> {
        extension(0, &vector(2, &[&[0][..], &vector(2, name)].concat()))
    }

    fn alpn(names: &[&str]) -> Vec<u8> {
        let names: Vec<u8> = names.iter().flat_map(|name| vector(1, name.as_bytes())).collect();
        extension(16, &vector(2, &names))
    }

    /// A message with these extensions, and whatever follows them.
    fn message(extensions: &[u8], behind: &[u8]) -> Vec<u8> {
        let ciphers = [0x13, 0x01, 0x13, 0x02];
        let start = [&[3, 3][..], &[7; 32], &vector(1, &[8; 32]), &vector(2, &ciphers), &vector(1, &[0])];
        let body = [&start.concat()[..], &vector(2, extensions), behind].concat();
        [&[1][..], &vector(3, &body)].concat()
    }

    /// The same in records of so many bytes.
    fn records(message: &[u8], len: usize) -> Vec<u8> {
        message.chunks(len).flat_map(|part| [&[22, 3, 1][..], &vector(2, part)].concat()).collect()
    }

    fn read(bytes: &[u8]) -> Reading<Option<Hello>> {
        Reader::default().read(bytes)
    }

    fn hello(bytes: &[u8]) -> Hello {
        match read(bytes) {
            Reading::Whole(Some(hello)) => hello,
            other => panic!("{} bytes: {other:?}", bytes.len()),
        }
    }

    fn is_malformed(extensions: &[u8]) -> bool {
        read(&records(&message(extensions, &[]), 1 << 14)) == Reading::Malformed(MALFORMED)
    }

    #[test]
    fn names_and_protocols_are_found() {
        let extensions = [extension(0x0a, &[1; 40]), sni(b"DB.example.com"), alpn(&["h2", "http/1.1"])];
        let found = hello(&records(&message(&extensions.concat(), &[]), 1 << 14));
        assert_eq!(found.sni.as_deref(), Some("db.example.com"));
        assert_eq!(found.alpn.iter().collect::<Vec<_>>(), [&b"h2"[..], b"http/1.1"]);
        assert_eq!(hello(&records(&message(&[], &[]), 1 << 14)), Hello::default());
        let rooted = hello(&records(&message(&sni(b"a.example."), &[]), 1 << 14));
        assert_eq!(rooted.sni.as_deref(), Some("a.example"));
    }

    #[test]
    fn a_hello_of_old_may_have_no_extensions() {
        let body = [&[3, 1][..], &[7; 32], &[0], &vector(2, &[0, 5]), &vector(1, &[0])].concat();
        assert_eq!(hello(&records(&[&[1][..], &vector(3, &body)].concat(), 1 << 14)), Hello::default());
    }

    /// As large as one with two post-quantum key shares, in records of each of these sizes, in two pieces and byte by
    /// byte.
    #[test]
    fn pieces_make_no_difference() {
        let extensions = [extension(51, &[9; 3_000]), sni(b"a.example"), alpn(&["h2"])].concat();
        let message = message(&extensions, &[]);
        for len in [1, 3, 4, 100, 1_400, 1 << 14] {
            let records = records(&message, len);
            let whole = hello(&records);
            assert_eq!(whole.sni.as_deref(), Some("a.example"));
            let mut slow = Reader::default();
            for end in 0..records.len() {
                assert_eq!(slow.read(&records[..end]), Reading::More, "{end} bytes, records of {len}");
            }
            for end in (0..records.len()).step_by(71) {
                assert_eq!(read(&records[..end]), Reading::More, "{end} bytes, records of {len}");
            }
            assert_eq!(slow.read(&records), Reading::Whole(Some(whole.clone())));
            assert_eq!(hello(&[&records[..], b"\x17\x03\x03 early data"].concat()), whole);
        }
    }

    #[test]
    fn what_is_no_tls_is_told_by_its_first_bytes() {
        for bytes in [
            &b"G"[..],
            b"SSH-2.0",
            b"\x80\x2e\x01\x03\x01",
            b"\x16\x02",
            b"\x16\x03\x01\x00\x00",
            b"\x16\x03\x01\x40\x01",
            b"\x16\x03\x01\x00\x05\x02",
            b"\x15\x03\x01\x00\x02\x01\x00",
        ] {
            assert_eq!(read(bytes), Reading::Whole(None), "{bytes:?}");
            let more = &bytes[..bytes.len() - 1];
            assert!(matches!(read(more), Reading::More | Reading::Whole(None)), "{more:?}");
        }
    }

    #[test]
    fn more_than_a_hello_can_be_is_refused_before_it_has_come() {
        let claims_16_mib = [22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff];
        assert_eq!(read(&claims_16_mib), Reading::Malformed(TOO_LONG));
        let longest = message(&extension(21, &[0; 65_000]), &[]);
        let alone = records(&longest, 1 << 14);
        assert!(alone.len() < LEN_MAX);
        assert_eq!(hello(&alone), Hello::default());
        let mut crumbled = records(&longest, 1);
        assert_eq!(read(&crumbled), Reading::Malformed(TOO_LONG));
        crumbled.truncate(LEN_MAX - 1);
        assert_eq!(read(&crumbled), Reading::More);
    }

    #[test]
    fn records_of_something_else_may_not_come_between() {
        let mut records = records(&message(&sni(b"a.example"), &[]), 50);
        for (at, wrong) in [(55, 23), (56, 2), (58, 0xff)] {
            let right = std::mem::replace(&mut records[at], wrong);
            assert_eq!(read(&records), Reading::Malformed(NO_HANDSHAKE), "byte {at}");
            assert_eq!(read(&records[..=at.max(59)]), Reading::Malformed(NO_HANDSHAKE), "byte {at}");
            records[at] = right;
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let one = |name: &[u8]| vector(2, &[&[0][..], &vector(2, name)].concat());
        let two = vector(2, &[&[0][..], &vector(2, b"a"), &[0], &vector(2, b"b")].concat());
        for extensions in [
            [sni(b"a.example"), sni(b"b.example")].concat(),
            [alpn(&["h2"]), alpn(&["h2"])].concat(),
            extension(0, &two),
            extension(0, &[]),
            extension(0, &[0, 0]),
            extension(0, &[&one(b"a.example")[..], &[0]].concat()),
            extension(0, &vector(2, &[&[1][..], &vector(2, b"a")].concat())),
            sni(b""),
            sni(b"."),
            sni(b"a\0.example"),
            sni(b"a b"),
            sni(b"b\xc3\xbccher.example"),
            sni(&[b'x'; 256]),
            alpn(&["h2", ""]),
            extension(16, &[0, 4, 2, b'h', b'2']),
            extension(16, &[0, 3, 2, b'h', b'2', 0]),
            vec![0, 0, 0],
            vec![0, 0, 0, 9, 1],
        ] {
            assert!(is_malformed(&extensions), "{extensions:?}");
        }
        let behind = records(&message(&sni(b"a.example"), &[0]), 1 << 14);
        assert_eq!(read(&behind), Reading::Malformed(MALFORMED));
        let short = [22, 3, 1, 0, 5, 1, 0, 0, 1, 3];
        assert_eq!(read(&short), Reading::Malformed(MALFORMED));
    }
}
