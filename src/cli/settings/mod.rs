//! Everything that can be set, once: its flag, its key, its help, how its value is read and how it is written.
//!
//! Flags, help, the configuration file, its default form and the effective configuration are five views of the
//! tables in this folder. So a flag and a key take the same values and refuse them with the same words, and what is
//! printed can be read again.

pub mod clients;
pub mod echo;
pub mod health;
pub mod limits;
pub mod proxy;
pub mod report;
pub mod runtime;
pub mod values;

/// One thing that can be set on a `T`.
pub struct Setting<T: 'static> {
    /// The flag, without its dashes.
    pub flag: &'static str,
    /// Its key in a table of a configuration file.
    pub key: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// One or two sentences.
    pub help: &'static str,
    /// Reads a value. The error is a sentence that quotes it.
    pub set: fn(&mut T, &str) -> Result<(), String>,
    /// Writes the value so that `set` reads the same.
    pub show: fn(&T) -> String,
}

/// What a setting takes, with what help calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A flag without a value; `true` or `false` in a file.
    Nothing,
    /// A number, or a word that stands for one.
    Number(&'static str),
    /// An octal number: in quotes, or as TOML has it, 0o660.
    Octal(&'static str),
    /// A word, or anything else in quotes.
    Text(&'static str),
    /// The path of a file.
    Path(&'static str),
    /// Several of these, or `none`: a flag that may be repeated; an array of strings.
    List(&'static str),
}
