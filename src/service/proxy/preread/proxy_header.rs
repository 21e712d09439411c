//! The PROXY header: who a client really is, as a proxy in front tells us, and as we tell upstreams.
//!
//! `ppp` knows what the bytes mean. Here is what a connection adds to that: a header comes in pieces, has to be refused
//! as soon as it can't become one, and ends where the payload begins. Version 2 says its length, so `ppp` is shown
//! whatever there is. Version 1 ends with its line, and `ppp` is shown whole lines alone: of some pieces of one (an
//! empty port) it thinks that nothing can make them right.
//!
//! The format: <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::Range,
};

use ppp::{PartialResult, v1, v2};

use super::Reading;
use crate::{config::ProxyVersion, sys::socket::Peer};

/// How a header of version 1 begins.
const LINE_START: &[u8] = b"PROXY ";
/// The longest header of version 1, with its CR LF.
const LINE_LEN_MAX: usize = 107;

/// What of a header of version 2 comes before its addresses: signature, version and command, family, length.
const V2_START_LEN: usize = 16;
/// Version 2, command LOCAL.
const LOCAL: u8 = 0x20;

/// Bytes before the value of a TLV: its type and its length.
const TLV_START_LEN: usize = 3;
/// TLVs that are about the header itself, and so not passed on in another one.
const CHECKSUM: u8 = v2::Type::CRC32C as u8;
const PADDING: u8 = v2::Type::NoOp as u8;

/// What a header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyHeader {
    /// The client. `None`: whoever sent the header speaks for itself (LOCAL, UNKNOWN), as in a health check.
    pub client: Option<Peer>,
    /// The address that the client had connected to.
    pub server: Option<SocketAddr>,
    /// The TLVs of version 2, as they came, without padding and checksum.
    pub tlvs: Vec<u8>,
    /// How many bytes it takes; what follows is payload.
    pub len: usize,
}

/// Reads a header, of either version, from the first bytes of a stream.
pub fn read(bytes: &[u8]) -> Reading<ProxyHeader> {
    if is_start_of(v2::PROTOCOL_PREFIX, bytes) {
        read_v2(bytes)
    } else if is_start_of(LINE_START, bytes) {
        read_v1(bytes)
    } else {
        Reading::Malformed("a PROXY header is required of this peer, and its bytes are none")
    }
}

/// The header that tells an upstream of a client, and of the address that it has connected to.
pub fn header(version: ProxyVersion, client: Peer, server: Option<SocketAddr>, tlvs: &[u8]) -> Vec<u8> {
    // A unix client has no address to tell. Version 2 could say AF_UNIX, but HAProxy (2.6) and Exim refuse that, and
    // HAProxy itself says LOCAL of such a client.
    let Peer::Tcp(client) = client else { return own_header(version) };
    let ends = in_one_family(client, server);
    match version {
        ProxyVersion::V1 => v1::Addresses::from(ends).to_string().into(),
        ProxyVersion::V2 => build(v2::Command::Proxy, v2::Protocol::Stream, ends.into(), tlvs),
    }
}

/// The header of a connection that speaks for itself, as a health check does.
pub fn own_header(version: ProxyVersion) -> Vec<u8> {
    match version {
        ProxyVersion::V1 => v1::Addresses::Unknown.to_string().into(),
        ProxyVersion::V2 => {
            build(v2::Command::Local, v2::Protocol::Unspecified, v2::Addresses::Unspecified, &[])
        }
    }
}

/// Whether bytes begin like this, as far as they go.
fn is_start_of(start: &[u8], bytes: &[u8]) -> bool {
    start.iter().zip(bytes).all(|(expected, byte)| expected == byte)
}

fn read_v1(bytes: &[u8]) -> Reading<ProxyHeader> {
    let seen = &bytes[..bytes.len().min(LINE_LEN_MAX)];
    let Some(end) = seen.iter().position(|&byte| byte == b'\n') else {
        let is_too_long = seen.len() == LINE_LEN_MAX;
        return if is_too_long { Reading::Malformed("a PROXY line without an end") } else { Reading::More };
    };
    let line = &seen[..=end];
    match v1::Header::try_from(line) {
        // It ends a line at a CR, wherever that is.
        Ok(header) if header.header.len() == line.len() => {
            let (client, server) = match header.addresses {
                v1::Addresses::Tcp4(ends) => of_v4(&ends),
                v1::Addresses::Tcp6(ends) => of_v6(&ends),
                v1::Addresses::Unknown => (None, None),
            };
            Reading::Whole(ProxyHeader { client, server, tlvs: Vec::new(), len: line.len() })
        }
        _ => Reading::Malformed("a malformed PROXY line"),
    }
}

fn read_v2(bytes: &[u8]) -> Reading<ProxyHeader> {
    if bytes.get(v2::PROTOCOL_PREFIX.len()) == Some(&LOCAL) {
        return read_local(bytes);
    }
    match v2::Header::try_from(bytes) {
        Ok(header) => told_by(&header).map_or_else(Reading::Malformed, Reading::Whole),
        Err(error) if error.is_incomplete() => Reading::More,
        Err(_) => Reading::Malformed("a malformed PROXY header of version 2"),
    }
}

/// Whatever else it says has to be ignored, the family too (section 2.2 of the format), which `ppp` would look at.
fn read_local(bytes: &[u8]) -> Reading<ProxyHeader> {
    let Some(&[high, low]) = bytes.get(v2::PROTOCOL_PREFIX.len() + 2..V2_START_LEN) else {
        return Reading::More;
    };
    let len = V2_START_LEN + usize::from(u16::from_be_bytes([high, low]));
    if bytes.len() < len {
        Reading::More
    } else {
        Reading::Whole(ProxyHeader { len, ..ProxyHeader::default() })
    }
}

fn told_by(header: &v2::Header<'_>) -> Result<ProxyHeader, &'static str> {
    let len = header.len();
    let (client, server) = match (header.protocol, &header.addresses) {
        (v2::Protocol::Stream, v2::Addresses::IPv4(ends)) => of_v4(ends),
        (v2::Protocol::Stream, v2::Addresses::IPv6(ends)) => of_v6(ends),
        (v2::Protocol::Stream, v2::Addresses::Unix(_)) => (Some(Peer::Unix), None),
        // No stream, or nothing known: the connection's own addresses are as good as any.
        _ => (None, None),
    };
    Ok(ProxyHeader { client, server, tlvs: kept_tlvs(header)?, len })
}

/// The TLVs that would be true of another header too.
fn kept_tlvs(header: &v2::Header<'_>) -> Result<Vec<u8>, &'static str> {
    let bytes = header.as_bytes();
    let mut start = bytes.len() - header.tlv_bytes().len();
    let mut kept = Vec::new();
    let mut has_checksum = false;
    for tlv in header.tlvs() {
        let tlv = tlv.map_err(|_| "a PROXY header with a TLV that is longer than what is left")?;
        let end = start + TLV_START_LEN + tlv.len();
        match tlv.kind {
            // One checksum is enough work.
            CHECKSUM if !has_checksum && is_checksum(bytes, start + TLV_START_LEN..end) => {
                has_checksum = true;
            }
            CHECKSUM => return Err("a PROXY header with a wrong checksum"),
            PADDING => {}
            _ => kept.extend_from_slice(&bytes[start..end]),
        }
        start = end;
    }
    Ok(kept)
}

/// Whether the checksum at this place of a header is that of the header with zeros in its place.
fn is_checksum(header: &[u8], place: Range<usize>) -> bool {
    let zeroed = header.iter().enumerate().map(|(at, &byte)| if place.contains(&at) { 0 } else { byte });
    header[place.clone()] == crc32c(zeroed).to_be_bytes()[..]
}

/// RFC 9260, appendix A. Bit by bit: a header has a hundred bytes, and seldom a checksum.
fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let shift = |sum: u32, _| (sum >> 1) ^ (POLYNOMIAL & (sum & 1).wrapping_neg());
    !bytes.fold(u32::MAX, |sum, byte| (0..8).fold(sum ^ u32::from(byte), shift))
}

fn of_v4(ends: &v2::IPv4) -> (Option<Peer>, Option<SocketAddr>) {
    let client = plain(ends.source_address, ends.source_port);
    (Some(Peer::Tcp(client)), Some(plain(ends.destination_address, ends.destination_port)))
}

fn of_v6(ends: &v2::IPv6) -> (Option<Peer>, Option<SocketAddr>) {
    let client = plain(ends.source_address, ends.source_port);
    (Some(Peer::Tcp(client)), Some(plain(ends.destination_address, ends.destination_port)))
}

/// An IPv4 address that is written as IPv6 is IPv4.
fn plain(ip: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(ip.into().to_canonical(), port)
}

/// Both ends of a connection as addresses of one family, as a header has to have them.
fn in_one_family(client: SocketAddr, server: Option<SocketAddr>) -> (SocketAddr, SocketAddr) {
    let client = plain(client.ip(), client.port());
    let nowhere: IpAddr =
        if client.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let server = server.map_or(SocketAddr::new(nowhere, 0), |server| plain(server.ip(), server.port()));
    if client.is_ipv4() == server.is_ipv4() { (client, server) } else { (as_v6(client), as_v6(server)) }
}

fn as_v6(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

fn build(command: v2::Command, protocol: v2::Protocol, addresses: v2::Addresses, tlvs: &[u8]) -> Vec<u8> {
    let room = usize::from(u16::MAX) - addresses.len();
    let builder = v2::Builder::with_addresses(v2::Version::Two | command, protocol, addresses);
    let built = builder.write_payload(fitting(tlvs, room)).and_then(v2::Builder::build);
    built.expect("it was cut to what a header can hold")
}

/// As many TLVs as fit: where the header that they came in had shorter addresses, some may not.
fn fitting(tlvs: &[u8], room: usize) -> &[u8] {
    let each = v2::TypeLengthValues::from(tlvs).map_while(Result::ok);
    let ends = each.scan(0, |end, tlv| {
        *end += TLV_START_LEN + tlv.len();
        Some(*end)
    });
    &tlvs[..ends.take_while(|end| *end <= room).last().unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "PROXY TCP4 192.0.2.1 198.51.100.2 0 443\r\n";

    fn tcp(text: &str) -> SocketAddr {
        text.parse().expect(text)
    }

    /// A header of version 2: PROXY over these family and protocol, this block of addresses, these TLVs.
    fn v2(family: u8, addresses: &[u8], tlvs: &[u8]) -> Vec<u8> {
        let len = u16::try_from(addresses.len() + tlvs.len()).expect("a short header");
        [v2::PROTOCOL_PREFIX, &[0x21, family], &len.to_be_bytes(), addresses, tlvs].concat()
    }

    const V4_ENDS: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0, 80, 1, 187];

    fn whole(bytes: &[u8]) -> ProxyHeader {
        match read(bytes) {
            Reading::Whole(header) => header,
            other => panic!("{bytes:?}: {other:?}"),
        }
    }

    #[test]
    fn every_piece_of_a_header_waits_for_the_rest() {
        let unix = [&b"/run/client"[..], &[0; 97], b"/run/server", &[0; 97]].concat();
        for header in [
            LINE.as_bytes().to_vec(),
            b"PROXY TCP6 2001:db8::1 2001:db8::2 65535 1\r\n".to_vec(),
            b"PROXY UNKNOWN\r\n".to_vec(),
            b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n".to_vec(),
            v2(0x11, &V4_ENDS, &[]),
            v2(0x11, &V4_ENDS, &[5, 0, 2, 1, 2, 0xe0, 0, 0]),
            v2(0x21, &[0x20; 36], &[]),
            v2(0x31, &unix, &[]),
            v2(0x00, b"whatever", &[]),
        ] {
            for len in 0..header.len() {
                assert_eq!(read(&header[..len]), Reading::More, "{len} of {header:?}");
            }
            let glued = [&header[..], b"\r\npayload"].concat();
            assert_eq!(whole(&header).len, header.len());
            assert_eq!(whole(&glued), whole(&header), "what follows is no part of it");
        }
    }

    #[test]
    fn clients_are_told() {
        let header = whole(LINE.as_bytes());
        assert_eq!(header.client, Some(Peer::Tcp(tcp("192.0.2.1:0"))));
        assert_eq!(header.server, Some(tcp("198.51.100.2:443")));
        let header = whole(&v2(0x11, &V4_ENDS, &[]));
        assert_eq!(header.client, Some(Peer::Tcp(tcp("192.0.2.1:80"))));
        assert_eq!(header.server, Some(tcp("198.51.100.2:443")));
        assert_eq!(whole(&v2(0x31, &[0; 216], &[])).client, Some(Peer::Unix));
        let mapped = whole(b"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 9 10\r\n");
        assert_eq!(mapped.client, Some(Peer::Tcp(tcp("192.0.2.1:9"))));
        // A datagram's, nobody's, and the front's own.
        for header in [v2(0x12, &V4_ENDS, &[]), v2(0x00, &[], &[]), b"PROXY UNKNOWN 1 2 3 4\r\n".to_vec()] {
            assert_eq!((whole(&header).client, whole(&header).server), (None, None));
        }
        let mut local = v2(0x11, &V4_ENDS, &[0xff; 2]);
        local[12] = 0x20;
        assert_eq!(whole(&local), ProxyHeader { len: local.len(), ..ProxyHeader::default() });
    }

    #[test]
    fn what_can_be_no_header_is_refused_at_once() {
        let long = format!("PROXY UNKNOWN {}", "x".repeat(93));
        for (bytes, why) in [
            (&b"G"[..], "its bytes are none"),
            (b"PROXY\t", "its bytes are none"),
            (b"\r\n\r\n\0\r\nQUIT\r", "its bytes are none"),
            (long.as_bytes(), "without an end"),
            (b"PROXY TCP4 192.0.2.1 198.51.100.2 0 443\n", "malformed PROXY line"),
            (b"PROXY TCP4 192.0.2.1 198.51.100.2 0 \r\n", "malformed PROXY line"),
            (b"PROXY TCP4 192.0.2.1 198.51.100.2 0 65536\r\n", "malformed PROXY line"),
            (b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", "malformed PROXY line"),
            (b"PROXY UNKNOWN\r \r\n", "malformed PROXY line"),
            (b"PROXY \xff\r\n", "malformed PROXY line"),
            (&[v2::PROTOCOL_PREFIX, &[0x31, 0x11, 0, 12]].concat(), "version 2"),
            (&[v2::PROTOCOL_PREFIX, &[0x22, 0x11, 0, 12]].concat(), "version 2"),
            (&[v2::PROTOCOL_PREFIX, &[0x21, 0x41, 0, 12]].concat(), "version 2"),
            (&[v2::PROTOCOL_PREFIX, &[0x21, 0x11, 0, 11]].concat(), "version 2"),
            (&v2(0x11, &V4_ENDS, &[5, 0]), "longer than what is left"),
            (&v2(0x11, &V4_ENDS, &[5, 0, 3, 1, 2]), "longer than what is left"),
            (&v2(0x11, &V4_ENDS, &[3, 0, 4, 1, 2, 3, 4]), "wrong checksum"),
            (&v2(0x11, &V4_ENDS, &[3, 0, 0]), "wrong checksum"),
        ] {
            let said = read(bytes);
            assert!(matches!(said, Reading::Malformed(said) if said.contains(why)), "{bytes:?}: {said:?}");
        }
    }

    #[test]
    fn the_longest_header_is_read_when_it_is_whole() {
        let tlvs = [&[0xe0, 0xff, 0xf0][..], &[7; 0xfff0]].concat();
        let mut header = v2(0x11, &V4_ENDS, &tlvs[..0xff00]);
        header.extend_from_slice(&tlvs[0xff00..]);
        header[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
        assert_eq!(header.len(), 16 + 65_535);
        assert_eq!(read(&header[..header.len() - 1]), Reading::More);
        assert_eq!(whole(&header).tlvs, tlvs);
    }

    #[test]
    fn tlvs_are_kept_but_for_those_about_the_header() {
        assert_eq!(crc32c(b"123456789".iter().copied()), 0xe306_9283);
        let (id, custom) = ([5, 0, 2, 1, 2], [0xe0, 0, 0]);
        let padding = [4, 0, 1, 0];
        let unsummed = v2(0x11, &V4_ENDS, &[&id[..], &[3, 0, 4, 0, 0, 0, 0], &padding, &custom].concat());
        let sum = crc32c(unsummed.iter().copied()).to_be_bytes();
        let tlvs = [&id[..], &[3, 0, 4], &sum, &padding, &custom].concat();
        assert_eq!(whole(&v2(0x11, &V4_ENDS, &tlvs)).tlvs, [&id[..], &custom].concat());
    }

    #[test]
    fn what_is_written_is_read_again() {
        let addresses = ["192.0.2.1:1", "[2001:db8::1]:65535", "[::ffff:192.0.2.1]:1"];
        for (client, server) in
            addresses.iter().flat_map(|client| addresses.iter().map(move |it| (client, it)))
        {
            for version in [ProxyVersion::V1, ProxyVersion::V2] {
                let tlvs = if version == ProxyVersion::V2 { &[5, 0, 1, 7][..] } else { &[] };
                let read = whole(&header(version, Peer::Tcp(tcp(client)), Some(tcp(server)), tlvs));
                let (client, server) = (tcp(client), tcp(server));
                assert_eq!(read.client, Some(Peer::Tcp(plain(client.ip(), client.port()))));
                assert_eq!(read.server, Some(plain(server.ip(), server.port())));
                assert_eq!(read.tlvs, tlvs);
            }
        }
        let nowhere = whole(&header(ProxyVersion::V1, Peer::Tcp(tcp("192.0.2.1:1")), None, &[]));
        assert_eq!(nowhere.server, Some(tcp("0.0.0.0:0")));
    }

    #[test]
    fn what_local_says_beside_is_ignored() {
        for rest in [&[0x11, 0, 0][..], &[0xff, 0, 0], &[0x41, 0, 4, 1, 2, 3, 4], &[0x11, 0, 2, 7, 7]] {
            let header = [v2::PROTOCOL_PREFIX, &[LOCAL], rest].concat();
            let expected = ProxyHeader { len: header.len(), ..ProxyHeader::default() };
            assert_eq!(whole(&[&header, &b"payload"[..]].concat()), expected, "{rest:?}");
            for cut in 1..header.len() {
                assert!(matches!(read(&header[..cut]), Reading::More), "{rest:?} up to {cut}");
            }
        }
    }

    #[test]
    fn unix_clients_and_checks_have_headers_too() {
        let local = [v2::PROTOCOL_PREFIX, &[0x20, 0, 0, 0]].concat();
        for (version, own) in [(ProxyVersion::V1, b"PROXY UNKNOWN\r\n".to_vec()), (ProxyVersion::V2, local)] {
            assert_eq!(own_header(version), own);
            assert_eq!(header(version, Peer::Unix, None, &[1, 0, 0]), own);
        }
    }

    #[test]
    fn tlvs_that_do_not_fit_any_more_are_left_out() {
        let short = [5, 0, 1, 7];
        let long = [&[0xe0, 0xff, 0xec][..], &[7; 0xffec]].concat();
        let tlvs = [&short[..], &long].concat();
        assert_eq!(12 + tlvs.len(), usize::from(u16::MAX));
        let kept = |client: &str| whole(&header(ProxyVersion::V2, Peer::Tcp(tcp(client)), None, &tlvs)).tlvs;
        assert_eq!(kept("192.0.2.1:1"), tlvs);
        assert_eq!(kept("[2001:db8::1]:1"), short);
    }
}
