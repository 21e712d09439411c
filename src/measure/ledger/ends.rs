//! How many sessions ended how: a count for each code.
//!
//! A worker adds to a fixed array. As JSON it is an object of those that aren't zero, and a code that only a
//! newer evenkeel knows comes through a round trip unharmed.

use std::{fmt, ops::AddAssign};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};

use super::Code;

/// Counts by code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    counts: [u64; Code::COUNT],
    /// Only ever from a file that was read.
    unknown: Vec<(String, u64)>,
}

impl Default for Ends {
    fn default() -> Self {
        Self { counts: [0; Code::COUNT], unknown: Vec::new() }
    }
}

impl Ends {
    /// Counts a session that ended so.
    #[inline]
    pub fn add(&mut self, code: Code) {
        self.counts[code.index()] += 1;
    }

    /// How many ended so.
    pub fn of(&self, code: Code) -> u64 {
        self.counts[code.index()]
    }

    /// How many ended.
    pub fn total(&self) -> u64 {
        self.iter().fold(0, |total, (_, _, count)| total.saturating_add(count))
    }

    /// Those that aren't zero: letters, code if it is known, count; known ones first, in the order of codes.
    pub fn iter(&self) -> impl Iterator<Item = (String, Option<Code>, u64)> {
        let known = Code::all().map(|code| (code.to_string(), Some(code), self.of(code)));
        let unknown = self.unknown.iter().map(|(letters, count)| (letters.clone(), None, *count));
        known.chain(unknown).filter(|(_, _, count)| *count > 0)
    }

    /// The same, the most frequent first.
    pub fn by_count(&self) -> Vec<(String, Option<Code>, u64)> {
        let mut ends: Vec<_> = self.iter().collect();
        ends.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
        ends
    }

    fn insert(&mut self, letters: &str, count: u64) {
        let place = match letters.parse::<Code>() {
            Ok(code) => &mut self.counts[code.index()],
            Err(_) => {
                let at = self.unknown.iter().position(|(known, _)| known == letters).unwrap_or_else(|| {
                    self.unknown.push((letters.to_owned(), 0));
                    self.unknown.len() - 1
                });
                &mut self.unknown[at].1
            }
        };
        // Saturating, because a file that was read may say anything.
        *place = place.saturating_add(count);
    }
}

impl AddAssign<&Ends> for Ends {
    fn add_assign(&mut self, other: &Ends) {
        for (sum, count) in self.counts.iter_mut().zip(&other.counts) {
            *sum += count;
        }
        for (letters, count) in &other.unknown {
            self.insert(letters, *count);
        }
    }
}

impl Serialize for Ends {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(letters, _, count)| (letters, count)))
    }
}

impl<'de> Deserialize<'de> for Ends {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ByLetters)
    }
}

struct ByLetters;

impl<'de> Visitor<'de> for ByLetters {
    type Value = Ends;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of counts by code")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ends, A::Error> {
        let mut ends = Ends::default();
        while let Some((letters, count)) = map.next_entry::<String, u64>()? {
            ends.insert(&letters, count);
        }
        Ok(ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::ledger::{Cause, Phase};

    const CLIENT_FIN: Code = Code { cause: Cause::ClientFin, phase: Phase::Data };
    const IDLE: Code = Code { cause: Cause::Timeout, phase: Phase::Waiting };

    #[test]
    fn counts_add_up_by_code() {
        let mut one = Ends::default();
        one.add(CLIENT_FIN);
        one.add(CLIENT_FIN);
        one.add(IDLE);
        let mut sum = one.clone();
        sum += &one;
        assert_eq!((sum.of(CLIENT_FIN), sum.of(IDLE), sum.total()), (4, 2, 6));
    }

    #[test]
    fn json_has_what_is_not_zero() {
        let mut ends = Ends::default();
        assert_eq!(serde_json::to_string(&ends).unwrap(), "{}");
        ends.add(IDLE);
        ends.add(CLIENT_FIN);
        assert_eq!(serde_json::to_string(&ends).unwrap(), r#"{"CD":1,"TW":1}"#);
    }

    #[test]
    fn codes_of_a_newer_version_come_through() {
        let text = r#"{"CD":3,"XY":7,"later":1}"#;
        let mut ends: Ends = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&ends).unwrap(), text);
        let other = ends.clone();
        ends += &other;
        assert_eq!(serde_json::to_string(&ends).unwrap(), r#"{"CD":6,"XY":14,"later":2}"#);
        assert_eq!(ends.total(), 22);
        let most = format!(r#"{{"XY":{0},"CD":{0}}}"#, u64::MAX);
        assert_eq!(serde_json::from_str::<Ends>(&most).unwrap().total(), u64::MAX);
    }
}
