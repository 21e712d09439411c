//! Reports are written on a thread of their own: whoever reads them may stop reading, and signals must be
//! heeded all the same. While one is being written the newest waits, and that older ones are
//! dropped for it is told.

use std::sync::Arc;

use super::{log::Log, output::Output, thread::Thread};
use crate::{
    measure::report::Report,
    sys::{self, Errno, eventfd::EventFd},
};

/// Writes reports, one at a time.
pub struct Printer {
    output: Output,
    log: Log,
    bell: Arc<EventFd>,
    writing: Option<Thread<Result<(), String>>>,
    /// The one to write next. Reports count from the start, so only the newest is worth keeping.
    waiting: Option<Report>,
    /// Reports are being dropped, and that has been told.
    is_dropping: bool,
}

impl Printer {
    /// A printer for this output; `log` is told what goes wrong on the way.
    ///
    /// # Errors
    /// Those of making an eventfd.
    pub fn new(output: &Output, log: Log) -> Result<Self, Errno> {
        let bell = Arc::new(EventFd::new()?);
        Ok(Self { output: output.clone(), log, bell, writing: None, waiting: None, is_dropping: false })
    }

    /// Readable when a report has been written, or has failed to be.
    pub fn bell(&self) -> &EventFd {
        &self.bell
    }

    /// What has come of the report that was begun last; `None` while it is being written.
    pub fn result(&mut self) -> Option<Result<(), String>> {
        self.bell.silence();
        if !self.writing.as_ref().is_none_or(Thread::has_ended) {
            return None;
        }
        // A thread that has panicked has said so.
        Some(self.writing.take().and_then(|mut thread| thread.join()).unwrap_or(Ok(())))
    }

    /// Writes a report that was asked for while the server runs, as soon as the one before has been written.
    pub fn interim(&mut self, report: Report) {
        if self.waiting.replace(report).is_some() && !std::mem::replace(&mut self.is_dropping, true) {
            self.log.error(
                "nobody reads the reports: until the last one is read, all but the newest are dropped",
            );
        }
        self.go_on();
    }

    /// Whether every interim report has been written.
    pub fn is_idle(&mut self) -> bool {
        self.go_on();
        self.writing.is_none() && self.waiting.is_none()
    }

    /// Goes on with the report that waits, once the one before has been written.
    pub fn go_on(&mut self) {
        if let Some(before) = self.result() {
            self.tell(before);
            if let Some(report) = self.waiting.take() {
                self.is_dropping = false;
                let begun = self.begin(report, Output::interim);
                self.tell(begun);
            }
        }
    }

    /// Begins to write the last report; the one before must have been written.
    ///
    /// # Errors
    /// A sentence, where no thread can be had.
    pub fn last(&mut self, report: Report) -> Result<(), String> {
        self.begin(report, Output::last)
    }

    fn begin(
        &mut self,
        report: Report,
        write: fn(&Output, &Report) -> Result<(), String>,
    ) -> Result<(), String> {
        let output = self.output.clone();
        let thread = Thread::start("report".into(), &self.bell, move || write(&output, &report));
        let refused = |error| {
            format!("cannot start a thread for the report: {}; raise `ulimit -u`", sys::reason(&error))
        };
        self.writing = Some(thread.map_err(refused)?);
        Ok(())
    }

    /// That an interim report can't be written (a full disk, no descriptor left) is told, and no reason to stop.
    fn tell(&self, written: Result<(), String>) {
        if let Err(message) = written {
            self.log.error(&message);
        }
    }
}
