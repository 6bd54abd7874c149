//! Formats of coverage reports: Cobertura and `JaCoCo` (XML), LCOV, and the profiles of Go.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::xml::{Tag, tags};

/// Why a report cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::engine) enum ReportError {
    /// The text has none of the known formats.
    #[error("unknown format: expected Cobertura, JaCoCo, LCOV or a cover profile of Go")]
    Format,
    /// The report names no lines.
    #[error("the report names no lines of any file")]
    Empty,
}

/// Coverage of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileCoverage {
    /// Path, as the report names it.
    pub(super) path: String,
    /// Number of covered lines; of statements in a profile of Go.
    pub(super) covered: u64,
    /// Number of all lines or statements that can be covered.
    pub(super) all: u64,
}

/// Coverage of files: for each line or block, the number of statements, and whether it ran.
pub(super) type Files = IndexMap<String, BTreeMap<String, (u64, bool)>>;

/// Adds the content of a report. A line that occurs several times is covered if it is covered in one of its
/// occurrences.
///
/// # Errors
/// The format is unknown, or the report names no lines.
pub(super) fn add(text: &str, files: &mut Files) -> Result<(), ReportError> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let mut own = Files::new();
    let is_lcov = || text.lines().any(|line| line.starts_with("SF:"));
    if text.starts_with('<') {
        add_xml(text, &mut own);
    } else if text.starts_with("mode:") {
        add_profile(text, &mut own);
    } else if is_lcov() {
        add_lcov(text, &mut own);
    } else {
        return Err(ReportError::Format);
    }
    if own.is_empty() {
        return Err(ReportError::Empty);
    }
    for (path, lines) in own {
        for (place, (weight, ran)) in lines {
            note(files, &path, &place, weight, ran);
        }
    }
    Ok(())
}

/// Counts the lines of each file.
pub(super) fn counted(files: Files) -> Vec<FileCoverage> {
    let count = |(path, lines): (String, BTreeMap<String, (u64, bool)>)| {
        let covered = lines.values().filter(|(_, ran)| *ran).map(|(weight, _)| weight).sum();
        FileCoverage { path, covered, all: lines.values().map(|(weight, _)| weight).sum() }
    };
    files.into_iter().map(count).collect()
}

fn note(files: &mut Files, path: &str, place: &str, weight: u64, ran: bool) {
    let lines = files.entry(path.to_owned()).or_default();
    let known = lines.entry(place.to_owned()).or_insert((weight, false));
    known.1 |= ran;
}

/// Reads Cobertura (`class` with `filename`, `line` with `number` and `hits`) and `JaCoCo` (`package`, `sourcefile`,
/// and `line` with `nr` and the number of covered instructions, `ci`).
fn add_xml(text: &str, files: &mut Files) {
    let (mut package, mut file) = (String::new(), None);
    for tag in tags(text) {
        let Tag { name, is_end, .. } = &tag;
        match (*name, is_end) {
            ("package", false) => package = tag.attribute("name").unwrap_or_default(),
            ("class", false) => file = tag.attribute("filename"),
            ("sourcefile", false) => {
                let name = tag.attribute("name").unwrap_or_default();
                file = Some(if package.is_empty() { name } else { format!("{package}/{name}") });
            }
            ("class" | "sourcefile", true) => file = None,
            ("line", false) => {
                let Some(path) = &file else { continue };
                let (number, hits) = match (tag.attribute("number"), tag.attribute("nr")) {
                    (Some(number), _) => (number, tag.attribute("hits")),
                    (None, Some(number)) => (number, tag.attribute("ci")),
                    (None, None) => continue,
                };
                note(files, path, &number, 1, hits.is_some_and(|hits| hits.trim() != "0"));
            }
            _ => {}
        }
    }
}

fn add_lcov(text: &str, files: &mut Files) {
    let mut file = "";
    for line in text.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            file = path.trim();
        } else if let Some((number, rest)) = line.strip_prefix("DA:").and_then(|line| line.split_once(',')) {
            let hits = rest.split(',').next().unwrap_or_default();
            note(files, file, number, 1, hits.trim() != "0");
        }
    }
}

/// Reads lines of the form `FILE:BLOCK STATEMENTS COUNT`.
fn add_profile(text: &str, files: &mut Files) {
    for line in text.lines().skip(1) {
        let mut parts = line.rsplitn(3, ' ');
        let (Some(count), Some(statements), Some(place)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let (Some((path, block)), Ok(weight)) = (place.rsplit_once(':'), statements.parse()) else { continue };
        note(files, path, block, weight, count.trim() != "0");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Result<Vec<(String, u64, u64)>, ReportError> {
        let mut files = Files::new();
        texts.iter().try_for_each(|text| add(text, &mut files))?;
        Ok(counted(files).into_iter().map(|file| (file.path, file.covered, file.all)).collect())
    }

    #[test]
    fn all_formats_are_read() {
        let cobertura = r#"<?xml version="1.0" ?>
<!DOCTYPE coverage SYSTEM "x.dtd">
<coverage line-rate="0.5"><!-- <class filename="no"><line number="1" hits="1"/></class> -->
<packages><package name="."><classes>
<class name="a.py" filename="src/a &amp; b.py"><methods><method name="m"><lines><line number="1" hits="2"/></lines></method></methods>
<lines><line number="1" hits="2"/><line number='2' hits='0'/></lines></class>
<class name="b" filename="b.py"><lines/></class></classes></package></packages></coverage>"#;
        assert_eq!(read(&[cobertura]), Ok(vec![("src/a & b.py".to_owned(), 1, 2)]));
        let jacoco = r#"<report name="x"><package name="org/x"><sourcefile name="A.java">
            <line nr="3" mi="0" ci="4" mb="0" cb="0"/><line nr="4" mi="2" ci="0"/></sourcefile></package></report>"#;
        assert_eq!(read(&[jacoco]), Ok(vec![("org/x/A.java".to_owned(), 1, 2)]));
        let lcov = "TN:\nSF:a.ts\nDA:1,1,abc\nDA:2,0\nend_of_record\nSF:b.ts\nDA:1,5\nend_of_record\n";
        assert_eq!(read(&[lcov]), Ok(vec![("a.ts".to_owned(), 1, 2), ("b.ts".to_owned(), 1, 1)]));
        let go = "mode: set\nx.org/m/a.go:3.2,5.10 2 1\nx.org/m/a.go:7.2,8.3 3 0\nx.org/m/a.go:7.2,8.3 3 1\n";
        assert_eq!(read(&[go]), Ok(vec![("x.org/m/a.go".to_owned(), 5, 5)]));
        // A line that is uncovered in one report is covered if another report covers it.
        assert_eq!(read(&[lcov, "SF:a.ts\nDA:2,3\n"]).map(|files| files[0].1), Ok(2));
    }

    #[test]
    fn what_is_no_report_is_an_error() {
        for (text, error) in [
            ("", ReportError::Format),
            ("{}", ReportError::Format),
            ("<html></html>", ReportError::Empty),
            ("<", ReportError::Empty),
        ] {
            assert_eq!(read(&[text]), Err(error.clone()), "{text:?}");
            assert_eq!(read(&["SF:a.ts\nDA:1,1\n", text]), Err(error), "after another report: {text:?}");
        }
    }
}
