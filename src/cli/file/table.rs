//! Tables of a file, walked key by key in the order of the file.

use std::{borrow::Cow, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{mistake::Mistake, suggest};
use crate::cli::settings::{Setting, Takes};

/// A key and its value.
#[derive(Clone)]
pub struct Entry<'a> {
    /// The key, without its table's.
    pub key: &'a str,
    key_at: Range<usize>,
    /// Its value.
    pub value: &'a Spanned<DeValue<'a>>,
}

/// The entries of a table, in the order of the file.
pub fn entries<'a>(table: &'a DeTable<'a>) -> Vec<Entry<'a>> {
    let entry = |(key, value): (&'a Spanned<Cow<'a, str>>, _)| Entry {
        key: key.get_ref(),
        key_at: key.span(),
        value,
    };
    let mut entries: Vec<_> = table.iter().map(entry).collect();
    entries.sort_by_key(|entry| entry.key_at.start);
    entries
}

impl<'a> Entry<'a> {
    /// A mistake in the value.
    pub fn wrong(&self, why: impl Into<String>) -> Mistake {
        Mistake::at(self.value.span(), why)
    }

    /// A mistake in the value that these keys lead to, with points between them; or in the last that is there.
    pub fn wrong_at(&self, keys: &str, why: impl Into<String>) -> Mistake {
        let mut at = self.clone();
        for key in keys.split('.') {
            let DeValue::Table(table) = at.value.get_ref() else { break };
            let Some(entry) = entries(table).into_iter().find(|entry| entry.key == key) else { break };
            at = entry;
        }
        at.wrong(why)
    }

    /// A mistake in the key: it isn't one of these.
    pub fn unknown(&self, keys: &[&str]) -> Mistake {
        let (message, help) = suggest::about(self.key, keys);
        Mistake::at(self.key_at.clone(), message).with_help(help)
    }

    /// The value, a table; each of its entries is given to `read`, which says what keys it knows where it does not know
    /// the entry's.
    ///
    /// # Errors
    /// The first mistake.
    pub fn read_table(
        &self,
        mut read: impl FnMut(&Entry<'a>) -> Result<Known, Mistake>,
    ) -> Result<(), Mistake> {
        let DeValue::Table(table) = self.value.get_ref() else {
            return Err(self.not("a table"));
        };
        entries(table).iter().try_for_each(|entry| match read(entry)? {
            Known::Yes => Ok(()),
            Known::Only(keys) => Err(entry.unknown(&keys)),
        })
    }

    /// Sets the one of these settings that has this key; `check` looks at the result as a whole. Of a list each item
    /// is set by itself first, so that it is the item that is shown if it is wrong.
    ///
    /// # Errors
    /// What is wrong with the value.
    pub fn set_one_of<T>(
        &self,
        settings: &[Setting<T>],
        into: &mut T,
        check: impl Fn(&T) -> Result<(), String>,
    ) -> Result<Known, Mistake> {
        let Some(setting) = settings.iter().find(|setting| setting.key == self.key) else {
            return Ok(Known::Only(settings.iter().map(|setting| setting.key).collect()));
        };
        if let Takes::List(_) = setting.takes {
            for item in self.some_elements()? {
                (setting.set)(into, item.string()?).map_err(|why| item.wrong(why))?;
            }
        }
        let text = self.text_for(setting)?;
        (setting.set)(into, &text).and_then(|()| check(into)).map_err(|why| self.wrong(why))?;
        match (setting.takes, self.value.get_ref()) {
            // A number is no path and no word, though its digits may do for one.
            (Takes::Text(_) | Takes::Path(_), DeValue::Integer(_)) => {
                Err(self.wrong(format!("'{}' takes a string: write \"{text}\"", self.key)))
            }
            _ => Ok(Known::Yes),
        }
    }

    /// The value as it would be typed after a flag.
    fn text_for<T>(&self, setting: &Setting<T>) -> Result<Cow<'a, str>, Mistake> {
        match (setting.takes, self.value.get_ref()) {
            (Takes::Nothing, DeValue::Boolean(value)) => Ok(value.to_string().into()),
            (Takes::Nothing, _) => Err(self.not("true or false")),
            (_, DeValue::String(text)) => Ok(Cow::Borrowed(text)),
            (Takes::List(_), _) => {
                let items: Result<Vec<_>, _> = self.elements().iter().map(Entry::string).collect();
                Ok(items?.join(",").into())
            }
            (Takes::Octal(_), DeValue::Integer(number)) if number.radix() == 8 => {
                Ok(Cow::Borrowed(number.as_str()))
            }
            (Takes::Octal(_), _) => Err(self.not("octal: write \"0660\" or 0o660")),
            (_, DeValue::Integer(number)) => Ok(number.to_string().into()),
            (Takes::Number(what), _) => Err(self.not(&format!("a number or a string: {what}"))),
            (Takes::Text(what) | Takes::Path(what), _) => Err(self.not(&format!("a string: \"{what}\""))),
        }
    }

    /// The value, a string.
    ///
    /// # Errors
    /// That it isn't one.
    pub fn string(&self) -> Result<&'a str, Mistake> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(text),
            _ => Err(self.not("a string")),
        }
    }

    /// The value, an array, as entries with the same key; anything else is an array of one.
    pub fn elements(&self) -> Vec<Entry<'a>> {
        let element = |value| Entry { value, ..self.clone() };
        match self.value.get_ref() {
            DeValue::Array(array) => array.iter().map(element).collect(),
            _ => vec![self.clone()],
        }
    }

    /// The same, but not without any.
    ///
    /// # Errors
    /// That the array is empty.
    pub fn some_elements(&self) -> Result<Vec<Entry<'a>>, Mistake> {
        let elements = self.elements();
        if elements.is_empty() {
            return Err(self.wrong(format!("'{}' is empty: name at least one, or leave it out", self.key)));
        }
        Ok(elements)
    }

    /// That the value is something else.
    pub fn not(&self, wanted: &str) -> Mistake {
        let got = match self.value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        self.wrong(format!("'{}' is {got}, but has to be {wanted}", self.key))
    }
}

/// Whether a key is known, and otherwise which are.
pub enum Known {
    /// It is, and its value has been read.
    Yes,
    /// It isn't; these are.
    Only(Vec<&'static str>),
}

impl Known {
    /// The same, where these are known besides.
    #[must_use]
    pub fn and(self, keys: &[&'static str]) -> Self {
        match self {
            Self::Yes => Self::Yes,
            Self::Only(others) => Self::Only(keys.iter().copied().chain(others).collect()),
        }
    }
}
