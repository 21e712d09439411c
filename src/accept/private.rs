//! `private` and `local`: a SO_REUSEPORT listener for each worker.
//!
//! The kernel picks the listener when the SYN arrives, by a hash of addresses and ports
//! (`reuseport_select_sock` in net/core/sock_reuseport.c): no lock, no herd, but blind to load, and bound
//! before anyone knows how long the worker will be busy. With SO_INCOMING_CPU set, `local` prefers the
//! listener whose core handles the packet.

use std::{io, net::SocketAddr, sync::Arc};

use super::{Target, tcp_options};
use crate::{
    config::Options,
    runtime::intake::{Intake, Share},
    sys::listen::{ListenAddress, Listener, TcpOptions},
};

/// Binds a listener for each worker; the first one finds the port where any will do.
pub(super) fn bind(
    target: &Target,
    options: &Options,
    intakes: &mut [Vec<Intake>],
    core_of: impl Fn(usize) -> Option<usize>,
) -> io::Result<ListenAddress> {
    let Target::Tcp(address, liveness) = target else {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "AF_UNIX has no SO_REUSEPORT"));
    };
    Listener::probe(*address)?;
    let mut listeners: Vec<Listener> = Vec::with_capacity(intakes.len());
    for worker in 0..intakes.len() {
        let address = listeners.first().map_or(*address, |first| real(first, *address));
        let group =
            TcpOptions { reuseport: true, incoming_cpu: core_of(worker), ..tcp_options(options, *liveness) };
        listeners.push(Listener::tcp(address, group)?);
    }
    let served = listeners.first().map(|first| first.address().clone());
    for (listener, intakes) in listeners.into_iter().zip(intakes) {
        intakes.push(Intake::new(Arc::new(listener), intakes.len(), options.listen_trigger, Share::Own));
    }
    served.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "there are no workers"))
}

/// The address with the port that the kernel chose.
fn real(listener: &Listener, asked: SocketAddr) -> SocketAddr {
    match listener.address() {
        ListenAddress::Tcp(address) => *address,
        ListenAddress::Unix(_) => asked,
    }
}
