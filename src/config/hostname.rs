//! Names of hosts and services, as DNS and TLS have them (RFC 1035, RFC 6066).

/// The longest name, and the longest of its labels, in bytes.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// Whether a name could be asked for. Underscores are taken: services have them.
///
/// # Errors
/// A few words: why it can't.
pub fn check(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("no name");
    }
    if !name.is_ascii() {
        return Err("a name is ASCII: write it in its xn-- form");
    }
    if name.len() > NAME_BYTES_MAX {
        return Err("a name has at most 253 bytes");
    }
    let is_in_a_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    for label in name.split('.') {
        match label.len() {
            0 => return Err("a part of the name is empty"),
            1..=LABEL_BYTES_MAX if label.bytes().all(is_in_a_name) => {}
            1..=LABEL_BYTES_MAX => return Err("a name has letters, digits, - and _ between dots"),
            _ => return Err("between dots a name has at most 63 bytes"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels_between_dots() {
        for name in ["web", "web.internal", "_postgres._tcp.db.internal", "xn--bcher-kva.example", "A-1"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        let (long_label, long_name) = ("x".repeat(64), "x.".repeat(127));
        let long = [long_label.as_str(), long_name.as_str()];
        for name in ["", ".", "a..b", "a b", "a:80", "bücher.example", "*.a"].into_iter().chain(long) {
            assert!(check(name).is_err(), "{name:?} was taken for a name");
        }
    }
}
