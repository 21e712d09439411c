//! Any bytes as what a trusted peer begins with: the same is understood in whatever pieces they come, and a header that
//! is understood is written and read again as the same.
#![no_main]

use evenkeel::{
    config::ProxyVersion,
    service::proxy::preread::{Preread, ProxyHeader, Reading, header, proxy_header},
    sys::socket::Peer,
};
use libfuzzer_sys::fuzz_target;

mod pieces;

fuzz_target!(|input: &[u8]| {
    let (sizes, bytes) = pieces::of(input);
    let preread = || Preread::new(true, false);
    let whole = pieces::hear(preread(), bytes, &[]);
    assert_eq!(pieces::hear(preread(), bytes, sizes), whole);
    if let Some(told) = whole.header {
        assert!(told.len <= 16 + usize::from(u16::MAX) && told.tlvs.len() < told.len);
        assert_eq!(whole.payload, &bytes[told.len..]);
        told.client.into_iter().for_each(|client| assert_passes_on(&told, client));
    }
});

fn assert_passes_on(told: &ProxyHeader, client: Peer) {
    for version in [ProxyVersion::V1, ProxyVersion::V2] {
        let written = header(version, client, told.server, &told.tlvs);
        let Reading::Whole(again) = proxy_header::read(&written) else {
            panic!("not understood: {written:?}")
        };
        assert_eq!(again.len, written.len());
        // There is no telling of a unix client: its connection is the proxy's own.
        let Peer::Tcp(_) = client else {
            assert_eq!((again.client, again.tlvs), (None, Vec::new()));
            continue;
        };
        assert_eq!((again.client, again.server), (Some(client), told.server));
        assert_eq!(again.tlvs, if version == ProxyVersion::V2 { &told.tlvs[..] } else { &[] });
    }
}
