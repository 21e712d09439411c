//! Values of a scenario's file, read with what a person can do about a wrong one.

use std::time::Duration;

use evenkeel::{
    cli::file::{mistake::Mistake, table::Entry},
    config::units,
};
use toml::de::DeValue;

/// What reading comes to that only fills something in.
pub type Read = Result<(), Mistake>;

/// No phase of a trial is longer.
const TIME_MAX: Duration = Duration::from_secs(3_600);
const NAME_LEN_MAX: usize = 40;
/// Longer words aren't compared with what may have been meant, and are cut where they are quoted.
const WORD_LEN_MAX: usize = 64;

/// A string with something in it.
pub fn text(entry: &Entry<'_>) -> Result<String, Mistake> {
    match entry.string()?.trim() {
        "" => Err(entry.wrong(format!("'{}' is empty: say it in a sentence", entry.key))),
        text => Ok(text.to_owned()),
    }
}

/// One of several words.
pub fn one_of<T: Copy>(entry: &Entry<'_>, what: &str, names: &[(&'static str, T)]) -> Result<T, Mistake> {
    let word = entry.string()?;
    if let Some((_, value)) = names.iter().find(|(name, _)| *name == word) {
        return Ok(*value);
    }
    let known: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
    let mistake = entry.wrong(format!("'{}' is not {what}: use {}", cut(word), known.join(", ")));
    Err(mistake.with_help(meant(word, &known).map(|meant| format!("did you mean '{meant}'?"))))
}

/// Letters, digits and dashes: a name is part of file names.
pub fn name(entry: &Entry<'_>) -> Result<String, Mistake> {
    match entry.string()? {
        name if is_name(name) => Ok(name.to_owned()),
        name => Err(entry.wrong(format!(
            "'{}' is not a name: use up to {NAME_LEN_MAX} letters, digits and dashes",
            cut(name)
        ))),
    }
}

/// Whether it can be the name of a scenario, a variant or a client.
pub fn is_name(name: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=NAME_LEN_MAX).contains(&name.len()) && name.chars().all(is_fine)
}

/// An array with something in it.
pub fn list<T>(
    entry: &Entry<'_>,
    read: impl Fn(&Entry<'_>) -> Result<T, Mistake>,
) -> Result<Vec<T>, Mistake> {
    match entry.value.get_ref() {
        DeValue::Array(array) if array.is_empty() => Err(entry.wrong(format!("'{}' is empty", entry.key))),
        DeValue::Array(_) => entry.elements().iter().map(read).collect(),
        _ => Err(entry.not("an array")),
    }
}

/// An array of tables.
pub fn tables<T>(
    entry: &Entry<'_>,
    read: impl Fn(&Entry<'_>) -> Result<T, Mistake>,
) -> Result<Vec<T>, Mistake> {
    match entry.value.get_ref() {
        DeValue::Array(_) => entry.elements().iter().map(read).collect(),
        _ => Err(entry.not(&format!("an array of tables: write [[{}]]", entry.key))),
    }
}

/// A whole number from 1 to `max`.
pub fn count(entry: &Entry<'_>, max: usize) -> Result<usize, Mistake> {
    whole(entry, 1, max)
}

/// A whole number from `min` to `max`.
pub fn whole(entry: &Entry<'_>, min: usize, max: usize) -> Result<usize, Mistake> {
    let DeValue::Integer(number) = entry.value.get_ref() else { return Err(entry.not("a whole number")) };
    match number.to_string().parse::<usize>() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(entry.wrong(format!("'{}' is a number from {min} to {max}", entry.key))),
    }
}

/// Any number that isn't infinite.
pub fn number(entry: &Entry<'_>) -> Result<f64, Mistake> {
    let text = match entry.value.get_ref() {
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        _ => return Err(entry.not("a number")),
    };
    let number = text.replace('_', "").parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| entry.wrong(format!("'{}' has to be a finite number", entry.key)))
}

/// `true` or `false`.
pub fn switch(entry: &Entry<'_>) -> Result<bool, Mistake> {
    match entry.value.get_ref() {
        DeValue::Boolean(value) => Ok(*value),
        _ => Err(entry.not("true or false")),
    }
}

/// A time above zero, such as `"400us"`.
pub fn time(entry: &Entry<'_>) -> Result<Duration, Mistake> {
    let DeValue::String(text) = entry.value.get_ref() else {
        return Err(entry.not("a time, such as \"3s\""));
    };
    match units::duration_above_zero(text).map_err(|why| entry.wrong(why))? {
        time if time > TIME_MAX => Err(entry.wrong(format!("'{text}' is too long: use at most 1h"))),
        time => Ok(time),
    }
}

/// Words of a command line; `own` are flags that aren't the scenario's to set.
pub fn flags(entry: &Entry<'_>, own: &[&str]) -> Result<Vec<String>, Mistake> {
    let DeValue::Array(_) = entry.value.get_ref() else {
        return Err(entry.not("an array of words, such as [\"--rate\", \"5000\"]"));
    };
    entry.elements().iter().map(|word| checked_word(word, own)).collect()
}

/// A flag alone.
pub fn flag(entry: &Entry<'_>, own: &[&str]) -> Result<String, Mistake> {
    match checked_word(entry, own)? {
        word if word.starts_with("--") => Ok(word),
        word => {
            Err(entry
                .wrong(format!("'{}' is not a flag: write it with its dashes, as in --rate", cut(&word))))
        }
    }
}

fn checked_word(entry: &Entry<'_>, own: &[&str]) -> Result<String, Mistake> {
    let word = entry.string()?;
    let flag = word.split_once('=').map_or(word, |(flag, _)| flag);
    if own.contains(&flag) {
        return Err(entry.wrong(format!("{flag} is the lab's to set: leave it out")));
    }
    if word.starts_with("--") && word.contains('=') {
        let (flag, value) = word.split_once('=').unwrap_or((word, ""));
        return Err(
            entry.wrong(format!("write \"{flag}\", \"{}\": a flag and its value are two words", cut(value)))
        );
    }
    Ok(word.to_owned())
}

/// A key that isn't one.
pub fn unknown(entry: &Entry<'_>, keys: &[&str]) -> Mistake {
    let help = match meant(entry.key, keys) {
        Some(meant) => format!("did you mean '{meant}'?"),
        None => format!("use {}", keys.join(", ")),
    };
    entry.unknown(keys).with_help(help)
}

/// The word that this one is a slip for: of three letters, at most one is wrong.
pub fn meant<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    if word.len() > WORD_LEN_MAX {
        return None;
    }
    let typed = word.to_lowercase();
    let slips = known.iter().map(|known| (strsim::damerau_levenshtein(&typed, known), *known));
    let nearest = slips.min_by_key(|(slips, _)| *slips);
    nearest.filter(|(slips, known)| slips * 3 <= known.len()).map(|(_, known)| known)
}

/// A word as it is quoted.
pub fn cut(word: &str) -> String {
    match word.char_indices().nth(WORD_LEN_MAX) {
        Some((at, _)) => format!("{}…", &word[..at]),
        None => word.to_owned(),
    }
}
