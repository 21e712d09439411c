//! The keeper at work.
//!
//! ```text
//!   checks, one task a member (check, exam) --+
//!                                             +--> ward: health, slots --> next roster --> outbox --> workers
//!   inquiries, one a name (discovery, found) -+      |
//!                                                    +--> views, for reports; notes, for people
//! ```
//! What is decided is decided in `ward` and what that is made of, without sockets and clocks; `duty` is the thread,
//! with tokio's current-thread runtime: everything here takes its time, and nothing is ever on the way of a byte.

mod check;
mod discovery;
mod duty;
mod exam;
mod found;
mod health;
mod outbox;
mod schedule;
mod slots;
mod ward;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{Builder, JoinHandle},
};

use tokio::{runtime, sync::mpsc};

use super::{Kept, View};
use crate::{
    config::{Options, ProxyOptions},
    control::Log,
    runtime::{mailbox::Sender, message::Message},
    sys,
    upstream::loads::Loads,
};
use discovery::Resolver;
use duty::{Duty, Event};
use ward::Ward;

/// Whoever keeps an eye on members. Dropping it ends it.
pub struct Keeper {
    events: mpsc::UnboundedSender<Event>,
    wards: Wards,
    /// By ward, the number of its service.
    services: Vec<usize>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread knows, for reports as well.
#[derive(Clone)]
struct Wards(Arc<Mutex<Vec<Ward>>>);

impl Keeper {
    /// Refuses what this build can't keep an eye on: nothing.
    ///
    /// # Errors
    /// None.
    pub fn refuse(_: &ProxyOptions) -> Result<(), String> {
        Ok(())
    }

    /// Starts one for these services. `mailboxes` are the workers', and `loads` is what they know of each other.
    ///
    /// # Errors
    /// A sentence, where nobody can be asked for names, or for want of a thread or of descriptors.
    pub fn start(
        services: Vec<Kept>,
        options: &Options,
        mailboxes: Vec<Sender<Message>>,
        loads: Loads,
        log: Log,
    ) -> Result<Self, String> {
        let refused = |error| format!("cannot start the keeper: {}; raise `ulimit -n`", sys::reason(&error));
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(refused)?;
        let resolver = {
            let _entered = runtime.enter();
            let has_names = services.iter().any(|kept| kept.options.members().any(|it| it.place.is_name()));
            has_names.then(|| Resolver::new(options.resolver)).transpose()?
        };
        let numbers = services.iter().map(|kept| kept.service).collect();
        let ward = |kept: &Kept| Ward::new(kept.name.clone(), &kept.options, Arc::clone(&kept.roster));
        let wards = Wards(Arc::new(Mutex::new(services.iter().map(ward).collect())));
        let (events, mail) = mpsc::unbounded_channel();
        let duty = Duty::new(services, wards.clone(), resolver, mailboxes, loads, log, events.clone());
        let body = move || runtime.block_on(duty.serve(mail));
        let thread = Builder::new().name("keeper".into()).spawn(body).map_err(|error| {
            format!("cannot start thread keeper: {}; raise `ulimit -u`", sys::reason(&error))
        })?;
        Ok(Self { events, wards, services: numbers, thread: Some(thread) })
    }

    /// What reports say of a service; `None` of one that it doesn't keep an eye on.
    pub fn view(&self, service: usize) -> Option<View> {
        let ward = self.services.iter().position(|number| *number == service)?;
        Some(self.wards.lock()[ward].view())
    }

    /// Ends it. `false`: it had ended before, by a defect.
    pub fn stop(mut self) -> bool {
        self.end()
    }

    fn end(&mut self) -> bool {
        let was_there = self.events.send(Event::Stop).is_ok();
        let joined = self.thread.take().is_none_or(|thread| thread.join().is_ok());
        was_there && joined
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.end();
    }
}

impl Wards {
    /// What a panic has left behind is still the best that there is.
    fn lock(&self) -> MutexGuard<'_, Vec<Ward>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
