//! Waiting for events until a moment, to the microsecond.
//!
//! epoll_wait(2) counts whole milliseconds, and its timeout is subject to timer slack. So what has to be on
//! time is a timer in the same epoll instance: a wait costs one call more, and none where the moment stayed the
//! same. Its interrupt and the way back to the thread still take 30 to 50 µs; to do without, a thread sleeps
//! until shortly before and looks again and again from then on (`--spin`).

use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, Event, EventData, EventFlags},
    fd::OwnedFd,
    io,
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
};

use super::clock::{self, SECOND_NS};

/// How long a wait is at most: interruptions and connect timeouts are looked for this often.
const NAP_MAX_NS: u64 = SECOND_NS / 10;

/// With `--spin`: how long before its moment a wait no longer sleeps.
const SPIN_NS: u64 = 100_000;

/// What the timer's events carry.
const TIMER: u64 = u64::MAX;

/// An epoll instance and its timer.
pub struct Waiter {
    epoll: OwnedFd,
    timer: OwnedFd,
    /// What the timer is set to.
    armed_ns: u64,
    events: Vec<Event>,
}

/// How exactly a wait has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// To the millisecond, never early.
    Coarse,
    /// As the timer does.
    Timer,
    /// On time, by spinning.
    Spin,
}

impl Waiter {
    /// Takes at most so many events at a time.
    ///
    /// # Errors
    /// The kernel's, where it gives no descriptor.
    pub fn new(events_max: usize) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        // Edge-triggered, it needn't be read: setting it anew is enough for the next event.
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN | EventFlags::ET)?;
        Ok(Self { epoll, timer, armed_ns: 0, events: Vec::with_capacity(events_max) })
    }

    /// Where sockets are registered; their data is anything but `u64::MAX`.
    pub fn epoll(&self) -> &OwnedFd {
        &self.epoll
    }

    /// Waits for events until `deadline_ns`, or a tenth of a second.
    pub fn wait(&mut self, deadline_ns: u64, precision: Precision) {
        let now_ns = clock::now_ns();
        let wait_ns = deadline_ns.saturating_sub(now_ns).min(NAP_MAX_NS);
        let sleep_ns = match precision {
            Precision::Coarse => wait_ns,
            _ if wait_ns == NAP_MAX_NS => wait_ns,
            Precision::Timer => self.sleep_until(deadline_ns, now_ns),
            Precision::Spin => self.sleep_until(deadline_ns - SPIN_NS.min(deadline_ns), now_ns),
        };
        self.events.clear();
        // EINTR is no event; anything else can't happen to an epoll instance of our own.
        let _ = epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&timespec(sleep_ns)));
    }

    /// How many events the last wait has, the timer's included.
    pub fn events_len(&self) -> usize {
        self.events.len()
    }

    /// One of them: its data and its flags. `None` for the timer's.
    pub fn event(&self, index: usize) -> Option<(u64, EventFlags)> {
        let Event { flags, data } = self.events[index];
        Some((data.u64(), flags)).filter(|(data, _)| *data != TIMER)
    }

    /// Sets the timer, where it isn't set; how long to wait for its event.
    fn sleep_until(&mut self, at_ns: u64, now_ns: u64) -> u64 {
        if at_ns <= now_ns {
            return 0;
        }
        if self.armed_ns != at_ns {
            let once = Itimerspec { it_interval: timespec(0), it_value: timespec(at_ns) };
            // Can't fail: the descriptor is a timer's, and the time is a valid one.
            let _ = timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once);
            self.armed_ns = at_ns;
        }
        NAP_MAX_NS
    }
}

fn timespec(nanos: u64) -> Timespec {
    // Both fit: the clock starts at boot.
    Timespec { tv_sec: (nanos / SECOND_NS) as i64, tv_nsec: (nanos % SECOND_NS) as _ }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_wait_ends_before_its_moment() {
        let mut waiter = Waiter::new(8).unwrap();
        for precision in [Precision::Coarse, Precision::Timer] {
            for wait_ns in [1, 50_000, 3_000_000] {
                let deadline_ns = clock::now_ns() + wait_ns;
                waiter.wait(deadline_ns, precision);
                assert!(clock::now_ns() >= deadline_ns, "{precision:?}");
                assert!((0..waiter.events_len()).all(|index| waiter.event(index).is_none()));
            }
        }
    }

    #[test]
    fn a_timer_set_again_fires_again() {
        let mut waiter = Waiter::new(8).unwrap();
        for _ in 0..20 {
            waiter.wait(clock::now_ns() + 1_000_000, Precision::Timer);
            assert_eq!(waiter.events_len(), 1, "woken by the timer, not by the longest nap");
        }
    }

    #[test]
    fn spinning_does_not_sleep_through_the_last_moments() {
        let mut waiter = Waiter::new(8).unwrap();
        let deadline_ns = clock::now_ns() + 5_000_000;
        waiter.wait(deadline_ns, Precision::Spin);
        assert_eq!(waiter.events_len(), 1, "slept until shortly before");
        waiter.wait(clock::now_ns() + SPIN_NS / 2, Precision::Spin);
        assert_eq!(waiter.events_len(), 0, "the timer isn't asked any more");
    }
}
