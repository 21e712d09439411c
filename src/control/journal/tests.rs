//! What becomes of entries: each is written, refused or counted as dropped, whatever happens to the target.

use std::{
    fs::{self, File},
    io::{Read as _, pipe},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Instant,
};

use super::*;
use crate::measure::ledger::samples;

/// Longer than anything takes that doesn't hang.
const PATIENCE: Duration = Duration::from_secs(30);

/// A file's path that no other test has; removed in the end.
struct TempPath(PathBuf);

impl TempPath {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("evenkeel-journal-{name}-{}", std::process::id())))
    }
}

impl Drop for TempPath {
    fn drop(&mut self) {
        // Some tests leave nothing.
        let _ = fs::remove_file(&self.0);
    }
}

fn entry(session: u64) -> Entry {
    Entry { session, ..samples::entry() }
}

fn start(sink: Sink, format: LogFormat) -> (Journal, JournalSender) {
    Journal::start_with(sink, format, samples::names()).expect("a thread and two descriptors")
}

/// Sends so many, and says how many of them the queue did not take.
fn send(sender: &JournalSender, count: u64) -> u64 {
    (0..count).filter(|session| sender.send(entry(*session)).is_err()).count() as u64
}

/// The numbers of the sessions in a ledger.
fn sessions(text: &str) -> Vec<u64> {
    let number = |line: &str| line.split_once(" session=")?.1.split_once(' ')?.0.parse().ok();
    text.lines().map(|line| number(line).expect("a whole line")).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a ledger of text")
}

fn never() -> Option<u64> {
    None
}

#[test]
fn what_is_sent_is_written_in_order_and_the_file_is_not_for_everyone() {
    let path = TempPath::new("order");
    let (journal, sender) =
        Journal::start(LogTarget::File(path.0.clone()), LogFormat::Text, samples::names()).unwrap();
    assert_eq!(send(&sender, 5_000), 0);
    assert_eq!(journal.finish(), 0);
    assert_eq!(sessions(&read(&path.0)), (0..5_000).collect::<Vec<_>>());
    let mode = fs::metadata(&path.0).unwrap().permissions().mode();
    assert_eq!(mode & 0o137, 0, "{mode:o}");
    let again = Journal::start(LogTarget::File(path.0.clone()), LogFormat::Text, samples::names());
    let (journal, sender) = again.unwrap();
    assert_eq!((send(&sender, 2), journal.finish()), (0, 0));
    assert_eq!(read(&path.0).lines().count(), 5_002, "appended to");
}

#[test]
fn json_is_an_object_a_line() {
    let path = TempPath::new("json");
    let (journal, sender) =
        Journal::start(LogTarget::File(path.0.clone()), LogFormat::Json, samples::names()).unwrap();
    assert_eq!((send(&sender, 10), journal.finish()), (0, 0));
    for (number, line) in read(&path.0).lines().enumerate() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(object["session"], number);
        // The clock on the wall is not in the seventies of last century.
        assert!(object["time"].as_str().unwrap().starts_with("20"), "{line}");
    }
}

#[test]
fn a_sleeping_writer_is_woken() {
    let path = TempPath::new("woken");
    let (journal, sender) =
        Journal::start(LogTarget::File(path.0.clone()), LogFormat::Text, samples::names()).unwrap();
    let began = Instant::now();
    for session in 0..3 {
        std::thread::sleep(4 * NAP);
        assert_eq!(sender.send(entry(session)), Ok(()));
        while read(&path.0).lines().count() <= session as usize {
            assert!(began.elapsed() < PATIENCE, "line {session} was never written");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    assert_eq!(journal.finish(), 0);
}

#[test]
fn with_a_full_queue_each_entry_is_written_or_refused() {
    const SENT: u64 = 3 * CAPACITY as u64;
    let (mut reader, writer) = pipe().unwrap();
    let (journal, sender) = start(Sink::of(writer.into(), LogTarget::Stdout).unwrap(), LogFormat::Text);
    let refused = send(&sender, SENT);
    assert!(refused > 0, "nobody reads, and yet everything was taken");
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).map(|_| text)
    });
    // Room for one entry is proof that the writer goes on.
    while sender.send(entry(SENT)).is_err() {}
    let dropped = journal.finish();
    let written = sessions(&reading.join().unwrap().unwrap());
    assert_eq!(written.len() as u64 + refused + dropped, SENT + 1);
    assert!(written.is_sorted());
}

#[test]
fn a_reader_that_never_reads_does_not_hang_the_end() {
    // More than what can be made into lines in the time that is left.
    const SENT: u64 = CAPACITY as u64;
    let (mut reader, writer) = pipe().unwrap();
    let (journal, sender) = start(Sink::of(writer.into(), LogTarget::Stdout).unwrap(), LogFormat::Text);
    let refused = send(&sender, SENT);
    let began = Instant::now();
    let dropped = journal.finish();
    assert!(began.elapsed() < PATIENCE);
    // The writer has ended, so the pipe has no writer left and its reader comes to the end.
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let written = sessions(&text).len() as u64;
    assert!(written > 0 && dropped > 0, "{written} written, {dropped} dropped");
    assert_eq!(written + dropped + refused, SENT, "{written} {dropped} {refused}");
}

#[test]
fn a_reader_that_has_gone_is_no_trouble() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let (journal, sender) = start(Sink::of(writer.into(), LogTarget::Stdout).unwrap(), LogFormat::Text);
    assert_eq!((send(&sender, 100), journal.finish()), (0, 100));
}

#[test]
fn a_full_disk_drops_lines_and_they_are_counted() {
    let full = Journal::start(LogTarget::File("/dev/full".into()), LogFormat::Text, samples::names());
    let (journal, sender) = full.unwrap();
    assert_eq!((send(&sender, 100), journal.finish()), (0, 100));
}

#[test]
fn a_rotated_file_is_left_within_a_second() {
    let (path, rotated) = (TempPath::new("rotated"), TempPath::new("rotated.1"));
    let second_ns = 1_000_000_000;
    let mut sink = Sink::open(LogTarget::File(path.0.clone())).unwrap();
    assert_eq!(sink.write(b"a\n", second_ns, &never), 1);
    fs::rename(&path.0, &rotated.0).unwrap();
    assert_eq!(sink.write(b"b\n", second_ns + 1, &never), 1);
    assert_eq!(sink.write(b"c\n", 2 * second_ns, &never), 1);
    assert_eq!((read(&rotated.0).as_str(), read(&path.0).as_str()), ("a\nb\n", "c\n"));
    // Another file at the path, as logrotate makes one with `create`.
    fs::rename(&path.0, &rotated.0).unwrap();
    File::create_new(&path.0).unwrap();
    assert_eq!(sink.write(b"d\n", 3 * second_ns, &never), 1);
    assert_eq!((read(&rotated.0).as_str(), read(&path.0).as_str()), ("c\n", "d\n"));
    // A place that has gone with all that was in it: the open file is better than none.
    fs::remove_file(&path.0).unwrap();
    fs::create_dir(&path.0).unwrap();
    assert_eq!(sink.write(b"e\n", 4 * second_ns, &never), 1);
    fs::remove_dir(&path.0).unwrap();
}

#[test]
fn lines_go_whole_into_a_pipe() {
    let (mut reader, writer) = pipe().unwrap();
    let mut sink = Sink::of(writer.into(), LogTarget::Stdout).unwrap();
    let lines: String = (0..150).map(|number| format!("{number:>99}\n")).collect();
    assert_eq!(sink.write(lines.as_bytes(), 0, &never), 150);
    // Parts of 40 lines, 4,000 bytes; a reader gets what is there.
    let mut buffer = vec![0; 1 << 20];
    let len = reader.read(&mut buffer).unwrap();
    assert_eq!(std::str::from_utf8(&buffer[..len]).unwrap(), lines);
    let long = "x".repeat(10_000) + "\n";
    assert_eq!(sink.write(long.as_bytes(), 0, &never), 1);
    let len = reader.read(&mut buffer).unwrap();
    assert_eq!(std::str::from_utf8(&buffer[..len]).unwrap(), long);
}

#[test]
fn what_cannot_be_opened_is_said() {
    let fifo = TempPath::new("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo.0, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    for (path, why) in [
        (PathBuf::from("/no/such/folder/ledger"), "no such file or directory; choose a path"),
        (std::env::temp_dir(), "is a directory; choose a path"),
        (fifo.0.clone(), "nobody reads it; start its reader first"),
    ] {
        let message = Journal::start(LogTarget::File(path), LogFormat::Text, samples::names()).err().unwrap();
        assert!(message.starts_with("cannot write the ledger to /") && message.contains(why), "{message}");
    }
}
