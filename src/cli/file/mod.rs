//! The configuration file: TOML, read to the last key.
//!
//! [`read`] gives what a file asks for, or says where it makes no sense. A value is read by the setting that a flag
//! of the same name has (see [`super::settings`]), so it is refused with the same words; whatever breaks a rule
//! that spans several values is told at the one that comes last.

pub mod mistake;
mod place;
mod route;
pub mod service;
pub mod suggest;
pub mod table;
mod upstream;

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use toml::de::DeTable;

use self::{mistake::Mistake, service::Services};
use super::{
    draft::Draft,
    settings::{
        report::{REPORT, Reporting},
        runtime::RUNTIME,
    },
    usage::Refusal,
};
use crate::{
    control::{Setup, run::Failure},
    sys,
};

/// The longest file that is read. One that somebody wrote is a thousand times shorter.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What a file asks for, checked as a whole.
///
/// # Errors
/// As [`read`], and for what does not go together.
pub fn setup(path: &Path) -> Result<Setup, Refusal> {
    let setup = read(path)?.finish();
    Ok(setup.map_err(|why| Failure::Start(format!("{}: {why}", path.display())))?)
}

/// What a file asks for.
///
/// # Errors
/// Why it can't be read, or where it makes no sense.
pub fn read(path: &Path) -> Result<Draft, Refusal> {
    let name = path.display().to_string();
    let text = text(path)
        .map_err(|why| Failure::Start(format!("cannot read {name}: {why}; name a configuration file")))?;
    parse(&text).map_err(|mistake| Refusal::File(mistake.show(&name, &text)))
}

/// Why what a file asks for can't be done, shown at the place in it that the sentence is about, if there is one.
pub fn located(path: &Path, why: &str) -> Option<String> {
    let text = text(path).ok()?;
    Some(place::find(&text, why)?.show(&path.display().to_string(), &text))
}

/// What a text asks for.
///
/// # Errors
/// The first mistake in it.
pub fn parse(text: &str) -> Result<Draft, Mistake> {
    let document = DeTable::parse(text).map_err(|error| Mistake::of_syntax(&error))?;
    let mut draft = Draft::new(Reporting::new(None), Vec::new());
    let mut services = Services::default();
    for entry in table::entries(document.get_ref()) {
        match entry.key {
            "runtime" => {
                let options = &mut draft.options;
                entry.read_table(|entry| entry.set_one_of(RUNTIME, options, |options| options.validate()))?;
            }
            "report" => {
                let reporting = &mut draft.reporting;
                let check = |reporting: &Reporting| reporting.stdout().map(drop);
                entry.read_table(|entry| entry.set_one_of(REPORT, reporting, check))?;
            }
            "service" => services.read(&entry)?,
            _ => return Err(entry.unknown(&["runtime", "report", "service"])),
        }
    }
    draft.services = services.finish().ok_or_else(|| Mistake::nothing_to_serve(text))?;
    Ok(draft)
}

fn text(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|error: io::Error| sys::reason(&error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err("it is longer than 1 MiB".into());
    }
    String::from_utf8(bytes).map_err(|error| {
        let line =
            error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|&&b| b == b'\n').count() + 1;
        format!("line {line} is not UTF-8")
    })
}

#[cfg(test)]
mod tests;
