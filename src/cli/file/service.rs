//! `[[service]]`: what is to be served.

use std::collections::{HashMap, HashSet};

use toml::de::DeValue;

use super::{
    mistake::Mistake,
    route,
    table::{self, Entry, Known},
    upstream,
};
use crate::{
    cli::settings::{
        echo::ECHO,
        proxy::{self, PARTS},
        values,
    },
    config::{Address, Listened, ProxyOptions},
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
        if let Kind::Proxy(proxy) = &kind {
            if proxy.upstreams.is_empty() && proxy.routes.is_empty() {
                return Err(missing("upstream", "[{ address = \"10.0.0.1:5432\" }]"));
            }
            proxy.check().map_err(|fault| service.wrong_at(fault.key, fault.why))?;
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

/// The keys of every service.
const COMMON: [&str; 3] = ["name", "kind", "listen"];

fn read_setting(entry: &Entry<'_>, kind: &mut Kind) -> Result<Known, Mistake> {
    match (kind, entry.key) {
        (Kind::Echo(echo), _) => Ok(entry.set_one_of(ECHO, echo, |_| Ok(()))?.and(&COMMON)),
        (Kind::Proxy(proxy), "upstream") => {
            upstream::read_all(entry, |upstream| proxy.add_upstream(upstream)).map(|()| Known::Yes)
        }
        (Kind::Proxy(proxy), "route") => route::read_all(entry, proxy).map(|()| Known::Yes),
        (Kind::Proxy(proxy), _) => read_part(entry, proxy),
    }
}

/// A table of a proxy, or one of its own keys.
fn read_part(entry: &Entry<'_>, proxy: &mut ProxyOptions) -> Result<Known, Mistake> {
    if let Some(part) = PARTS.iter().find(|part| part.table == Some(entry.key)) {
        entry.read_table(|entry| entry.set_one_of(part.settings, proxy, |_| Ok(())))?;
        return Ok(Known::Yes);
    }
    for part in PARTS.iter().filter(|part| part.table.is_none()) {
        if let Known::Yes = entry.set_one_of(part.settings, proxy, |_| Ok(()))? {
            return Ok(Known::Yes);
        }
    }
    let lists = COMMON.into_iter().chain(["upstream", "route"]);
    Ok(Known::Only(lists.chain(proxy::keys()).chain(proxy::tables()).collect()))
}
