//! `[report]`, and its flags: when it stops by itself, what it says of itself, and where to.

use std::{path::PathBuf, time::Duration};

use super::{
    Setting,
    Takes::{Path, Text},
    values::{self, put},
};
use crate::{
    config::{LogFormat, LogTarget},
    control::output::Format,
};

/// What is said of a run.
#[derive(Clone, Debug)]
pub struct Reporting {
    /// It stops by itself after this time.
    pub duration: Option<Duration>,
    /// The report on stdout.
    pub report: Option<Format>,
    /// Whether `report` is somebody's wish.
    pub is_report_wanted: bool,
    /// The file that each report replaces.
    pub report_file: Option<PathBuf>,
    /// The time between reports.
    pub report_every: Option<Duration>,
    /// Where histograms over time go.
    pub hlog: Option<PathBuf>,
    /// Where the close ledger goes.
    pub access_log: Option<LogTarget>,
    /// How its lines, and those on stderr, are written.
    pub log_format: LogFormat,
}

impl Reporting {
    /// Nothing but the report at the end, or not even that.
    pub fn new(report: Option<Format>) -> Self {
        Self {
            duration: None,
            report,
            is_report_wanted: false,
            report_file: None,
            report_every: None,
            hlog: None,
            access_log: None,
            log_format: LogFormat::Text,
        }
    }

    /// The report on stdout, where no ledger goes there.
    ///
    /// # Errors
    /// A sentence, where both are wanted.
    pub fn stdout(&self) -> Result<Option<Format>, String> {
        match (&self.access_log, self.report) {
            (Some(LogTarget::Stdout), Some(format)) if self.is_report_wanted => {
                let format = name(Some(format));
                Err(format!(
                    "stdout cannot carry both the access log (-) and the {format} report: give one a file"
                ))
            }
            (Some(LogTarget::Stdout), _) => Ok(None),
            (_, report) => Ok(report),
        }
    }
}

/// Every setting of a [`Reporting`].
pub const REPORT: &[Setting<Reporting>] = &[
    Setting {
        flag: "duration",
        key: "duration",
        takes: Text("DURATION|off"),
        help: "Stop by itself after this time",
        set: |reporting, text| put(&mut reporting.duration, values::time_or_off(text)),
        show: |reporting| values::show_time_or_off(reporting.duration),
    },
    Setting {
        flag: "report",
        key: "report",
        takes: Text("FORMAT"),
        help: "The report on stdout: text, json, none",
        set: |reporting, text| {
            reporting.is_report_wanted = true;
            put(&mut reporting.report, format(text))
        },
        show: |reporting| name(reporting.report).into(),
    },
    Setting {
        flag: "report-file",
        key: "report_file",
        takes: Path("PATH|off"),
        help: "Write each report to this file too, replacing it in one step (as JSON with --report none)",
        set: |reporting, text| put(&mut reporting.report_file, values::unless("off", text, path)),
        show: |reporting| {
            values::or("off", reporting.report_file.as_ref(), |path| path.display().to_string())
        },
    },
    Setting {
        flag: "report-every",
        key: "report_every",
        takes: Text("DURATION|off"),
        help: "Report each time this has passed; each report counts from the start",
        set: |reporting, text| put(&mut reporting.report_every, values::time_or_off(text)),
        show: |reporting| values::show_time_or_off(reporting.report_every),
    },
    Setting {
        flag: "hlog",
        key: "hlog",
        takes: Path("PATH|off"),
        help: "Write each histogram, of all and of each worker, to this file every second (an HdrHistogram .hlog)",
        set: |reporting, text| put(&mut reporting.hlog, values::unless("off", text, hlog)),
        show: |reporting| values::or("off", reporting.hlog.as_ref(), |path| path.display().to_string()),
    },
    Setting {
        flag: "access-log",
        key: "access_log",
        takes: Path("PATH|-|off"),
        help: "Where the close ledger goes, a line for each session of a proxy; - is stdout, and then without a report",
        set: |reporting, text| put(&mut reporting.access_log, values::unless("off", text, target)),
        show: |reporting| values::or("off", reporting.access_log.as_ref(), ToString::to_string),
    },
    Setting {
        flag: "log-format",
        key: "log_format",
        takes: Text("FORMAT"),
        help: "How the ledger's lines and those on stderr are written: text, json",
        set: |reporting, text| put(&mut reporting.log_format, text.parse()),
        show: |reporting| reporting.log_format.to_string(),
    },
];

fn format(text: &str) -> Result<Option<Format>, String> {
    match text {
        "text" => Ok(Some(Format::Text)),
        "json" => Ok(Some(Format::Json)),
        "none" => Ok(None),
        _ => Err(format!("'{text}' is none of text, json, none")),
    }
}

fn name(format: Option<Format>) -> &'static str {
    match format {
        Some(Format::Text) => "text",
        Some(Format::Json) => "json",
        None => "none",
    }
}

fn target(text: &str) -> Result<LogTarget, String> {
    if text == "-" { Ok(LogTarget::Stdout) } else { path(text).map(LogTarget::File) }
}

fn hlog(text: &str) -> Result<PathBuf, String> {
    if text == "-" { Err("stdout carries reports: name a file, or off".into()) } else { path(text) }
}

fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("a path with nothing in it names no file".into()) } else { Ok(text.into()) }
}
