//! Interval logs: histograms over time in the `.hlog` format that HdrHistogram's own tools read and plot.
//!
//! A log is text. Lines with `#` before them say when it begins; each row after the legend is the histogram of one
//! interval: a tag (whose histogram it is), when the interval began, how long it was, its largest value, and the
//! whole histogram in base64. Rows can be merged bucket by bucket, so nothing that a reader does with them has to
//! average quantiles.
//!
//! The format is HdrHistogram's `HistogramLogWriter`, version 1.3. Its payload has to be V2 *and* deflated: Java's
//! reader knows no other. Times are in seconds, and the largest value is divided by a million, which makes
//! milliseconds of nanoseconds; readers take it for decoration and use the histogram.

use std::{
    io::{self, Write},
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hdrhistogram::{
    Histogram,
    serialization::{Serializer as _, V2DeflateSerializer},
};

use super::report::date::rfc3339;

const MAX_DIVISOR: f64 = 1e6;

/// Writes an interval log.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
///
/// use evenkeel::measure::{histograms::histogram, hlog::Writer};
///
/// let mut turns = histogram();
/// turns.record(2_000_000).unwrap();
/// let mut log = Writer::new(Vec::new(), UNIX_EPOCH + Duration::from_secs(1_767_225_600)).unwrap();
/// log.write(Some("turn"), 0.0, 1.0, &turns).unwrap();
/// let text = String::from_utf8(log.into_inner()).unwrap();
/// assert!(text.lines().last().unwrap().starts_with("Tag=turn,0.000,1.000,2.007,HISTFAAA"));
/// ```
pub struct Writer<W> {
    out: W,
    serializer: V2DeflateSerializer,
}

impl<W: Write> Writer<W> {
    /// A log that begins at this moment: the times of all rows count from there.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W, start: SystemTime) -> io::Result<Self> {
        let since_epoch_s = start.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        writeln!(out, "#[Histogram log format version 1.3]")?;
        writeln!(out, "#[StartTime: {since_epoch_s:.3} (seconds since epoch), {}]", rfc3339(start))?;
        // Readers take times for absolute ones without this.
        writeln!(out, "#[BaseTime: {since_epoch_s:.3} (seconds since epoch)]")?;
        writeln!(
            out,
            "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\""
        )?;
        Ok(Self { out, serializer: V2DeflateSerializer::new() })
    }

    /// Writes the histogram of one interval, which began `start_s` after the log and took `length_s`. Rows of one
    /// tag have to come in the order of their beginnings.
    ///
    /// # Errors
    /// Those of `out`; a tag that readers would take for something else (with a comma or white space), or a
    /// histogram that the encoding can't express (a bucket beyond `i64::MAX`).
    pub fn write(
        &mut self,
        tag: Option<&str>,
        start_s: f64,
        length_s: f64,
        histogram: &Histogram<u64>,
    ) -> io::Result<()> {
        let payload = encode_with(&mut self.serializer, histogram)?;
        let max = histogram.max() as f64 / MAX_DIVISOR;
        if let Some(tag) = tag {
            check_tag(tag)?;
            write!(self.out, "Tag={tag},")?;
        }
        writeln!(self.out, "{start_s:.3},{length_s:.3},{max:.3},{payload}")
    }

    /// Hands on what has been written so far, so that who follows the log sees whole rows.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// What has been written to.
    pub fn into_inner(self) -> W {
        self.out
    }
}

/// A histogram as rows carry it: base64 of HdrHistogram's V2 encoding, deflated.
///
/// # Errors
/// Where a bucket counts more than `i64::MAX`, which the encoding can't express.
pub fn encode(histogram: &Histogram<u64>) -> io::Result<String> {
    encode_with(&mut V2DeflateSerializer::new(), histogram)
}

fn encode_with(serializer: &mut V2DeflateSerializer, histogram: &Histogram<u64>) -> io::Result<String> {
    let mut bytes = Vec::new();
    let encoded = serializer.serialize(histogram, &mut bytes);
    encoded.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
    Ok(BASE64.encode(bytes))
}

fn check_tag(tag: &str) -> io::Result<()> {
    if tag.is_empty() || tag.contains(|c: char| c == ',' || c.is_whitespace()) {
        let why = format!("a tag without comma or white space is wanted, not {tag:?}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hdrhistogram::serialization::{
        Deserializer,
        interval_log::{IntervalLogIterator, LogEntry},
    };

    use super::*;
    use crate::measure::histograms::histogram;

    fn samples(values: &[u64]) -> Histogram<u64> {
        let mut samples = histogram();
        values.iter().for_each(|value| samples.record(*value).unwrap());
        samples
    }

    #[test]
    fn the_crates_own_reader_reads_each_row() {
        let rows = [
            (Some("turn"), 0.0, 1.0, samples(&[100, 2_000, 3_000_000])),
            (Some("turn.w0"), 0.0, 1.0, samples(&[100])),
            (None, 1.25, 0.5, samples(&[])),
        ];
        let start = UNIX_EPOCH + Duration::from_millis(1_767_225_600_250);
        let mut log = Writer::new(Vec::new(), start).unwrap();
        for (tag, start_s, length_s, histogram) in &rows {
            log.write(*tag, *start_s, *length_s, histogram).unwrap();
        }
        let text = log.into_inner();
        let entries: Vec<_> = IntervalLogIterator::new(&text).map(Result::unwrap).collect();
        let seconds = Duration::from_secs_f64(1_767_225_600.25);
        assert_eq!(entries[..2], [LogEntry::StartTime(seconds), LogEntry::BaseTime(seconds)]);
        assert_eq!(entries.len(), 2 + rows.len());
        for (entry, (tag, start_s, length_s, histogram)) in entries[2..].iter().zip(&rows) {
            let LogEntry::Interval(row) = entry else { panic!("{entry:?}") };
            assert_eq!(row.tag().map(|tag| tag.as_str()), *tag);
            let times = (row.start_timestamp().as_secs_f64(), row.duration().as_secs_f64());
            assert_eq!(times, (*start_s, *length_s));
            let bytes = BASE64.decode(row.encoded_histogram()).unwrap();
            let back: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
            assert_eq!(back, *histogram);
        }
    }

    #[test]
    fn the_header_is_that_of_version_1_3() {
        let text = Writer::new(Vec::new(), UNIX_EPOCH + Duration::from_secs(1)).unwrap().into_inner();
        let expected = "#[Histogram log format version 1.3]\n\
             #[StartTime: 1.000 (seconds since epoch), 1970-01-01T00:00:01.000Z]\n\
             #[BaseTime: 1.000 (seconds since epoch)]\n\
             \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn a_tag_that_would_break_its_row_is_refused() {
        let mut log = Writer::new(Vec::new(), UNIX_EPOCH).unwrap();
        for tag in ["", "a,b", "a b", "a\nb"] {
            let error = log.write(Some(tag), 0.0, 1.0, &histogram()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{tag:?}");
        }
    }
}
