//! One end of a connection at work: it takes its steps as far as its socket lets it.
//!
//! Nothing here blocks, so that one thread plays any number of scripts at once, and the order in which things
//! happen is the script's and the kernel's, not that of threads. It notes what no stream may show under any
//! circumstances the moment it sees it: a byte that isn't the one that was sent, an end before the peer ended
//! anything.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown, sockopt},
};

use super::{
    outcome::{Ending, Outcome},
    script::Step,
    stream::Stream,
    wire,
};

/// The most that an end reads or writes before the other one has its turn.
const TURN_LEN: u64 = 256 << 10;

/// What each end of a pair writes before it plays.
pub const MEETING_LEN: usize = 4;

/// Where input is read to.
pub const SCRATCH_LEN: usize = 256 << 10;

/// What an end knows of the other one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peer {
    /// How many of its steps it has done.
    pub steps_done: u64,
    /// Whether it has ended its stream, by whatever means.
    pub has_ended: bool,
    /// Whether it has closed its socket.
    pub has_left: bool,
}

/// An end of a connection, and what is left for it to do.
pub struct Actor {
    socket: Option<OwnedFd>,
    is_unix: bool,
    steps: VecDeque<Step>,
    /// How far the first of the steps has come.
    step: Progress,
    knowledge: Peer,
    outgoing: Stream,
    incoming: Stream,
    is_reading: bool,
    /// How many bytes `read` steps have asked for so far.
    asked: u64,
    /// The error of the connection was told to a call that wasn't a read: what looks like an end then isn't one.
    is_reset: bool,
    is_broken: bool,
    outcome: Outcome,
}

#[derive(Default)]
struct Progress {
    is_begun: bool,
    left: u64,
    until: Option<Instant>,
}

/// What an attempt at a step came to.
enum Done {
    /// The next one may be tried.
    Yes,
    /// Something was done, but not all of it.
    Partly,
    /// Nothing until the socket, the clock or the peer moves.
    No,
}

impl Actor {
    /// An end with a connected socket that doesn't block.
    pub fn new(socket: OwnedFd, is_unix: bool, steps: &[Step], [outgoing, incoming]: [Stream; 2]) -> Self {
        let steps = steps.iter().chain(&[Step::ShutDown, Step::ReadToEnd, Step::Close]).copied().collect();
        Self {
            socket: Some(socket),
            is_unix,
            steps,
            step: Progress::default(),
            knowledge: Peer::default(),
            outgoing,
            incoming,
            is_reading: true,
            asked: 0,
            is_reset: false,
            is_broken: false,
            outcome: Outcome::default(),
        }
    }

    /// Tells the other end its number, and hears it from there: both are the ends of one connection, and it stands
    /// all the way.
    ///
    /// # Errors
    /// Where it isn't, or doesn't.
    pub fn meet(&self, other: &Self, number: usize, patience: Duration) -> io::Result<()> {
        let number = u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
        for (from, to) in [(self, other), (other, self)] {
            let (Some(from), Some(to)) = (&from.socket, &to.socket) else { continue };
            send(from, &number, SendFlags::NOSIGNAL)?;
            let mut heard = [0; MEETING_LEN];
            wire::wait_for_input(to, patience)?;
            match recv(to, &mut heard, RecvFlags::empty())? {
                (MEETING_LEN, _) if heard == number => {}
                (0, _) => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => return Err(io::Error::other("another client's bytes came")),
            }
        }
        Ok(())
    }

    /// Whether it has taken a step.
    pub fn has_begun(&self) -> bool {
        self.step.is_begun || self.knowledge.steps_done > 0
    }

    /// Goes as far as it can, but not on and on; whether it did anything.
    pub fn advance(&mut self, now: Instant, peer: Peer, scratch: &mut [u8]) -> bool {
        // Steps first: one that begins with `stop-reading` must not have read.
        let stepped = self.take_steps(now, peer);
        let read = self.read(peer, scratch);
        let went_on = read && self.take_steps(now, peer);
        stepped || read || went_on
    }

    /// What the other end may know of this one.
    pub fn shown(&self) -> Peer {
        self.knowledge
    }

    /// Whether all steps are done.
    pub fn is_done(&self) -> bool {
        self.steps.is_empty()
    }

    /// The socket, and what to wait for; `None` where no event of it would help.
    pub fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let socket = self.socket.as_ref()?;
        let mut flags = PollFlags::empty();
        let step = self.steps.front();
        flags.set(PollFlags::IN, self.takes() > 0 || matches!(step, Some(Step::AwaitInput)));
        let writes = matches!(step, Some(Step::Write(_) | Step::WriteSlowly(_) | Step::WriteUrgent));
        flags.set(PollFlags::OUT, writes && self.outcome.write_error.is_none());
        let waits = !flags.is_empty() || matches!(step, Some(Step::AwaitReset));
        waits.then_some((socket.as_fd(), flags))
    }

    /// When it goes on by itself.
    pub fn due(&self) -> Option<Instant> {
        self.step.until
    }

    /// Ends what never ended, and says what came of it all.
    pub fn finish(&mut self) -> Outcome {
        self.socket = None;
        self.outcome.hung_at = self.steps.front().copied();
        self.outcome
    }

    fn take_steps(&mut self, now: Instant, peer: Peer) -> bool {
        let mut did = false;
        while let Some(step) = self.steps.front().copied() {
            self.begin(step);
            let done = self.attempt(step, now, peer);
            did |= !matches!(done, Done::No);
            if !matches!(done, Done::Yes) {
                break;
            }
            self.steps.pop_front();
            self.step = Progress::default();
            self.knowledge.steps_done += 1;
        }
        did
    }

    fn begin(&mut self, step: Step) {
        if std::mem::replace(&mut self.step.is_begun, true) {
            return;
        }
        match step {
            Step::Write(len) | Step::WriteSlowly(len) => self.step.left = len,
            Step::WriteUrgent => self.step.left = 1,
            Step::Read(len) => self.asked += len,
            Step::StopReading => self.is_reading = false,
            Step::Resume | Step::ReadToEnd => self.is_reading = true,
            _ => {}
        }
    }

    fn attempt(&mut self, step: Step, now: Instant, peer: Peer) -> Done {
        match step {
            Step::Write(_) => self.write(TURN_LEN, SendFlags::empty()),
            Step::WriteSlowly(_) => self.write(1, SendFlags::empty()),
            Step::WriteUrgent => self.write(1, SendFlags::OOB),
            Step::ShutDown => self.shut_down(),
            Step::Reset => self.close(Some(Duration::ZERO)),
            Step::Close => self.close(None),
            Step::StopReading | Step::Resume => Done::Yes,
            Step::Read(_) => done_if(self.outcome.received >= self.asked || self.is_at_end()),
            Step::ReadToEnd => done_if(self.is_at_end()),
            Step::AwaitInput => self.await_input(peer),
            Step::AwaitReset => done_if(self.sees_reset()),
            Step::AwaitPeer(count) => done_if(peer.steps_done >= count),
            Step::Pause(pause_ms) => {
                let until = *self.step.until.get_or_insert(now + Duration::from_millis(pause_ms));
                done_if(now >= until)
            }
        }
    }

    fn is_at_end(&self) -> bool {
        self.socket.is_none() || self.outcome.ending.is_some()
    }

    /// How many bytes it wants now.
    fn takes(&self) -> u64 {
        match self.outcome.ending {
            Some(_) => 0,
            None if self.is_reading => u64::MAX,
            None => self.asked.saturating_sub(self.outcome.received),
        }
    }

    fn read(&mut self, peer: Peer, scratch: &mut [u8]) -> bool {
        let mut budget = TURN_LEN;
        let was_at_end = self.is_at_end();
        while budget > 0 {
            let len = self.takes().min(budget);
            let Some(socket) = self.socket.as_ref().filter(|_| len > 0) else { break };
            let len = usize::try_from(len).map_or(scratch.len(), |len| len.min(scratch.len()));
            match recv(socket, &mut scratch[..len], RecvFlags::empty()) {
                Err(Errno::AGAIN | Errno::INTR) => break,
                Ok((0, _)) => self.end(if self.is_reset { Ending::Reset } else { Ending::Eof }, peer),
                Ok((received, _)) => {
                    self.take(&scratch[..received]);
                    budget = budget.saturating_sub(received as u64);
                }
                Err(error) => self.end(ending_of(error), peer),
            }
        }
        budget < TURN_LEN || self.is_at_end() != was_at_end
    }

    fn take(&mut self, bytes: &[u8]) {
        let outcome = &mut self.outcome;
        if outcome.wrong_at.is_none() {
            outcome.wrong_at = self.incoming.first_difference(outcome.received, bytes);
        }
        outcome.received += bytes.len() as u64;
    }

    /// Its stream has ended. Nobody but the peer can have done that, and only who has left can reset.
    fn end(&mut self, ending: Ending, peer: Peer) {
        self.outcome.ending = Some(ending);
        self.outcome.is_early = match ending {
            Ending::Eof => !peer.has_ended,
            Ending::Reset | Ending::Error(_) => !peer.has_left,
        };
        self.is_broken |= ending != Ending::Eof;
    }

    fn write(&mut self, most: u64, flags: SendFlags) -> Done {
        let mut budget = most.min(TURN_LEN);
        while self.step.left > 0 && self.outcome.write_error.is_none() {
            let Some(socket) = self.socket.as_ref().filter(|_| !self.knowledge.has_ended) else { break };
            if budget == 0 {
                return Done::Partly;
            }
            let part = self.outgoing.part(self.outcome.sent, self.step.left.min(budget));
            match send(socket, part, flags | SendFlags::NOSIGNAL) {
                Ok(sent) => {
                    self.outcome.sent += sent as u64;
                    self.step.left -= sent as u64;
                    budget -= sent as u64;
                }
                Err(Errno::AGAIN | Errno::INTR) if budget < most => return Done::Partly,
                Err(Errno::AGAIN | Errno::INTR) => return Done::No,
                Err(error) => self.note_write_error(error),
            }
        }
        Done::Yes
    }

    /// An error is told once: a read that follows knows no better than to say that the stream has ended. It has,
    /// where the error is EPIPE (the peer's FIN came before its RST), and hasn't with any other.
    fn note_write_error(&mut self, error: Errno) {
        self.outcome.write_error = Some(error);
        self.is_reset = error != Errno::PIPE;
        self.is_broken = true;
    }

    fn shut_down(&mut self) -> Done {
        self.knowledge.has_ended = true;
        if let Some(socket) = &self.socket {
            // It fails where the peer has reset the connection, which the next read says.
            let _ = shutdown(socket, Shutdown::Write);
        }
        Done::Yes
    }

    fn close(&mut self, linger: Option<Duration>) -> Done {
        self.knowledge.has_ended = true;
        self.knowledge.has_left = true;
        if let Some(socket) = self.socket.take()
            && linger.is_some()
        {
            // It can't fail for a stream socket.
            let _ = sockopt::set_socket_linger(&socket, linger);
        }
        Done::Yes
    }

    fn await_input(&mut self, peer: Peer) -> Done {
        let Some(socket) = self.socket.as_ref().filter(|_| !self.is_at_end()) else { return Done::Yes };
        match recv(socket, &mut [0; 1], RecvFlags::PEEK) {
            Err(Errno::AGAIN | Errno::INTR) => return Done::No,
            Ok(_) => {}
            Err(error) => self.end(ending_of(error), peer),
        }
        Done::Yes
    }

    /// Asks poll, which doesn't use the error up: a read is still to tell it.
    fn sees_reset(&self) -> bool {
        let Some(socket) = self.socket.as_ref().filter(|_| !self.is_broken) else { return true };
        let mut polled = [PollFd::new(socket, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let broken = if self.is_unix { PollFlags::ERR | PollFlags::HUP } else { PollFlags::ERR };
        poll(&mut polled, Some(&now)).is_ok() && polled[0].revents().intersects(broken)
    }
}

fn ending_of(error: Errno) -> Ending {
    if error == Errno::CONNRESET { Ending::Reset } else { Ending::Error(error) }
}

fn done_if(condition: bool) -> Done {
    if condition { Done::Yes } else { Done::No }
}
