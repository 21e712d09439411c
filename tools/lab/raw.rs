//! What `results.json` leaves out of a trial: the whole distributions of its times, and what happened when.
//!
//! All of it is in the client's report, in `raw/`, and is read there when something is merged, compared or drawn. A
//! thousand trials of it would fill memory, so only a few are kept at hand, on a [`Shelf`]: a run takes as much memory
//! after its thousandth trial as after its two hundredth.

use std::{cell::RefCell, collections::VecDeque, fs, path::PathBuf, rc::Rc};

use evenkeel::measure::{histograms::histogram, report::HistogramJson};
use hdrhistogram::Histogram;

use super::{
    reports::{ByConnection, ClientReport, Slices},
    results::Trial,
};

/// So many trials are at hand. No scenario of the lab's own has more in `full`, so that while one is looked at from all
/// sides, each of its trials is read once.
const AT_HAND_MAX: usize = 128;

/// What the client of one trial reported beyond figures.
#[derive(Clone, Debug, Default)]
pub struct Raw {
    /// Response time: from the moment when a message was due.
    pub latency: Distribution,
    /// From the moment when it was sent.
    pub service: Distribution,
    pub slices: Option<Slices>,
    pub by_connection: Option<ByConnection>,
}

/// Where a trial's is.
#[derive(Clone, Debug)]
pub struct Source {
    shelf: Rc<Shelf>,
    /// The client's report, relative to the run's folder.
    file: String,
}

/// What was read last of a run's folder.
#[derive(Debug)]
pub struct Shelf {
    dir: PathBuf,
    /// By file, in the order in which they were read.
    at_hand: RefCell<VecDeque<(String, Rc<Raw>)>>,
}

impl Raw {
    /// # Errors
    /// A sentence, where a histogram can't be decoded.
    pub fn of(client: ClientReport) -> Result<Self, String> {
        Ok(Self {
            latency: Distribution::of(&decode(&client.latency)?),
            service: Distribution::of(&decode(&client.service_latency)?),
            slices: client.slices,
            by_connection: client.by_connection,
        })
    }
}

/// The histogram of a report.
///
/// # Errors
/// A sentence, where it can't be decoded.
pub fn decode(json: &HistogramJson) -> Result<Histogram<u64>, String> {
    match json.count {
        // A client that doesn't measure this needs no histogram to say so.
        0 => Ok(histogram()),
        _ => json.decode(),
    }
}

impl Trial {
    /// What its client reported beyond figures. `None` where the file is gone: whoever opened the folder has seen that
    /// it was there, and what can't be drawn any more isn't.
    pub fn raw(&self) -> Option<Rc<Raw>> {
        self.source.as_ref()?.read().ok()
    }
}

impl Source {
    /// Looks on the shelf, then into the file.
    ///
    /// # Errors
    /// A sentence with the path and the reason.
    pub fn read(&self) -> Result<Rc<Raw>, String> {
        self.shelf.read(&self.file)
    }

    /// That of a trial which has never been in a file.
    #[cfg(test)]
    pub fn holding(raw: Raw) -> Self {
        let shelf = Shelf::new(PathBuf::new());
        shelf.put("", Rc::new(raw));
        Self { shelf, file: String::new() }
    }
}

impl Shelf {
    /// An empty shelf for the run in a folder.
    pub fn new(dir: PathBuf) -> Rc<Self> {
        Rc::new(Self { dir, at_hand: RefCell::default() })
    }

    /// Where a trial's raw report is; nothing is read.
    pub fn source(self: &Rc<Self>, file: &str) -> Source {
        Source { shelf: self.clone(), file: file.to_owned() }
    }

    fn read(&self, file: &str) -> Result<Rc<Raw>, String> {
        if let Some((_, raw)) = self.at_hand.borrow().iter().find(|(name, _)| name == file) {
            return Ok(raw.clone());
        }
        let path = self.dir.join(file);
        let text =
            fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let raw =
            text.parse().and_then(Raw::of).map_err(|why: String| format!("{}: {why}", path.display()))?;
        let raw = Rc::new(raw);
        self.put(file, raw.clone());
        Ok(raw)
    }

    /// What has lain there longest makes room.
    fn put(&self, file: &str, raw: Rc<Raw>) {
        let mut at_hand = self.at_hand.borrow_mut();
        if at_hand.len() == AT_HAND_MAX {
            at_hand.pop_front();
        }
        at_hand.push_back((file.to_owned(), raw));
    }
}

/// A histogram without its empty buckets, which are nearly all of them: a few kilobytes instead of a few hundred.
#[derive(Clone, Debug, Default)]
pub struct Distribution {
    /// The least and the largest value, and the digits, of the histogram.
    bounds: (u64, u64, u8),
    /// Values, rising, and how often each was recorded.
    pub counts: Vec<(u64, u64)>,
}

impl Distribution {
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let counts = histogram.iter_recorded().map(|it| (it.value_iterated_to(), it.count_at_value()));
        Self { bounds: (histogram.low(), histogram.high(), histogram.sigfig()), counts: counts.collect() }
    }

    /// The histogram again, bucket by bucket.
    pub fn histogram(&self) -> Histogram<u64> {
        let (low, high, digits) = self.bounds;
        // Bounds that came from a histogram make one.
        let mut whole = Histogram::new_with_bounds(low, high, digits).unwrap_or_else(|_| histogram());
        self.add_to(&mut whole);
        whole
    }

    fn add_to(&self, sum: &mut Histogram<u64>) {
        for &(value, count) in &self.counts {
            // All come from one program with one set of bounds. A value beyond those of others counts as the largest.
            sum.saturating_record_n(value, count);
        }
    }
}

/// All these trials' in one, bucket by bucket: percentiles are never averaged. `None` without any sample.
pub fn merged<'a>(
    trials: impl IntoIterator<Item = &'a Trial>,
    which: impl Fn(&Raw) -> &Distribution,
) -> Option<Histogram<u64>> {
    let mut merged: Option<Histogram<u64>> = None;
    for raw in trials.into_iter().filter_map(Trial::raw) {
        match (&mut merged, which(&raw)) {
            (_, empty) if empty.counts.is_empty() => {}
            (Some(sum), own) => own.add_to(sum),
            (None, first) => merged = Some(first.histogram()),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = r#"{"messages":9,"connections":3,"rate_per_s":9.0,"latency":{},"send_lag":{},
        "slices":{"slice_ns":7}}"#;

    #[test]
    fn a_distribution_is_its_histogram() {
        let mut whole = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).unwrap();
        for value in (1..5_000).map(|i: u64| i * i * 97) {
            whole.record_n(value, value % 5 + 1).unwrap();
        }
        let sparse = Distribution::of(&whole);
        assert_eq!(sparse.histogram(), whole);
        assert!(sparse.counts.len() < 5_000 && sparse.histogram().mean() == whole.mean());
        assert!(Distribution::of(&histogram()).counts.is_empty());
        assert!(Distribution::default().histogram().is_empty());
    }

    #[test]
    fn however_many_trials_there_are_few_are_at_hand() {
        let dir = std::env::temp_dir().join(format!("evenkeel-shelf-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let shelf = Shelf::new(dir.clone());
        let sources: Vec<_> =
            (0..3 * AT_HAND_MAX).map(|number| shelf.source(&format!("{number}.json"))).collect();
        for source in &sources {
            fs::write(dir.join(&source.file), CLIENT).unwrap();
            assert!(source.read().is_ok_and(|raw| raw.slices.as_ref().is_some_and(|it| it.slice_ns == 7)));
            assert!(shelf.at_hand.borrow().len() <= AT_HAND_MAX);
        }
        // What is at hand is not read again; what isn't is.
        fs::remove_dir_all(&dir).unwrap();
        assert!(sources[sources.len() - 1].read().is_ok());
        let gone = sources[0].read().unwrap_err();
        assert!(gone.starts_with("cannot read ") && gone.contains("0.json: No such file"), "{gone}");
    }
}
