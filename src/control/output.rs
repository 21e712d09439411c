//! Where reports go: stdout, stderr, a file.
//!
//! stdout carries reports and nothing else. A reader that has gone (`| head`) is no error.

use std::{
    fs,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{measure::report::Report, sys};

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: one line.
    Json,
}

/// Where the reports of a run go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// To stdout in this format, or nowhere.
    pub stdout: Option<Format>,
    /// A file that is replaced by each report.
    pub file: Option<PathBuf>,
}

impl Output {
    /// Tries whether the report file can be written, before a run whose report would be lost.
    ///
    /// # Errors
    /// A sentence: where not, and why.
    pub fn check(&self) -> Result<(), String> {
        let Some(path) = &self.file else { return Ok(()) };
        let tried = match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(metadata) if !metadata.is_file() => Ok(()),
            _ => beside(path).and_then(|fresh| fs::write(&fresh, "").and_then(|()| fs::remove_file(&fresh))),
        };
        tried.map_err(|error| unwritable(path, &error))
    }

    /// Writes a report that somebody asked for while the server runs; it goes to stderr where none goes to stdout.
    ///
    /// # Errors
    /// A sentence, where the file can't be written.
    pub fn interim(&self, report: &Report) -> Result<(), String> {
        match self.stdout {
            Some(format) => print(report, format)?,
            // A closed stderr means the same as a closed stdout.
            None => drop(write!(io::stderr(), "{}", render(report, Format::Text, &io::stderr()))),
        }
        self.save(report)
    }

    /// Writes the last report.
    ///
    /// # Errors
    /// As [`Self::interim`].
    pub fn last(&self, report: &Report) -> Result<(), String> {
        if let Some(format) = self.stdout {
            print(report, format)?;
        }
        self.save(report)
    }

    fn save(&self, report: &Report) -> Result<(), String> {
        let Some(path) = &self.file else { return Ok(()) };
        let text = match self.stdout {
            Some(Format::Text) => report.to_text(FILE_WIDTH, false),
            _ => format!("{}\n", report.to_json_line()),
        };
        replace(path, &text).map_err(|error| unwritable(path, &error))
    }
}

fn unwritable(path: &Path, error: &io::Error) -> String {
    let (path, why) = (path.display(), sys::reason(error));
    format!("cannot write the report to {path}: {why}; choose a path that can be written")
}

/// Prints a report to stdout.
///
/// # Errors
/// A sentence, where stdout can't be written for any other reason than that its reader has gone.
pub fn print(report: &Report, format: Format) -> Result<(), String> {
    print_text("the report", &render(report, format, &io::stdout()))
}

/// Prints a text to stdout.
///
/// # Errors
/// As [`print()`], with what it is that can't be written.
pub fn print_text(what: &str, text: &str) -> Result<(), String> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write {what} to stdout: {}", sys::reason(&error)))
        }
        _ => Ok(()),
    }
}

/// Says a line on stderr, unless nobody reads it: then it is dropped, since the main thread must not wait for a
/// reader. (`eprintln!` waits, and panics where stderr is a pipe that has been closed.)
pub fn say(line: &str) {
    let stderr = rustix::stdio::stderr();
    let mut polled = [PollFd::new(&stderr, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut polled, Some(&now)).is_ok_and(|ready| ready > 0) {
        // In one write, so that lines of other threads and processes don't get into it. A pipe that is writable
        // has room for PIPE_BUF bytes, 4,096 (pipe(7)), so this doesn't block.
        let _ = rustix::io::write(stderr, format!("{line}\n").as_bytes());
    }
}

/// The width of text that goes to a file or a pipe.
const FILE_WIDTH: usize = 100;

fn render(report: &Report, format: Format, to: &(impl IsTerminal + std::os::fd::AsFd)) -> String {
    match format {
        Format::Json => format!("{}\n", report.to_json_line()),
        Format::Text => in_columns(to, |width, colour| report.to_text(width, colour)),
    }
}

/// A text as wide as a terminal, if it goes to one, and in colour there unless NO_COLOR is set.
pub fn in_columns(
    to: &(impl IsTerminal + std::os::fd::AsFd),
    write: impl FnOnce(usize, bool) -> String,
) -> String {
    let is_terminal = to.is_terminal();
    let colour = is_terminal && std::env::var_os("NO_COLOR").is_none();
    let columns = rustix::termios::tcgetwinsize(to).map_or(0, |size| usize::from(size.ws_col));
    write(if is_terminal && columns > 0 { columns } else { FILE_WIDTH }, colour)
}

/// Puts a file in place of another in one step: a reader sees the old one or the new one, whole. What isn't a
/// file (/dev/null, a named pipe) is written to, and stays what it is.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return fs::write(path, text);
    }
    // Where it is a link, what it leads to is replaced, not the link.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let fresh = beside(path)?;
    let written = write_like(path, &fresh, text).and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        // Nothing is gained by telling that the remains could not be removed either.
        let _ = fs::remove_file(&fresh);
    }
    written
}

/// Makes a file that nobody has made before, as private as the one that it will replace.
fn write_like(path: &Path, fresh: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::File::create_new(fresh)?;
    if let Ok(metadata) = fs::metadata(path) {
        file.set_permissions(metadata.permissions())?;
    }
    file.write_all(text.as_bytes())
}

/// A name in the same folder, and so on the same filesystem, that no other process uses.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    Ok(path.with_file_name(name))
}
