//! What is said on stderr while it runs: notes, details, what is wrong, and events for whoever reads lines of
//! JSON.
//!
//! Text is for people: `note: …`, `info: …`, `evenkeel: …`. With `--log-format json` each is an object on a line of
//! its own, `{"time":…,"level":"note","message":…}`, and so is an event, `{"time":…,"event":"ready",…}`, which
//! text has in a form of its own. Saying never blocks, and nobody reading is no error.

use std::time::SystemTime;

use serde::Serialize;
use serde_json::{Value, json};

use super::output::say;
use crate::{config::LogFormat, measure::report::date::rfc3339};

/// How a run speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// How lines are written.
    pub format: LogFormat,
    /// Say nothing but events and what is wrong.
    pub quiet: bool,
    /// Say more.
    pub verbose: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, quiet: false, verbose: false }
    }
}

impl Log {
    /// What whoever runs it should know.
    pub fn note(self, message: &str) {
        if !self.quiet {
            self.line("note", "note", message);
        }
    }

    /// What may be of interest.
    pub fn info(self, message: &str) {
        if self.verbose {
            self.line("info", "info", message);
        }
    }

    /// What is wrong.
    pub fn error(self, message: &str) {
        self.line("error", "evenkeel", message);
    }

    /// What programs wait for: an object with these fields, where lines are JSON.
    pub fn event(self, event: &str, fields: Value) {
        if self.format == LogFormat::Json {
            say(&Line { event: Some(event), ..Line::now(fields) }.to_json());
        }
    }

    fn line(self, level: &str, prefix: &str, message: &str) {
        match self.format {
            LogFormat::Text => say(&format!("{prefix}: {}", message.replace(char::is_control, "?"))),
            LogFormat::Json => {
                let fields = json!({ "message": message });
                say(&Line { level: Some(level), ..Line::now(fields) }.to_json());
            }
        }
    }
}

/// A line of JSON, in this order.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    #[serde(flatten)]
    fields: Value,
}

impl Line<'_> {
    fn now(fields: Value) -> Self {
        Self { time: rfc3339(SystemTime::now()), level: None, event: None, fields }
    }

    fn to_json(&self) -> String {
        // Strings and an object of them: there is nothing that JSON has no form for.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_json_is_one_object() {
        let line = Line { level: Some("note"), ..Line::now(json!({ "message": "two\nlines" })) }.to_json();
        assert!(
            line.starts_with("{\"time\":\"2") && line.contains("Z\",\"level\":\"note\",\"message\":"),
            "{line}"
        );
        assert!(!line.contains('\n'));
        let line: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((line["level"].as_str(), line["message"].as_str()), (Some("note"), Some("two\nlines")));
    }
}
