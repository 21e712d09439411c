//! What threads saw, second by second: for the interval log, and added up for the report.
//!
//! A thread hands out what it has recorded and goes on with empty histograms, so recording costs what it cost before,
//! and nothing is encoded or added up on a thread that has messages to send. Without a log there is one part a
//! thread, the last one.

use std::{collections::BTreeMap, io::Write, mem, sync::mpsc::Sender};

use evenkeel::measure::hlog::Writer;
use hdrhistogram::Histogram;

use super::{clock::SECOND_NS, tally::Tally};

/// What a thread saw in one interval.
pub struct Part {
    thread: usize,
    /// Which second of the run.
    index: u64,
    /// The second that the thread is in now; `None` when it is done.
    next: Option<u64>,
    tally: Box<Tally>,
}

/// A thread's way to hand out parts.
pub struct Parts {
    out: Sender<Part>,
    thread: usize,
    origin_ns: u64,
    index: u64,
    /// When the present interval is over; never without a log.
    pub due_ns: u64,
}

impl Parts {
    /// Parts of one thread, for a run whose first moment is `origin_ns`.
    pub fn new(out: Sender<Part>, thread: usize, origin_ns: u64, is_logged: bool) -> Self {
        let due_ns = if is_logged { origin_ns + SECOND_NS } else { u64::MAX };
        Self { out, thread, origin_ns, index: 0, due_ns }
    }

    /// An interval is over: hands out what `tally` has of it.
    pub fn hand_out(&mut self, tally: &mut Tally, now_ns: u64) {
        let next = (now_ns - self.origin_ns) / SECOND_NS;
        self.due_ns = self.origin_ns + (next + 1) * SECOND_NS;
        self.send(tally.take(), Some(next));
        self.index = next;
    }

    /// The thread is done: hands out the rest.
    pub fn end(self, tally: Tally) {
        self.send(tally, None);
    }

    fn send(&self, tally: Tally, next: Option<u64>) {
        let part = Part { thread: self.thread, index: self.index, next, tally: Box::new(tally) };
        // Nobody listens any more only where another thread has panicked, and that is told.
        let _ = self.out.send(part);
    }
}

/// Adds parts up, and writes each interval to the log when every thread is past it.
pub struct Collector<W> {
    log: Option<Writer<W>>,
    origin_ns: u64,
    /// The second that each thread is in.
    reached: Vec<u64>,
    /// What isn't written yet, by the second.
    pending: BTreeMap<u64, Tally>,
    /// Each thread's last part.
    last: Vec<Option<(u64, Tally)>>,
    total: Tally,
    /// The first failure to write; nothing is written after it.
    failure: Option<String>,
}

impl<W: Write> Collector<W> {
    /// Collects what so many threads hand out, in `total`.
    pub fn new(total: Tally, threads: usize, origin_ns: u64, log: Option<Writer<W>>) -> Self {
        let last = (0..threads).map(|_| None).collect();
        let reached = vec![0; threads];
        Self { log, origin_ns, reached, pending: BTreeMap::new(), last, total, failure: None }
    }

    /// Takes a part.
    pub fn take(&mut self, part: Part) {
        let Part { thread, index, next, tally } = part;
        match next {
            Some(next) => {
                self.hold(index, *tally);
                self.reached[thread] = next;
                self.write_until(self.reached.iter().copied().min().unwrap_or(0));
            }
            None => {
                self.last[thread] = Some((index, *tally));
                self.reached[thread] = u64::MAX;
            }
        }
    }

    /// All that was seen, and why the log isn't whole, if it isn't.
    pub fn end(mut self) -> (Tally, Option<String>) {
        // In the order of threads, which is that of the connections that are told one by one.
        for (index, tally) in mem::take(&mut self.last).into_iter().flatten() {
            self.hold(index, tally);
        }
        self.write_until(u64::MAX);
        (self.total, self.failure)
    }

    fn hold(&mut self, index: u64, tally: Tally) {
        match self.pending.get_mut(&index) {
            Some(held) => held.add(tally),
            None => {
                self.pending.insert(index, tally);
            }
        }
    }

    fn write_until(&mut self, index: u64) {
        while let Some(entry) = self.pending.first_entry()
            && *entry.key() < index
        {
            let (index, tally) = entry.remove_entry();
            self.write(index, &tally);
            self.total.add(tally);
        }
    }

    fn write(&mut self, index: u64, tally: &Tally) {
        let Some(log) = self.log.as_mut().filter(|_| self.failure.is_none()) else { return };
        let start_s = index as f64;
        // The last interval ends with the run.
        let length_s = match tally.end_ns {
            0 => 1.0,
            end_ns => ((end_ns - self.origin_ns) as f64 / SECOND_NS as f64 - start_s).clamp(0.001, 1.0),
        };
        let mut written = Ok(());
        tally.for_each_histogram(|tag, histogram: &Histogram<u64>| {
            if written.is_ok() && !histogram.is_empty() {
                written = log.write(Some(tag), start_s, length_s, histogram);
            }
        });
        if let Err(error) = written.and_then(|()| log.flush()) {
            self.failure = Some(error.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::mpsc, time::UNIX_EPOCH};

    use super::*;
    use crate::load::tally::histogram;

    const ORIGIN_NS: u64 = 77;

    fn tally(lags_ns: &[u64]) -> Tally {
        let mut tally = Tally::empty();
        lags_ns.iter().for_each(|&lag_ns| tally.lag.record(lag_ns).unwrap());
        tally.sent = lags_ns.len() as u64;
        tally
    }

    fn part(thread: usize, index: u64, next: Option<u64>, lags_ns: &[u64]) -> Part {
        Part { thread, index, next, tally: Box::new(tally(lags_ns)) }
    }

    /// A log whose text can be looked at while it is written.
    #[derive(Clone, Default)]
    struct Text(std::rc::Rc<std::cell::RefCell<Vec<u8>>>);

    impl Write for Text {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Text {
        /// Each row: its tag, its start, its length, and how many milliseconds its largest value has.
        fn rows(&self) -> Vec<String> {
            let text = String::from_utf8(self.0.borrow().clone()).unwrap();
            let rows = text.lines().filter_map(|line| line.strip_prefix("Tag="));
            rows.map(|row| row.rsplit_once('.').unwrap().0.to_owned()).collect()
        }
    }

    fn collector(text: &Text) -> Collector<Text> {
        let log = Writer::new(text.clone(), UNIX_EPOCH).unwrap();
        Collector::new(Tally::empty(), 2, ORIGIN_NS, Some(log))
    }

    #[test]
    fn a_second_is_written_when_every_thread_is_past_it() {
        let text = Text::default();
        let mut collector = collector(&text);
        collector.take(part(0, 0, Some(1), &[1_000_000]));
        collector.take(part(0, 1, Some(2), &[5_000_000]));
        assert_eq!(text.rows(), [""; 0], "the other thread may have more of it");
        collector.take(part(1, 0, Some(3), &[3_000_000]));
        assert_eq!(text.rows(), ["lag,0.000,1.000,3", "lag,1.000,1.000,5"]);
        collector.take(part(1, 3, None, &[7_000_000]));
        collector.take(part(0, 2, None, &[]));
        let (total, failure) = collector.end();
        assert_eq!(text.rows()[2], "lag,3.000,1.000,7");
        assert_eq!((total.sent, total.lag.len(), failure), (4, 4, None));
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let (out, parts) = mpsc::channel();
        let mut own = Parts::new(out, 0, ORIGIN_NS, true);
        let mut seen = histogram();
        let mut running = tally(&[]);
        for second in 1..=5 {
            for lag_ns in 0..second * 10 {
                running.lag.record(lag_ns).unwrap();
                seen.record(lag_ns).unwrap();
            }
            own.hand_out(&mut running, ORIGIN_NS + second * SECOND_NS);
            assert!(running.lag.is_empty());
        }
        own.end(running);
        let mut collector = Collector::<io::Sink>::new(Tally::empty(), 1, ORIGIN_NS, None);
        parts.iter().for_each(|part| collector.take(part));
        assert_eq!(collector.end().0.lag, seen);
    }

    #[test]
    fn a_log_that_cannot_be_written_costs_nothing_but_the_log() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                // The head, which is 4 lines in some writes, goes well.
                if bytes.starts_with(b"Tag") {
                    Err(io::ErrorKind::StorageFull.into())
                } else {
                    Ok(bytes.len())
                }
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let log = Writer::new(Full, UNIX_EPOCH).unwrap();
        let mut collector = Collector::new(Tally::empty(), 1, ORIGIN_NS, Some(log));
        collector.take(part(0, 0, Some(1), &[1]));
        collector.take(part(0, 1, None, &[2]));
        let (total, failure) = collector.end();
        assert!(failure.is_some());
        assert_eq!(total.sent, 2);
    }
}
