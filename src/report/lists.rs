//! Short lists: artifacts, entries of caches, installations, findings about this machine, accounts, commands.

use std::fmt::Write;
use std::io::{self, IsTerminal};

use serde::Serialize;

use crate::backend::github::auth::HostStatus;
use crate::backend::github::workflows::ServerWorkflow;
use crate::config::{Config, EffectiveSetting};
use crate::launch::doctor::Finding;
use crate::launch::tools::Installation;
use crate::launch::trust::Trusted;
use crate::store::artifacts::Artifact;
use crate::store::cache::CacheEntry;
use crate::ui::terminal_text::{TerminalText, reveal, text};
use crate::ui::text::{bytes, count, counted, width, wrap};
use crate::ui::theme::{Colours, Glyphs, Hue};

use super::style;
use super::style::Style;

/// Minimum width in columns of descriptions that stand beside names. In a narrower terminal they stand below.
const MIN_ABOUT: usize = 24;

/// Lists commands with their descriptions under the headings of their groups, in lines of at most this many columns, and
/// with an empty line after each group. `heading` and `name` add the styles of headings and names.
pub fn commands(
    groups: &[(&str, Vec<(&str, String)>)],
    columns: usize,
    heading: impl Fn(&str) -> String,
    name: impl Fn(&str) -> String,
) -> String {
    let names = groups.iter().flat_map(|(_, commands)| commands).map(|(name, _)| name.len());
    let longest = names.max().unwrap_or_default();
    let indent = longest + 4;
    let is_beside = columns >= indent + MIN_ABOUT;
    let wide = if is_beside { columns - indent } else { columns.saturating_sub(6).max(MIN_ABOUT) };
    let mut list = String::new();
    for (group, commands) in groups {
        // Writing to a string cannot fail.
        let _ = writeln!(list, "{}", heading(&format!("{group}:")));
        for (command, about) in commands {
            let rows = wrap(about, wide);
            let _ = write!(list, "  {}", name(command));
            if is_beside {
                let (gap, next_row) = (longest - command.len() + 2, format!("\n{:indent$}", ""));
                let _ = writeln!(list, "{:gap$}{}", "", rows.join(&next_row));
            } else {
                let _ = writeln!(list, "\n      {}", rows.join("\n      "));
            }
        }
        list.push('\n');
    }
    list
}

/// Lists artifacts, one per line: a table, or a sentence about each for a screen reader.
pub fn artifacts(artifacts: &[Artifact], style: Style) -> TerminalText {
    let columns = style::column(artifacts.iter().map(|artifact| width(&artifact.name)));
    let mut list = TerminalText::default();
    for Artifact { name, size, job, attempt, created, .. } in artifacts {
        if style.is_linear() {
            let attempt = if *attempt > 1 { text!(", attempt {}", attempt) } else { text!("") };
            let job = if job.is_empty() { text!("") } else { text!(", job {}", job) };
            list.push_line(&text!("{}: {}{}{}, {}", name, bytes(*size), job, attempt, created.clock()));
            continue;
        }
        let attempt = if *attempt > 1 { text!(" attempt {}", attempt) } else { text!("") };
        list.push_line(&text!("{:<columns$}  {:>9}  {}  {}{}", name, bytes(*size), created.clock(), job, attempt));
    }
    let total = artifacts.iter().map(|artifact| artifact.size).sum();
    list.push_line(&text!("{}, {}", counted(artifacts.len() as u64, "artifact"), bytes(total)));
    list
}

/// Lists entries of caches, one per line: a table, or a sentence about each for a screen reader.
pub fn caches(entries: &[CacheEntry], deleted: bool, with_repository: bool, style: Style) -> TerminalText {
    let mut list = TerminalText::default();
    for CacheEntry { key, scope, repository, size, used, .. } in entries {
        if style.is_linear() {
            let state = if deleted { "deleted, " } else { "" };
            let of = if with_repository { text!(" of {}", repository) } else { text!("") };
            let last = used.clock();
            list.push_line(&text!("{}: {}{}, saved for {}{}, last used {}", key, state, bytes(*size), scope, of, last));
            continue;
        }
        let repository = if with_repository { text!("  {}", repository) } else { text!("") };
        list.push_line(&text!("{:>9}  used {}  {}  {}{}", bytes(*size), used.clock(), key, scope, repository));
    }
    let total = entries.iter().map(|entry| entry.size).sum();
    let done = if deleted { " deleted" } else { "" };
    let noun = if entries.len() == 1 { "entry" } else { "entries" };
    list.push_line(&text!("{} {}{}, {}", count(entries.len() as u64), noun, done, bytes(total)));
    list
}

/// Prints entries of caches, one JSON object per line.
///
/// # Errors
/// The output cannot be written.
pub fn caches_json(entries: &[CacheEntry]) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'e> {
        #[serde(flatten)]
        entry: &'e CacheEntry,
        used: u64,
    }
    entries.iter().try_for_each(|entry| style::json(&Document { entry, used: entry.used.0 }))
}

/// Lists installations, one per line: a table, or a sentence about each for a screen reader.
pub fn installations(found: &[Installation], style: Style) -> TerminalText {
    let mut list = TerminalText::default();
    for Installation { tool, version, home, source, .. } in found {
        let (version, home) = (version.to_string(), home.display().to_string());
        if style.is_linear() {
            list.push_line(&text!("{} {}: source {}, folder {}", tool.name(), version, *source, home));
            continue;
        }
        list.push_line(&text!("{:<8}{:<10}{:<15}{}", tool.name(), version, *source, home));
    }
    list
}

/// Formats a trusted repository in one line. Unsafe characters are shown, because the paths and addresses decide what may
/// run.
pub fn trusted(repository: &Trusted, style: Style) -> TerminalText {
    let root = reveal(&repository.root.path.display().to_string());
    let origin = reveal(&repository.origin);
    match (style.is_linear(), origin.is_empty()) {
        (true, true) => text!("{}: trusted, the repository has no origin", root),
        (true, false) => text!("{}: trusted, its origin is {}", root, origin),
        (false, true) => text!("{}  no origin", root),
        (false, false) => text!("{}  {}", root, origin),
    }
}

/// Lists the workflows of a repository on a server, one per line: a table, or a sentence about each for a screen reader.
pub fn workflows(workflows: &[ServerWorkflow], style: Style) -> TerminalText {
    let columns = style::column(workflows.iter().map(|workflow| width(workflow.file())));
    let mut list = TerminalText::default();
    for workflow in workflows {
        let (file, name, state) = (workflow.file(), &workflow.name, workflow.state.text());
        list.push_line(&if style.is_linear() {
            text!("{}: {}, {}", file, name, state)
        } else {
            text!("{:<columns$}  {}  ({})", file, name, state)
        });
    }
    list
}

/// Returns a sentence about each setting in effect, for a screen reader.
pub fn settings(config: &Config) -> TerminalText {
    let mut sentences = TerminalText::default();
    for EffectiveSetting { table, name, value, origin } in config.effective() {
        let table = if table.is_empty() { text!("") } else { text!("{}.", table) };
        sentences.push_line(&text!("{}{}: {}, {}", table, name, value, origin));
    }
    for ignored in config.without_effect() {
        sentences.push_line(&text!("without effect: {}", ignored));
    }
    sentences
}

/// Formats a finding in one line.
pub fn finding(subject: &str, found: &Finding, style: Style) -> TerminalText {
    let (mark, hue, finding) = match found {
        Finding::Good(text) => ("ok", Hue::Good, text),
        Finding::Warning(text) => ("--", Hue::Busy, text),
        Finding::Bad(text) => ("!!", Hue::Bad, text),
    };
    if style.is_linear() {
        let state = match found {
            Finding::Good(_) => "good",
            Finding::Warning(_) => "warning",
            Finding::Bad(_) => "problem",
        };
        return text!("{}: {}, {}", subject, state, finding);
    }
    text!("{} {:<8} {}", style.paint(hue, mark), subject, finding)
}

/// Returns a finding about the terminal at standard output. `has_screen` is whether it can show the screen.
pub fn terminal(has_screen: bool) -> Finding {
    if !io::stdout().is_terminal() {
        return Finding::Good("not a terminal: runs are printed as lines".to_owned());
    }
    if style::is_linear() {
        return Finding::Good("runs are printed in sentences for a screen reader".to_owned());
    }
    let style = Style::of_output();
    let colour = if style.colours() == Colours::Terminal { "colours" } else { "no colours" };
    let signs =
        if style.glyphs() == Glyphs::Ascii { "ASCII symbols, as the locale has no UTF-8" } else { "Unicode symbols" };
    match crossterm::terminal::size() {
        Ok((width, height)) if has_screen => Finding::Good(format!("{width}x{height}, {colour}, {signs}")),
        Ok(_) => Finding::Warning("TERM is not set or `dumb`: runs are printed as lines".to_owned()),
        Err(error) => Finding::Warning(format!("its size is unknown: {error}")),
    }
}

/// Returns the sentences about the account at a server, for a screen reader.
fn account_sentences(status: &HostStatus, account: &str) -> Vec<TerminalText> {
    let host = &status.host;
    let state = if let Some(problem) = &status.problem {
        text!("{}: problem, {}", host, problem)
    } else {
        text!("{}: good, the account is {}", host, account)
    };
    let source = Some(&status.source).filter(|source| !source.is_empty());
    let source = source.map(|source| text!("{}: source of the token: {}", host, source));
    let scopes = status.scopes.as_ref().map(|scopes| {
        let scopes = if scopes.is_empty() { "none".to_owned() } else { scopes.join(", ") };
        text!("{}: the scopes of the token are {}", host, scopes)
    });
    let limit = status.rate.map(|rate| text!("{}: {} of {} requests are left", host, rate.remaining, rate.limit));
    std::iter::once(state).chain(source).chain(scopes).chain(limit).collect()
}

/// Returns the lines about the account at a server.
pub fn account(status: &HostStatus, style: Style) -> Vec<TerminalText> {
    let account = status.account.as_deref().unwrap_or("anonymous");
    if style.is_linear() {
        return account_sentences(status, account);
    }
    let mut lines = vec![text!("{}", style.bold(&status.host))];
    match &status.problem {
        Some(problem) => lines.push(text!("  {} {}", style.paint(Hue::Bad, "!!"), problem)),
        None => lines.push(text!("  {} {}", style.paint(Hue::Good, "ok"), account)),
    }
    if !status.source.is_empty() {
        lines.push(text!("  token   {}", status.source));
    }
    if let Some(scopes) = &status.scopes {
        let scopes = if scopes.is_empty() { "none".to_owned() } else { scopes.join(", ") };
        lines.push(text!("  scopes  {}", scopes));
    }
    if let Some(rate) = status.rate {
        lines.push(text!("  limit   {} of {} requests left", rate.remaining, rate.limit));
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::backend::github::workflows::WorkflowState;
    use crate::model::Timestamp;

    fn artifact(name: &str, job: &str, attempt: u32) -> Artifact {
        Artifact {
            id: 1,
            name: name.to_owned(),
            size: 1500,
            media_type: String::new(),
            digest: None,
            created: Timestamp(0),
            expires: None,
            job: job.to_owned(),
            attempt,
        }
    }

    #[test]
    fn the_columns_of_artifacts_with_wide_characters_are_aligned() {
        let table = artifacts(&[artifact("日本", "", 1), artifact("abcd", "", 1)], Style::new(Glyphs::Unicode, false));
        let starts: Vec<_> = table.as_str().lines().take(2).map(|line| line.split("1970").next().map(width)).collect();
        assert_eq!(starts, [Some(17), Some(17)], "{}", table.as_str());
    }

    #[test]
    fn each_setting_is_a_sentence_with_its_whole_name() {
        let text = settings(&Config::default());
        assert!(text.as_str().contains("keep_runs: 50, default\n"), "{}", text.as_str());
        assert!(text.as_str().contains("docker.keep_failed: 5, default\n"), "{}", text.as_str());
        assert!(text.as_str().lines().all(|line| line.contains(": ")), "{}", text.as_str());
    }

    #[test]
    fn lists_for_a_screen_reader_are_sentences_without_columns() {
        let style = Style::linear();
        let artifacts = artifacts(&[artifact("a", "build", 1), artifact("longer", "", 2)], style);
        assert_eq!(
            artifacts.as_str(),
            "a: 1.5 kB, job build, 1970-01-01 00:00 UTC\n\
             longer: 1.5 kB, attempt 2, 1970-01-01 00:00 UTC\n\
             2 artifacts, 3.0 kB\n"
        );
        let entry = CacheEntry {
            key: "npm-1".to_owned(),
            version: String::new(),
            scope: "refs/heads/main".to_owned(),
            repository: "octo/app".to_owned(),
            size: 20,
            created: Timestamp(0),
            used: Timestamp(0),
        };
        let entries = [entry];
        assert_eq!(
            caches(&entries, false, true, style).as_str(),
            "npm-1: 20 B, saved for refs/heads/main of octo/app, last used 1970-01-01 00:00 UTC\n1 entry, 20 B\n"
        );
        let deleted = caches(&entries, true, false, style);
        assert!(deleted.as_str().starts_with("npm-1: deleted, 20 B, saved for refs/heads/main, "), "{deleted:?}");
        let workflow =
            |path: &str, state| ServerWorkflow { name: "Build".to_owned(), path: path.to_owned(), id: None, state };
        let listed = [
            workflow(".github/workflows/ci.yml", WorkflowState::Active),
            workflow(".github/workflows/nightly.yml", WorkflowState::Disabled),
        ];
        assert_eq!(workflows(&listed, style).as_str(), "ci.yml: Build, active\nnightly.yml: Build, disabled\n");
        let table = workflows(&listed, Style::new(Glyphs::Unicode, false));
        assert_eq!(table.as_str(), "ci.yml       Build  (active)\nnightly.yml  Build  (disabled)\n");
        let mut repository = Trusted::default();
        repository.root.path = PathBuf::from("/src/app");
        let none = trusted(&repository, style);
        assert_eq!(none.as_str(), "/src/app: trusted, the repository has no origin");
        repository.origin = "https://github.com/octo/app".to_owned();
        let some = trusted(&repository, style);
        assert_eq!(some.as_str(), "/src/app: trusted, its origin is https://github.com/octo/app");
    }
}
