//! A scenario's file: TOML, read to the last key; a mistake is shown where it is, with what may have been meant.

use std::{fs, ops::Range, path::Path};

use evenkeel::cli::file::{
    mistake::Mistake,
    table::{self, Entry, Known},
};
use toml::de::DeTable;

use super::{
    Beside, Claim, Client, ClientKind, Disturb, Group, Scenario, Server, ServerKind, Stall, Stop, Sweep,
    Variant,
    values::{self, Read},
};
use crate::{figures, mode::Mode};

const TOP: &[&str] = &[
    "reveals",
    "source",
    "group",
    "modes",
    "figures",
    "rounds_max",
    "server",
    "client",
    "beside",
    "variant",
    "sweep",
    "disturb",
    "claim",
];
const SERVER: &[&str] = &["kind", "workers", "pin", "flags", "upstreams", "upstream_flags"];
const CLIENT: &[&str] = &["kind", "flags", "warmup", "duration", "takes"];
const BESIDE: &[&str] = &["name", "flags"];
const VARIANT: &[&str] = &["name", "server", "client", "namespace"];
const SWEEP: &[&str] = &["flag", "values"];
const DISTURB: &[&str] = &["stop", "stall", "burn"];
const STOP: &[&str] = &["after", "for"];
const STALL: &[&str] = &["worker", "every", "for"];
const BURN: &[&str] = &["cores"];
const CLAIM: &[&str] = &["says", "figure", "of", "over", "at_least", "at_most"];

/// Flags that the lab gives itself: the first group to servers, the second to clients.
const SERVER_OWN: &[&str] = &[
    "--listen",
    "--report",
    "--greet",
    "--seed",
    "--workers",
    "--cores",
    "--no-pin",
    "--accept",
    "--trigger",
    "--listen-trigger",
    "--upstream",
];
/// Those of the clients beside the measured one; they last until it is done, unless they are told otherwise.
const BESIDE_OWN: &[&str] = &["--json", "--greet", "--seed", "--hlog"];
const CLIENT_OWN: &[&str] = &["--json", "--greet", "--seed", "--warmup", "--duration", "--hlog"];

/// The longest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;
const WORKERS_MAX: usize = 256;
const UPSTREAMS_MAX: usize = 64;
const ROUNDS_MAX: usize = 1_000;
const STEPS_MAX: usize = 64;

/// Reads a file; the scenario is called as it is, without `.toml`.
///
/// # Errors
/// A sentence, or a few lines that show the mistake.
pub fn open(path: &Path) -> Result<Scenario, String> {
    let shown = path.display();
    let text = match fs::metadata(path) {
        Ok(file) if file.len() > FILE_BYTES_MAX => return Err(format!("{shown} is longer than 1 MiB")),
        _ => fs::read_to_string(path).map_err(|error| format!("cannot read {shown}: {error}"))?,
    };
    let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    if !values::is_name(&name) {
        return Err(format!("{shown}: a scenario is called as its file: use letters, digits and dashes"));
    }
    read(&name, &text).map_err(|mistake| show(&mistake, &shown.to_string(), &text))
}

/// Reads a text that is called `name`.
///
/// # Errors
/// A few lines that show the mistake.
pub fn parse(name: &str, text: &str) -> Result<Scenario, String> {
    read(name, text).map_err(|mistake| show(&mistake, &format!("{name}.toml"), text))
}

/// Without the program's name, which whoever prints it puts in front.
fn show(mistake: &Mistake, file: &str, text: &str) -> String {
    let shown = mistake.show(file, text);
    shown.strip_prefix("evenkeel: ").unwrap_or(&shown).to_owned()
}

fn read(name: &str, text: &str) -> Result<Scenario, Mistake> {
    let document = DeTable::parse(text).map_err(|error| Mistake::of_syntax(&error))?;
    let mut scenario = Scenario {
        name: name.to_owned(),
        reveals: String::new(),
        source: String::new(),
        group: Group::Load,
        modes: Vec::new(),
        figures: Vec::new(),
        rounds_max: None,
        server: Server {
            kind: ServerKind::Echo,
            workers: 0,
            pin: false,
            flags: Vec::new(),
            upstreams: 0,
            upstream_flags: Vec::new(),
        },
        client: Client {
            kind: ClientKind::Load,
            flags: Vec::new(),
            warmup: None,
            duration: None,
            takes: None,
        },
        beside: Vec::new(),
        variants: Vec::new(),
        sweep: None,
        disturb: Disturb::default(),
        claims: Vec::new(),
    };
    let mut there = Vec::new();
    // What refers to modes and variants is checked when all of them are known, where it stands.
    let entries = table::entries(document.get_ref());
    for entry in &entries {
        there.push(entry.key);
        top(entry, &mut scenario)?;
    }
    for key in ["reveals", "source", "group", "modes", "figures", "server", "client"] {
        if !there.contains(&key) {
            let example =
                if ["server", "client"].contains(&key) { format!("[{key}]") } else { format!("{key} = …") };
            return Err(missing(0..0, "scenario", key, &example));
        }
    }
    entries.iter().try_for_each(|entry| cross_check(entry, &scenario))?;
    Ok(scenario)
}

fn top(entry: &Entry<'_>, scenario: &mut Scenario) -> Read {
    match entry.key {
        "reveals" => scenario.reveals = values::text(entry)?,
        "source" => scenario.source = values::text(entry)?,
        "group" => scenario.group = values::one_of(entry, "a group", &Group::NAMES)?,
        "modes" => scenario.modes = values::list(entry, mode)?,
        "figures" => scenario.figures = values::list(entry, figure)?,
        "rounds_max" => scenario.rounds_max = Some(values::count(entry, ROUNDS_MAX)?),
        "server" => server(entry, &mut scenario.server)?,
        "client" => client(entry, &mut scenario.client)?,
        "beside" => scenario.beside = values::tables(entry, beside)?,
        "variant" => scenario.variants = values::tables(entry, variant)?,
        "sweep" => scenario.sweep = Some(sweep(entry)?),
        "disturb" => disturb(entry, &mut scenario.disturb)?,
        "claim" => scenario.claims = values::tables(entry, claim)?,
        _ => return Err(values::unknown(entry, TOP)),
    }
    Ok(())
}

fn mode(entry: &Entry<'_>) -> Result<Mode, Mistake> {
    entry.string()?.parse().map_err(|why: String| entry.wrong(why))
}

fn figure(entry: &Entry<'_>) -> Result<String, Mistake> {
    let name = entry.string()?;
    if figures::NAMES.contains(&name) {
        return Ok(name.to_owned());
    }
    let mistake = entry.wrong(format!("'{}' is not a figure of a trial", values::cut(name)));
    let meant = values::meant(name, figures::NAMES).map(|meant| format!("did you mean '{meant}'?"));
    Err(mistake.with_help(meant.unwrap_or_else(|| format!("use {}", figures::NAMES.join(", ")))))
}

fn server(table: &Entry<'_>, server: &mut Server) -> Read {
    fields(table, SERVER, |entry| {
        match entry.key {
            "kind" => server.kind = values::one_of(entry, "a kind of server", &ServerKind::NAMES)?,
            "workers" => server.workers = values::count(entry, WORKERS_MAX)?,
            "pin" => server.pin = values::switch(entry)?,
            "flags" => server.flags = values::flags(entry, SERVER_OWN)?,
            "upstreams" => server.upstreams = values::count(entry, UPSTREAMS_MAX)?,
            _ => server.upstream_flags = values::flags(entry, SERVER_OWN)?,
        }
        Ok(())
    })?;
    if server.workers == 0 {
        return Err(missing(table.value.span(), "server", "workers", "workers = 4"));
    }
    match (server.kind, server.upstreams) {
        (ServerKind::Proxy, 0) => Err(missing(table.value.span(), "proxy", "upstreams", "upstreams = 2")),
        (ServerKind::Echo | ServerKind::LeaveJoin, 1..) => {
            Err(table.wrong("only a proxy has upstreams").with_help("add kind = \"proxy\"".to_owned()))
        }
        _ => Ok(()),
    }
}

fn client(table: &Entry<'_>, client: &mut Client) -> Read {
    fields(table, CLIENT, |entry| {
        match entry.key {
            "kind" => client.kind = values::one_of(entry, "a kind of client", &ClientKind::NAMES)?,
            "flags" => client.flags = values::flags(entry, CLIENT_OWN)?,
            "warmup" => client.warmup = Some(values::time(entry)?),
            "duration" => client.duration = Some(values::time(entry)?),
            _ => client.takes = Some(values::time(entry)?),
        }
        Ok(())
    })
}

fn beside(table: &Entry<'_>) -> Result<Beside, Mistake> {
    let (mut name, mut flags) = (None, Vec::new());
    fields(table, BESIDE, |entry| {
        match entry.key {
            "name" => name = Some(values::name(entry)?),
            _ => flags = values::flags(entry, BESIDE_OWN)?,
        }
        Ok(())
    })?;
    let name = name.ok_or_else(|| missing(table.value.span(), "client", "name", "name = \"hog\""))?;
    Ok(Beside { name, flags })
}

fn variant(table: &Entry<'_>) -> Result<Variant, Mistake> {
    let (mut name, mut server, mut client, mut namespace) = (None, Vec::new(), Vec::new(), false);
    fields(table, VARIANT, |entry| {
        match entry.key {
            "name" => name = Some(values::name(entry)?),
            "server" => server = values::flags(entry, SERVER_OWN)?,
            "namespace" => namespace = values::switch(entry)?,
            _ => client = values::flags(entry, CLIENT_OWN)?,
        }
        Ok(())
    })?;
    let name = name.ok_or_else(|| missing(table.value.span(), "variant", "name", "name = \"wide\""))?;
    Ok(Variant { name, server, client, namespace })
}

fn sweep(table: &Entry<'_>) -> Result<Sweep, Mistake> {
    let (mut flag, mut steps) = (None, Vec::new());
    fields(table, SWEEP, |entry| {
        match entry.key {
            "flag" => flag = Some(values::flag(entry, CLIENT_OWN)?),
            _ => steps = values::list(entry, values::number)?,
        }
        Ok(())
    })?;
    match flag {
        None => Err(missing(table.value.span(), "sweep", "flag", "flag = \"--rate\"")),
        Some(_) if steps.is_empty() => {
            Err(missing(table.value.span(), "sweep", "values", "values = [500, 1000]"))
        }
        Some(_) if steps.len() > STEPS_MAX => {
            Err(table.wrong(format!("too many values: a sweep has at most {STEPS_MAX}")))
        }
        Some(flag) => Ok(Sweep { flag, values: steps }),
    }
}

fn disturb(table: &Entry<'_>, disturb: &mut Disturb) -> Read {
    fields(table, DISTURB, |entry| {
        match entry.key {
            "stop" => disturb.stop = Some(stop(entry)?),
            "stall" => disturb.stall = Some(stall(entry)?),
            _ => fields(entry, BURN, |cores| {
                disturb.burn = values::list(cores, |core| values::whole(core, 0, 4_095))?;
                Ok(())
            })?,
        }
        Ok(())
    })
}

fn stop(table: &Entry<'_>) -> Result<Stop, Mistake> {
    let (mut after, mut length) = (None, None);
    fields(table, STOP, |entry| {
        let time = Some(values::time(entry)?);
        if entry.key == "after" {
            after = time
        } else {
            length = time
        }
        Ok(())
    })?;
    let missing = |key| missing(table.value.span(), "stop", key, &format!("{key} = \"1s\""));
    Ok(Stop { after: after.ok_or_else(|| missing("after"))?, length: length.ok_or_else(|| missing("for"))? })
}

fn stall(table: &Entry<'_>) -> Result<Stall, Mistake> {
    let (mut worker, mut every, mut length) = (None, None, None);
    fields(table, STALL, |entry| {
        match entry.key {
            "worker" => worker = Some(values::whole(entry, 0, WORKERS_MAX - 1)?),
            "every" => every = Some(values::time(entry)?),
            _ => length = Some(values::time(entry)?),
        }
        Ok(())
    })?;
    let missing = |key, example: &str| missing(table.value.span(), "stall", key, example);
    let every = every.ok_or_else(|| missing("every", "every = \"1s\""))?;
    let length = length.ok_or_else(|| missing("for", "for = \"200ms\""))?;
    if length >= every {
        return Err(table.wrong("the worker would never run: 'for' has to be shorter than 'every'"));
    }
    Ok(Stall { worker: worker.ok_or_else(|| missing("worker", "worker = 0"))?, every, length })
}

fn claim(table: &Entry<'_>) -> Result<Claim, Mistake> {
    let mut claim = Claim {
        says: String::new(),
        figure: String::new(),
        of: String::new(),
        over: None,
        at_least: None,
        at_most: None,
    };
    fields(table, CLAIM, |entry| {
        match entry.key {
            "says" => claim.says = values::text(entry)?,
            "figure" => claim.figure = figure(entry)?,
            "of" => claim.of = mode(entry)?.to_string(),
            "over" => claim.over = Some(mode(entry)?.to_string()),
            "at_least" => claim.at_least = Some(values::number(entry)?),
            _ => claim.at_most = Some(values::number(entry)?),
        }
        Ok(())
    })?;
    let at = || table.value.span();
    for (key, is_there) in
        [("says", !claim.says.is_empty()), ("figure", !claim.figure.is_empty()), ("of", !claim.of.is_empty())]
    {
        if !is_there {
            return Err(missing(at(), "claim", key, &format!("{key} = \"…\"")));
        }
    }
    match (claim.at_least, claim.at_most) {
        (None, None) => Err(missing(at(), "claim", "at_least or at_most", "at_least = 2.5")),
        (Some(low), Some(high)) if low > high => {
            Err(table.wrong("nothing could hold: 'at_least' is above 'at_most'"))
        }
        _ => Ok(claim),
    }
}

/// Every entry of a table, once it is known that the table has such a key.
fn fields<'a>(
    table: &Entry<'a>,
    keys: &'static [&'static str],
    mut read: impl FnMut(&Entry<'a>) -> Read,
) -> Read {
    table.read_table(|entry| {
        if !keys.contains(&entry.key) {
            return Err(values::unknown(entry, keys));
        }
        read(entry).map(|()| Known::Yes)
    })
}

/// What takes more than one entry to know.
fn cross_check(entry: &Entry<'_>, scenario: &Scenario) -> Read {
    match entry.key {
        "modes" => {
            let mut seen = Vec::new();
            entry.elements().iter().try_for_each(|element| check_mode(element, scenario, &mut seen))
        }
        "claim" => entry.elements().iter().try_for_each(|claim| {
            fields(claim, CLAIM, |entry| match entry.key {
                "of" | "over" => check_claimed(entry, scenario),
                _ => Ok(()),
            })
        }),
        "client" if scenario.client.duration.is_none() && scenario.client.warmup.is_some() => Err(entry
            .wrong("'warmup' without 'duration' measures nothing")
            .with_help("add duration = \"3s\"".to_owned())),
        "disturb" => match scenario.disturb.stall {
            Some(stall) if stall.worker >= scenario.server.workers => {
                let (worker, workers) = (stall.worker, scenario.server.workers);
                Err(entry.wrong(format!("there is no worker {worker}: {workers} workers count from 0")))
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn check_mode(entry: &Entry<'_>, scenario: &Scenario, seen: &mut Vec<Mode>) -> Read {
    let mode = mode(entry)?;
    if let Some(name) = &mode.variant
        && scenario.variant(Some(name)).is_none()
    {
        let help = format!("add [[variant]] with name = \"{name}\"");
        return Err(entry.wrong(format!("there is no variant '{name}'")).with_help(help));
    }
    if seen.contains(&mode) {
        return Err(entry.wrong(format!("{mode} is listed twice")));
    }
    seen.push(mode);
    Ok(())
}

fn check_claimed(entry: &Entry<'_>, scenario: &Scenario) -> Read {
    let claimed = mode(entry)?;
    if scenario.modes.contains(&claimed) {
        return Ok(());
    }
    let modes: Vec<_> = scenario.modes.iter().map(Mode::to_string).collect();
    let mistake = entry.wrong(format!("{claimed} is none of this scenario's modes"));
    Err(mistake.with_help(format!("use {}, or add it to 'modes'", modes.join(", "))))
}

fn missing(at: Range<usize>, what: &str, key: &str, example: &str) -> Mistake {
    Mistake::at(at, format!("this {what} has no '{key}'")).with_help(format!("add {example}"))
}

#[cfg(test)]
mod tests;
