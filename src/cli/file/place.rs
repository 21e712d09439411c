//! Where a file names what turned out to be wrong only when it was resolved or bound.
//!
//! By then a sentence is all there is. It quotes an address or a host, and the first that it quotes is the place; where
//! that is both listened on and forwarded to, the sentence tells which it is about.

use toml::de::{DeTable, DeValue};

use super::{
    mistake::Mistake,
    table::{Entry, entries},
};
use crate::config::{Address, Place, UpstreamOptions};

/// What is wrong, at the place that it is about; `None` where it is about none.
pub fn find(text: &str, why: &str) -> Option<Mistake> {
    let document = DeTable::parse(text).ok()?;
    let services = entries(document.get_ref()).into_iter().find(|entry| entry.key == "service")?;
    let is_about_upstreams = why.contains("upstream");
    let mut nearest: Option<((usize, bool), Mistake)> = None;
    for (is_upstream, entry) in services.elements().iter().flat_map(addresses) {
        let Some(quoted) = words(&entry).iter().filter_map(|word| quoted_at(why, word)).min() else {
            continue;
        };
        let rank = (quoted, is_upstream != is_about_upstreams);
        if nearest.as_ref().is_none_or(|(best, _)| rank < *best) {
            nearest = Some((rank, entry.wrong(why)));
        }
    }
    nearest.map(|(_, mistake)| mistake)
}

/// Every address of a service or a route, and whether it is an upstream.
fn addresses<'a>(table: &Entry<'a>) -> Vec<(bool, Entry<'a>)> {
    let mut found = Vec::new();
    for entry in entries_of(table) {
        match entry.key {
            "listen" | "source" => found.extend(entry.elements().into_iter().map(|entry| (false, entry))),
            "upstream" => found.extend(entry.elements().iter().flat_map(upstream).map(|entry| (true, entry))),
            "route" => found.extend(entry.elements().iter().flat_map(addresses)),
            _ => {}
        }
    }
    found
}

/// The address of an upstream, in either form.
fn upstream<'a>(upstream: &Entry<'a>) -> Option<Entry<'a>> {
    match upstream.value.get_ref() {
        DeValue::Table(_) => entries_of(upstream).into_iter().find(|entry| entry.key == "address"),
        _ => Some(upstream.clone()),
    }
}

fn entries_of<'a>(entry: &Entry<'a>) -> Vec<Entry<'a>> {
    match entry.value.get_ref() {
        DeValue::Table(table) => entries(table),
        _ => Vec::new(),
    }
}

/// What a sentence may call it: the address, or the host alone.
fn words(entry: &Entry<'_>) -> Vec<String> {
    let text = entry.string().unwrap_or_default();
    match text.parse().map(|upstream: UpstreamOptions| upstream.place) {
        Ok(Place::Address(Address::Tcp { host, port })) => {
            vec![Address::Tcp { host: host.clone(), port }.to_string(), host]
        }
        Ok(place) => vec![place.to_string()],
        Err(_) => vec![text.to_owned()],
    }
}

/// Where a sentence has this word, and not as a part of another.
fn quoted_at(why: &str, word: &str) -> Option<usize> {
    let is_in_a_word = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    let is_whole = |at: &usize| {
        let mut after = why[at + word.len()..].chars();
        let (next, next_but_one) = (after.next(), after.next());
        let goes_on = match next {
            Some(':' | '.') => next_but_one.is_some_and(|c| c.is_alphanumeric()),
            next => next.is_some_and(is_in_a_word),
        };
        !goes_on && !why[..*at].ends_with(is_in_a_word)
    };
    let places = (!word.is_empty()).then(|| why.match_indices(word));
    places.into_iter().flatten().map(|(at, _)| at).find(is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"[[service]]
kind = "proxy"
listen = ["127.0.0.1:80", "10.0.0.1:443"]
source = "10.0.0.7"
upstream = ["web.internal:80=2", { address = "10.0.0.1:443" }]
[[service]]
kind = "proxy"
listen = ":8000"
route = [{ sni = "a", upstream = "web:80" }]
"#;

    fn shown(why: &str) -> String {
        let shown = find(FILE, why).map(|mistake| mistake.show("f", FILE)).unwrap_or_default();
        shown.lines().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn the_place_is_the_address_that_is_quoted() {
        for (why, line, column) in [
            ("cannot resolve upstream 'web.internal': no", 5, 13),
            ("cannot resolve upstream 'web': no", 9, 34),
            ("cannot listen on 10.0.0.1:443: permission denied", 3, 27),
            ("its upstream 10.0.0.1:443 is its own listener", 5, 46),
            ("cannot connect from 10.0.0.7 to 10.0.0.1:443", 4, 10),
            ("cannot listen on :8000: address already in use", 8, 10),
        ] {
            assert_eq!(shown(why), format!("evenkeel: f:{line}:{column}: {why}"));
        }
    }

    #[test]
    fn what_quotes_nothing_has_no_place() {
        for why in ["", "out of memory", "10.0.0.71", "10.0.0.1:4430", "web.internals", "xweb:80"] {
            assert_eq!(shown(why), "", "{why}");
        }
        assert_eq!(find("", "web:80"), None);
        assert_eq!(find("[[service", "web:80"), None);
    }
}
