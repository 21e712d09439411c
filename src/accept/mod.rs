//! How connections reach cores: one file a family of modes.
//!
//! Each family turns an address into intakes, the listeners as the workers' epolls will see them:
//! [`private`] (private, local), [`shared`] (shared, exclusive, rotate), [`dealt`]. From then on the loop is
//! the same.

pub mod dealt;
pub mod private;
pub mod shared;

use std::{fs, io, os::unix::fs::FileTypeExt, path::Path, sync::Arc};

use crate::{
    config::{AcceptMode, Address, Listen, OnFdLimit, Options, PollMode, Trigger},
    runtime::{intake::Intake, spare::Spares, topology::Topology},
    sys::{
        self,
        listen::{ListenAddress, Listener, TcpOptions},
        socket::Liveness,
    },
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
pub fn bind(listens: &[Listen], options: &Options, topology: &Topology) -> Result<Bound, String> {
    let intakes = (0..topology.workers).map(|_| Vec::new()).collect();
    let mut bound = Bound { intakes, dealt: Vec::new(), served: Vec::new() };
    for (index, listen) in listens.iter().enumerate() {
        let address = &listen.address;
        if listens[..index].iter().any(|other| other.address == *address) && !address.has_any_port() {
            unlink(&bound.served);
            return Err(format!("cannot listen on {address} twice: name it once"));
        }
        if let Err(message) = bound.add(listen, options, topology) {
            unlink(&bound.served);
            return Err(message);
        }
    }
    if options.on_fd_limit == OnFdLimit::Shed {
        let spares = Spares::new(topology.workers);
        let intakes = bound.intakes.iter_mut().flatten().chain(&mut bound.dealt);
        intakes.for_each(|intake| intake.shed_by(spares.clone()));
    }
    Ok(bound)
}

/// Removes the files of unix listeners, which outlive them.
pub fn unlink(served: &[Served]) {
    for Served { address, .. } in served {
        if let ListenAddress::Unix(file) = address {
            file.unlink();
        }
    }
}

impl Bound {
    fn add(&mut self, listen: &Listen, options: &Options, topology: &Topology) -> Result<(), String> {
        let address = &listen.address;
        let target = Target::of(listen)?;
        let accept = mode_for(&target, options);
        let served = match accept {
            AcceptMode::Private => private::bind(&target, options, &mut self.intakes, |_| None),
            AcceptMode::Local => {
                private::bind(&target, options, &mut self.intakes, |worker| topology.core_of(worker))
            }
            AcceptMode::Shared | AcceptMode::Exclusive | AcceptMode::Rotate => {
                shared::bind(&target, accept, options, &mut self.intakes)
            }
            AcceptMode::Dealt => dealt::bind(&target, options, &mut self.dealt),
        };
        let served = served.map_err(|error| explain(address, &error))?;
        self.served.push(Served { address: served, accept });
        Ok(())
    }
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
    let defaults = Options::default();
    if options.deal != defaults.deal && options.accept != AcceptMode::Dealt {
        notes.push(format!(
            "--deal {} has no effect: nothing is dealt with --accept {}",
            options.deal, options.accept
        ));
    }
    let rotates = served.iter().any(|served| served.accept == AcceptMode::Rotate);
    if options.rotate_every != defaults.rotate_every && !rotates {
        notes.push(format!("--rotate-every has no effect: nothing rotates with --accept {}", options.accept));
    }
    let exclusive = served.iter().find(|served| served.accept.is_exclusive());
    if let (Some(Served { accept, .. }), true) = (exclusive, options.poll != PollMode::Block) {
        notes.push(format!(
            "{accept} with --poll {}: a worker that spins isn't on the kernel's wait queue, so the mode behaves like \
             shared",
            options.poll
        ));
    }
    if options.timestamps && !options.stamps() {
        notes.push(format!(
            "--timestamps has no effect with --measure {}: delays are recorded with --measure full",
            options.measure
        ));
    }
    let by_unix = served.iter().find(|served| matches!(served.address, ListenAddress::Unix(_)));
    if let (Some(Served { address, .. }), true) = (by_unix, options.stamps()) {
        notes.push(format!("{address}: the kernel stamps nothing that comes by a unix socket"));
    }
    notes
}

/// An address, resolved.
enum Target {
    Tcp(std::net::SocketAddr, Liveness),
    Unix(std::path::PathBuf),
}

impl Target {
    fn of(listen: &Listen) -> Result<Self, String> {
        let liveness = Liveness { keepalive: listen.keepalive, user_timeout: listen.user_timeout };
        Ok(match &listen.address {
            Address::Tcp { host, port } => Self::Tcp(Address::resolve(host, *port)?, liveness),
            Address::Any { port } => Self::Tcp(Listener::any(*port), liveness),
            Address::Unix(path) => Self::Unix(path.clone()),
        })
    }

    /// One listener for whoever will accept.
    fn listen(&self, options: &Options) -> io::Result<Arc<Listener>> {
        let listener = match self {
            Self::Tcp(address, liveness) => Listener::tcp(*address, tcp_options(options, *liveness))?,
            Self::Unix(path) => Listener::unix(path, options.unix_mode, options.backlog)?,
        };
        Ok(Arc::new(listener))
    }
}

fn tcp_options(options: &Options, liveness: Liveness) -> TcpOptions {
    let Options { nodelay, backlog, .. } = *options;
    TcpOptions {
        reuseport: false,
        incoming_cpu: None,
        nodelay,
        liveness,
        timestamps: options.stamps(),
        backlog,
    }
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
    let advice = match (error.kind(), address) {
        (io::ErrorKind::AddrInUse, Address::Unix(path)) if !is_socket(path) => {
            return format!(
                "cannot listen on {address}: what is there is no socket; remove it, or choose another path"
            );
        }
        (io::ErrorKind::AddrInUse, _) => "stop whoever has it (`ss -ltnxp` shows who), or choose another",
        (io::ErrorKind::AddrNotAvailable, _) => {
            "it is not an address of this machine (`ip address` lists them)"
        }
        (io::ErrorKind::PermissionDenied, Address::Unix(_)) => {
            "choose a folder that you may write to, or run as who may"
        }
        (io::ErrorKind::PermissionDenied, _) => {
            "choose a port from 1024 on, or run with the right to have it (CAP_NET_BIND_SERVICE)"
        }
        (io::ErrorKind::NotFound, _) => "make the folder first",
        _ if sys::is_exhausted(error) => "raise `ulimit -n`, or free memory",
        _ => "choose another address",
    };
    format!("cannot listen on {address}: {}; {advice}", sys::reason(error))
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}
