//! `[[service]]`: what is to be served.

use std::collections::{HashMap, HashSet};

use toml::de::DeValue;

use super::{
    mistake::Mistake,
    table::{self, Entry, Known},
};
use crate::{
    cli::settings::{
        service::{ECHO, PROXY, TIMEOUTS},
        values,
    },
    config::{Address, Listened, ProxyOptions, Timeouts, UpstreamOptions},
    service::{EchoOptions, Kind, Spec},
};

/// The services of a file, as they are read.
#[derive(Default)]
pub struct Services {
    /// One without a name of its own has an empty one.
    specs: Vec<Spec>,
    names: HashSet<String>,
    listened: Listened,
}

impl Services {
    /// Reads every `[[service]]`.
    ///
    /// # Errors
    /// The first mistake.
    pub fn read(&mut self, services: &Entry<'_>) -> Result<(), Mistake> {
        if !matches!(services.value.get_ref(), DeValue::Array(_)) {
            return Err(services.not("an array of tables: write [[service]]"));
        }
        services.elements().iter().try_for_each(|service| self.read_one(service))
    }

    /// All of them, each with a name: its kind, or kind-2 and so on where there are several. `None` without any.
    pub fn finish(mut self) -> Option<Vec<Spec>> {
        let mut numbers = HashMap::new();
        for spec in self.specs.iter_mut().filter(|spec| spec.name.is_empty()) {
            let kind = spec.kind.name();
            let number = numbers.entry(kind).or_insert(0);
            while spec.name.is_empty() || !self.names.insert(spec.name.clone()) {
                *number += 1;
                spec.name = if *number == 1 { kind.into() } else { format!("{kind}-{number}") };
            }
        }
        (!self.specs.is_empty()).then_some(self.specs)
    }

    fn read_one(&mut self, service: &Entry<'_>) -> Result<(), Mistake> {
        let mut kind = kind_of(service)?;
        let (mut name, mut listen) = (String::new(), Vec::new());
        service.read_table(|entry| {
            match entry.key {
                "kind" => {}
                "name" => name = self.name(entry)?,
                "listen" => listen = self.listen(entry)?,
                _ => return read_setting(entry, &mut kind),
            }
            Ok(Known::Yes)
        })?;
        let missing = |key, example| {
            service.wrong(format!("this service has no '{key}'")).with_help(format!("add {key} = {example}"))
        };
        if listen.is_empty() {
            return Err(missing("listen", "[\"127.0.0.1:7000\"]"));
        }
        if let Kind::Proxy(proxy) = &kind
            && proxy.upstreams.is_empty()
        {
            return Err(missing("upstream", "[{ address = \"10.0.0.1:5432\" }]"));
        }
        self.specs.push(Spec { name, listen, kind });
        Ok(())
    }

    fn name(&mut self, entry: &Entry<'_>) -> Result<String, Mistake> {
        let name = values::name(entry.string()?).map_err(|why| entry.wrong(why))?;
        if !self.names.insert(name.clone()) {
            return Err(entry.wrong(format!("two services have the name '{name}': give each its own")));
        }
        Ok(name)
    }

    fn listen(&mut self, entry: &Entry<'_>) -> Result<Vec<Address>, Mistake> {
        let mut listen = Vec::new();
        for element in entry.elements() {
            let address: Address = element.string()?.parse().map_err(|why: String| element.wrong(why))?;
            self.listened.add(&address).map_err(|why| element.wrong(why))?;
            listen.push(address);
        }
        Ok(listen)
    }
}

/// Read first: it decides which keys there are.
fn kind_of(service: &Entry<'_>) -> Result<Kind, Mistake> {
    let DeValue::Table(table) = service.value.get_ref() else {
        return Err(service.not("a table: write [[service]]"));
    };
    let Some(kind) = table::entries(table).into_iter().find(|entry| entry.key == "kind") else {
        let mistake = service.wrong("this service has no 'kind'");
        return Err(mistake.with_help("add kind = \"proxy\" or kind = \"echo\"".to_owned()));
    };
    match kind.string()? {
        "echo" => Ok(Kind::Echo(EchoOptions::default())),
        "proxy" => Ok(Kind::Proxy(ProxyOptions::default())),
        other => Err(kind.wrong(format!("'{other}' is not a kind of service: use echo, proxy"))),
    }
}

fn read_setting(entry: &Entry<'_>, kind: &mut Kind) -> Result<Known, Mistake> {
    const COMMON: [&str; 3] = ["name", "kind", "listen"];
    match kind {
        Kind::Echo(echo) => Ok(entry.set_one_of(ECHO, echo, |_| Ok(()))?.and(&COMMON)),
        Kind::Proxy(proxy) => {
            match entry.key {
                "upstream" => read_upstreams(entry, proxy)?,
                "timeout" => {
                    let timeouts = &mut proxy.timeouts;
                    entry.read_table(|entry| entry.set_one_of(TIMEOUTS, timeouts, Timeouts::validate))?;
                }
                _ => {
                    let known = entry.set_one_of(PROXY, proxy, |_| Ok(()))?;
                    return Ok(known.and(&["upstream", "timeout"]).and(&COMMON));
                }
            }
            Ok(Known::Yes)
        }
    }
}

fn read_upstreams(entry: &Entry<'_>, proxy: &mut ProxyOptions) -> Result<(), Mistake> {
    for element in entry.elements() {
        let upstream = match element.value.get_ref() {
            DeValue::String(text) => text.parse().map_err(|why: String| element.wrong(why))?,
            DeValue::Table(_) => read_upstream(&element)?,
            _ => {
                return Err(element.not("a table: write { address = \"10.0.0.1:5432\", weight = 2 }"));
            }
        };
        proxy.add_upstream(upstream).map_err(|why| element.wrong(why))?;
    }
    Ok(())
}

/// `{ address = "…", weight = 2 }`
fn read_upstream(upstream: &Entry<'_>) -> Result<UpstreamOptions, Mistake> {
    let (mut address, mut weight) = (None, 1);
    upstream.read_table(|entry| {
        match (entry.key, entry.value.get_ref()) {
            ("address", _) => {
                let parsed = entry.string()?.parse::<Address>().map_err(|why| entry.wrong(why))?;
                address = Some(parsed);
            }
            ("weight", DeValue::Integer(number)) => {
                weight =
                    UpstreamOptions::parse_weight(&number.to_string()).map_err(|why| entry.wrong(why))?;
            }
            ("weight", _) => return Err(entry.not("a number")),
            _ => return Ok(Known::Only(vec!["address", "weight"])),
        }
        Ok(Known::Yes)
    })?;
    let missing = || upstream.wrong("this upstream has no 'address'");
    Ok(UpstreamOptions { address: address.ok_or_else(missing)?, weight })
}
