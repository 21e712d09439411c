//! Sends back what comes in.

use std::time::Duration;

use super::Work;
use crate::{Arrival, Io, Read, Service, Side, Turn};

/// The echo service of one worker.
#[derive(Clone, Debug)]
pub struct Echo {
    work: Option<Work>,
    greets: bool,
    idle_timeout: Option<Duration>,
    opened: u64,
}

impl Echo {
    /// `work` is done for each message; with `greets`, the first 16 bytes on a connection are the worker's
    /// number and how many it had opened before (two u64, little endian).
    pub fn new(work: Option<Work>, greets: bool, idle_timeout: Option<Duration>) -> Self {
        Self { work, greets, idle_timeout, opened: 0 }
    }

    fn touch(&self, io: &mut Io<'_>) {
        if let Some(timeout) = self.idle_timeout {
            io.set_deadline(timeout);
        }
    }
}

impl Service for Echo {
    type Session = ();

    fn open(&mut self, _: &Arrival, io: &mut Io<'_>) {
        if self.greets {
            let worker = (io.worker() as u64).to_le_bytes();
            let sequence = self.opened.to_le_bytes();
            io.write(Side::Client, [worker, sequence].as_flattened());
        }
        self.opened += 1;
        self.touch(io);
    }

    #[inline]
    fn turn(&mut self, _: &mut (), io: &mut Io<'_>, scratch: &mut [u8]) -> Turn {
        self.touch(io);
        loop {
            match io.read(Side::Client, scratch) {
                Read::Data(len) => {
                    if let Some(work) = &mut self.work {
                        work.perform();
                    }
                    io.write(Side::Client, &scratch[..len]);
                }
                Read::Pending => return Turn::Keep,
                Read::Eof | Read::Broken => return Turn::Close,
            }
        }
    }
}
