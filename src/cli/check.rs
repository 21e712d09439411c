//! `evenkeel check`: whether a configuration file would do, without binding anything.

use std::path::Path;

use super::{file, usage::Refusal};
use crate::{
    config::{Address, ProxyOptions, UpstreamOptions},
    control::{Setup, intervals::IntervalLog, journal::Journal, run::Failure, site::Site},
    service::{Kind, Spec},
};

/// Reads a file, resolves every name in it, and sees whether its logs could be written.
/// A summary of what would be served.
///
/// # Errors
/// What is wrong with it.
pub fn check(path: &Path) -> Result<String, Refusal> {
    let setup = file::setup(path)?;
    let failure = |why: String| Failure::Start(format!("{}: {why}", path.display()));
    Site::resolve(&setup.services, &setup.options).map_err(failure)?;
    setup.plan.access_log.as_ref().map_or(Ok(()), Journal::check).map_err(failure)?;
    setup.plan.hlog.as_deref().map_or(Ok(()), IntervalLog::check).map_err(failure)?;
    Ok(summary(path, &setup))
}

fn summary(path: &Path, setup: &Setup) -> String {
    let count = setup.services.len();
    let services = if count == 1 { "service" } else { "services" };
    let lines: String = setup.services.iter().map(line).collect();
    format!("ok: {}: {count} {services}\n{lines}", path.display())
}

fn line(Spec { name, listen, kind }: &Spec) -> String {
    let listen: Vec<_> = listen.iter().map(Address::to_string).collect();
    let does = match kind {
        Kind::Echo(_) => String::new(),
        Kind::Proxy(proxy) => forwards(proxy),
    };
    format!("  {name}: {} on {}{does}\n", kind.name(), listen.join(", "))
}

fn forwards(proxy: &ProxyOptions) -> String {
    let upstream = |UpstreamOptions { address, weight }: &UpstreamOptions| match weight {
        1 => address.to_string(),
        _ => format!("{address} (weight {weight})"),
    };
    let to: Vec<_> = proxy.upstreams.iter().map(upstream).collect();
    format!(" to {} · balance={} forward={}", to.join(", "), proxy.balance, proxy.forward)
}
