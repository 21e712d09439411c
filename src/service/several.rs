//! Several services on the same workers: each connection belongs to the service whose address it came to.

use std::{any::Any, sync::Arc};

use super::{Echo, Proxy, proxy};
use crate::{Arrival, End, Io, Service, Turn, runtime::desk::Desk};

/// The services of one worker.
pub struct Several {
    services: Vec<One>,
    /// The service of each listener.
    by_listener: Arc<[usize]>,
}

/// One service of a worker.
#[expect(clippy::large_enum_variant, reason = "a worker has few of them, and each turn would pay for a box")]
pub enum One {
    /// Sends back.
    Echo(Echo),
    /// Forwards.
    Proxy(Proxy),
}

/// A session of one of them.
pub struct Session {
    service: u16,
    kind: Kind,
}

enum Kind {
    Echo(()),
    Proxy(proxy::Session),
}

/// What a session's own service does with it.
macro_rules! of_its_own {
    ($several:ident, $session:ident, |$service:ident, $state:ident| $call:expr) => {
        match (&mut $several.services[usize::from($session.service)], &mut $session.kind) {
            (One::Echo($service), Kind::Echo($state)) => $call,
            (One::Proxy($service), Kind::Proxy($state)) => $call,
            _ => unreachable!("a session belongs to the service that opened it"),
        }
    };
}

impl Several {
    /// These services; `by_listener` has the place of each listener's service among them.
    pub fn new(services: Vec<One>, by_listener: Arc<[usize]>) -> Self {
        Self { services, by_listener }
    }
}

impl Service for Several {
    type Session = Session;

    fn upstreams(&self) -> usize {
        let of = |one: &One| match one {
            One::Echo(echo) => echo.upstreams(),
            One::Proxy(proxy) => proxy.upstreams(),
        };
        self.services.iter().map(of).max().unwrap_or(0)
    }

    fn open(&mut self, arrival: &Arrival, io: &mut Io<'_>) -> Session {
        let service = self.by_listener[arrival.listener];
        let kind = match &mut self.services[service] {
            One::Echo(echo) => {
                echo.open(arrival, io);
                Kind::Echo(())
            }
            One::Proxy(proxy) => Kind::Proxy(proxy.open(arrival, io)),
        };
        // As many services as addresses at most.
        Session { service: service as u16, kind }
    }

    fn turn(&mut self, session: &mut Session, io: &mut Io<'_>, scratch: &mut [u8]) -> Turn {
        of_its_own!(self, session, |service, session| service.turn(session, io, scratch))
    }

    fn expire(&mut self, session: &mut Session, io: &mut Io<'_>) -> Turn {
        of_its_own!(self, session, |service, session| service.expire(session, io))
    }

    fn drain(&mut self, session: &mut Session, io: &mut Io<'_>) -> Turn {
        of_its_own!(self, session, |service, session| service.drain(session, io))
    }

    fn closed(&mut self, session: &mut Session, io: &mut Io<'_>, end: End) {
        of_its_own!(self, session, |service, session| service.closed(session, io, end))
    }

    fn freed(&mut self, session: &mut Session, io: &mut Io<'_>) {
        of_its_own!(self, session, |service, session| service.freed(session, io))
    }

    fn heed(&mut self, news: &(dyn Any + Send + Sync), desk: &mut Desk<'_>) -> bool {
        let heed = |looks: bool, service: &mut One| {
            looks
                | match service {
                    One::Echo(echo) => echo.heed(news, desk),
                    One::Proxy(proxy) => proxy.heed(news, desk),
                }
        };
        self.services.iter_mut().fold(false, heed)
    }

    fn reconsider(&mut self, session: &mut Session, io: &mut Io<'_>) -> Turn {
        of_its_own!(self, session, |service, session| service.reconsider(session, io))
    }
}
