//! Which group of upstreams a TLS client goes to, by what its ClientHello asks for.

use super::client_hello::Hello;
use crate::config::{ProxyOptions, RouteOptions};

/// The group of those that no route takes: `upstream`.
const DEFAULT_GROUP: usize = 0;

/// The routes of a service, of which the first that matches is taken.
#[derive(Clone, Debug)]
pub struct Routes {
    routes: Box<[RouteOptions]>,
    has_default: bool,
}

impl Routes {
    /// Those that were asked for; `None` where there are none.
    pub fn new(options: &ProxyOptions) -> Option<Self> {
        let has_default = !options.upstreams.is_empty();
        (!options.routes.is_empty()).then(|| Self { routes: options.routes.clone().into(), has_default })
    }

    /// The group for such a client; `None` as the hello is one that doesn't speak TLS. Nobody: it is to be refused.
    pub fn group(&self, hello: Option<&Hello>) -> Option<usize> {
        let route = hello.and_then(|hello| self.routes.iter().position(|route| takes(route, hello)));
        let default = self.has_default.then_some(DEFAULT_GROUP);
        route.map(|route| DEFAULT_GROUP + 1 + route).or(default)
    }
}

/// Whether a route asks for nothing that this client doesn't.
fn takes(route: &RouteOptions, hello: &Hello) -> bool {
    let is_named = || {
        let name = hello.sni.as_deref();
        name.is_some_and(|name| route.sni.iter().any(|pattern| pattern.matches(name)))
    };
    let is_spoken =
        || hello.alpn.iter().any(|name| route.alpn.iter().any(|wanted| wanted.as_bytes() == name));
    (route.sni.is_empty() || is_named()) && (route.alpn.is_empty() || is_spoken())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::proxy::preread::client_hello::samples;

    fn route(sni: &[&str], alpn: &[&str]) -> RouteOptions {
        let sni = sni.iter().map(|text| text.parse().expect("a pattern")).collect();
        RouteOptions { sni, alpn: alpn.iter().map(|&text| text.into()).collect(), upstreams: Vec::new() }
    }

    fn routes(routes: Vec<RouteOptions>, has_default: bool) -> Routes {
        Routes { routes: routes.into(), has_default }
    }

    #[test]
    fn the_first_that_matches_is_taken() {
        let routes = routes(
            vec![
                route(&["*.example.com"], &["h2"]),
                route(&["www.example.com", "*.example.org"], &[]),
                route(&[], &["imap", "pop3"]),
                route(&["*.com"], &[]),
            ],
            true,
        );
        for (sni, alpn, group) in [
            (Some("www.example.com"), &["http/1.1", "h2"][..], 1),
            (Some("www.example.com"), &["http/1.1"], 2),
            (Some("a.b.example.org"), &[], 2),
            (Some("example.org"), &[], 0),
            (Some("example.org"), &["pop3"], 3),
            (None, &["imap"], 3),
            (Some("a.example.com"), &[], 4),
            (None, &["h2"], 0),
            (None, &[], 0),
        ] {
            let hello = samples::hello(sni, alpn);
            assert_eq!(routes.group(Some(&hello)), Some(group), "{sni:?} {alpn:?}");
        }
        assert_eq!(routes.group(None), Some(0));
    }

    #[test]
    fn who_matches_nothing_needs_a_default() {
        let routes = routes(vec![route(&["a.example"], &[]), route(&[], &[])], false);
        assert_eq!(routes.group(Some(&samples::hello(Some("a.example"), &[]))), Some(1));
        assert_eq!(routes.group(Some(&samples::hello(None, &[]))), Some(2), "a route that asks for nothing");
        assert_eq!(routes.group(None), None, "what is no TLS has no route");
    }

    #[test]
    fn without_routes_there_is_nothing_to_ask() {
        assert!(Routes::new(&ProxyOptions::default()).is_none());
    }
}
