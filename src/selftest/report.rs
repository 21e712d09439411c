//! What a self-test says: a table of scripts by trigger and forwarder, then each difference in a sentence.

use std::fmt::Write;

use super::combination::Combination;

/// A script that came out differently, or what was left behind after all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub combination: Combination,
    /// The script's name; empty for what concerns the proxy as a whole.
    pub script: String,
    /// The script as it can be typed.
    pub text: String,
    /// What happened, and what happens by direct TCP.
    pub sentence: String,
}

/// What was played, and how it came out.
#[derive(Default)]
pub struct Results {
    /// Each combination with the names of the scripts that it played.
    pub played: Vec<(Combination, Vec<String>)>,
    /// All that differs.
    pub differences: Vec<Difference>,
}

impl Results {
    /// The table, the differences, and a last line that sums up.
    pub fn to_text(&self) -> String {
        let mut text = self.table();
        text.push('\n');
        for (difference, combinations) in self.grouped() {
            let name = if difference.script.is_empty() { "after all scripts" } else { &difference.script };
            let _ = writeln!(text, "{name}: {}", difference.sentence);
            let _ = writeln!(text, "    in {combinations}");
            if !difference.text.is_empty() {
                let _ = writeln!(text, "    {}", shortened(&difference.text));
            }
        }
        let scripts: usize = self.played.iter().map(|(_, scripts)| scripts.len()).sum();
        let verdict = match self.differences.len() {
            0 => "no difference from direct TCP".to_owned(),
            1 => "1 difference".to_owned(),
            count => format!("{count} differences"),
        };
        let _ = writeln!(text, "{} combinations, {scripts} scripts: {verdict}", self.played.len());
        text
    }

    /// A row a script, a column for each trigger, forwarder and kind of sockets. A cell counts accept modes.
    fn table(&self) -> String {
        let mut columns: Vec<String> = Vec::new();
        let mut rows: Vec<&str> = Vec::new();
        for (combination, scripts) in &self.played {
            push_new(&mut columns, column_of(combination));
            scripts.iter().for_each(|script| push_new(&mut rows, script.as_str()));
        }
        rows.push("");
        let width = rows.iter().map(|row| row.len()).max().unwrap_or(0).max(LEFT_BEHIND.len());
        let mut text = String::new();
        let lines = columns.iter().map(|column| column.split('/').count()).max().unwrap_or(0);
        for line in 0..lines {
            let heads: String = columns
                .iter()
                .map(|column| format!("{:>11}", column.split('/').nth(line).unwrap_or("")))
                .collect();
            let _ = writeln!(text, "{:width$}{heads}", "");
        }
        for row in rows {
            let cells: String =
                columns.iter().map(|column| format!("{:>11}", self.cell(row, column))).collect();
            let _ = writeln!(text, "{:width$}{cells}", if row.is_empty() { LEFT_BEHIND } else { row });
        }
        text
    }

    fn cell(&self, row: &str, column: &str) -> String {
        let here = self.played.iter().filter(|(combination, scripts)| {
            column_of(combination) == column && (row.is_empty() || scripts.iter().any(|script| script == row))
        });
        let combinations: Vec<_> = here.map(|(combination, _)| *combination).collect();
        let differs = |combination: &&Combination| {
            self.differences.iter().any(|one| one.combination == **combination && one.script == row)
        };
        match (combinations.len(), combinations.iter().filter(differs).count()) {
            (0, _) => "-".to_owned(),
            (_, 0) => "ok".to_owned(),
            (1, _) => "DIFFERS".to_owned(),
            (all, some) => format!("{some}/{all} DIFF"),
        }
    }

    /// Each script's first difference, and each about the proxy as a whole, with all combinations that have one.
    fn grouped(&self) -> Vec<(&Difference, String)> {
        let mut groups: Vec<(&Difference, Vec<String>)> = Vec::new();
        for difference in &self.differences {
            let combination = difference.combination.to_string();
            let is_same = |first: &Difference| {
                let is_alike = difference.script.is_empty() && first.sentence != difference.sentence;
                first.script == difference.script && !is_alike
            };
            match groups.iter_mut().find(|(first, _)| is_same(first)) {
                Some((_, combinations)) => push_new(combinations, combination),
                None => groups.push((difference, vec![combination])),
            }
        }
        groups.into_iter().map(|(first, combinations)| (first, in_few_words(&combinations))).collect()
    }
}

/// The row for what concerns the proxy as a whole: its report, and what it still holds.
const LEFT_BEHIND: &str = "nothing left behind";

/// How many combinations are named before the rest is counted.
const NAMED_MAX: usize = 4;

fn in_few_words(combinations: &[String]) -> String {
    let named = combinations.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match combinations.len().saturating_sub(NAMED_MAX) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// Scripts with hundreds of steps are known by their names.
fn shortened(text: &str) -> String {
    const LEN_MAX: usize = 300;
    match text.char_indices().nth(LEN_MAX) {
        Some((at, _)) => format!("{} …", &text[..at]),
        None => text.to_owned(),
    }
}

fn column_of(combination: &Combination) -> String {
    let text = combination.to_string();
    let (_, column) = text.split_once('/').unwrap_or(("", &text));
    column.replace(' ', "/")
}

fn push_new<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}
