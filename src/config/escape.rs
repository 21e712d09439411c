//! Bytes as people type them: `PING\r\n`, `\x00\xff`.

use std::fmt::Write as _;

/// Reads text in which `\r`, `\n`, `\t`, `\\` and `\xHH` stand for one byte each.
///
/// # Errors
/// A sentence, for any other backslash.
pub fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let (byte, len) = unescape(escaped).ok_or_else(|| {
            format!("'{text}' has a \\ that stands for nothing: use \\r, \\n, \\t, \\\\ or \\xHH")
        })?;
        bytes.push(byte);
        rest = &escaped[len..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

/// Writes bytes so that [`bytes`] reads the same: printable ASCII as it is, all else escaped.
pub fn write(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                // Writing to memory can't fail.
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text
}

/// The byte that comes after a backslash, and how long it is as text.
fn unescape(text: &str) -> Option<(u8, usize)> {
    match text.as_bytes() {
        [b'r', ..] => Some((b'\r', 1)),
        [b'n', ..] => Some((b'\n', 1)),
        [b't', ..] => Some((b'\t', 1)),
        [b'\\', ..] => Some((b'\\', 1)),
        [b'x', high, low, ..] => {
            let digit = |byte: &u8| char::from(*byte).to_digit(16);
            let byte = (digit(high)? << 4) | digit(low)?;
            Some((u8::try_from(byte).ok()?, 3))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_bytes() {
        for (text, expected) in [
            ("PING\\r\\n", &b"PING\r\n"[..]),
            ("\\x00\\xFf\\\\x", b"\x00\xff\\x"),
            ("a\r\n", b"a\r\n"),
            ("ö", "ö".as_bytes()),
            ("", b""),
        ] {
            assert_eq!(bytes(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["\\", "\\q", "\\x", "\\x1", "\\x1ö", "\\xg0", "a\\"] {
            assert!(bytes(text).is_err_and(|why| why.contains("stands for nothing")), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let all: Vec<u8> = (0..=255).collect();
        let text = write(&all);
        assert!(text.chars().all(|c| c == ' ' || c.is_ascii_graphic()));
        assert_eq!(bytes(&text), Ok(all));
    }
}
