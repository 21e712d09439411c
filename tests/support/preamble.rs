//! What a client may begin with, made byte by byte: PROXY headers of both versions, ClientHellos.

use std::net::SocketAddr;

/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// A PROXY header of version 1.
pub fn v1(client: SocketAddr, server: SocketAddr) -> Vec<u8> {
    let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (client.ip(), server.ip());
    format!("PROXY {family} {from} {to} {} {}\r\n", client.port(), server.port()).into()
}

/// A PROXY header of version 2.
pub fn v2(client: SocketAddr, server: SocketAddr, tlvs: &[u8]) -> Vec<u8> {
    let ip = |address: SocketAddr| match address {
        SocketAddr::V4(address) => address.ip().octets().to_vec(),
        SocketAddr::V6(address) => address.ip().octets().to_vec(),
    };
    let ports = [client.port().to_be_bytes(), server.port().to_be_bytes()].concat();
    v2_block(
        0x21,
        if client.is_ipv4() { 0x11 } else { 0x21 },
        &[ip(client), ip(server), ports].concat(),
        tlvs,
    )
}

/// The same for a unix client without a name.
pub fn v2_unix(tlvs: &[u8]) -> Vec<u8> {
    v2_block(0x21, 0x31, &[0; 216], tlvs)
}

/// A PROXY header of version 2 that says nothing: the connection speaks for itself.
pub fn v2_local() -> Vec<u8> {
    v2_block(0x20, 0, &[], &[])
}

/// A PROXY header of version 2: version and command, family and protocol, addresses, TLVs.
pub fn v2_block(command: u8, family: u8, addresses: &[u8], tlvs: &[u8]) -> Vec<u8> {
    let len = u16::try_from(addresses.len() + tlvs.len()).expect("a header holds less than 64 KiB");
    [&SIGNATURE[..], &[command, family], &len.to_be_bytes(), addresses, tlvs].concat()
}

/// A ClientHello that asks for this name and these protocols, and has so many bytes of key shares; in one record, if
/// it is no longer than that.
pub fn hello(sni: Option<&str>, alpn: &[&str], share_len: usize) -> Vec<u8> {
    let names = |name: &str| vector(2, &[&[0][..], &vector(2, name.as_bytes())].concat());
    let protocols: Vec<u8> = alpn.iter().flat_map(|name| vector(1, name.as_bytes())).collect();
    let extensions = [
        extension(51, &vec![0x5a; share_len]),
        sni.map(|name| extension(0, &names(name))).unwrap_or_default(),
        if alpn.is_empty() { Vec::new() } else { extension(16, &vector(2, &protocols)) },
    ];
    let ciphers = [0x13, 0x01, 0x13, 0x02, 0x13, 0x03];
    let fixed = [&[3, 3][..], &[0x77; 32], &vector(1, &[0x88; 32]), &vector(2, &ciphers), &vector(1, &[0])];
    let body = [fixed.concat(), vector(2, &extensions.concat())].concat();
    in_records(&[&[1][..], &vector(3, &body)].concat(), 1 << 14)
}

/// A message in records of so many bytes.
pub fn in_records(message: &[u8], len: usize) -> Vec<u8> {
    message.chunks(len).flat_map(|part| [&[22, 3, 1][..], &vector(2, part)].concat()).collect()
}

/// The message of a hello that lies in one record.
pub fn message_of(hello: &[u8]) -> &[u8] {
    &hello[5..]
}

fn extension(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[0, kind][..], &vector(2, content)].concat()
}

/// Bytes behind their length.
fn vector(len_bytes: usize, content: &[u8]) -> Vec<u8> {
    let len = content.len().to_be_bytes();
    [&len[len.len() - len_bytes..], content].concat()
}
