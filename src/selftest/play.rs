//! Plays scripts: connects their ends, then lets all of them go on together until each is done.
//!
//! Connections are made one at a time, so that the one that a listener accepts is the one that was just made,
//! with a proxy in between too; both ends of it tell each other their number before they begin. After that one
//! thread serves all ends, in an order of chance.

use std::{
    io,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, Timespec, poll},
    process::{Pid, Signal, kill_process},
};

use super::{
    actor::{Actor, SCRATCH_LEN},
    outcome::Outcome,
    script::{Role, Script},
    stream::Stream,
    wire::{Listener, Place},
};

/// Where clients connect to, and where the connections come out.
pub struct Route<'a> {
    /// Where clients connect to.
    pub entrance: &'a Place,
    /// Where the upstreams' ends are accepted.
    pub exit: &'a Listener,
}

/// How scripts are played.
pub struct Manner<'a> {
    /// How long all of them may take together.
    pub patience: Duration,
    /// Where the order of things comes from.
    pub rng: &'a mut fastrand::Rng,
    /// Whether clients take their first steps before the upstream's end is accepted, and without a word before,
    /// where neither end breaks off. (Where a client is gone while a proxy connects, nothing of it has to arrive;
    /// where the upstream is, the proxy may try again.)
    pub is_hasty: bool,
    /// A process to stop and to let go on, again and again, so that it finds several things done at once.
    pub stutter: Option<Pid>,
}

/// Plays the scripts; the outcomes at both ends of each.
///
/// # Errors
/// Where a connection couldn't be made.
pub fn play(route: &Route<'_>, scripts: &[Script], manner: Manner<'_>) -> io::Result<Vec<[Outcome; 2]>> {
    let mut scratch = vec![0; SCRATCH_LEN];
    let mut pairs = Vec::with_capacity(scripts.len());
    for (number, script) in scripts.iter().enumerate() {
        pairs.push(Pair::connect(route, script, number, &manner, &mut scratch)?);
    }
    let deadline = Instant::now() + manner.patience;
    let mut stutter = manner.stutter.map(Stutter::new);
    loop {
        let now = Instant::now();
        // Every pair gets its turn: no short circuit.
        let advanced =
            pairs.iter_mut().filter_map(|pair| pair.advance(now, manner.rng, &mut scratch).then_some(()));
        let idle = advanced.count() == 0;
        if pairs.iter().all(Pair::is_done) || now >= deadline {
            break;
        }
        let limit = stutter.as_mut().map_or(deadline, |stutter| stutter.tick(now, manner.rng));
        wait(&mut pairs, now, if idle { limit.min(deadline) } else { now })?;
    }
    drop(stutter);
    Ok(pairs.into_iter().map(Pair::finish).collect())
}

/// Both ends of a connection.
struct Pair {
    ends: [Actor; 2],
    is_awake: bool,
}

impl Pair {
    fn connect(
        route: &Route<'_>,
        script: &Script,
        number: usize,
        manner: &Manner<'_>,
        scratch: &mut [u8],
    ) -> io::Result<Self> {
        let streams = [Stream::new(2 * number), Stream::new(2 * number + 1)];
        let reversed = [streams[1], streams[0]];
        let [client_steps, upstream_steps] = &script.steps;
        let (entrance, exit) = (route.entrance, route.exit);
        let socket = entrance.connect(script.narrow)?;
        let is_unix = |place: &Place| matches!(place, Place::Unix(_));
        let mut client = Actor::new(socket, is_unix(entrance), client_steps, streams);
        if manner.is_hasty && !Role::BOTH.into_iter().any(|role| script.leaves(role)) {
            client.advance(Instant::now(), super::actor::Peer::default(), scratch);
        }
        let socket = exit.accept(manner.patience, script.narrow)?;
        let upstream = Actor::new(socket, is_unix(&exit.place), upstream_steps, reversed);
        if !client.has_begun() {
            client.meet(&upstream, number, manner.patience)?;
        }
        Ok(Self { ends: [client, upstream], is_awake: true })
    }

    fn advance(&mut self, now: Instant, rng: &mut fastrand::Rng, scratch: &mut [u8]) -> bool {
        if !self.is_awake {
            return false;
        }
        let first = usize::from(rng.bool());
        let one = self.advance_end(first, now, scratch);
        let other = self.advance_end(1 - first, now, scratch);
        self.is_awake = one || other;
        self.is_awake
    }

    fn advance_end(&mut self, index: usize, now: Instant, scratch: &mut [u8]) -> bool {
        let peer = self.ends[1 - index].shown();
        self.ends[index].advance(now, peer, scratch)
    }

    fn is_done(&self) -> bool {
        self.ends.iter().all(Actor::is_done)
    }

    fn finish(mut self) -> [Outcome; 2] {
        self.ends.each_mut().map(Actor::finish)
    }
}

/// Sleeps until a socket or the clock moves, and wakes those whose it is.
fn wait(pairs: &mut [Pair], now: Instant, limit: Instant) -> io::Result<()> {
    let due = |pair: &Pair| pair.ends.iter().filter_map(Actor::due).min();
    let limit = pairs.iter().filter_map(due).fold(limit, Instant::min);
    let mut owners = Vec::new();
    let mut polled = Vec::new();
    for (number, pair) in pairs.iter().enumerate() {
        for (socket, flags) in pair.ends.iter().filter_map(Actor::interest) {
            owners.push(number);
            polled.push(PollFd::from_borrowed_fd(socket, flags));
        }
    }
    let rest = Timespec::try_from(limit.saturating_duration_since(now)).map_err(io::Error::other)?;
    match poll(&mut polled, Some(&rest)) {
        Err(rustix::io::Errno::INTR) | Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    let awake: Vec<usize> = owners
        .into_iter()
        .zip(&polled)
        .filter(|(_, polled)| !polled.revents().is_empty())
        .map(|(owner, _)| owner)
        .collect();
    drop(polled);
    awake.into_iter().for_each(|owner| pairs[owner].is_awake = true);
    let now = Instant::now();
    for pair in pairs {
        pair.is_awake |= due(pair).is_some_and(|due| due <= now);
    }
    Ok(())
}

/// A process that is stopped for some milliseconds again and again. It goes on when this is dropped.
struct Stutter {
    process: Pid,
    is_stopped: bool,
    next: Instant,
}

impl Stutter {
    /// The longest that it stands still, or runs.
    const SPELL_MS: u64 = 8;

    fn new(process: Pid) -> Self {
        Self { process, is_stopped: false, next: Instant::now() }
    }

    /// Stops it or lets it go on, if it is time to; when that is next.
    fn tick(&mut self, now: Instant, rng: &mut fastrand::Rng) -> Instant {
        if now >= self.next {
            self.is_stopped = !self.is_stopped;
            self.signal(if self.is_stopped { Signal::STOP } else { Signal::CONT });
            self.next = now + Duration::from_millis(rng.u64(1..=Self::SPELL_MS));
        }
        self.next
    }

    fn signal(&self, signal: Signal) {
        // A process that has ended is found out by what it doesn't do any more.
        let _ = kill_process(self.process, signal);
    }
}

impl Drop for Stutter {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
    }
}
