//! Diagnoses this machine: checks the requirements of runs, and finds leftovers of old runs.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;

use crate::engine::sandbox::host::find_program;
use crate::engine::sandbox::provider::{Holding, Provider};
use crate::engine::sandbox::providers::{Providers, left_over, of_runs};
use crate::files;
use crate::model::first_names;
use crate::repo::git;
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::{StoreError, folder, hint, history};
use crate::worker::recovery;

use super::branches;

/// Returns a warning about branches that processes may have left on servers when they ended early; `None` if there are
/// none.
fn left_branches(runs: &RunsDir) -> Option<Finding> {
    let left = branches::leftovers(runs);
    let named: Vec<String> = left
        .iter()
        .take(MAX_NAMES)
        .map(|branch| format!("{} at {} (of {})", branch.name, branch.repository, branch.root.display()))
        .collect();
    let more = left.len().checked_sub(named.len()).filter(|more| *more > 0).map(|more| format!(" and {more} more"));
    let text = format!(
        "may be left on a server: {}{}; the next `cuelight run --remote` there removes it",
        named.join(", "),
        more.unwrap_or_default()
    );
    (!left.is_empty()).then_some(Finding::Warning(text))
}

/// Maximum number of leftovers that are listed by name.
const MAX_NAMES: usize = 3;

/// A check and its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Name of the check.
    pub subject: &'static str,
    /// The result.
    pub finding: Finding,
}

/// Result of a check, with a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Nothing is wrong.
    Good(String),
    /// Some runs cannot do all of their work, or resources of earlier runs are left.
    Warning(String),
    /// No run can start, or its result cannot be kept.
    Bad(String),
}

/// Checks programs, providers, the state folder and its runs. Creates the state folder if it is missing, and rebuilds
/// the index of runs. Runs that lost their worker stay open: to close them removes their containers.
pub async fn check() -> Vec<Check> {
    let runs = folder::locate();
    let lost = runs.as_ref().map_or_else(|_| Ok(Vec::new()), recovery::lost);
    let of_lost = lost.as_deref().unwrap_or_default();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let program = |name, without| program(name, &path, without);
    let checks = [
        ("git", version_of_git()),
        ("shell", program("bash", Finding::Warning("steps without `shell:` run in sh instead".to_owned()))),
        ("sh", program("sh", Finding::Bad("no script can run".to_owned()))),
        ("python", program("python", Finding::Warning("steps with `shell: python` fail".to_owned()))),
        ("node", program("node", Finding::Warning("JavaScript actions cannot run on this machine".to_owned()))),
    ];
    let mut checks: Vec<_> = checks.into_iter().collect();
    for provider in Providers::of_this_process().iter() {
        match provider.check().await {
            Ok(None) => {}
            Ok(Some(answer)) => {
                checks.push((provider.name(), left_at(provider, answer, runs.as_ref().ok(), of_lost).await));
            }
            Err(error) => {
                let text = format!("jobs with containers and services cannot run: {error}");
                checks.push((provider.name(), Finding::Warning(text)));
            }
        }
    }
    match &runs {
        Ok(runs) => {
            checks.extend([("state", state(runs)), ("runs", kept(runs, lost.map(|lost| lost.len())))]);
            checks.extend(left_branches(runs).map(|finding| ("branches", finding)));
        }
        Err(error) => checks.push(("state", Finding::Bad(error.to_string()))),
    }
    checks.into_iter().map(|(subject, finding)| Check { subject, finding }).collect()
}

fn version_of_git() -> Finding {
    match git::git(&std::env::temp_dir(), ["--version"]) {
        Ok(version) => Finding::Good(version.trim().to_owned()),
        Err(error) => Finding::Bad(error.to_string()),
    }
}

/// Looks for a program. `without` is the finding if it is missing, and describes what does not work then.
fn program(name: &str, path: &OsStr, without: Finding) -> Finding {
    let missing = |text: String| format!("{name} is not on PATH: {text}");
    match (find_program(name, path), without) {
        (Some(found), _) => Finding::Good(found.display().to_string()),
        (None, Finding::Good(text)) => Finding::Good(missing(text)),
        (None, Finding::Warning(text)) => Finding::Warning(missing(text)),
        (None, Finding::Bad(text)) => Finding::Bad(missing(text)),
    }
}

/// Reports an available provider and the leftovers there.
async fn left_at(provider: &dyn Provider, answer: String, runs: Option<&RunsDir>, lost: &[RunFolder]) -> Finding {
    let Some(runs) = runs else { return Finding::Good(answer) };
    match provider.holdings(runs.state()).await {
        Ok(holdings) => left(answer, &left_over(holdings, runs), lost),
        Err(error) => Finding::Warning(format!("{answer}: {error}")),
    }
}

/// Reports leftovers, those of the runs that lost their worker apart from the others.
fn left(answer: String, left: &[Holding], lost: &[RunFolder]) -> Finding {
    let of_lost = of_runs(left, lost);
    let others: Vec<_> = left.iter().filter(|one| !of_lost.contains(one)).cloned().collect();
    let mut text = answer;
    for (found, what, next) in [
        (of_lost, "of runs that lost their worker", "the next command that reads runs removes them"),
        (others, "left over", "`cuelight clean` removes them"),
    ] {
        if !found.is_empty() {
            let names = first_names(found.iter().map(|one| one.name.as_str()), MAX_NAMES);
            text.push_str(&format!("; {} {what} ({names}): {next}", found.len()));
        }
    }
    if left.is_empty() { Finding::Good(text) } else { Finding::Warning(text) }
}

/// Creates the state folder if it is missing, and checks that it can be written.
fn state(runs: &RunsDir) -> Finding {
    let state = runs.state();
    let probe = state.join(format!(".probe-{}", std::process::id()));
    let write = || files::create_own(&probe)?.write_all(b"x");
    let tried = fs::create_dir_all(state).and_then(|()| write()).and_then(|()| fs::remove_file(&probe));
    match tried {
        Ok(()) => Finding::Good(format!("{} can be written", state.display())),
        Err(error) => Finding::Bad(format!("{} cannot be written: {error}{}", state.display(), hint(&error))),
    }
}

/// Rebuilds the index of runs, and counts the runs. `lost` is the number of runs that have lost their worker.
fn kept(runs: &RunsDir, lost: Result<usize, StoreError>) -> Finding {
    let counted = lost.and_then(|lost| Ok((lost, history::rebuild(runs)?, history::unfinished(runs)?.len())));
    match counted {
        Ok((0, kept, open)) => Finding::Good(format!("{kept} kept, {open} in progress")),
        Ok((lost, kept, open)) => Finding::Warning(format!(
            "{kept} kept, {} in progress; {lost} lost the worker: the next command that reads runs ends {} and removes \
             the containers (`cuelight resume` continues one)",
            open.saturating_sub(lost),
            if lost == 1 { "it" } else { "them" },
        )),
        Err(error) => Finding::Bad(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sandbox::provider::HoldingKind;

    #[test]
    fn a_missing_program_is_as_bad_as_what_does_not_work_without_it() {
        let found = program("sh", OsStr::new("/nowhere:/bin"), Finding::Bad("no script can run".to_owned()));
        assert_eq!(found, Finding::Good("/bin/sh".to_owned()));
        let missing = |without: fn(String) -> Finding| program("sh", OsStr::new("/nowhere"), without("why".to_owned()));
        assert_eq!(missing(Finding::Bad), Finding::Bad("sh is not on PATH: why".to_owned()));
        assert_eq!(missing(Finding::Warning), Finding::Warning("sh is not on PATH: why".to_owned()));
    }

    #[test]
    fn left_over_things_are_counted_and_the_first_ones_named() {
        let holding = |name: &str| Holding {
            provider: "docker",
            kind: HoldingKind::Container,
            id: String::new(),
            name: name.to_owned(),
            run: "r".to_owned(),
        };
        assert_eq!(left("docker 1".to_owned(), &[], &[]), Finding::Good("docker 1".to_owned()));
        let mut all: Vec<_> = ["a", "b", "c", "d"].map(holding).into();
        let text = "docker 1; 4 left over (a, b, c, …): `cuelight clean` removes them";
        assert_eq!(left("docker 1".to_owned(), &all, &[]), Finding::Warning(text.to_owned()));
        all[1].run = "lost".to_owned();
        let lost = RunFolder::at("/runs/lost");
        let text = "docker 1; 1 of runs that lost their worker (b): the next command that reads runs removes them; \
                    3 left over (a, c, d): `cuelight clean` removes them";
        assert_eq!(left("docker 1".to_owned(), &all, &[lost]), Finding::Warning(text.to_owned()));
    }

    #[test]
    fn a_state_folder_that_is_a_file_cannot_be_written() {
        let home = tempfile::tempdir().expect("a folder");
        let runs = RunsDir::at(home.path().join("state"));
        assert!(matches!(state(&runs), Finding::Good(text) if text.ends_with("state can be written")));
        assert_eq!(kept(&runs, Ok(0)), Finding::Good("0 kept, 0 in progress".to_owned()));
        assert!(
            matches!(kept(&runs, Ok(2)), Finding::Warning(text) if text.contains("2 lost the worker: the next command"))
        );
        fs::write(home.path().join("file"), "").expect("written");
        assert!(matches!(state(&RunsDir::at(home.path().join("file"))), Finding::Bad(_)));
    }
}
