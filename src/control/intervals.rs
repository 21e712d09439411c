//! The interval log (`--hlog`): what each worker recorded, second by second, in a file that HdrHistogram's tools read.
//!
//! The main thread asks every worker for a copy of its records and goes on; the copies come to a thread of this log's
//! own, which takes the difference to the copy before and writes it. So no worker waits for a disk, none waits for
//! another, and the main thread waits for nobody. A worker that is late to answer is not made up for: its next row
//! begins where its last one ended and covers the whole time, so that nothing is lost or counted twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufWriter, Write},
    mem,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::{Duration, SystemTime},
};

use rustix::{
    event::PollFlags,
    fs::{Mode, OFlags},
};

use super::{
    journal::{may_write, wait_for},
    log::Log,
    thread::Thread,
};
use crate::{
    measure::{Histograms, WorkerSnapshot, hlog::Writer},
    sys::{self, Errno, clock, epoll::Source, eventfd::EventFd},
};

/// From one row to the next.
pub const EVERY: Duration = Duration::from_secs(1);

/// How long the last rows may take once the workers have ended, in nanoseconds: many times what they need.
const GIVE_UP_NS: u64 = 5_000_000_000;

/// An interval log that is being written.
pub struct IntervalLog {
    snapshots: mpsc::Sender<WorkerSnapshot>,
    thread: Thread<()>,
    ended: Arc<EventFd>,
    path: PathBuf,
}

impl IntervalLog {
    /// Whether a log could be written there. Nothing is made or opened.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(path: &Path) -> Result<(), String> {
        may_write(path).map_err(|error| unopened(path, error))
    }

    /// Opens the file, writes its head and starts the thread. Times in it count from `started`, which is `started_ns`
    /// on the monotonic clock; `log` is told if it can't be written.
    ///
    /// # Errors
    /// A sentence: what could not be opened or started, why, and what to do.
    pub fn start(
        path: &Path,
        workers: usize,
        started: SystemTime,
        started_ns: u64,
        log: Log,
    ) -> Result<Self, String> {
        let refused = |why: &io::Error| {
            format!("cannot start the interval log: {}; raise `ulimit -u`", sys::reason(why))
        };
        let file = open(path).map_err(|error| unopened(path, error))?;
        let head = Recording::new(BufWriter::new(file), workers, started);
        let mut recording = head.map_err(|error| unwritable(path, &error))?;
        let ended = Arc::new(EventFd::new().map_err(|error| refused(&error.into()))?);
        let (snapshots, received) = mpsc::channel();
        let shown = path.to_owned();
        let run = move || {
            if let Err(error) = recording.follow(&received, started_ns) {
                log.error(&format!("{}; it ends here", unwritable(&shown, &error)));
            }
        };
        let thread = Thread::start("hlog".into(), &ended, run).map_err(|error| refused(&error))?;
        Ok(Self { snapshots, thread, ended, path: path.to_owned() })
    }

    /// Where workers send what they are asked for.
    pub fn reply(&self) -> &mpsc::Sender<WorkerSnapshot> {
        &self.snapshots
    }

    /// Writes the last rows, from the last records of workers that have ended.
    ///
    /// # Errors
    /// A sentence, where the file took too long.
    pub fn finish(mut self, last: &[WorkerSnapshot]) -> Result<(), String> {
        for snapshot in last {
            // A thread that has ended, because it could not write, has said so.
            let _ = self.snapshots.send(snapshot.clone());
        }
        drop(self.snapshots);
        let until_ns = clock::now_ns().saturating_add(GIVE_UP_NS);
        while !self.thread.has_ended() {
            if clock::now_ns() >= until_ns {
                return Err(format!("the end of {} was not written: it took too long", self.path.display()));
            }
            wait_for(self.ended.source(), PollFlags::IN, Some(until_ns));
        }
        let _ = self.thread.join();
        Ok(())
    }
}

/// Emptied first; a named pipe without a reader is an error and not waited for.
fn open(path: &Path) -> Result<File, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags | OFlags::NONBLOCK, Mode::from(0o644))?;
    // Writing may wait: nobody waits for this thread.
    rustix::io::ioctl_fionbio(&file, false)?;
    Ok(File::from(file))
}

fn unopened(path: &Path, error: Errno) -> String {
    format!("{}; choose a path that can be written", unwritable(path, &error.into()))
}

fn unwritable(path: &Path, error: &io::Error) -> String {
    format!("cannot write the interval log to {}: {}", path.display(), sys::reason(error))
}

/// What the thread has: for each worker what it had recorded when it was last heard of, and the sum of what all have
/// recorded in this round. A round is over when each worker was heard once, or one of them again.
struct Recording<W> {
    log: Writer<W>,
    workers: usize,
    known: BTreeMap<usize, Heard>,
    round: Round,
}

/// A worker's records, and when they came.
#[derive(Default)]
struct Heard {
    at_s: f64,
    histograms: Histograms,
}

#[derive(Default)]
struct Round {
    since_s: f64,
    until_s: f64,
    heard: BTreeSet<usize>,
    sum: Histograms,
}

impl<W: Write> Recording<W> {
    fn new(out: W, workers: usize, started: SystemTime) -> io::Result<Self> {
        let mut log = Writer::new(out, started)?;
        log.flush()?;
        Ok(Self { log, workers, known: BTreeMap::new(), round: Round::default() })
    }

    /// Writes what comes, until nobody sends any more.
    fn follow(&mut self, snapshots: &mpsc::Receiver<WorkerSnapshot>, started_ns: u64) -> io::Result<()> {
        while let Ok(snapshot) = snapshots.recv() {
            let since_start = Duration::from_nanos(clock::now_ns().saturating_sub(started_ns));
            self.hear(snapshot, since_start.as_secs_f64())?;
        }
        self.end_round()
    }

    fn hear(&mut self, snapshot: WorkerSnapshot, at_s: f64) -> io::Result<()> {
        let WorkerSnapshot { worker, histograms, .. } = snapshot;
        if self.round.heard.contains(&worker) {
            self.end_round()?;
        }
        let before = self.known.remove(&worker).unwrap_or_default();
        let mut fresh = histograms.clone();
        fresh.subtract(&before.histograms);
        rows(&mut self.log, Some(worker), before.at_s, at_s, &fresh)?;
        self.known.insert(worker, Heard { at_s, histograms });
        self.round.until_s = at_s;
        self.round.heard.insert(worker);
        self.round.sum.add(&fresh);
        if self.round.heard.len() == self.workers { self.end_round() } else { Ok(()) }
    }

    fn end_round(&mut self) -> io::Result<()> {
        let Round { since_s, until_s, sum, .. } = mem::take(&mut self.round);
        self.round.since_s = since_s.max(until_s);
        rows(&mut self.log, None, since_s, until_s, &sum)?;
        self.log.flush()
    }
}

/// A row for each histogram that has anything in it.
fn rows(
    log: &mut Writer<impl Write>,
    worker: Option<usize>,
    since_s: f64,
    until_s: f64,
    histograms: &Histograms,
) -> io::Result<()> {
    let of_worker = worker.map_or_else(String::new, |worker| format!(".w{worker}"));
    for (name, _, histogram) in histograms.iter().filter(|(_, _, histogram)| !histogram.is_empty()) {
        log.write(Some(&format!("{name}{of_worker}")), since_s, until_s - since_s, histogram)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;
    use crate::measure::{Counts, ledger::Ends, report::HistogramJson};

    /// What a worker has recorded so far: so many turns.
    fn snapshot(worker: usize, turns: u64) -> WorkerSnapshot {
        let mut histograms = Histograms::default();
        histograms.turn.record_n(1_000, turns).unwrap();
        WorkerSnapshot {
            worker,
            core: None,
            counts: Counts::default(),
            active_avg: 0.0,
            active_max: 0,
            accept_queue_max: 0,
            accepted_by: Vec::new(),
            ends: Ends::default(),
            upstreams: Vec::new(),
            histograms,
        }
    }

    /// Tag, start and length of each row, and how many samples it has.
    fn logged(workers: usize, heard: &[(usize, u64, f64)]) -> Vec<(String, f64, f64, u64)> {
        let mut out = Vec::new();
        let mut recording = Recording::new(&mut out, workers, SystemTime::UNIX_EPOCH).unwrap();
        for (worker, turns, at_s) in heard {
            recording.hear(snapshot(*worker, *turns), *at_s).unwrap();
        }
        recording.end_round().unwrap();
        drop(recording);
        IntervalLogIterator::new(&out)
            .filter_map(|entry| match entry.unwrap() {
                LogEntry::Interval(row) => Some(row),
                _ => None,
            })
            .map(|row| {
                let hdr = row.encoded_histogram().to_owned();
                let count = HistogramJson { hdr, ..HistogramJson::default() }.decode().unwrap().len();
                let tag = row.tag().unwrap().as_str().to_owned();
                (tag, row.start_timestamp().as_secs_f64(), row.duration().as_secs_f64(), count)
            })
            .collect()
    }

    fn row(tag: &str, start_s: f64, length_s: f64, count: u64) -> (String, f64, f64, u64) {
        (tag.to_owned(), start_s, length_s, count)
    }

    #[test]
    fn a_row_is_the_difference_to_the_one_before() {
        let rows = logged(2, &[(0, 5, 1.0), (1, 7, 1.0), (0, 6, 2.0), (1, 7, 2.0)]);
        let expected = [
            row("turn.w0", 0.0, 1.0, 5),
            row("turn.w1", 0.0, 1.0, 7),
            row("turn", 0.0, 1.0, 12),
            row("turn.w0", 1.0, 1.0, 1),
            row("turn", 1.0, 1.0, 1),
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn a_worker_that_is_late_makes_up_for_it_by_itself() {
        let rows = logged(2, &[(0, 5, 1.0), (0, 6, 2.0), (1, 9, 2.5), (1, 10, 3.0)]);
        let expected = [
            row("turn.w0", 0.0, 1.0, 5),
            row("turn", 0.0, 1.0, 5),
            row("turn.w0", 1.0, 1.0, 1),
            row("turn.w1", 0.0, 2.5, 9),
            row("turn", 1.0, 1.5, 10),
            row("turn.w1", 2.5, 0.5, 1),
            row("turn", 2.5, 0.5, 1),
        ];
        assert_eq!(rows, expected);
        let sum: u64 = rows.iter().filter(|(tag, ..)| tag == "turn").map(|(.., count)| count).sum();
        assert_eq!(sum, 16);
    }
}
