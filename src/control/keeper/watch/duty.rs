//! The keeper's thread: runs checks and inquiries, takes their results to the wards, and tells workers what follows.
//!
//! Every member is checked by a task of its own, which waits for the interval in between, so checks neither pile up
//! nor wait for each other; every name has one that asks for it. All that they find comes in as events, one after the
//! other, and is taken in at once.

use std::{iter, sync::Arc, time::Duration};

use tokio::{
    sync::{
        Semaphore,
        mpsc::{UnboundedReceiver, UnboundedSender},
    },
    task::AbortHandle,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    Kept, Wards,
    check::{Check, Outcome},
    discovery::{Inquiry, Resolver},
    outbox::Outbox,
    ward::{Answer, Ward},
};
use crate::{
    config::{Place, UpstreamOptions},
    control::Log,
    runtime::{mailbox::Sender, message::Message},
    sys::clock,
    upstream::{Member, News, Roster, loads::Loads},
};

/// The most checks at a time: each takes a descriptor.
const CHECKS_MAX: usize = 256;

/// The longest interval that is waited for: longer ones are the same as none.
const INTERVAL_MAX: Duration = Duration::from_secs(24 * 3600);

/// How much longer or shorter than asked for an interval may be, by chance: those who began together drift apart.
const JITTER: f64 = 0.1;

/// When a mailbox that was full is tried again, and when those who left are looked after.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
const TIDY_PAUSE: Duration = Duration::from_millis(500);

/// What tasks find out, and what the main thread says. Each task waits between two, so they don't pile up.
pub(super) enum Event {
    /// A member was checked.
    Checked { ward: usize, slot: usize, tenure: u64, outcome: Outcome },
    /// A name was asked for.
    Answered { ward: usize, entry: usize, answer: Answer },
    /// Enough.
    Stop,
}

pub(super) struct Duty {
    services: Vec<Kept>,
    wards: Wards,
    resolver: Option<Resolver>,
    outbox: Outbox,
    loads: Loads,
    log: Log,
    events: UnboundedSender<Event>,
    gate: Arc<Semaphore>,
    /// By ward and slot: whose checks are running.
    checks: Vec<Vec<Option<Watched>>>,
}

/// A member whose checks are running.
struct Watched {
    tenure: u64,
    task: AbortHandle,
}

impl Duty {
    pub fn new(
        services: Vec<Kept>,
        wards: Wards,
        resolver: Option<Resolver>,
        mailboxes: Vec<Sender<Message>>,
        loads: Loads,
        log: Log,
        events: UnboundedSender<Event>,
    ) -> Self {
        let nobody = |kept: &Kept| iter::repeat_with(|| None).take(kept.roster.members.len()).collect();
        let checks = services.iter().map(nobody).collect();
        let (outbox, gate) = (Outbox::new(mailboxes), Arc::new(Semaphore::new(CHECKS_MAX)));
        Self { services, wards, resolver, outbox, loads, log, events, gate, checks }
    }

    /// Until it is told to stop. What is still running then ends with the runtime.
    pub async fn serve(mut self, mut mail: UnboundedReceiver<Event>) {
        for ward in 0..self.services.len() {
            self.ask_for_names(ward);
            self.watch_members(ward);
        }
        loop {
            match self.next(&mut mail).await {
                Some(Event::Stop) => return,
                Some(event) => self.heed(event),
                None => {}
            }
            self.tidy();
            self.tell();
        }
    }

    /// The next event; none, where it is time to look around.
    async fn next(&self, mail: &mut UnboundedReceiver<Event>) -> Option<Event> {
        let is_restless = self.wards.lock().iter().any(Ward::is_restless);
        let pause = match (self.outbox.is_empty(), is_restless) {
            (false, _) => RETRY_PAUSE,
            (true, true) => TIDY_PAUSE,
            // The channel isn't closed: a sender is kept here.
            (true, false) => return mail.recv().await,
        };
        timeout(pause, mail.recv()).await.ok().flatten()
    }

    fn heed(&self, event: Event) {
        let now_ns = clock::now_ns();
        let mut wards = self.wards.lock();
        match event {
            Event::Checked { ward, slot, tenure, outcome } => {
                wards[ward].checked(slot, tenure, &outcome, now_ns);
            }
            Event::Answered { ward, entry, answer } => {
                wards[ward].answered(entry, answer, now_ns, |slot| self.is_idle(ward, slot));
            }
            Event::Stop => {}
        }
    }

    fn tidy(&self) {
        let now_ns = clock::now_ns();
        for (number, ward) in self.wards.lock().iter_mut().enumerate() {
            ward.tidy(now_ns, |slot| self.is_idle(number, slot));
        }
    }

    /// Whether nobody has a session with who has this slot.
    fn is_idle(&self, ward: usize, slot: usize) -> bool {
        self.loads.total(self.services[ward].first_upstream + slot) == 0
    }

    /// Tells workers and people what has come of it.
    fn tell(&mut self) {
        for number in 0..self.services.len() {
            let (news, notes) = {
                let mut wards = self.wards.lock();
                (wards[number].news(), wards[number].notes())
            };
            notes.iter().for_each(|note| self.log.note(note));
            if let Some(roster) = news {
                self.outbox.post(News { service: self.services[number].service, roster });
                self.watch_members(number);
            }
        }
        self.outbox.send();
    }

    fn ask_for_names(&self, ward: usize) {
        let Kept { options, .. } = &self.services[ward];
        let names = Roster::slots(options).filter(|(_, upstream)| upstream.place.is_name());
        for (entry, (_, upstream)) in names.enumerate() {
            // There is a resolver where there are names.
            let Some(resolver) = self.resolver.clone() else { return };
            let inquiry = Inquiry::new(resolver, upstream.clone(), options.source);
            tokio::spawn(ask_again_and_again(inquiry, ward, entry, self.events.clone()));
        }
    }

    /// Begins to check who has come, and ends the checks of who has gone.
    fn watch_members(&mut self, ward: usize) {
        let Some(interval) = self.services[ward].options.health.interval else { return };
        let wards = self.wards.lock();
        for (slot, present) in wards[ward].to_check().enumerate() {
            let watched = &mut self.checks[ward][slot];
            if watched.as_ref().map(|watched| watched.tenure) == present.map(|(tenure, _)| tenure) {
                continue;
            }
            if let Some(before) = watched.take() {
                before.task.abort();
            }
            if let Some((tenure, member)) = present {
                let check = check_of(&self.services[ward], slot, member);
                let told = Told { ward, slot, tenure, events: self.events.clone() };
                let task = tokio::spawn(check_again_and_again(check, interval, told, Arc::clone(&self.gate)));
                *watched = Some(Watched { tenure, task: task.abort_handle() });
            }
        }
    }
}

fn check_of(kept: &Kept, slot: usize, member: &Member) -> Check {
    let Kept { options, connect, .. } = kept;
    let mut upstreams = Roster::slots(options);
    let upstream = upstreams.find(|(range, _)| range.contains(&slot)).map(|(_, upstream)| upstream);
    Check::new(&options.health, *connect, &member.targets, &host(upstream, member))
}

/// What a request by HTTP calls a member: by the name that led to it, where that is a host's.
fn host(upstream: Option<&UpstreamOptions>, member: &Member) -> String {
    match upstream.map(|upstream| &upstream.place) {
        Some(Place::Dns { host, port }) => format!("{host}:{port}"),
        _ if member.name.starts_with("unix:") => "localhost".into(),
        _ => member.name.to_string(),
    }
}

/// Whose checks a task makes, and whom it tells.
struct Told {
    ward: usize,
    slot: usize,
    tenure: u64,
    events: UnboundedSender<Event>,
}

async fn check_again_and_again(check: Check, interval: Duration, told: Told, gate: Arc<Semaphore>) {
    loop {
        let began = Instant::now();
        // Nobody closes the gate.
        let Ok(permit) = gate.acquire().await else { return };
        let outcome = check.run().await;
        drop(permit);
        let Told { ward, slot, tenure, ref events } = told;
        if events.send(Event::Checked { ward, slot, tenure, outcome }).is_err() {
            return;
        }
        sleep_until(began + jittered(interval.min(INTERVAL_MAX), fastrand::f64())).await;
    }
}

async fn ask_again_and_again(
    mut inquiry: Inquiry,
    ward: usize,
    entry: usize,
    events: UnboundedSender<Event>,
) {
    loop {
        let (answer, pause) = inquiry.ask().await;
        if events.send(Event::Answered { ward, entry, answer }).is_err() {
            return;
        }
        sleep(pause).await;
    }
}

/// An interval, up to a share longer or shorter by `chance`, which is between 0 and 1.
fn jittered(interval: Duration, chance: f64) -> Duration {
    interval.mul_f64(1.0 - JITTER + 2.0 * JITTER * chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_differ_by_a_tenth_at_most() {
        let second = Duration::from_secs(1);
        for (chance, millis) in [(0.0, 900), (0.5, 1_000), (1.0, 1_100)] {
            let jittered = jittered(second, chance);
            assert!(
                jittered.abs_diff(Duration::from_millis(millis)) < Duration::from_micros(1),
                "{jittered:?}"
            );
        }
    }

    #[test]
    fn a_request_calls_a_host_by_its_name() {
        let host = |upstream: &str, name: &str| {
            let upstream: UpstreamOptions = upstream.parse().expect(upstream);
            let member = Member { name: name.into(), ..Member::vacant(&upstream) };
            super::host(Some(&upstream), &member)
        };
        assert_eq!(host("dns:web.test:80", "10.0.0.1:80"), "web.test:80");
        assert_eq!(host("web.test:80", "web.test:80"), "web.test:80");
        assert_eq!(host("unix:/run/web", "unix:/run/web"), "localhost");
        assert_eq!(host("srv:_web._tcp.test", "10.0.0.1:80"), "10.0.0.1:80");
    }
}
