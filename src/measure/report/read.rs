//! Reads saved reports, and says in words why something isn't one.

use serde::de::IgnoredAny;
use serde_json::Value;

use super::Report;

impl Report {
    /// The report that `text` is, from this version of evenkeel or any other of the same schema.
    ///
    /// # Errors
    /// A sentence: no JSON (and where it breaks), JSON but no report, or one of a schema that came later.
    pub fn from_json(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("there is nothing in it: a report is one line of JSON".into());
        }
        let value: Value = serde_json::from_str(text).map_err(|error| not_json(&error))?;
        check_schema(&value)?;
        // From the text again and not from the value: only so an error tells line and column.
        serde_json::from_str(text).map_err(|error| format!("a damaged {}: {error}", Self::SCHEMA))
    }

    /// The last report of `text`, which may hold several (`--report-every` writes one a line). Reports are
    /// cumulative, so the last tells all; where there were others, its notes say so.
    ///
    /// # Errors
    /// As [`Report::from_json`]; an earlier report that is no JSON counts, because it says that the file is
    /// damaged.
    pub fn last_of(text: &str) -> Result<Self, String> {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
        let (mut reports, mut last_start, mut end) = (0, 0, 0);
        while let Some(value) = values.next() {
            value.map_err(|error| not_json(&error))?;
            (reports, last_start, end) = (reports + 1, end, values.byte_offset());
        }
        let mut report = Self::from_json(&text[last_start..end])?;
        if reports > 1 {
            report.notes.push(format!("This is the last of {reports} reports; each counts from the start."));
        }
        Ok(report)
    }
}

fn not_json(error: &serde_json::Error) -> String {
    format!("not JSON: {error}; a report for people cannot be read back, save one with --report json")
}

/// `evenkeel-report/N` with an N that this version knows.
fn check_schema(value: &Value) -> Result<(), String> {
    let Some(schema) = value.get("schema").and_then(Value::as_str) else {
        return Err(format!(
            "JSON, but no evenkeel report: it has no \"schema\": \"{}\"; save one with --report json",
            Report::SCHEMA
        ));
    };
    match schema.strip_prefix("evenkeel-report/").map(str::parse::<u32>) {
        _ if schema == Report::SCHEMA => Ok(()),
        Some(Ok(2..)) => Err(format!(
            "a report of schema {schema}, from a newer evenkeel; this one reads {}: use the version that \
             wrote it, or a later one",
            Report::SCHEMA
        )),
        _ => Err(format!(
            "JSON, but no evenkeel report: its schema is {schema:?}, and that of a report is {}",
            Report::SCHEMA
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::measure::report::samples;

    #[test]
    fn a_saved_report_is_read_back_as_it_was() {
        for report in
            [samples::private(), samples::exclusive(), samples::empty(), samples::dealt(), samples::proxy()]
        {
            assert_eq!(Report::from_json(&report.to_json_line()), Ok(report.clone()));
            let pretty = serde_json::to_string_pretty(&report).unwrap();
            assert_eq!(Report::last_of(&pretty), Ok(report));
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        for (text, said) in [
            ("", "nothing in it"),
            (" \n", "nothing in it"),
            ("hello", "not JSON: expected value at line 1 column 1"),
            ("{\n\"schema\":", "not JSON: EOF while parsing a value at line 2 column 9"),
            ("[1]", "JSON, but no evenkeel report: it has no \"schema\""),
            ("{\"schema\":1}", "it has no \"schema\""),
            ("{\"schema\":\"evenkeel-load/1\"}", "its schema is \"evenkeel-load/1\""),
            ("{\"schema\":\"evenkeel-report/x\"}", "its schema is \"evenkeel-report/x\""),
            ("{\"schema\":\"evenkeel-report/2\"}", "from a newer evenkeel"),
            ("{\"schema\":\"evenkeel-report/1\",\"workers\":7}", "damaged evenkeel-report/1: invalid type"),
        ] {
            for message in [Report::from_json(text).unwrap_err(), Report::last_of(text).unwrap_err()] {
                assert!(message.contains(said), "{text:?}: {message}");
                assert!(!message.contains('\n'), "{message}");
            }
        }
    }

    #[test]
    fn unknown_fields_are_ignored_and_missing_ones_have_defaults() {
        let text = r#"{"schema":"evenkeel-report/1","tomorrow":{"a":1},"totals":{"accepted":3,"later":1},
            "balance":{"accepted":{"per_worker":[3],"by_chance":null},"active_avg":{}},
            "ends":{"CD":2,"later":1},"upstreams":[{"address":"a:1","active":1,"novel":{},"ends":{"uW":1,"ZZ":3}}],
            "workers":[{"worker":0,"core":null,"accepted":3,"later":1,"errors":{"reset":1,"novel":2}}]}"#;
        let report = Report::from_json(text).unwrap();
        assert_eq!((report.totals.accepted, report.workers[0].counts.accepted), (3, 3));
        assert_eq!(report.workers[0].counts.errors.reset, 1);
        let upstream = &report.upstreams[0];
        assert_eq!((report.ends.total(), upstream.counts.ends.total(), upstream.counts.active), (3, 4, 1));
        assert_eq!((report.balance.accepted.jain, report.balance.active_avg.max_over_mean), (1.0, 1.0));
    }

    #[test]
    fn of_several_reports_the_last_is_taken_and_says_so() {
        let (first, last) = (samples::empty(), samples::private());
        let text = format!("{}\n{}\n", first.to_json_line(), last.to_json_line());
        let read = Report::last_of(&text).unwrap();
        assert_eq!(read.totals, last.totals);
        assert!(read.notes.last().unwrap().contains("last of 2 reports"));
        let cut = &text[..text.len() - 20];
        assert!(Report::last_of(cut).unwrap_err().starts_with("not JSON: EOF while parsing"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            let _ = (Report::from_json(&text), Report::last_of(&text));
        }

        #[test]
        fn no_change_of_a_byte_makes_it_panic(at in 0_usize..4_000, byte in 0x20_u8..0x7f) {
            static LINE: LazyLock<String> = LazyLock::new(|| samples::empty().to_json_line());
            let mut bytes = LINE.clone().into_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            let text = String::from_utf8_lossy(&bytes);
            let _ = (Report::from_json(&text), Report::last_of(&text));
        }
    }
}
