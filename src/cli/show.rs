//! `evenkeel report`: a saved report, shown again.

use std::{fs, io, path::Path};

use super::usage::Refusal;
use crate::{
    control::{
        output::{self, Format},
        run::Failure,
    },
    measure::report::Report,
    sys,
};

/// Shows the last report of a file; `-` is stdin.
///
/// # Errors
/// A sentence: why it can't be read, is no report, or can't be shown.
pub fn show(path: &Path, format: Format) -> Result<(), Refusal> {
    let (path, text) = match path.to_str() {
        Some("-") => ("stdin".into(), io::read_to_string(io::stdin())),
        _ => (path.display().to_string(), fs::read_to_string(path)),
    };
    let text = text.map_err(|error| {
        Failure::Start(format!("cannot read {path}: {}; name a saved report", sys::reason(&error)))
    })?;
    let report = Report::last_of(&text)
        .map_err(|reason| Failure::Start(format!("{path} is not a report: {reason}")))?;
    Ok(output::print(&report, format).map_err(Failure::Run)?)
}
