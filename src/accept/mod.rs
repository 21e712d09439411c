//! How connections reach cores: one file a family of modes.
//!
//! Each family turns an address into intakes, the listeners as the workers' epolls will see them:
//! [`private`] (private, local), [`shared`] (shared, exclusive, rotate), [`dealt`]. From then on the loop is
//! the same.

pub mod dealt;
pub mod private;
pub mod shared;

use std::{io, sync::Arc};

use crate::{
    config::{AcceptMode, Address, Options, PollMode, Trigger},
    runtime::{intake::Intake, topology::Topology},
    sys::listen::{ListenAddress, Listener, TcpOptions},
};

/// All addresses, bound.
pub struct Bound {
    /// The intakes of each worker, one an address that isn't dealt.
    pub intakes: Vec<Vec<Intake>>,
    /// The intakes of the acceptor thread.
    pub dealt: Vec<Intake>,
    /// What is listened on, in the order of the addresses.
    pub served: Vec<Served>,
}

/// An address that is listened on.
#[derive(Clone, Debug)]
pub struct Served {
    /// With the real port.
    pub address: ListenAddress,
    /// The mode in force, which for a unix listener may differ from the one that was asked for.
    pub accept: AcceptMode,
}

/// Binds all addresses, or none.
///
/// # Errors
/// A sentence: on what, why it failed, what to do.
pub fn bind(addresses: &[Address], options: &Options, topology: &Topology) -> Result<Bound, String> {
    let intakes = (0..topology.workers).map(|_| Vec::new()).collect();
    let mut bound = Bound { intakes, dealt: Vec::new(), served: Vec::new() };
    for address in addresses {
        let target = Target::of(address)?;
        let accept = mode_for(&target, options);
        let served = match accept {
            AcceptMode::Private => private::bind(&target, options, &mut bound.intakes, |_| None),
            AcceptMode::Local => {
                private::bind(&target, options, &mut bound.intakes, |worker| topology.core_of(worker))
            }
            AcceptMode::Shared | AcceptMode::Exclusive | AcceptMode::Rotate => {
                shared::bind(&target, accept, options, &mut bound.intakes)
            }
            AcceptMode::Dealt => dealt::bind(&target, options, &mut bound.dealt),
        };
        let served = served.map_err(|error| explain(address, &error))?;
        bound.served.push(Served { address: served, accept });
    }
    Ok(bound)
}

/// What a reader of the report should know of the modes in force.
pub fn notes(options: &Options, served: &[Served]) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(Served { address, accept }) = served.iter().find(|served| served.accept != options.accept) {
        notes.push(format!(
            "{address} is served as {accept}: a unix listener cannot be {} (AF_UNIX has no SO_REUSEPORT)",
            options.accept
        ));
    }
    if options.accept == AcceptMode::Local {
        notes.push("local: on loopback the core that takes a packet is the client's own".into());
        if !options.pin {
            notes.push("local without pinned workers is private: no worker has a core".into());
        }
    }
    if options.poll != PollMode::Block && served.iter().any(|served| served.accept.is_exclusive()) {
        notes.push(format!(
            "{} with --poll {}: a worker that spins isn't on the kernel's wait queue, so the mode behaves like shared",
            options.accept, options.poll
        ));
    }
    notes
}

/// An address, resolved.
enum Target {
    Tcp(std::net::SocketAddr),
    Unix(std::path::PathBuf),
}

impl Target {
    fn of(address: &Address) -> Result<Self, String> {
        Ok(match address {
            Address::Tcp { host, port } => Self::Tcp(Address::resolve(host, *port)?),
            Address::Any { port } => Self::Tcp(Listener::any(*port)),
            Address::Unix(path) => Self::Unix(path.clone()),
        })
    }

    /// One listener for whoever will accept.
    fn listen(&self, options: &Options) -> io::Result<Arc<Listener>> {
        let listener = match self {
            Self::Tcp(address) => Listener::tcp(*address, tcp_options(options))?,
            Self::Unix(path) => Listener::unix(path, options.unix_mode, options.backlog)?,
        };
        Ok(Arc::new(listener))
    }
}

fn tcp_options(options: &Options) -> TcpOptions {
    TcpOptions { reuseport: false, incoming_cpu: None, nodelay: options.nodelay, backlog: options.backlog }
}

/// A unix listener can't be private; it gets the nearest mode that spreads.
fn mode_for(target: &Target, options: &Options) -> AcceptMode {
    match (target, options.accept) {
        (Target::Unix(_), AcceptMode::Private | AcceptMode::Local) => match options.listen_trigger {
            Trigger::Oneshot => AcceptMode::Shared,
            Trigger::Level | Trigger::Edge => AcceptMode::Rotate,
        },
        (_, accept) => accept,
    }
}

fn explain(address: &Address, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "stop whoever has it (`ss -ltnxp` shows who), or choose another",
        io::ErrorKind::AddrNotAvailable => "it is not an address of this machine (`ip address` lists them)",
        io::ErrorKind::PermissionDenied => {
            "choose a port from 1024 on or a path you may write, or run with the right to"
        }
        io::ErrorKind::NotFound => "make the folder first",
        _ => "choose another address",
    };
    let text = error.to_string();
    let reason = text.split(" (os error").next().unwrap_or(&text);
    format!("cannot listen on {address}: {}; {advice}", reason.to_lowercase())
}
