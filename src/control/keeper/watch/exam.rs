//! What a member has to answer for a check to pass. Bytes go in as they come; no socket is seen here.

use std::ops::RangeInclusive;

use crate::config::HealthOptions;

/// How much of an answer is looked at.
const ANSWER_BYTES_MAX: usize = HealthOptions::ANSWER_BYTES_MAX;

/// What has to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// Nothing: that it can be connected to, and told something, is enough.
    Nothing,
    /// These bytes, anywhere in what is looked at.
    Bytes(Vec<u8>),
    /// The first line of an answer by HTTP, with a status among these.
    Status(Vec<RangeInclusive<u16>>),
}

/// One answer, as far as it has come.
#[derive(Debug)]
pub(super) struct Exam<'a> {
    expected: &'a Expected,
    seen: Vec<u8>,
}

/// How an exam stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// More bytes are needed.
    More,
    Passed,
    /// A few words: why.
    Failed(String),
}

impl<'a> Exam<'a> {
    pub fn new(expected: &'a Expected) -> Self {
        Self { expected, seen: Vec::new() }
    }

    /// Some bytes have come. With none it tells how things stand before any has.
    pub fn feed(&mut self, bytes: &[u8]) -> Mark {
        let room = ANSWER_BYTES_MAX - self.seen.len();
        self.seen.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let mark = match self.expected {
            Expected::Nothing => Mark::Passed,
            Expected::Bytes(bytes) => look_for(bytes, &self.seen),
            Expected::Status(statuses) => judge(&self.seen, statuses),
        };
        match mark {
            Mark::More if self.seen.len() >= ANSWER_BYTES_MAX => Mark::Failed(self.missing()),
            mark => mark,
        }
    }

    /// The answer is over, and hasn't passed.
    pub fn end(&self) -> Mark {
        Mark::Failed(match self.seen.is_empty() {
            true => "it closed the connection without an answer".into(),
            false => self.missing(),
        })
    }

    fn missing(&self) -> String {
        match self.expected {
            Expected::Status(_) => "its answer is no HTTP".into(),
            _ => "its answer has not what is expected".into(),
        }
    }
}

fn look_for(wanted: &[u8], seen: &[u8]) -> Mark {
    // `windows` takes no empty window, and nothing is found everywhere.
    let is_there = wanted.is_empty() || seen.windows(wanted.len()).any(|bytes| bytes == wanted);
    if is_there { Mark::Passed } else { Mark::More }
}

/// `HTTP/1.1 200 OK`: only the status matters (RFC 9112, section 4).
fn judge(seen: &[u8], statuses: &[RangeInclusive<u16>]) -> Mark {
    const START: &[u8] = b"HTTP/";
    let no_http = || Mark::Failed("its answer is no HTTP".into());
    if !START.starts_with(&seen[..seen.len().min(START.len())]) {
        return no_http();
    }
    let Some(end) = seen.iter().position(|byte| *byte == b'\n') else { return Mark::More };
    let line = String::from_utf8_lossy(&seen[..end]);
    let is_status = |word: &&str| word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_digit());
    let status = line.split_ascii_whitespace().nth(1).filter(is_status);
    match status.and_then(|status| status.parse::<u16>().ok()) {
        Some(status) if statuses.iter().any(|range| range.contains(&status)) => Mark::Passed,
        Some(status) => Mark::Failed(format!("it answered with status {status}")),
        None => no_http(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn status() -> Expected {
        Expected::Status(vec![200..=399, 401..=401])
    }

    fn bytes(bytes: &[u8]) -> Expected {
        Expected::Bytes(bytes.to_vec())
    }

    /// Of an answer that comes in these pieces and then ends.
    fn mark<'a>(expected: &Expected, pieces: impl IntoIterator<Item = &'a [u8]>) -> Mark {
        let mut exam = Exam::new(expected);
        for piece in pieces {
            match exam.feed(piece) {
                Mark::More => {}
                mark => return mark,
            }
        }
        exam.end()
    }

    #[test]
    fn nothing_is_always_there() {
        assert_eq!(Exam::new(&Expected::Nothing).feed(b""), Mark::Passed);
    }

    #[test]
    fn a_status_passes_or_is_named() {
        for line in ["HTTP/1.0 200 OK\r\n", "HTTP/1.1 302\n", "HTTP/2 401 what\r\nmore"] {
            assert_eq!(mark(&status(), [line.as_bytes()]), Mark::Passed, "{line:?}");
        }
        for (answer, why) in [
            ("HTTP/1.1 503 no\r\n", "it answered with status 503"),
            ("HTTP/1.1 400\r\n", "it answered with status 400"),
            ("HTTP/1.1 2000\r\n", "its answer is no HTTP"),
            ("HTTP/1.1 +20\r\n", "its answer is no HTTP"),
            ("HTTP/1.1\r\n", "its answer is no HTTP"),
            ("SSH-2.0-x", "its answer is no HTTP"),
            ("HTTP/1.1 200", "its answer is no HTTP"),
            ("", "it closed the connection without an answer"),
        ] {
            assert_eq!(mark(&status(), [answer.as_bytes()]), Mark::Failed(why.into()), "{answer:?}");
        }
    }

    #[test]
    fn what_is_no_http_fails_at_its_first_wrong_byte() {
        let expected = status();
        let mut exam = Exam::new(&expected);
        assert_eq!(
            (exam.feed(b"HT"), exam.feed(b"TX")),
            (Mark::More, Mark::Failed("its answer is no HTTP".into()))
        );
    }

    #[test]
    fn no_more_is_looked_at_than_the_limit() {
        let filler = vec![b'x'; ANSWER_BYTES_MAX - 2];
        assert_eq!(mark(&bytes(b"ok"), [&filler[..], b"ok"]), Mark::Passed);
        let missing = Mark::Failed("its answer has not what is expected".into());
        assert_eq!(mark(&bytes(b"ok"), [&filler[..], b"_ok"]), missing);
        assert_eq!(mark(&bytes(b"ok"), [&filler[..], b"_o", b"k"]), missing);
        let line = [b"HTTP/".to_vec(), vec![b'1'; 2 * ANSWER_BYTES_MAX]].concat();
        assert_eq!(mark(&status(), [&line[..]]), Mark::Failed("its answer is no HTTP".into()));
    }

    proptest! {
        #[test]
        fn in_pieces_it_is_the_same_as_whole(
            answer in prop::collection::vec(prop_oneof![Just(b'a'), Just(b'b')], 0..40),
            wanted in prop::collection::vec(prop_oneof![Just(b'a'), Just(b'b')], 1..5),
            piece_len in 1..9_usize,
        ) {
            let expected = Expected::Bytes(wanted.clone());
            let whole = mark(&expected, [&answer[..]]);
            prop_assert_eq!(&mark(&expected, answer.chunks(piece_len)), &whole);
            let is_there = answer.windows(wanted.len()).any(|bytes| bytes == wanted);
            prop_assert_eq!(whole == Mark::Passed, is_there);
        }

        #[test]
        fn no_answer_is_too_strange(answer in prop::collection::vec(any::<u8>(), 0..200), piece_len in 1..50_usize) {
            let expected = status();
            let pieces: Vec<&[u8]> = answer.chunks(piece_len).collect();
            prop_assert_eq!(mark(&expected, pieces), mark(&expected, [&answer[..]]));
        }
    }
}
