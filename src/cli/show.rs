//! `evenkeel report`: a saved report, shown again; several, added up; or two, side by side.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::usage::Refusal;
use crate::{
    control::{
        output::{self, Format, print_text},
        run::Failure,
    },
    measure::{Report, report::compare::Diff},
    sys,
};

/// What is to be shown, and how.
#[derive(Debug)]
pub struct Shown {
    /// Saved reports, `-` being stdin; more than one are merged.
    pub files: Vec<PathBuf>,
    /// The form.
    pub form: Form,
    /// Two, side by side.
    pub diff: bool,
}

/// In which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// For programs: one line.
    Json,
    /// A page for people.
    Html,
}

/// Shows what was asked for.
///
/// # Errors
/// A sentence: why it can't be read, is no report, can't be merged or compared, or can't be shown.
pub fn show(Shown { files, form, diff }: &Shown) -> Result<(), Refusal> {
    if files.iter().filter(|path| path.as_os_str() == "-").count() > 1 {
        return Err(Failure::Start("stdin (-) can be read only once: name it once".into()).into());
    }
    let reports: Vec<(String, Report)> = files.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    if *diff { compare(&reports, *form) } else { merge(&reports, *form) }
}

fn merge(reports: &[(String, Report)], form: Form) -> Result<(), Refusal> {
    let report = Report::merge(reports).map_err(Failure::Start)?;
    let shown = match form {
        Form::Text => output::print(&report, Format::Text),
        Form::Json => output::print(&report, Format::Json),
        Form::Html => print_text("the page", &report.to_html()),
    };
    Ok(shown.map_err(Failure::Run)?)
}

fn compare(reports: &[(String, Report)], form: Form) -> Result<(), Refusal> {
    let [(a_name, a), (b_name, b)] = reports else {
        return Err(Refusal::Usage(format!("--diff compares two reports, not {}", reports.len())));
    };
    let diff = Diff::new((a_name, a), (b_name, b));
    let text = match form {
        Form::Text => output::in_columns(&io::stdout(), |width, colour| diff.to_text(width, colour)),
        Form::Json => diff.to_json_line() + "\n",
        Form::Html => {
            return Err(Refusal::Usage("--diff has no page: use --format text or json".into()));
        }
    };
    Ok(print_text("the comparison", &text).map_err(Failure::Run)?)
}

/// The last report of a file, and what the file is called.
fn read(path: &Path) -> Result<(String, Report), Refusal> {
    let (name, text) = match path.to_str() {
        Some("-") => ("stdin".into(), io::read_to_string(io::stdin())),
        _ => (path.display().to_string(), fs::read_to_string(path)),
    };
    let text = text.map_err(|error| {
        Failure::Start(format!("cannot read {name}: {}; name a saved report", sys::reason(&error)))
    })?;
    match Report::last_of(&text) {
        Ok(report) => Ok((name, report)),
        Err(reason) => Err(Failure::Start(format!("{name} is not a report: {reason}")).into()),
    }
}
