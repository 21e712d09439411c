//! How values are read and written that are neither modes nor units, and the words that stand for none.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use crate::config::units;

/// Reads a value, or leaves the old one as it is.
pub fn put<T, E>(into: &mut T, value: Result<T, E>) -> Result<(), E> {
    *into = value?;
    Ok(())
}

/// What stands in a file where nothing is set by a switch, or something is.
pub fn switch(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("'{text}' is neither true nor false"))
}

/// A value, or the word that stands for none.
pub fn unless<T>(
    word: &str,
    text: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    if text == word { Ok(None) } else { read(text).map(Some) }
}

/// Writes what [`unless`] reads.
pub fn or<T>(word: &str, value: Option<&T>, write: impl Fn(&T) -> String) -> String {
    value.map_or_else(|| word.to_owned(), write)
}

/// A time above zero, or `off`.
pub fn time_or_off(text: &str) -> Result<Option<Duration>, String> {
    unless("off", text, units::duration_above_zero)
}

/// Writes what [`time_or_off`] reads.
pub fn show_time_or_off(time: Option<Duration>) -> String {
    or("off", time.as_ref(), |time| units::write_duration(*time))
}

/// A number of workers, or `auto`.
pub fn workers(text: &str) -> Result<Option<usize>, String> {
    unless("auto", text, |text| {
        text.parse().map_err(|_| format!("'{text}' is not a number of workers: write 1 or more, or auto"))
    })
}

/// A number of accepts.
pub fn accepts<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("'{text}' is not a number of accepts: write 1 or more"))
}

/// A number of accepts, `unlimited`, or `auto`.
pub fn accept_budget(text: &str) -> Result<Option<usize>, String> {
    unless("auto", text, |text| {
        if text == UNLIMITED {
            return Ok(usize::MAX);
        }
        accepts(text).map_err(|wrong| format!("{wrong}, or unlimited"))
    })
}

/// Writes what [`accept_budget`] reads.
pub fn show_accept_budget(budget: Option<usize>) -> String {
    or("auto", budget.as_ref(), |budget| show_unlimited(*budget, |budget| budget.to_string()))
}

/// A size, or `unlimited`.
pub fn bytes(text: &str) -> Result<usize, String> {
    if text == UNLIMITED { Ok(usize::MAX) } else { units::size(text) }
}

/// Writes what [`bytes`] reads.
pub fn show_bytes(bytes: usize) -> String {
    show_unlimited(bytes, units::write_size)
}

const UNLIMITED: &str = "unlimited";

fn show_unlimited(amount: usize, write: impl Fn(usize) -> String) -> String {
    if amount == usize::MAX { UNLIMITED.into() } else { write(amount) }
}

/// The length of an accept queue.
pub fn backlog(text: &str) -> Result<i32, String> {
    let length = text.parse::<u32>().ok().and_then(|length| i32::try_from(length).ok());
    length.ok_or_else(|| format!("'{text}' is not the length of a queue: write 1 or more, such as 4096"))
}

/// The permissions of a file.
pub fn unix_mode(text: &str) -> Result<u32, String> {
    let wrong = || format!("'{text}' is not a file mode: write octal digits, such as 0660");
    let mode = u32::from_str_radix(text, 8).map_err(|_| wrong())?;
    if mode <= 0o777 { Ok(mode) } else { Err(wrong()) }
}

/// The seed of random numbers.
pub fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("'{text}' is not a seed: write a whole number, 0 or more"))
}

/// A number of retries.
pub fn retries(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("'{text}' is not a number of retries: write 0 or more"))
}

/// An IP address, or `none`.
pub fn source(text: &str) -> Result<Option<IpAddr>, String> {
    unless("none", text, |text| {
        text.parse()
            .map_err(|_| format!("'{text}' is not an IP address: write one, such as 10.0.0.7, or none"))
    })
}

/// How often in a row.
pub fn in_a_row(text: &str) -> Result<u32, String> {
    let times = text.parse().ok().filter(|times| *times > 0);
    times.ok_or_else(|| format!("'{text}' is not a number of times in a row: write 1 or more"))
}

/// A port that can be connected to.
pub fn port(text: &str) -> Result<u16, String> {
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| format!("'{text}' is not a port: write 1 to 65535"))
}

/// The most sessions, or `off`.
pub fn limit(text: &str) -> Result<Option<u64>, String> {
    unless("off", text, |text| match text.parse() {
        Ok(0) => Err("a limit of 0 would let nobody in: use 1 or more, or off".into()),
        Ok(limit) => Ok(limit),
        Err(_) => Err(format!("'{text}' is not a limit: write 1 or more, or off")),
    })
}

/// Writes what [`limit`] reads.
pub fn show_limit(limit: Option<u64>) -> String {
    or("off", limit.as_ref(), ToString::to_string)
}

/// How many may wait.
pub fn queue(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("'{text}' is not the length of a queue: write 0 or more"))
}

/// How many bits of an IPv6 address make a source.
pub fn v6_prefix(text: &str) -> Result<u8, String> {
    let prefix = text.parse().ok().filter(|prefix| (1..=128).contains(prefix));
    prefix.ok_or_else(|| format!("'{text}' is not the length of an IPv6 prefix: write 1 to 128"))
}

/// The address of a DNS server, or `system`.
pub fn resolver(text: &str) -> Result<Option<SocketAddr>, String> {
    unless("system", text, |text| {
        let with_port = text.parse::<SocketAddr>().ok().filter(|address| address.port() != 0);
        let address = with_port.or_else(|| text.parse::<IpAddr>().ok().map(|ip| (ip, 53).into()));
        address.ok_or_else(|| {
            format!(
                "'{text}' is not the address of a DNS server: write IP:PORT, such as 127.0.0.1:53, or system"
            )
        })
    })
}

/// What is between the commas; nothing, where that is `none`.
pub fn items(text: &str) -> impl Iterator<Item = &str> {
    let text = (text != "none").then_some(text);
    text.into_iter().flat_map(|text| text.split(',').map(str::trim))
}

/// A list, or `none`.
pub fn list<T: FromStr<Err = String>>(text: &str) -> Result<Vec<T>, String> {
    items(text).map(str::parse::<T>).collect()
}

/// Writes what [`list`] reads.
pub fn show_list<T: ToString>(list: &[T]) -> String {
    if list.is_empty() {
        return "none".into();
    }
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// The name of a service, which reports and ledgers have between blanks.
pub fn name(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_alphanumeric() || ['-', '_', '.'].contains(&c);
    if (1..=NAME_MAX).contains(&text.chars().count()) && text.chars().all(is_plain) {
        return Ok(text.to_owned());
    }
    Err(format!("'{text}' is not a name: write up to {NAME_MAX} letters, digits, -, _ and ."))
}

const NAME_MAX: usize = 64;
