//! A server: bound, then running, then stopped.

use std::{
    any::Any,
    sync::{Arc, mpsc},
    thread::sleep,
    time::{Duration, Instant},
};

use super::thread::Thread;
use crate::{
    accept::{
        self, Bound, Served,
        dealt::{Acceptor, Order},
    },
    config::{AcceptMode, Address, Listen, Options},
    limit::Slots,
    measure::{AcceptorSnapshot, WorkerSnapshot},
    runtime::{
        board::Board,
        intake::Intake,
        mailbox::{Mailbox, Sender, mailbox},
        message::Message,
        service::Service,
        token::Token,
        topology::{self, Allowed, Topology},
        worker::{Parts, Worker},
    },
    sys::{
        self, Errno, clock,
        epoll::{Epoll, Interest},
        eventfd::EventFd,
    },
};

/// How long to wait for a worker's answer, or for the acceptor to deal what is queued. A worker that blocks
/// by wish (`--work block`) answers when its turn is over.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// A server whose addresses are bound: from here on clients can connect.
pub struct Server {
    options: Options,
    topology: Topology,
    bound: Bound,
}

impl Server {
    /// Checks the options, chooses the cores and binds the addresses: all of them, or none.
    ///
    /// # Errors
    /// A sentence: what was tried, on what, why it failed, what to do. Nothing was started.
    pub fn bind(options: Options, addresses: &[Address]) -> Result<Self, String> {
        Self::bind_all(options, &addresses.iter().cloned().map(Listen::from).collect::<Vec<_>>())
    }

    /// The same, where more is to be said of an address than what it is.
    ///
    /// # Errors
    /// As [`Self::bind`].
    pub fn bind_all(options: Options, listens: &[Listen]) -> Result<Self, String> {
        options.validate()?;
        let topology = Topology::plan(&options, &Allowed::read())?;
        let bound = accept::bind(listens, &options, &topology)?;
        Ok(Self { options, topology, bound })
    }

    /// What is listened on, with real ports, in the order of the addresses.
    pub fn served(&self) -> &[Served] {
        &self.bound.served
    }

    /// Where the workers go.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// What whoever reads the report should know of how this runs.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.topology.warnings();
        notes.extend(accept::notes(&self.options, &self.bound.served));
        notes
    }

    /// Starts the workers. `make` makes the service of a worker, on its own thread.
    ///
    /// # Errors
    /// A sentence, where the kernel refuses descriptors, memory or threads.
    pub fn start<S: Service>(
        self,
        make: impl Fn(usize) -> S + Send + Clone + 'static,
    ) -> Result<Running, String> {
        let refused = |error: Errno| {
            let why = sys::reason(&error.into());
            format!("cannot set up the workers: {why}; raise `ulimit -n` or free memory")
        };
        let Bound { intakes, dealt, served } = self.bound;
        let (board, served_len) = (Board::new(self.topology.workers), served.len());
        let ended = EventFd::new().map_err(|error| {
            accept::unlink(&served);
            refused(error)
        })?;
        // From here on a failure drops it, and so undoes what has been done.
        let mut running = Running { workers: Vec::new(), acceptor: None, ended: Arc::new(ended), served };
        let mailboxes = intakes.iter().map(|_| mailbox()).collect::<Result<Vec<_>, _>>().map_err(refused)?;
        let (senders, mailboxes): (Vec<Sender<Message>>, Vec<_>) = mailboxes.into_iter().unzip();
        let neighbours: Arc<[_]> = senders.iter().cloned().collect();
        let slots = self.options.max_connections.map(|limit| Arc::new(Slots::new(limit)));
        // Registered here, one after the other: the order decides whom an exclusive listener prefers.
        let mut parts = Vec::new();
        for (worker, (intakes, mailbox)) in intakes.into_iter().zip(mailboxes).enumerate() {
            let (epoll, intakes) = register(intakes, &mailbox).map_err(refused)?;
            let core = self.topology.core_of(worker);
            let listeners = served_len;
            let (board, mailboxes, slots) = (board.clone(), Arc::clone(&neighbours), slots.clone());
            parts.push(Parts { worker, core, epoll, intakes, listeners, mailbox, mailboxes, board, slots });
        }
        for (parts, sender) in parts.into_iter().zip(&senders) {
            let (make, options) = (make.clone(), self.options.clone());
            let thread = running.spawn(format!("worker-{}", parts.worker), move || {
                // A core that it could not be pinned to is not said to be its own.
                let core = parts.core.filter(|core| topology::pin(*core));
                let parts = Parts { core, ..parts };
                let service = make(parts.worker);
                Worker::new(parts, service, &options).run()
            })?;
            running.workers.push(Handle { sender: sender.clone(), thread });
        }
        if self.options.accept == AcceptMode::Dealt {
            let (sender, orders) = mailbox().map_err(refused)?;
            let (epoll, intakes) = register(dealt, &orders).map_err(refused)?;
            let acceptor = Acceptor::new(epoll, intakes, orders, senders, board, &self.options);
            let thread = running.spawn("acceptor".into(), move || acceptor.run())?;
            running.acceptor = Some(Handle { sender, thread });
        }
        Ok(running)
    }
}

/// Puts listeners and mailbox into a fresh epoll.
fn register<M>(mut intakes: Vec<Intake>, mailbox: &Mailbox<M>) -> Result<(Epoll, Vec<Intake>), Errno> {
    let epoll = Epoll::new()?;
    epoll.add(mailbox.bell(), Token::MAILBOX.to_u64(), Interest::READ)?;
    for intake in &mut intakes {
        intake.enter(&epoll)?;
    }
    Ok((epoll, intakes))
}

/// A server that runs. Dropping it stops it at once.
pub struct Running {
    workers: Vec<Handle<Message, WorkerSnapshot>>,
    acceptor: Option<Handle<Order, AcceptorSnapshot>>,
    ended: Arc<EventFd>,
    served: Vec<Served>,
}

struct Handle<M, T> {
    sender: Sender<M>,
    thread: Thread<T>,
}

/// What is left of a server that has stopped.
pub struct Stopped {
    /// The last records of the workers that ended well.
    pub workers: Vec<WorkerSnapshot>,
    /// The last records of the acceptor.
    pub acceptor: Option<AcceptorSnapshot>,
    /// How many threads panicked.
    pub panicked: usize,
}

impl Running {
    /// What is listened on, with real ports, in the order of the addresses.
    pub fn served(&self) -> &[Served] {
        &self.served
    }

    /// Readable when a thread has ended.
    pub fn ended(&self) -> &EventFd {
        &self.ended
    }

    /// Whether every worker has ended.
    pub fn is_over(&self) -> bool {
        self.workers.iter().all(|worker| worker.thread.has_ended())
    }

    /// Whether a worker or the acceptor has ended.
    pub fn has_ended(&self) -> bool {
        self.workers.iter().any(|worker| worker.thread.has_ended())
            || self.acceptor.as_ref().is_some_and(|acceptor| acceptor.thread.has_ended())
    }

    /// Copies of everybody's records, the last ones of those who have ended. One that doesn't answer in time is
    /// left out.
    pub fn snapshot(&mut self) -> (Vec<WorkerSnapshot>, Option<AcceptorSnapshot>) {
        let until = Instant::now() + ANSWER_WAIT;
        let left = || until.saturating_duration_since(Instant::now());
        let (reply, answers) = mpsc::channel();
        let asked = self.ask(&reply);
        let acceptor = self.acceptor.as_mut().and_then(|acceptor| {
            if let Some(last) = acceptor.thread.result() {
                return Some(last.clone());
            }
            let (reply, answer) = mpsc::channel();
            acceptor.sender.send(Order::Snapshot(reply)).ok()?;
            answer.recv_timeout(left()).ok()
        });
        drop(reply);
        let mut workers: Vec<_> = (0..asked).map_while(|_| answers.recv_timeout(left()).ok()).collect();
        // One that has ended, before it was asked or since, has left its last records with its thread.
        for worker in &mut self.workers {
            if let Some(last) = worker.thread.result()
                && workers.iter().all(|known| known.worker != last.worker)
            {
                workers.push(last.clone());
            }
        }
        workers.sort_by_key(|snapshot| snapshot.worker);
        let acceptor = acceptor.map(|acceptor| with_queued(acceptor, &workers));
        (workers, acceptor)
    }

    /// Asks every worker that runs for a copy of its records, and waits for none. Says how many were asked.
    pub fn ask(&self, reply: &mpsc::Sender<WorkerSnapshot>) -> usize {
        // A mailbox that is full is that of a worker that would not answer in time.
        let ask = |worker: &Handle<_, _>| worker.sender.send(Message::Snapshot(reply.clone())).is_ok();
        self.workers.iter().filter(|worker| !worker.thread.has_ended() && ask(worker)).count()
    }

    /// Sends news to the service of every worker, and says how many have it: one whose mailbox is full doesn't.
    pub fn tell(&self, news: &Arc<dyn Any + Send + Sync>) -> usize {
        let tell = |worker: &&Handle<_, _>| worker.sender.send(Message::News(Arc::clone(news))).is_ok();
        self.workers.iter().filter(tell).count()
    }

    /// The workers' mailboxes, for whoever has news from now and then.
    pub fn mailboxes(&self) -> Vec<Sender<Message>> {
        self.workers.iter().map(|worker| worker.sender.clone()).collect()
    }

    /// Tells everybody to stop; what has not ended after `drain` is cut off. May be said again, with less time.
    pub fn stop(&mut self, drain: Duration) {
        let by_ns = |time: Duration| {
            clock::now_ns().saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
        };
        if let Some(acceptor) = &self.acceptor {
            // First, so that each connection that it deals is in a mailbox before the worker's stop.
            acceptor.sender.stop_by(by_ns(drain.min(ANSWER_WAIT)));
            acceptor.wait(2 * ANSWER_WAIT);
        }
        for worker in &self.workers {
            worker.sender.stop_by(by_ns(drain));
        }
    }

    /// Waits for all threads to end, after [`Self::stop`].
    pub fn join(mut self) -> Stopped {
        let workers: Vec<_> = self.workers.iter_mut().map(|worker| worker.thread.join()).collect();
        let acceptor = self.acceptor.as_mut().map(|acceptor| acceptor.thread.join());
        let panicked = workers.iter().filter(|worker| worker.is_none()).count();
        let panicked = panicked + usize::from(matches!(acceptor, Some(None)));
        let workers: Vec<_> = workers.into_iter().flatten().collect();
        let acceptor = acceptor.flatten().map(|acceptor| with_queued(acceptor, &workers));
        Stopped { workers, acceptor, panicked }
    }

    fn spawn<T: Send + 'static>(
        &self,
        name: String,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Thread<T>, String> {
        Thread::start(name.clone(), &self.ended, run).map_err(|error| {
            format!("cannot start thread {name}: {error}; raise `ulimit -u` or use fewer workers")
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let deals = self.acceptor.as_ref().is_some_and(|acceptor| !acceptor.thread.has_ended());
        if deals || !self.is_over() {
            self.stop(Duration::ZERO);
            // Nobody is left to hear what they counted.
            for worker in &mut self.workers {
                let _ = worker.thread.join();
            }
            if let Some(acceptor) = &mut self.acceptor {
                let _ = acceptor.thread.join();
            }
        }
        accept::unlink(&self.served);
    }
}

impl<M, T> Handle<M, T> {
    fn wait(&self, limit: Duration) {
        let step = Duration::from_millis(1);
        let steps = limit.as_millis();
        (0..steps).take_while(|_| !self.thread.has_ended()).for_each(|_| sleep(step));
    }
}

/// What the acceptor has dealt and no worker had opened yet.
fn with_queued(acceptor: AcceptorSnapshot, workers: &[WorkerSnapshot]) -> AcceptorSnapshot {
    let opened: u64 = workers.iter().map(|worker| worker.counts.accepted).sum();
    AcceptorSnapshot { queued: acceptor.accepted.saturating_sub(opened + acceptor.cut), ..acceptor }
}
