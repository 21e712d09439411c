//! What is wrong with options as a whole, and which of them is to be changed.
//!
//! A file shows the place of the key; a command line names the flag.

/// Options that don't go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The key of a `[[service]]`, such as `upstream` or `health.expect`.
    pub key: &'static str,
    /// A sentence: why, and what to do.
    pub why: String,
}

impl Fault {
    /// A fault in the value of this key.
    pub fn new(key: &'static str, why: impl Into<String>) -> Self {
        Self { key, why: why.into() }
    }

    /// The flag that sets what the key does, without its dashes: `health-expect`, `idle-timeout`.
    pub fn flag(&self) -> String {
        let flag = match self.key.strip_prefix("timeout.") {
            Some("drain") => "drain".into(),
            Some(timeout) => format!("{timeout}-timeout"),
            None => self.key.replace('.', "-"),
        };
        flag.replace('_', "-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_a_flag() {
        for (key, flag) in [
            ("upstream", "upstream"),
            ("health.eject_after", "health-eject-after"),
            ("timeout.half_closed", "half-closed-timeout"),
            ("timeout.drain", "drain"),
            ("proxy_protocol.accept_from", "proxy-protocol-accept-from"),
        ] {
            assert_eq!(Fault::new(key, "").flag(), flag);
        }
    }
}
