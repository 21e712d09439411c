//! A histogram as reports show it: its summary, and the whole of it for whoever wants to merge or plot it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hdrhistogram::{
    Histogram,
    serialization::{Serializer as _, V2DeflateSerializer},
};
use serde::{Deserialize, Serialize};

/// The summary and the serialized form of one histogram; all numbers are 0 where nothing was recorded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HistogramJson {
    /// What the values are: `ns`.
    pub unit: String,
    /// Values recorded.
    pub count: u64,
    /// The least.
    pub min: u64,
    /// Their arithmetic mean.
    pub mean: f64,
    /// Their standard deviation.
    pub stddev: f64,
    /// Half of them are at most this.
    pub p50: u64,
    /// 90 % of them.
    pub p90: u64,
    /// 99 % of them.
    pub p99: u64,
    /// 99.9 % of them.
    pub p999: u64,
    /// 99.99 % of them.
    pub p9999: u64,
    /// The greatest.
    pub max: u64,
    /// Base64 of the HdrHistogram V2 encoding, deflated.
    pub hdr: String,
}

impl HistogramJson {
    /// The summary of `histogram`, whose values are in `unit`.
    pub fn new(unit: &str, histogram: &Histogram<u64>) -> Self {
        let quantile = |q| histogram.value_at_quantile(q).min(histogram.max());
        let (mean, stddev) = match histogram.len() {
            0 => (0.0, 0.0),
            _ => (histogram.mean(), histogram.stdev()),
        };
        Self {
            unit: unit.to_owned(),
            count: histogram.len(),
            min: if histogram.is_empty() { 0 } else { histogram.min() },
            mean,
            stddev,
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p999: quantile(0.999),
            p9999: quantile(0.9999),
            max: histogram.max(),
            hdr: encoded(histogram),
        }
    }
}

fn encoded(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(histogram, &mut bytes).expect("a Vec takes every write");
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::serialization::Deserializer;

    #[test]
    fn an_empty_one_is_all_zeros() {
        let json = HistogramJson::new("ns", &Histogram::new_with_bounds(1, 1_000, 3).unwrap());
        assert_eq!((json.count, json.min, json.max, json.mean, json.stddev), (0, 0, 0, 0.0, 0.0));
        assert_eq!((json.p50, json.p9999), (0, 0));
    }

    #[test]
    fn the_whole_can_be_read_back() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).unwrap();
        (1..=1_000u64).for_each(|value| histogram.record(value * 1_000).unwrap());
        let json = HistogramJson::new("ns", &histogram);
        let bytes = STANDARD.decode(&json.hdr).unwrap();
        let back: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
        assert_eq!(back, histogram);
        assert!((499_000..=501_000).contains(&json.p50) && json.p9999 <= json.max);
    }
}
