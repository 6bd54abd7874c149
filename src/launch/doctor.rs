//! Diagnoses this machine: checks the requirements of runs, and finds leftovers of old runs.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;

use crate::engine::sandbox::host::find_program;
use crate::engine::sandbox::provider::{Holding, Provider};
use crate::engine::sandbox::providers::{Providers, left_over};
use crate::files;
use crate::model::first_names;
use crate::repo::git;
use crate::store::folder::RunsDir;
use crate::store::{StoreError, folder, hint, history};

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

/// Checks programs, providers, the state folder and its runs. Closes runs that lost their worker first, creates the
/// state folder if it is missing, and rebuilds the index of runs.
pub async fn check() -> Vec<Check> {
    let runs = folder::locate();
    let closed = match &runs {
        Ok(runs) => super::close_lost(runs).await,
        Err(_) => Ok(0),
    };
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
            Ok(Some(answer)) => checks.push((provider.name(), left_at(provider, answer, runs.as_ref().ok()).await)),
            Err(error) => {
                let text = format!("jobs with containers and services cannot run: {error}");
                checks.push((provider.name(), Finding::Warning(text)));
            }
        }
    }
    match &runs {
        Ok(runs) => {
            checks.extend([("state", state(runs)), ("runs", kept(runs, closed))]);
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
async fn left_at(provider: &dyn Provider, answer: String, runs: Option<&RunsDir>) -> Finding {
    let Some(runs) = runs else { return Finding::Good(answer) };
    match provider.holdings(runs.state()).await {
        Ok(holdings) => left(answer, &left_over(holdings, runs)),
        Err(error) => Finding::Warning(format!("{answer}: {error}")),
    }
}

fn left(answer: String, left: &[Holding]) -> Finding {
    if left.is_empty() {
        return Finding::Good(answer);
    }
    let names = first_names(left.iter().map(|one| one.name.as_str()), MAX_NAMES);
    Finding::Warning(format!("{answer}; {} left over ({names}): `cuelight clean` removes them", left.len()))
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

/// Rebuilds the index of runs, and counts the runs. `closed` is the number of runs that had lost their worker.
fn kept(runs: &RunsDir, closed: Result<usize, StoreError>) -> Finding {
    let counted = closed.and_then(|closed| Ok((closed, history::rebuild(runs)?, history::unfinished(runs)?.len())));
    match counted {
        Ok((0, kept, open)) => Finding::Good(format!("{kept} kept, {open} in progress")),
        Ok((closed, kept, open)) => Finding::Warning(format!(
            "{kept} kept, {open} in progress; {closed} closed, because their worker was lost (`cuelight resume` continues one)"
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
        assert_eq!(left("docker 1".to_owned(), &[]), Finding::Good("docker 1".to_owned()));
        let all: Vec<_> = ["a", "b", "c", "d"].map(holding).into();
        let text = "docker 1; 4 left over (a, b, c, …): `cuelight clean` removes them";
        assert_eq!(left("docker 1".to_owned(), &all), Finding::Warning(text.to_owned()));
    }

    #[test]
    fn a_state_folder_that_is_a_file_cannot_be_written() {
        let home = tempfile::tempdir().expect("a folder");
        let runs = RunsDir::at(home.path().join("state"));
        assert!(matches!(state(&runs), Finding::Good(text) if text.ends_with("state can be written")));
        assert_eq!(kept(&runs, Ok(0)), Finding::Good("0 kept, 0 in progress".to_owned()));
        assert!(
            matches!(kept(&runs, Ok(2)), Finding::Warning(text) if text.contains("2 closed, because their worker was lost ("))
        );
        fs::write(home.path().join("file"), "").expect("written");
        assert!(matches!(state(&RunsDir::at(home.path().join("file"))), Finding::Bad(_)));
    }
}
