//! Where the ledger's lines go, and what can go wrong there.
//!
//! Lines go out whole. To a file, all at once, by O_APPEND, so that several processes may write to it. To a pipe,
//! or whatever else may be full, in parts of at most PIPE_BUF bytes and only when it says that it has room: such a
//! write doesn't block, and is one piece for the reader (pipe(7)).

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Access, FileType, Mode, OFlags, Stat},
};

use crate::config::LogTarget;
use crate::{
    control::output::say,
    sys::{self, Errno, clock},
};

/// A write of so many bytes to a pipe is one piece (pipe(7)).
const PIPE_BUF: usize = 4096;

/// How often it is looked whether the file has been rotated.
const LOOK_EVERY_NS: u64 = 1_000_000_000;

/// How often it is told at most that lines can't be written.
const TELL_EVERY_NS: u64 = 60_000_000_000;

/// How long a full pipe is waited for before it is asked again whether to give up.
const WAIT_NS: u64 = 100_000_000;

/// An open target.
pub(super) struct Sink {
    target: LogTarget,
    out: OwnedFd,
    /// Which file it is, and whether it is one at all.
    stat: Stat,
    looked_ns: u64,
    told_ns: Option<u64>,
    /// The last line that was written was cut.
    is_mid_line: bool,
    /// Nobody reads stdout any more.
    is_over: bool,
}

impl Sink {
    /// Whether a target could be opened, by whoever asks and now. Nothing is made or opened.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn check(target: &LogTarget) -> Result<(), String> {
        let LogTarget::File(path) = target else { return Ok(()) };
        may_write(path).map_err(|error| unopened(target, error))
    }

    /// Opens a target.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn open(target: LogTarget) -> Result<Self, String> {
        let opened = match &target {
            LogTarget::Stdout => rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3),
            LogTarget::File(path) => open(path),
        };
        opened.and_then(|out| Self::of(out, target.clone())).map_err(|error| match (&target, error) {
            (LogTarget::File(path), Errno::NXIO) => {
                format!(
                    "cannot write the ledger to {}: nobody reads it; start its reader first",
                    path.display()
                )
            }
            _ => unopened(&target, error),
        })
    }

    pub(super) fn of(out: OwnedFd, target: LogTarget) -> Result<Self, Errno> {
        let stat = rustix::fs::fstat(&out)?;
        Ok(Self { target, out, stat, looked_ns: 0, told_ns: None, is_mid_line: false, is_over: false })
    }

    /// Whether nothing will be written any more.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Writes lines, and says how many got out whole. What can't be written is told, and dropped. `give_up` says by
    /// when to stop waiting for room, once it is known.
    pub(super) fn write(&mut self, lines: &[u8], now_ns: u64, give_up: &dyn Fn() -> Option<u64>) -> u64 {
        if self.is_over {
            return 0;
        }
        self.follow_rotation(now_ns);
        let mut written = 0;
        match self.end_cut_line(give_up).and_then(|()| self.write_lines(lines, give_up, &mut written)) {
            // Nobody made room: not an error, and what is missing is counted.
            Ok(()) | Err(Errno::TIMEDOUT) => {}
            Err(Errno::PIPE) if self.target == LogTarget::Stdout => self.is_over = true,
            Err(error) => self.tell(error, now_ns),
        }
        written
    }

    fn write_lines(
        &mut self,
        mut rest: &[u8],
        give_up: &dyn Fn() -> Option<u64>,
        written: &mut u64,
    ) -> Result<(), Errno> {
        while !rest.is_empty() {
            let part = if self.is_file() { rest } else { whole_lines(rest, PIPE_BUF) };
            let len = self.write_part(part, give_up)?;
            let (done, left) = rest.split_at(len);
            *written += done.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.is_mid_line = done.last().map_or(self.is_mid_line, |last| *last != b'\n');
            rest = left;
        }
        Ok(())
    }

    /// The line that an error cut stays cut, but the next one is a line of its own.
    fn end_cut_line(&mut self, give_up: &dyn Fn() -> Option<u64>) -> Result<(), Errno> {
        if self.is_mid_line {
            self.write_part(b"\n", give_up)?;
            self.is_mid_line = false;
        }
        Ok(())
    }

    fn write_part(&self, part: &[u8], give_up: &dyn Fn() -> Option<u64>) -> Result<usize, Errno> {
        loop {
            if !self.is_file() {
                self.wait_for_room(give_up)?;
            }
            match rustix::io::write(&self.out, part) {
                Err(Errno::INTR | Errno::AGAIN) => {}
                // Nothing that can be written to does that; but it must not be asked for ever.
                Ok(0) => return Err(Errno::IO),
                done => return done,
            }
        }
    }

    fn wait_for_room(&self, give_up: &dyn Fn() -> Option<u64>) -> Result<(), Errno> {
        loop {
            let by_ns = give_up().unwrap_or(u64::MAX);
            let until_ns = by_ns.min(clock::now_ns() + WAIT_NS);
            if wait_for(self.out.as_fd(), PollFlags::OUT, Some(until_ns)) {
                return Ok(());
            }
            if by_ns <= clock::now_ns() {
                return Err(Errno::TIMEDOUT);
            }
        }
    }

    /// Opens the path afresh where another file, or none, is there now.
    fn follow_rotation(&mut self, now_ns: u64) {
        let LogTarget::File(path) = &self.target else { return };
        if now_ns < self.looked_ns.saturating_add(LOOK_EVERY_NS) {
            return;
        }
        self.looked_ns = now_ns;
        let is_same = |there: Stat| (there.st_dev, there.st_ino) == (self.stat.st_dev, self.stat.st_ino);
        if rustix::fs::stat(path).is_ok_and(is_same) {
            return;
        }
        match open(path).and_then(|out| Self::of(out, self.target.clone())) {
            Ok(fresh) => *self = Self { looked_ns: now_ns, told_ns: self.told_ns, ..fresh },
            // The old file is better than none.
            Err(error) => self.tell(error, now_ns),
        }
    }

    fn is_file(&self) -> bool {
        FileType::from_raw_mode(self.stat.st_mode) == FileType::RegularFile
    }

    fn tell(&mut self, error: Errno, now_ns: u64) {
        if self.told_ns.is_none_or(|told_ns| now_ns >= told_ns.saturating_add(TELL_EVERY_NS)) {
            self.told_ns = Some(now_ns);
            say(&format!("evenkeel: {}; sessions are missing from it", unwritable(&self.target, error)));
        }
    }
}

/// Appended to, for its owner and its group; a named pipe without a reader is an error and not waited for.
fn open(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::NONBLOCK
        | OFlags::NOCTTY
        | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::from(0o640))
}

fn unopened(target: &LogTarget, error: Errno) -> String {
    format!("{}; choose a path that can be written", unwritable(target, error))
}

fn unwritable(target: &LogTarget, error: Errno) -> String {
    let why = sys::reason(&io::Error::from(error));
    match target {
        LogTarget::Stdout => format!("cannot write the ledger to stdout: {why}"),
        LogTarget::File(path) => format!("cannot write the ledger to {}: {why}", path.display()),
    }
}

/// As many lines as fit into `len` bytes; of one that doesn't, as much as does.
fn whole_lines(lines: &[u8], len: usize) -> &[u8] {
    let most = &lines[..lines.len().min(len)];
    most.iter().rposition(|byte| *byte == b'\n').map_or(most, |last| &most[..=last])
}

/// Whether a file could be written there; where there is none, whether one could be made. Nothing is made or opened.
pub(in crate::control) fn may_write(path: &Path) -> Result<(), Errno> {
    match rustix::fs::access(path, Access::WRITE_OK) {
        Err(Errno::NOENT) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            rustix::fs::access(folder.unwrap_or(Path::new(".")), Access::WRITE_OK | Access::EXEC_OK)
        }
        Ok(()) if path.is_dir() => Err(Errno::ISDIR),
        known => known,
    }
}

/// Waits until a descriptor is ready or in error, or for this time. Whether it is.
pub(in crate::control) fn wait_for(fd: BorrowedFd<'_>, flags: PollFlags, until_ns: Option<u64>) -> bool {
    let left_ns = until_ns.map(|until_ns| until_ns.saturating_sub(clock::now_ns()));
    let timeout = left_ns.map(|left_ns| Timespec {
        // Both fit: they are quotient and remainder of a 64-bit number of nanoseconds.
        tv_sec: (left_ns / 1_000_000_000) as i64,
        tv_nsec: (left_ns % 1_000_000_000) as i64,
    });
    poll(&mut [PollFd::from_borrowed_fd(fd, flags)], timeout.as_ref()).is_ok_and(|ready| ready > 0)
}
