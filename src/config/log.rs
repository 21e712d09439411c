//! Where the close ledger goes.

use std::{fmt, path::PathBuf};

/// Where lines of a log go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// `-`: to stdout, where then no report may go.
    Stdout,
    /// To the end of this file.
    File(PathBuf),
}

impl fmt::Display for LogTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.pad("-"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}
