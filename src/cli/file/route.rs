//! `[[service.route]]`: groups of their own for some TLS connections.

use super::{
    mistake::Mistake,
    table::{Entry, Known},
    upstream,
};
use crate::config::{ProxyOptions, RouteOptions};

/// Reads each route of a proxy.
///
/// # Errors
/// The first mistake.
pub fn read_all(entry: &Entry<'_>, proxy: &mut ProxyOptions) -> Result<(), Mistake> {
    entry.elements().iter().try_for_each(|element| {
        let route = read(element)?;
        proxy.add_route(route).map_err(|why| element.wrong(why))
    })
}

/// `{ sni = "*.example.com", alpn = ["h2"], upstream = […] }`
fn read(route: &Entry<'_>) -> Result<RouteOptions, Mistake> {
    let mut options = RouteOptions::default();
    route.read_table(|entry| {
        let RouteOptions { sni, alpn, upstreams } = &mut options;
        match entry.key {
            "sni" => read_names(entry, sni, str::parse)?,
            "alpn" => read_names(entry, alpn, RouteOptions::parse_alpn)?,
            "upstream" => upstream::read_all(entry, |upstream| {
                upstream.check(upstreams)?;
                upstreams.push(upstream);
                Ok(())
            })?,
            _ => return Ok(Known::Only(vec!["sni", "alpn", "upstream"])),
        }
        Ok(Known::Yes)
    })?;
    if options.upstreams.is_empty() {
        let help = "add upstream = [{ address = \"10.0.0.1:443\" }]".to_owned();
        return Err(route.wrong("this route has no 'upstream'").with_help(help));
    }
    Ok(options)
}

fn read_names<T: PartialEq>(
    entry: &Entry<'_>,
    names: &mut Vec<T>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<(), Mistake> {
    for element in entry.some_elements()? {
        let name = parse(element.string()?).map_err(|why| element.wrong(why))?;
        if names.contains(&name) {
            return Err(element.wrong(format!("'{}' has this one already: leave it out", entry.key)));
        }
        names.push(name);
    }
    Ok(())
}
