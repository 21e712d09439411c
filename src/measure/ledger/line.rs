//! An entry as a line: text for people, `grep` and `awk`, JSON for programs. The same fields in the same order,
//! because there is one list of them.
//!
//! A line of text has `name=value` with one blank between: so no value may hold a blank. Blanks and control
//! characters in what others named (a service, the path of a socket) and in errors are written `_`.

use std::fmt::{Arguments, Display, Write as _};

use super::Entry;
use crate::{measure::report::date, sys};

/// What the indexes of entries mean.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Services.
    pub services: Vec<String>,
    /// Listen addresses over all services.
    pub listeners: Vec<String>,
    /// Upstream addresses over all services, by slot; empty where the slot is that of a name, and a session says which
    /// address it had.
    pub upstreams: Vec<String>,
}

/// Appends the line of an entry as text, with a line feed. `wall_offset_ns` is what the monotonic clock lacks to
/// the time since 1970.
pub fn push_text(line: &mut String, entry: &Entry, names: &Names, wall_offset_ns: u64) {
    line.push_str(&date::rfc3339_micros(wall_offset_ns.saturating_add(entry.ended_ns)));
    each_field(entry, names, |name, value| {
        push(line, format_args!(" {}=", name.parts().1));
        value.push_text(line);
    });
    line.push('\n');
}

/// Appends the line of an entry as a JSON object, with a line feed.
pub fn push_json(line: &mut String, entry: &Entry, names: &Names, wall_offset_ns: u64) {
    line.push_str("{\"time\":\"");
    line.push_str(&date::rfc3339_micros(wall_offset_ns.saturating_add(entry.ended_ns)));
    line.push('"');
    each_field(entry, names, |name, value| {
        let (before, name, behind) = name.parts();
        push(line, format_args!(",\"{before}{name}{behind}\":"));
        value.push_json(line);
    });
    line.push_str("}\n");
}

/// A field's name, which in JSON tells its unit.
enum Name {
    /// The same in both.
    Plain(&'static str),
    /// `life` in text, `life_ns` in JSON.
    Time(&'static str),
    /// `in` in text, `bytes_in` in JSON.
    Bytes(&'static str),
}

/// A field's value.
enum Value<'a> {
    Absent,
    Word(&'a str),
    Shown(&'a dyn Display),
    Number(u64),
    Nanos(u64),
}

/// The fields behind the time, in order. `docs/ledger.md` tells what each means.
fn each_field(entry: &Entry, names: &Names, mut field: impl FnMut(Name, Value<'_>)) {
    use Name::{Bytes, Plain, Time};
    let nanos = |time: Option<u64>| time.map_or(Value::Absent, Value::Nanos);
    field(Plain("service"), name_of(&names.services, Some(entry.service.into())));
    field(Plain("worker"), Value::Number(entry.worker.into()));
    field(Plain("session"), Value::Number(entry.session));
    field(Plain("client"), Value::Shown(&entry.client));
    field(Plain("listener"), name_of(&names.listeners, Some(entry.listener.into())));
    field(Plain("upstream"), upstream(entry, names));
    field(Plain("local"), entry.local.as_ref().map_or(Value::Absent, |local| Value::Shown(local)));
    field(Plain("attempts"), Value::Number(entry.attempts.into()));
    field(Time("connect"), nanos(entry.connect_ns));
    field(Time("first_byte"), nanos(entry.first_byte_ns));
    field(Time("life"), Value::Nanos(entry.ended_ns.saturating_sub(entry.opened_ns)));
    field(Bytes("in"), Value::Number(entry.bytes_in));
    field(Bytes("out"), Value::Number(entry.bytes_out));
    field(Bytes("to_upstream"), Value::Number(entry.bytes_to_upstream));
    field(Bytes("from_upstream"), Value::Number(entry.bytes_from_upstream));
    field(Bytes("undelivered"), Value::Number(entry.bytes_undelivered));
    field(Bytes("spliced"), Value::Number(entry.bytes_spliced));
    field(Plain("via"), entry.via.as_ref().map_or(Value::Absent, |via| Value::Shown(via)));
    field(Plain("sni"), entry.sni.as_deref().map_or(Value::Absent, Value::Word));
    field(Time("queued"), nanos(entry.queued_ns));
    field(Plain("end"), Value::Shown(&entry.code));
    field(Plain("by"), Value::Shown(&entry.code.cause.by()));
    field(Plain("how"), Value::Shown(&entry.code.cause.how()));
    field(Plain("phase"), Value::Shown(&entry.code.phase.name()));
    let error = entry.error.map(|error| sys::reason(&error.into()));
    field(Plain("error"), error.as_deref().map_or(Value::Absent, Value::Word));
}

fn upstream<'a>(entry: &'a Entry, names: &'a Names) -> Value<'a> {
    match (name_of(&names.upstreams, entry.upstream), &entry.place) {
        (Value::Word(""), Some(place)) => Value::Shown(place),
        (name, _) => name,
    }
}

fn name_of(names: &[String], index: Option<u32>) -> Value<'_> {
    let name = index.and_then(|index| names.get(index as usize));
    name.map_or(Value::Absent, |name| Value::Word(name))
}

impl Name {
    /// What it is in JSON: before it, itself, behind it.
    fn parts(&self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Plain(name) => ("", name, ""),
            Self::Time(name) => ("", name, "_ns"),
            Self::Bytes(name) => ("bytes_", name, ""),
        }
    }
}

impl Value<'_> {
    fn push_text(&self, line: &mut String) {
        match self {
            Self::Absent | Self::Word("") => line.push('-'),
            Self::Word(word) => line.extend(word.chars().map(visible)),
            Self::Shown(shown) => push(line, format_args!("{shown}")),
            Self::Number(number) => push(line, format_args!("{number}")),
            Self::Nanos(nanos) => {
                let micros = nanos / 1_000;
                push(line, format_args!("{}.{:06}", micros / 1_000_000, micros % 1_000_000));
            }
        }
    }

    fn push_json(&self, line: &mut String) {
        match self {
            Self::Absent => line.push_str("null"),
            Self::Word(word) => push(line, format_args!("{}", serde_json::Value::from(*word))),
            // Addresses, codes and words of ours: nothing in them that JSON would have escaped.
            Self::Shown(shown) => push(line, format_args!("\"{shown}\"")),
            Self::Number(number) | Self::Nanos(number) => push(line, format_args!("{number}")),
        }
    }
}

/// No blank, and nothing that a terminal would obey.
fn visible(c: char) -> char {
    if c.is_whitespace() || c.is_control() { '_' } else { c }
}

fn push(line: &mut String, text: Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = line.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;
    use crate::{
        measure::ledger::{Cause, Code, Phase, samples},
        sys::{Errno, socket::Peer},
    };

    /// So that the sample's end is at a round time.
    const OFFSET_NS: u64 = 1_772_366_400_000_000_000 - 6_500_250_000 + 123_456_000;

    fn text(entry: &Entry, names: &Names) -> String {
        let mut line = String::new();
        push_text(&mut line, entry, names, OFFSET_NS);
        line
    }

    fn json(entry: &Entry, names: &Names) -> String {
        let mut line = String::new();
        push_json(&mut line, entry, names, OFFSET_NS);
        line
    }

    /// Nothing that may be absent is there.
    fn failed() -> Entry {
        Entry {
            client: Peer::Unix,
            upstream: None,
            local: None,
            attempts: 4,
            connect_ns: None,
            first_byte_ns: None,
            code: Code { cause: Cause::NoUpstream, phase: Phase::Connecting },
            error: Some(Errno::CONNREFUSED),
            ..samples::entry()
        }
    }

    #[test]
    fn a_line_of_text() {
        assert_eq!(
            text(&samples::entry(), &samples::names()),
            "2026-03-01T12:00:00.123456Z service=db worker=1 session=42 client=127.0.0.1:40112 \
             listener=127.0.0.1:7000 upstream=127.0.0.1:5433 local=127.0.0.1:51034 attempts=1 connect=0.000180 \
             first_byte=0.002750 life=1.500250 in=512 out=65536 to_upstream=512 from_upstream=65536 \
             undelivered=0 spliced=0 via=- sni=- queued=- end=CD by=client how=fin phase=data error=-\n"
        );
    }

    #[test]
    fn a_line_of_json() {
        assert_eq!(
            json(&samples::entry(), &samples::names()),
            "{\"time\":\"2026-03-01T12:00:00.123456Z\",\"service\":\"db\",\"worker\":1,\"session\":42,\
             \"client\":\"127.0.0.1:40112\",\"listener\":\"127.0.0.1:7000\",\"upstream\":\"127.0.0.1:5433\",\
             \"local\":\"127.0.0.1:51034\",\"attempts\":1,\"connect_ns\":180000,\"first_byte_ns\":2750000,\
             \"life_ns\":1500250000,\"bytes_in\":512,\"bytes_out\":65536,\"bytes_to_upstream\":512,\
             \"bytes_from_upstream\":65536,\"bytes_undelivered\":0,\"bytes_spliced\":0,\"via\":null,\"sni\":null,\
             \"queued_ns\":null,\"end\":\"CD\",\"by\":\"client\",\"how\":\"fin\",\"phase\":\"data\",\"error\":null}\n"
        );
    }

    #[test]
    fn the_manual_explains_each_field_each_letter_and_real_lines() {
        let manual = include_str!("../../../docs/ledger.md");
        let said = |what: String| assert!(manual.contains(&what), "docs/ledger.md lacks {what}");
        let unconnected = Entry {
            session: 43,
            client: samples::entry().client,
            opened_ns: 6_000_000_000,
            ended_ns: 7_204_512_000,
            upstream: Some(1),
            bytes_in: 0,
            bytes_out: 0,
            bytes_to_upstream: 0,
            bytes_from_upstream: 0,
            ..failed()
        };
        let half_closed = Entry {
            worker: 0,
            session: 40,
            attempts: 2,
            ended_ns: 36_200_000_000,
            bytes_out: 49_152,
            bytes_undelivered: 16_384,
            code: Code { cause: Cause::Timeout, phase: Phase::HalfClosed },
            error: Some(Errno::CONNREFUSED),
            ..samples::entry()
        };
        for entry in [samples::entry(), unconnected, half_closed] {
            said(text(&entry, &samples::names()));
        }
        each_field(&samples::entry(), &samples::names(), |name, _| {
            let (before, name, behind) = name.parts();
            said(format!("| `{name}` | `{before}{name}{behind}` |"));
        });
        for cause in Cause::ALL {
            said(format!("| `{}` | {} | `{}` |", cause.letter(), cause.by(), cause.how()));
        }
        for phase in Phase::ALL {
            said(format!("| `{}` | {} |", phase.letter(), phase.name()));
        }
    }

    #[test]
    fn what_is_not_there_is_a_dash_or_null() {
        let (text, json) = (text(&failed(), &samples::names()), json(&failed(), &samples::names()));
        for said in [
            "client=unix: ",
            "upstream=- local=- attempts=4 connect=- first_byte=- ",
            "end=FC by=upstream how=connect phase=connecting error=connection_refused",
        ] {
            assert!(text.contains(said), "{text}");
        }
        let json: Json = serde_json::from_str(&json).unwrap();
        for field in ["upstream", "local", "connect_ns", "first_byte_ns"] {
            assert_eq!(json.get(field), Some(&Json::Null), "{field}");
        }
        assert_eq!(json["error"], "connection refused");
    }

    #[test]
    fn what_only_some_sessions_have() {
        let entry = Entry {
            via: Some(Peer::Unix),
            sni: Some("a b.example".into()),
            queued_ns: Some(12_000_000),
            ..samples::entry()
        };
        let line = text(&entry, &samples::names());
        assert!(line.contains(" via=unix: sni=a_b.example queued=0.012000 end=CD "), "{line}");
        let line: Json = serde_json::from_str(&json(&entry, &samples::names())).unwrap();
        let told = ["via", "sni", "queued_ns"].map(|field| line[field].to_string());
        assert_eq!(told, ["\"unix:\"", "\"a b.example\"", "12000000"]);
    }

    #[test]
    fn an_upstream_that_was_found_by_a_name_is_called_by_its_address() {
        let names = Names { upstreams: vec![String::new(); 2], ..samples::names() };
        let line = text(&samples::entry(), &names);
        assert!(line.contains(" upstream=127.0.0.1:5433 "), "{line}");
        let line = text(&Entry { place: None, ..samples::entry() }, &names);
        assert!(line.contains(" upstream=- "), "{line}");
    }

    #[test]
    fn both_forms_have_the_same_fields_in_the_same_order() {
        for entry in [samples::entry(), failed()] {
            let (text, json) = (text(&entry, &samples::names()), json(&entry, &samples::names()));
            let text: Vec<_> =
                text.split_whitespace().skip(1).map(|field| field.split_once('=').unwrap().0).collect();
            let json: Vec<_> = json
                .split("\",\"")
                .flat_map(|part| part.split(",\""))
                .filter_map(|part| Some(part.split_once("\":")?.0))
                .skip(1)
                .collect();
            let bare = |name: &&str| name.trim_start_matches("bytes_").trim_end_matches("_ns").to_owned();
            assert_eq!(json.iter().map(bare).collect::<Vec<_>>(), text);
        }
    }

    #[test]
    fn names_without_manners_do_no_harm() {
        let hostile = "a b\"\\\n\x1b[31m\u{2028}é=c";
        let names =
            Names { services: vec![hostile.to_owned()], listeners: vec![String::new()], upstreams: vec![] };
        let (text, json) = (text(&samples::entry(), &names), json(&samples::entry(), &names));
        assert!(text.contains(" service=a_b\"\\__[31m_é=c worker="), "{text}");
        assert!(text.contains(" listener=- upstream=- "), "{text}");
        assert!(!text.trim_end().contains(|c: char| c.is_control()));
        assert_eq!((text.lines().count(), json.lines().count()), (1, 1));
        assert_eq!(serde_json::from_str::<Json>(&json).unwrap()["service"], hostile);
    }

    #[test]
    fn times_keep_their_order_of_magnitude() {
        for (nanos, shown) in
            [(0, "0.000000"), (999, "0.000000"), (1_000, "0.000001"), (61_000_000_000, "61.000000")]
        {
            let mut line = String::new();
            Value::Nanos(nanos).push_text(&mut line);
            assert_eq!(line, shown);
        }
    }
}
