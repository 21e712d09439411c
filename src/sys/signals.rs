//! Signals as messages: blocked in every thread, read from a signalfd by one.

use std::{
    os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
};

use rustix::event::{PollFd, PollFlags, poll};

use super::{Errno, epoll::Source};

/// The signals that mean something to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, SIGTERM: stop.
    Stop,
    /// SIGHUP: reload, or stop where there is nothing to reload.
    Hangup,
    /// SIGUSR1: report now.
    Report,
    /// SIGUSR2: upgrade.
    Upgrade,
}

const SIGNALS: [(libc::c_int, Signal); 5] = [
    (libc::SIGINT, Signal::Stop),
    (libc::SIGTERM, Signal::Stop),
    (libc::SIGHUP, Signal::Hangup),
    (libc::SIGUSR1, Signal::Report),
    (libc::SIGUSR2, Signal::Upgrade),
];

/// Where blocked signals arrive (signalfd(2)).
#[derive(Debug)]
pub struct Signals(OwnedFd);

impl Signals {
    /// Blocks the signals in the calling thread, and so in each that it starts later, and opens the signalfd.
    /// Call it before any thread is started. A SIGHUP that whoever started this had ignored stays ignored, as
    /// nohup(1) wants it: blocked, it would arrive all the same.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub fn block() -> Result<Self, Errno> {
        let heeded = SIGNALS.iter().filter(|(number, _)| *number != libc::SIGHUP || !is_ignored(*number));
        // SAFETY: sigemptyset initializes the zeroed set; sigaddset gets valid signal numbers;
        // pthread_sigmask reads the set and writes no old one; signalfd reads it and returns a new
        // descriptor or -1.
        let fd = unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            for &(number, _) in heeded {
                libc::sigaddset(&raw mut set, number);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut());
            libc::signalfd(-1, &raw const set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC)
        };
        if fd < 0 {
            return Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::MFILE));
        }
        // SAFETY: signalfd has just returned this descriptor; nobody else knows it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The next signal that has arrived, if any.
    pub fn next(&self) -> Option<Signal> {
        const SIZE: usize = size_of::<libc::signalfd_siginfo>();
        let mut bytes = [0u8; SIZE];
        let filled = rustix::io::read(&self.0, &mut bytes).ok()?;
        // ssi_signo is the first field (signalfd(2)).
        let number = bytes[..filled].first_chunk::<4>().map(|bytes| u32::from_ne_bytes(*bytes))?;
        SIGNALS.iter().find(|(known, _)| *known as u32 == number).map(|(_, signal)| *signal)
    }

    /// Sleeps until a signal asks the program to end, and says with which status: 128 and the signal's
    /// number, as a shell has it. Other signals pass unheeded.
    pub fn wait_for_end(&self) -> u8 {
        loop {
            // An error of poll is EINTR or comes again; either way the next read tells.
            let _ = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], None);
            match self.next() {
                Some(Signal::Stop) => return 130,
                Some(Signal::Hangup) => return 129,
                _ => {}
            }
        }
    }
}

fn is_ignored(number: libc::c_int) -> bool {
    // SAFETY: an all-zero sigaction is a valid value of this plain C struct; with no new action given,
    // sigaction only fills it with the one in force.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(number, ptr::null(), &raw mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

impl Source for Signals {
    fn source(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
