//! Reads coverage reports in place of `codecov/codecov-action`, which needs a program of its server.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use walkdir::WalkDir;

use self::report::{FileCoverage, ReportError};
use crate::engine::workspace::hash_files::{self, HashError};
use crate::files::{FileError, Folder, Links};

mod report;
mod xml;

/// Share of covered lines, in percent, below which a file or a project needs more tests.
const MINIMUM: f64 = 80.0;

/// Share of covered lines, in percent, at which nothing more is needed.
const TARGET: f64 = 90.0;

/// Maximum size of a report in bytes.
pub(in crate::engine) const MAX_REPORT: u64 = 64 * 1024 * 1024;

/// Maximum number of files that are listed.
const MAX_LISTED: usize = 500;

/// Maximum depth of the folders in which reports are searched for.
const MAX_DEPTH: usize = 6;

/// File names of the reports that are searched for if the step names none.
const NAMES: &[&str] = &[
    "coverage.xml",
    "cobertura.xml",
    "cobertura-coverage.xml",
    "jacoco.xml",
    "lcov.info",
    "coverage.lcov",
    "coverage.out",
    "cover.out",
];

/// Folders that hold no reports of the project.
const SKIPPED: &[&str] = &[".git", "node_modules", ".venv", "target/debug"];

/// Why the coverage cannot be determined.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum CoverageError {
    /// No report was named or found.
    #[error("no coverage report was found; name it in the input `files`")]
    NoReport,
    /// A named report cannot be read.
    #[error("the coverage report {} cannot be read: {source}", path.display())]
    Unreadable {
        /// Its path in the workspace.
        path: PathBuf,
        /// The cause.
        source: FileError,
    },
    /// A pattern for reports is invalid, or a folder cannot be searched.
    #[error("the coverage reports `{pattern}` cannot be found: {source}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// The cause.
        source: HashError,
    },
    /// A report has an unknown form, or no lines.
    #[error("{}: {source}", path.display())]
    Report {
        /// Its path in the workspace.
        path: PathBuf,
        /// The cause.
        source: ReportError,
    },
}

/// Coverage of a project.
#[derive(Debug)]
pub(in crate::engine) struct Coverage {
    /// Paths of the reports in the workspace.
    reports: Vec<PathBuf>,
    files: Vec<FileCoverage>,
}

/// Whether the step uploads test results, which contain no coverage.
pub(in crate::engine) fn is_of_tests(given: &IndexMap<String, String>) -> bool {
    given.get("report_type").is_some_and(|kind| kind.trim() == "test_results")
}

/// Translates a path as the step sees it, for example in a container, to a path on this machine.
pub(in crate::engine) type Outside<'o> = &'o dyn Fn(&Path) -> PathBuf;

/// Returns the reports that the inputs of the action name: paths on this machine or relative to the workspace, or
/// patterns.
pub(in crate::engine) fn named(given: &IndexMap<String, String>, outside: Outside<'_>) -> Vec<PathBuf> {
    let texts = ["file", "files"].iter().filter_map(|name| given.get(*name));
    let names = texts.flat_map(|text| text.split([',', '\n'])).map(str::trim).filter(|name| !name.is_empty());
    names.map(|name| outside(Path::new(name.trim_start_matches("./")))).collect()
}

/// Reads the reports of a workspace: the named ones, or those with a usual name below the input `directory`.
///
/// # Errors
/// There is no report, or one of them cannot be read.
pub(in crate::engine) fn read(
    workspace: &Path,
    given: &IndexMap<String, String>,
    outside: Outside<'_>,
) -> Result<Coverage, CoverageError> {
    let named = named(given, outside);
    let below = given.get("directory").map_or("", |folder| folder.trim().trim_start_matches("./"));
    let reports =
        if named.is_empty() { found(workspace, &outside(Path::new(below))) } else { chosen(workspace, named)? };
    let unreadable = |path: &Path, source: FileError| CoverageError::Unreadable { path: path.to_owned(), source };
    let folder = Folder::open(workspace).map_err(|error| unreadable(workspace, error.into()))?;
    let mut files = IndexMap::new();
    for path in &reports {
        let inner = path.strip_prefix(workspace).unwrap_or(path);
        let bytes = folder.read(inner, Links::Within, MAX_REPORT).map_err(|error| unreadable(path, error))?;
        let text = String::from_utf8_lossy(&bytes);
        report::add(&text, &mut files).map_err(|source| CoverageError::Report { path: path.clone(), source })?;
    }
    let mut files = report::counted(files);
    files.sort_by(|one, other| one.path.cmp(&other.path));
    if files.is_empty() { Err(CoverageError::NoReport) } else { Ok(Coverage { reports, files }) }
}

/// Replaces the patterns among the named reports by the files that they select.
///
/// # Errors
/// A pattern is invalid, or a folder cannot be read.
fn chosen(workspace: &Path, named: Vec<PathBuf>) -> Result<Vec<PathBuf>, CoverageError> {
    let mut chosen = Vec::new();
    for path in named {
        let text = path.to_string_lossy();
        if workspace.join(&path).exists() || !text.contains(['*', '?', '[']) {
            chosen.push(path);
            continue;
        }
        let pattern = text.into_owned();
        match hash_files::selected(workspace, std::slice::from_ref(&pattern)) {
            Ok(selected) => chosen.extend(selected),
            Err(source) => return Err(CoverageError::Pattern { pattern, source }),
        }
    }
    Ok(chosen)
}

/// Finds reports by their names.
fn found(workspace: &Path, below: &Path) -> Vec<PathBuf> {
    let root = workspace.join(below);
    let is_skipped = |path: &Path| SKIPPED.iter().any(|skipped| path.ends_with(skipped));
    let entries = WalkDir::new(&root).max_depth(MAX_DEPTH).sort_by_file_name().into_iter();
    let entries = entries.filter_entry(|entry| entry.depth() == 0 || !is_skipped(entry.path())).flatten();
    let reports = entries.filter(|entry| entry.file_type().is_file());
    let reports = reports.filter(|entry| entry.file_name().to_str().is_some_and(|name| NAMES.contains(&name)));
    reports.filter_map(|entry| Some(entry.path().strip_prefix(workspace).ok()?.to_owned())).collect()
}

impl Coverage {
    /// Returns the total: covered and coverable lines or statements.
    fn total(&self) -> (u64, u64) {
        self.files.iter().fold((0, 0), |(covered, all), file| (covered + file.covered, all + file.all))
    }

    /// Returns the lines for the log: a line for each file, and the total.
    pub(in crate::engine) fn lines(&self) -> Vec<String> {
        let row = |(covered, all): (u64, u64), name: &str| {
            let share = percent(covered, all);
            let verdict = verdict(share).map(|verdict| format!("  {verdict}")).unwrap_or_default();
            format!("{share:>6.1} %  {:>13}  {name}{verdict}", format!("{covered}/{all}"))
        };
        let mut lines: Vec<_> =
            self.files.iter().take(MAX_LISTED).map(|file| row((file.covered, file.all), &file.path)).collect();
        if let Some(more) = self.files.len().checked_sub(MAX_LISTED).filter(|more| *more > 0) {
            lines.push(format!("and {more} more files"));
        }
        let reports: Vec<_> = self.reports.iter().map(|path| path.display().to_string()).collect();
        lines.push(row(self.total(), &format!("in total, from {}", reports.join(", "))));
        lines
    }

    /// Returns a warning if the total is below the minimum.
    pub(in crate::engine) fn warning(&self) -> Option<String> {
        let (covered, all) = self.total();
        let share = percent(covered, all);
        (share < MINIMUM).then(|| format!("The coverage of {share:.1} % is below the minimum of {MINIMUM} %."))
    }

    /// Returns the coverage as a job summary in Markdown.
    pub(in crate::engine) fn summary(&self) -> String {
        let (covered, all) = self.total();
        let mut text =
            format!("### Coverage: {:.1} %\n\n| file | lines | coverage |\n|---|---:|---:|\n", percent(covered, all));
        for FileCoverage { path, covered, all } in self.files.iter().take(MAX_LISTED) {
            let path = path.replace('|', "\\|");
            let _ = writeln!(text, "| {path} | {covered}/{all} | {:.1} % |", percent(*covered, *all));
        }
        text
    }
}

/// Returns a share in percent. An empty file is covered.
fn percent(covered: u64, all: u64) -> f64 {
    if all == 0 { 100.0 } else { covered as f64 * 100.0 / all as f64 }
}

fn verdict(share: f64) -> Option<String> {
    if share < MINIMUM {
        Some(format!("below the minimum of {MINIMUM} %"))
    } else {
        (share < TARGET).then(|| format!("below the target of {TARGET} %"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn given(pairs: &[(&str, &str)]) -> IndexMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// Reads the reports of a step on this machine.
    fn read_here(workspace: &Path, given: &IndexMap<String, String>) -> Result<Coverage, CoverageError> {
        read(workspace, given, &Path::to_owned)
    }

    fn lcov(files: &[(&str, u32, u32)]) -> String {
        let mut text = String::new();
        for (name, covered, all) in files {
            let _ = writeln!(text, "SF:{name}");
            for line in 1..=*all {
                let _ = writeln!(text, "DA:{line},{}", u32::from(line <= *covered));
            }
            text.push_str("end_of_record\n");
        }
        text
    }

    #[test]
    fn each_file_is_compared_with_minimum_and_target() {
        let home = tempfile::tempdir().expect("a folder");
        fs::write(home.path().join("a.info"), lcov(&[("b.py", 79, 100), ("a.py", 85, 100), ("c.py", 9, 10)]))
            .expect("w");
        let coverage = read_here(home.path(), &given(&[("file", "./a.info")])).expect("read");
        assert_eq!(
            coverage.lines(),
            [
                "  85.0 %         85/100  a.py  below the target of 90 %",
                "  79.0 %         79/100  b.py  below the minimum of 80 %",
                "  90.0 %           9/10  c.py",
                "  82.4 %        173/210  in total, from a.info  below the target of 90 %",
            ]
        );
        assert_eq!(coverage.warning(), None);
        assert!(coverage.summary().contains("| b.py | 79/100 | 79.0 % |"));
    }

    #[test]
    fn reports_are_found_by_name_and_missing_ones_are_errors() {
        let home = tempfile::tempdir().expect("a folder");
        let none = read_here(home.path(), &given(&[])).expect_err("none");
        assert_eq!(none.to_string(), "no coverage report was found; name it in the input `files`");
        fs::create_dir_all(home.path().join("web/node_modules")).expect("made");
        for name in ["web/lcov.info", "web/node_modules/lcov.info", "notes.info"] {
            fs::write(home.path().join(name), lcov(&[(name, 1, 2)])).expect("written");
        }
        let coverage = read_here(home.path(), &given(&[])).expect("read");
        assert_eq!(coverage.reports, [PathBuf::from("web/lcov.info")]);
        assert_eq!(coverage.warning().as_deref(), Some("The coverage of 50.0 % is below the minimum of 80 %."));
        for (files, message) in [
            ("none.xml", "the coverage report none.xml cannot be read: No such file"),
            ("../outside", "the coverage report ../outside cannot be read: the path leads out"),
        ] {
            let error = read_here(home.path(), &given(&[("files", files)])).expect_err(files).to_string();
            assert!(error.starts_with(message), "{error}");
        }
        fs::write(home.path().join("x"), "hello\n").expect("written");
        let error = read_here(home.path(), &given(&[("files", "x")])).expect_err("unknown").to_string();
        assert_eq!(error, "x: unknown format: expected Cobertura, JaCoCo, LCOV or a cover profile of Go");
    }
    #[test]
    fn reports_are_named_by_patterns_and_by_paths_in_a_container() {
        let home = tempfile::tempdir().expect("a folder");
        for (name, covered) in [("out/unit-1.info", 1), ("out/unit-2.info", 2), ("other.info", 3)] {
            fs::create_dir_all(home.path().join("out")).expect("made");
            fs::write(home.path().join(name), lcov(&[(name, covered, 4)])).expect("written");
        }
        let outside = |path: &Path| match path.strip_prefix("/github/workspace") {
            Ok(below) => home.path().join(below),
            Err(_) => path.to_owned(),
        };
        for (files, total) in [
            ("out/*.info", (3, 8)),
            ("./**/*.info", (6, 12)),
            ("/github/workspace/other.info", (3, 4)),
            ("/github/workspace/out/unit-*.info, other.info", (6, 12)),
        ] {
            let coverage = read(home.path(), &given(&[("files", files)]), &outside).expect(files);
            assert_eq!(coverage.total(), total, "{files}");
        }
        let none = read(home.path(), &given(&[("files", "none-*.xml")]), &outside).expect_err("none");
        assert!(matches!(none, CoverageError::NoReport), "{none}");
    }
}
