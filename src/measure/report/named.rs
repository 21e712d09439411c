//! Histograms by name, as a JSON object that keeps its order.
//!
//! A list and not a struct: a report that a newer evenkeel wrote may have histograms that this one has never
//! heard of, and must come through unharmed. A list and not a map: the order is that of the loop's phases.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};

use super::HistogramJson;
use crate::measure::Histograms;

/// Histograms with their names, in the order in which they were recorded or read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamedHistograms(Vec<(String, HistogramJson)>);

impl NamedHistograms {
    /// All that a worker recorded.
    pub fn new(histograms: &Histograms) -> Self {
        Self(
            histograms
                .iter()
                .map(|(name, unit, values)| (name.to_owned(), HistogramJson::new(unit, values)))
                .collect(),
        )
    }

    /// The one called `name`.
    pub fn get(&self, name: &str) -> Option<&HistogramJson> {
        self.iter().find(|(known, _)| *known == name).map(|(_, histogram)| histogram)
    }

    /// Each with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &HistogramJson)> {
        self.0.iter().map(|(name, histogram)| (name.as_str(), histogram))
    }
}

impl FromIterator<(String, HistogramJson)> for NamedHistograms {
    fn from_iter<I: IntoIterator<Item = (String, HistogramJson)>>(named: I) -> Self {
        Self(named.into_iter().collect())
    }
}

impl Serialize for NamedHistograms {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for NamedHistograms {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = NamedHistograms;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of histograms by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NamedHistograms, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(NamedHistograms(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_recording_and_survives_a_round_trip() {
        let named = NamedHistograms::new(&Histograms::default());
        let names: Vec<_> = named.iter().map(|(name, _)| name).collect();
        let expected =
            "event_delay turn iteration wait session_life arrival_delay connect first_byte transit batch";
        assert_eq!(names, expected.split(' ').collect::<Vec<_>>());
        let text = serde_json::to_string(&named).unwrap();
        assert_eq!(serde_json::from_str::<NamedHistograms>(&text).unwrap(), named);
    }

    #[test]
    fn unknown_names_come_through() {
        let named: NamedHistograms = serde_json::from_str(r#"{"zeal":{"count":1},"turn":{}}"#).unwrap();
        assert_eq!(named.get("zeal").map(|histogram| histogram.count), Some(1));
        assert!(named.get("wait").is_none());
    }
}
