//! A histogram as reports carry it: the figures that people ask for, and all of it for machines.
//!
//! The figures are there so that a report can be read with nothing but a JSON parser. `hdr` is the whole
//! histogram in HdrHistogram's V2 encoding, deflated, in base64: the payload of `.hlog` files, which every
//! HdrHistogram library reads, so that reports can be merged without averaging quantiles.

use std::{fmt::Display, io::Read};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use flate2::read::ZlibDecoder;
use hdrhistogram::{Histogram, serialization::Deserializer};
use serde::{Deserialize, Serialize};

use super::round::to_places;
use crate::measure::hlog;

/// One histogram of a report. Without samples every figure is 0.
///
/// ```
/// use evenkeel::measure::{histograms::histogram, report::HistogramJson};
///
/// let mut turns = histogram();
/// turns.record(150).unwrap();
/// let json = HistogramJson::new("ns", &turns);
/// assert_eq!((json.count, json.min, json.p50), (1, 150, 150));
/// assert_eq!(json.decode().unwrap(), turns);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistogramJson {
    /// The unit of every value below: `ns` or `events`.
    pub unit: String,
    /// Number of samples.
    pub count: u64,
    /// The smallest sample.
    pub min: u64,
    /// Mean, to three decimal places.
    pub mean: f64,
    /// Standard deviation (of the population), to three decimal places.
    pub stddev: f64,
    /// Half of the samples are at most this.
    pub p50: u64,
    /// 90 % are at most this.
    pub p90: u64,
    /// 99 % are at most this.
    pub p99: u64,
    /// 99.9 % are at most this.
    pub p999: u64,
    /// 99.99 % are at most this.
    pub p9999: u64,
    /// The largest sample.
    pub max: u64,
    /// The histogram itself: base64 of HdrHistogram V2 + deflate.
    pub hdr: String,
}

impl HistogramJson {
    /// The figures of `histogram`, whose values are in `unit`.
    pub fn new(unit: &str, histogram: &Histogram<u64>) -> Self {
        Self {
            unit: unit.to_owned(),
            count: histogram.len(),
            min: histogram.min(),
            mean: to_places(histogram.mean(), 3),
            stddev: to_places(histogram.stdev(), 3),
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            p9999: histogram.value_at_quantile(0.9999),
            max: histogram.max(),
            // Empty where a bucket counts more than `i64::MAX`, which the encoding can't express.
            hdr: hlog::encode(histogram).unwrap_or_default(),
        }
    }

    /// The histogram that this was made from.
    ///
    /// # Errors
    /// A sentence, where `hdr` is no base64 or what it holds is no HdrHistogram.
    pub fn decode(&self) -> Result<Histogram<u64>, String> {
        let bytes = BASE64
            .decode(&self.hdr)
            .map_err(|error| format!("the histogram's 'hdr' is not base64: {error}"))?;
        let wrong =
            |why: &dyn Display| format!("the histogram's 'hdr' is not an HdrHistogram (V2 + deflate): {why}");
        let plain = inflate(&bytes).ok_or_else(|| wrong(&"its lengths don't add up"))?;
        Deserializer::new().deserialize(&mut plain.as_slice()).map_err(|error| wrong(&error))
    }
}

/// The V2 form of a histogram that was deflated, if it is as long as it says: the deserializer takes its word for
/// that, up to 4 GiB. (Offsets and cookie: HdrHistogram's `AbstractHistogram.encodeIntoByteBuffer`.)
fn inflate(bytes: &[u8]) -> Option<Vec<u8>> {
    const WRAPPER_LEN: usize = 8;
    const HEADER_LEN: usize = 40;
    /// Many times what the largest histogram takes that evenkeel writes.
    const PLAIN_MAX: u64 = 8 << 20;
    let mut plain = Vec::new();
    ZlibDecoder::new(bytes.get(WRAPPER_LEN..)?).take(PLAIN_MAX).read_to_end(&mut plain).ok()?;
    let said = u32::from_be_bytes(*plain.get(4..)?.first_chunk()?);
    (plain.len() == HEADER_LEN + said as usize).then_some(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measure::histograms::histogram;

    #[test]
    fn without_samples_every_figure_is_zero() {
        let json = HistogramJson::new("ns", &histogram());
        let zeros =
            HistogramJson { unit: "ns".to_owned(), hdr: json.hdr.clone(), ..HistogramJson::default() };
        assert_eq!(json, zeros);
        assert_eq!(json.decode().map(|decoded| decoded.len()), Ok(0));
    }

    /// A length of 4 GiB in a small file: refused, not allocated.
    #[test]
    fn a_length_that_lies_is_refused() {
        let json = HistogramJson::new("ns", &histogram());
        let bytes = BASE64.decode(&json.hdr).expect("just encoded");
        let mut plain = inflate(&bytes).expect("just encoded");
        plain[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
        let mut deflated = bytes[..8].to_vec();
        flate2::read::ZlibEncoder::new(plain.as_slice(), flate2::Compression::fast())
            .read_to_end(&mut deflated)
            .expect("from memory to memory");
        let lying = HistogramJson { hdr: BASE64.encode(deflated), ..json };
        assert!(lying.decode().unwrap_err().contains("lengths don't add up"));
    }

    #[test]
    fn figures_are_those_of_the_samples() {
        let mut samples = histogram();
        (1..=10_000).for_each(|ns| samples.record(ns).unwrap());
        let json = HistogramJson::new("ns", &samples);
        assert_eq!((json.count, json.min), (10_000, 1));
        for (figure, exact) in
            [(json.p50, 5_000), (json.p90, 9_000), (json.p99, 9_900), (json.p999, 9_990), (json.max, 10_000)]
        {
            // Two significant digits: within 1 %.
            assert!(figure.abs_diff(exact) * 100 <= exact, "{figure} for {exact}");
        }
        assert!((json.mean - 5_000.5).abs() < 50.0 && (json.stddev - 2_886.8).abs() < 50.0);
    }

    proptest! {
        #[test]
        fn decoding_gives_back_what_was_encoded(values in prop::collection::vec(0_u64..60_000_000_000, 0..200)) {
            let mut samples = histogram();
            for value in values {
                samples.record(value).unwrap();
            }
            let json = HistogramJson::new("ns", &samples);
            let text = serde_json::to_string(&json).unwrap();
            let back: HistogramJson = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&back, &json);
            prop_assert_eq!(back.decode().unwrap(), samples);
        }

        #[test]
        fn nonsense_is_answered_with_a_sentence(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let hdr = BASE64.encode(bytes);
            let message = HistogramJson { hdr, ..HistogramJson::default() }.decode().unwrap_err();
            prop_assert!(message.contains("not an HdrHistogram"));
        }
    }

    #[test]
    fn what_is_not_base64_is_said() {
        let message = HistogramJson { hdr: "*".to_owned(), ..HistogramJson::default() }.decode().unwrap_err();
        assert!(message.contains("not base64"), "{message}");
    }
}
