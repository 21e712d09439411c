//! `upstream = […]` of a service or a route: where to forward to.

use toml::de::DeValue;

use super::{
    mistake::Mistake,
    table::{Entry, Known},
};
use crate::config::{Address, Place, UpstreamOptions};

/// The keys of which an upstream has one.
const PLACES: [&str; 3] = ["address", "dns", "srv"];

/// Reads each upstream and gives it to `add`, which may refuse it.
///
/// # Errors
/// The first mistake.
pub fn read_all(
    entry: &Entry<'_>,
    mut add: impl FnMut(UpstreamOptions) -> Result<(), String>,
) -> Result<(), Mistake> {
    entry.elements().iter().try_for_each(|element| {
        let upstream = match element.value.get_ref() {
            DeValue::String(text) => text.parse().map_err(|why: String| element.wrong(why))?,
            DeValue::Table(_) => read(element)?,
            _ => {
                return Err(element.not("a table: write { address = \"10.0.0.1:5432\", weight = 2 }"));
            }
        };
        add(upstream).map_err(|why| element.wrong(why))
    })
}

/// `{ address = "…", weight = 2, backup = true }`
fn read(upstream: &Entry<'_>) -> Result<UpstreamOptions, Mistake> {
    let (mut place, mut weight, mut backup) = (None, 1, false);
    upstream.read_table(|entry| {
        match (entry.key, entry.value.get_ref()) {
            (key, _) if PLACES.contains(&key) => {
                if place.replace(read_place(entry)?).is_some() {
                    let why = "an upstream has one of 'address', 'dns' and 'srv': write one for each";
                    return Err(upstream.wrong(why));
                }
            }
            ("weight", DeValue::Integer(number)) => {
                weight =
                    UpstreamOptions::parse_weight(&number.to_string()).map_err(|why| entry.wrong(why))?;
            }
            ("weight", _) => return Err(entry.not("a number")),
            ("backup", DeValue::Boolean(is_backup)) => backup = *is_backup,
            ("backup", _) => return Err(entry.not("true or false")),
            _ => return Ok(Known::Only(PLACES.into_iter().chain(["weight", "backup"]).collect())),
        }
        Ok(Known::Yes)
    })?;
    let missing = || {
        let help =
            "an upstream needs one of them; 'dns' and 'srv' are asked for again while it runs".to_owned();
        upstream.wrong("this upstream has no 'address', 'dns' or 'srv'").with_help(help)
    };
    Ok(UpstreamOptions { place: place.ok_or_else(missing)?, weight, backup })
}

fn read_place(entry: &Entry<'_>) -> Result<Place, Mistake> {
    let text = entry.string()?;
    let place = match entry.key {
        "dns" => Place::dns(text),
        "srv" => Place::srv(text),
        _ => text.parse::<Address>().map(Place::Address),
    };
    let meant = match text.split_once(':') {
        Some((key @ ("dns" | "srv"), name)) => Some(format!("write {{ {key} = \"{name}\" }}")),
        _ => None,
    };
    place.map_err(|why| entry.wrong(why).with_help(meant))
}
