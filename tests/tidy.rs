//! What a script can check about the source tree, this one checks.
//!
//! Style that nobody has to remember: where the compiler's checks may end, how long files and lines may get,
//! what must not be left behind, which links must lead somewhere. Each test collects all that is wrong and says
//! where.

use std::{
    collections::BTreeSet,
    fs,
    path::{Component, Path, PathBuf},
};

const LINE_COLUMNS_MAX: usize = 120;
const FILE_LINES_MAX: usize = 600;

/// Words are in two halves here, so that this file passes its own test.
const UNSAFE: [&str; 2] = ["un", "safe"];

/// What says that something is unfinished.
const UNFINISHED: [[&str; 2]; 5] =
    [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["unimplem", "ented!"], ["to", "do!("]];

/// Where things lie on one machine or another.
const PLACES: [[&str; 2]; 3] = [["/wo", "rk/"], ["/ho", "me/"], ["/ro", "ot/"]];

#[test]
fn what_the_compiler_cannot_check_is_in_sys_alone() {
    let sources = sources(&["src", "tools", "tests", "benches", "fuzz"]);
    let elsewhere = sources.iter().filter(|source| !source.path.starts_with("src/sys"));
    let word = UNSAFE.concat();
    let is_unsafe =
        |line: &str| code(line).split(|c: char| !c.is_alphanumeric() && c != '_').any(|it| it == word);
    complain(elsewhere.flat_map(|source| source.lines_where(&word, is_unsafe)));
}

#[test]
fn every_file_says_what_it_is() {
    let first_line = |source: &Source| source.text.lines().next().unwrap_or_default().to_owned();
    let sources = sources(&["src", "tools", "tests", "benches", "fuzz"]);
    let silent = sources.iter().filter(|source| {
        let line = first_line(source);
        !line.starts_with("//! ") || line.len() < 20
    });
    complain(silent.map(|source| format!("{}: no header doc comment", source.path.display())));
}

#[test]
fn lines_and_files_are_short() {
    let sources = sources(&["src", "tools", "tests", "benches", "fuzz"]);
    let long_lines = sources
        .iter()
        .flat_map(|source| source.lines_where("too long", |line| line.chars().count() > LINE_COLUMNS_MAX));
    let is_long = |source: &&Source| {
        (source.path.starts_with("src") || source.path.starts_with("tools"))
            && source.text.lines().count() > FILE_LINES_MAX
    };
    let long_files = sources.iter().filter(is_long);
    let long_files =
        long_files.map(|source| format!("{}: over {FILE_LINES_MAX} lines", source.path.display()));
    complain(long_lines.chain(long_files));
}

#[test]
fn nothing_is_unfinished() {
    let marks = UNFINISHED.map(|halves| halves.concat());
    let is_marked = |line: &str| marks.iter().any(|mark| line.contains(mark.as_str()));
    let sources = sources(&["src", "tools", "tests", "benches", "fuzz"]);
    complain(sources.iter().flat_map(|source| source.lines_where("unfinished", is_marked)));
}

/// `expect` says why it holds; where it can't be said, the case is an error like any other.
#[test]
fn nothing_is_unwrapped_outside_tests() {
    let sources = sources(&["src"]);
    let tests: BTreeSet<_> = sources.iter().flat_map(Source::test_files).collect();
    let others = sources.iter().filter(|source| !tests.contains(&source.path));
    let unwraps = |line: &str| code(line).contains(".unwrap()");
    complain(others.flat_map(|source| {
        Source { text: source.without_tests(), ..source.clone() }.lines_where("unwrap", unwraps)
    }));
}

#[test]
fn no_path_of_one_machine() {
    let places = PLACES.map(|halves| halves.concat());
    let texts = texts(Path::new(""));
    let names_one = |line: &str| places.iter().any(|place| names_place(line, place));
    complain(texts.iter().flat_map(|text| text.lines_where("a path of one machine", names_one)));
}

#[test]
fn links_in_documents_lead_somewhere() {
    let texts = texts(Path::new(""));
    let documents = texts.iter().filter(|text| text.path.extension().is_some_and(|end| end == "md"));
    complain(documents.flat_map(|document| {
        let broken = links(&document.text).into_iter().filter(|link| !leads_somewhere(&document.path, link));
        broken.map(|link| format!("{}: broken link to {link}", document.path.display())).collect::<Vec<_>>()
    }));
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = read("Cargo.toml").expect("a manifest");
    let reasons =
        read("docs/dependencies.md").expect("docs/dependencies.md says what each dependency is for");
    let explained = explained(&reasons);
    let unexplained = dependencies(&manifest).into_iter().filter(|name| !explained.contains(&name.as_str()));
    complain(unexplained.map(|name| format!("docs/dependencies.md: no row for {name}")));
}

/// A file of text, by its path from the top of the tree.
#[derive(Clone)]
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    fn lines_where(&self, what: &str, is_so: impl Fn(&str) -> bool) -> Vec<String> {
        let lines = self.text.lines().enumerate().filter(|(_, line)| is_so(line));
        lines
            .map(|(at, line)| format!("{}:{}: {what}: {}", self.path.display(), at + 1, line.trim()))
            .collect()
    }

    /// Tests come last in a file.
    fn without_tests(&self) -> String {
        let lines = self.text.lines().take_while(|line| *line != "#[cfg(test)]");
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Files that are modules of this one for tests alone.
    fn test_files(&self) -> Vec<PathBuf> {
        let lines: Vec<_> = self.text.lines().map(str::trim).collect();
        let folder = match self.path.file_stem() {
            Some(stem) if stem != "mod" && stem != "lib" && stem != "main" => self.path.with_extension(""),
            _ => self.path.parent().unwrap_or(Path::new("")).to_owned(),
        };
        let module = |pair: &[&str]| {
            let name = pair[1].strip_suffix(';')?.rsplit_once("mod ")?.1;
            (pair[0] == "#[cfg(test)]").then(|| folder.join(name).with_extension("rs"))
        };
        lines.windows(2).filter_map(module).collect()
    }
}

/// A line without its comment. (A `//` within a string ends it too early, which no check here minds.)
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or(line)
}

/// Whether a line has this place as the start of a path, not as a part of one.
fn names_place(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !"._-/~*<>)}".contains(c))
    })
}

/// What is in `[dependencies]`, `[dev-dependencies]` and their like.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut is_dependencies = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[') {
            is_dependencies = section.trim_end_matches(']').ends_with("dependencies");
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| is_dependencies) {
            names.extend((!name.starts_with('#')).then(|| name.to_owned()));
        }
    }
    names
}

/// What the first columns of a document's tables name: `| serde, serde_json | reports |`, `| loom (for tests) | … |`.
fn explained(document: &str) -> Vec<&str> {
    let cells = document.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |"));
    let names = cells.flat_map(|(cell, _)| cell.split(", "));
    names.filter_map(|name| name.split_whitespace().next()).collect()
}

/// Targets of `[text](target)`, outside code.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut is_code = false;
    for line in text.lines() {
        is_code ^= line.trim_start().starts_with("```");
        if !is_code {
            let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
            links.extend(targets.map(|(target, _)| target.to_owned()));
        }
    }
    links
}

fn leads_somewhere(document: &Path, link: &str) -> bool {
    if ["http://", "https://", "mailto:"].iter().any(|scheme| link.starts_with(scheme)) {
        // Tests stay on this machine.
        return true;
    }
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let folder = document.parent().unwrap_or(Path::new(""));
    let target = if file.is_empty() { document.to_owned() } else { normal(&folder.join(file)) };
    if !top().join(&target).exists() {
        return false;
    }
    heading.is_empty()
        || target.extension().is_none_or(|end| end != "md")
        || read(&target).is_some_and(|text| text.lines().any(|line| anchor(line).as_deref() == Some(heading)))
}

/// `a/../b` is `b`.
fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut normal, component| {
        match component {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            other => normal.push(other),
        }
        normal
    })
}

/// What links call a heading: lower case, dashes for spaces, letters, digits, dashes and underlines.
fn anchor(line: &str) -> Option<String> {
    let title = line.strip_prefix('#')?.trim_start_matches('#').strip_prefix(' ')?;
    let letters = title.trim().to_lowercase().replace(' ', "-");
    Some(letters.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect())
}

fn sources(folders: &[&str]) -> Vec<Source> {
    let all = folders.iter().flat_map(|folder| texts(Path::new(folder)));
    let sources: Vec<_> = all.filter(|text| text.path.extension().is_some_and(|end| end == "rs")).collect();
    assert!(!sources.is_empty(), "the sources are where the manifest is");
    sources
}

/// Every file of text below a folder of the tree. What is built or found, and the repository itself, is left out.
fn texts(folder: &Path) -> Vec<Source> {
    let mut texts = Vec::new();
    let Ok(entries) = fs::read_dir(top().join(folder)) else { return texts };
    for entry in entries.map(|entry| entry.expect("the tree can be read")) {
        let name = entry.file_name().into_string().expect("names are UTF-8");
        let path = folder.join(&name);
        let is_ours = ![".git", "lab-results", "corpus", "artifacts"].contains(&name.as_str())
            && !name.starts_with("target");
        if entry.file_type().expect("the tree can be read").is_dir() {
            texts.extend(if is_ours { self::texts(&path) } else { Vec::new() });
        } else if let Some(text) = read(&path).filter(|_| is_ours) {
            texts.push(Source { path, text });
        }
    }
    texts.sort_by(|one, other| one.path.cmp(&other.path));
    texts
}

/// `None` for what isn't there, or isn't text.
fn read(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(top().join(path)).ok()
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn complain(complaints: impl IntoIterator<Item = String>) {
    let complaints: Vec<_> = complaints.into_iter().collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn the_checks_see_what_they_are_for() {
    assert!(names_place(&format!("cp {}x .", PLACES[0].concat()), &PLACES[0].concat()));
    assert!(!names_place(&format!("net{}x", PLACES[0].concat()), &PLACES[0].concat()));
    assert_eq!(links("[a](b.md#c) and [d](e)\n```\n[f](g)\n```"), ["b.md#c", "e"]);
    assert_eq!(anchor("## What `--poll` does, and why"), Some("what---poll-does-and-why".into()));
    assert_eq!(normal(Path::new("docs/../src/./lib.rs")), Path::new("src/lib.rs"));
    assert_eq!(
        dependencies(
            "[package]\nname = \"x\"\n[dependencies]\na = \"1\"\n# b = 2\n[target.'x'.dev-dependencies]\nc = {}"
        ),
        ["a", "c"]
    );
    assert_eq!(explained("| a, b-c | why |\n| d (for e) | why |\ntext"), ["a", "b-c", "d"]);
    let parent = Source { path: "src/a/mod.rs".into(), text: "mod x;\n#[cfg(test)]\nmod samples;\n".into() };
    assert_eq!(parent.test_files(), [Path::new("src/a/samples.rs")]);
    assert_eq!(parent.without_tests(), "mod x;");
}
