//! Several services on the same workers: each connection belongs to the service whose address it came to.

use std::sync::Arc;

use super::{Echo, Proxy, proxy};
use crate::{Arrival, End, Io, Service, Turn};

/// The services of one worker.
pub struct Several {
    services: Vec<One>,
    /// The service of each listener.
    by_listener: Arc<[usize]>,
}

/// One service of a worker.
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
    Echo,
    Proxy(proxy::Session),
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
                Kind::Echo
            }
            One::Proxy(proxy) => Kind::Proxy(proxy.open(arrival, io)),
        };
        // As many services as addresses at most.
        Session { service: service as u16, kind }
    }

    fn turn(&mut self, session: &mut Session, io: &mut Io<'_>, scratch: &mut [u8]) -> Turn {
        match (&mut self.services[usize::from(session.service)], &mut session.kind) {
            (One::Echo(echo), Kind::Echo) => echo.turn(&mut (), io, scratch),
            (One::Proxy(proxy), Kind::Proxy(session)) => proxy.turn(session, io, scratch),
            _ => unreachable!("a session belongs to the service that opened it"),
        }
    }

    fn expire(&mut self, session: &mut Session, io: &mut Io<'_>) -> Turn {
        match (&mut self.services[usize::from(session.service)], &mut session.kind) {
            (One::Echo(echo), Kind::Echo) => echo.expire(&mut (), io),
            (One::Proxy(proxy), Kind::Proxy(session)) => proxy.expire(session, io),
            _ => unreachable!("a session belongs to the service that opened it"),
        }
    }

    fn drain(&mut self, session: &mut Session, io: &mut Io<'_>) -> Turn {
        match (&mut self.services[usize::from(session.service)], &mut session.kind) {
            (One::Echo(echo), Kind::Echo) => echo.drain(&mut (), io),
            (One::Proxy(proxy), Kind::Proxy(session)) => proxy.drain(session, io),
            _ => unreachable!("a session belongs to the service that opened it"),
        }
    }

    fn closed(&mut self, session: &mut Session, io: &mut Io<'_>, end: End) {
        match (&mut self.services[usize::from(session.service)], &mut session.kind) {
            (One::Echo(echo), Kind::Echo) => echo.closed(&mut (), io, end),
            (One::Proxy(proxy), Kind::Proxy(session)) => proxy.closed(session, io, end),
            _ => unreachable!("a session belongs to the service that opened it"),
        }
    }
}
