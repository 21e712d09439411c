//! What is said on stderr while it runs: notes, details, what is wrong, and events for whoever reads lines of
//! JSON.
//!
//! Text is for people: `note: …`, `info: …`, `evenkeel: …`. With `--log-format json` each is an object on a line of
//! its own, `{"time":…,"level":"note","message":…}`, and so is an event, `{"time":…,"event":"ready",…}`, which
//! text has in a form of its own. Saying never blocks, and nobody reading is no error.

use std::time::SystemTime;

use serde_json::{Map, Value};

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
            say(&object("event", event, fields));
        }
    }

    fn line(self, level: &str, prefix: &str, message: &str) {
        match self.format {
            LogFormat::Text => say(&format!("{prefix}: {}", message.replace(char::is_control, "?"))),
            LogFormat::Json => say(&object("level", level, serde_json::json!({ "message": message }))),
        }
    }
}

/// One line: the time, what kind of line it is, and the rest.
fn object(key: &str, value: &str, fields: Value) -> String {
    let mut line = Map::new();
    line.insert("time".into(), rfc3339(SystemTime::now()).into());
    line.insert(key.into(), value.into());
    if let Value::Object(fields) = fields {
        line.extend(fields);
    }
    Value::Object(line).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_json_is_one_object() {
        let line = object("level", "note", serde_json::json!({ "message": "two\nlines" }));
        assert!(!line.contains('\n'));
        let line: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((line["level"].as_str(), line["message"].as_str()), (Some("note"), Some("two\nlines")));
        assert!(line["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
    }
}
