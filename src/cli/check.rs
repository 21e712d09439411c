//! `evenkeel check`: whether a configuration file would do, without binding anything.

use std::path::Path;

use super::{file, usage::Refusal};
use crate::{
    config::{Address, ProxyOptions, RouteOptions, SniPattern, UpstreamOptions, units},
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
    Site::resolve(&setup.services, &setup.options).map_err(|why| match file::located(path, &why) {
        Some(lines) => Refusal::File(lines),
        None => failure(why).into(),
    })?;
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
    let does = match kind {
        Kind::Echo(_) => "\n".into(),
        Kind::Proxy(proxy) => forwards(proxy),
    };
    format!("  {name}: {} on {}{does}", kind.name(), list(listen, Address::to_string))
}

/// Where it leads, and in further lines what does not go there.
fn forwards(proxy: &ProxyOptions) -> String {
    let ProxyOptions { upstreams, balance, forward, health, routes, .. } = proxy;
    let to = if upstreams.is_empty() { String::new() } else { format!(" to {}", list(upstreams, upstream)) };
    let interval = health.interval.map(units::write_duration);
    let checks = interval.map_or_else(String::new, |interval| format!(" health={interval}"));
    let routes: String = routes.iter().map(route).collect();
    format!("{to} · balance={balance} forward={forward}{checks}\n{routes}")
}

fn route(RouteOptions { sni, alpn, upstreams }: &RouteOptions) -> String {
    let names = |what: &str, names: String| if names.is_empty() { names } else { format!("{what}={names} ") };
    let sni = names("sni", list(sni, SniPattern::to_string));
    let alpn = names("alpn", list(alpn, Clone::clone));
    format!("    {sni}{alpn}to {}\n", list(upstreams, upstream))
}

fn upstream(UpstreamOptions { place, weight, backup }: &UpstreamOptions) -> String {
    match (weight, backup) {
        (1, false) => place.to_string(),
        (1, true) => format!("{place} (backup)"),
        (_, false) => format!("{place} (weight {weight})"),
        (_, true) => format!("{place} (weight {weight}, backup)"),
    }
}

fn list<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    items.iter().map(show).collect::<Vec<_>>().join(", ")
}
