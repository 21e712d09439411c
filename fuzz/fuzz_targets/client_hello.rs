//! Any bytes as what a TLS client begins with: the same is understood in whatever pieces they come, and not one is
//! changed. Half of the inputs are the extensions of a hello that is right in all else, so that those are tried, too.
#![no_main]

use evenkeel::service::proxy::preread::{Preread, Progress};
use libfuzzer_sys::fuzz_target;

mod pieces;

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else { return };
    let (sizes, rest) = pieces::of(rest);
    let bytes = if kind % 2 == 0 { rest.to_vec() } else { records(&hello(rest), usize::from(kind / 2)) };
    let preread = || Preread::new(false, true);
    let whole = pieces::hear(preread(), &bytes, &[]);
    assert_eq!(pieces::hear(preread(), &bytes, sizes), whole);
    assert_eq!((&whole.payload, whole.progress == Progress::Identified), (&bytes, false));
    if let Some(hello) = whole.hello {
        let sni = hello.sni.as_deref().unwrap_or("a");
        assert!(!sni.is_empty() && sni.len() <= 255 && sni.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(!sni.bytes().any(|byte| byte.is_ascii_uppercase()));
        assert!(hello.alpn.iter().all(|name| !name.is_empty()));
    }
});

/// A ClientHello with these extensions, or as many of their bytes as there is room for.
fn hello(extensions: &[u8]) -> Vec<u8> {
    let extensions = &extensions[..extensions.len().min(usize::from(u16::MAX))];
    let len = (extensions.len() as u16).to_be_bytes();
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &len, extensions].concat();
    let len = (body.len() as u32).to_be_bytes();
    [&[1][..], &len[1..], &body].concat()
}

/// A message in records of so many bytes; 0 is as few records as can be.
fn records(message: &[u8], len: usize) -> Vec<u8> {
    let len = if len == 0 { 1 << 14 } else { len };
    let record = |part: &[u8]| [&[22, 3, 1][..], &(part.len() as u16).to_be_bytes(), part].concat();
    message.chunks(len).flat_map(record).collect()
}
