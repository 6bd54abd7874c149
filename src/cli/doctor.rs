//! `doctor`: whether this machine has what runs need, what is left over of old runs, and what the terminal can do.

use std::fs;
use std::io::IsTerminal;
use std::path::PathBuf;

use crate::engine::sandbox::host::find_program;
use crate::engine::sandbox::provider::Provider;
use crate::engine::sandbox::providers::{Providers, left_over};
use crate::repo::git;
use crate::repo::git::Repository;
use crate::store::folder::RunsDir;
use crate::store::{history, lock};
use crate::ui::terminal_text::text;
use crate::ui::theme::{Colours, Glyphs, Hue};

use super::style;
use super::style::Style;
use super::{Exit, Outcome, config, screen};

/// Maximum number of left-over things that are named.
const MAX_NAMES: usize = 3;

/// Result of a check. With a warning only, the exit code is 0.
enum Finding {
    Good(String),
    Warning(String),
    Bad(String),
}

pub(super) fn run() -> Outcome {
    let programs = [
        ("git", version_of_git()),
        ("shell", program("bash", "steps without `shell:` run in sh instead")),
        ("sh", needed("sh")),
        ("python", program("python", "steps with `shell: python` fail")),
        ("node", program("node", "JavaScript actions cannot run on this machine")),
    ];
    let own = [("state", state()), ("runs", open_runs()), ("settings", settings()), ("terminal", terminal())];
    let style = Style::of_output();
    let mut healthy = true;
    for (what, finding) in programs.into_iter().chain(machines()).chain(own) {
        let (mark, hue, finding) = match finding {
            Finding::Good(text) => ("ok", Hue::Good, text),
            Finding::Warning(text) => ("--", Hue::Busy, text),
            Finding::Bad(text) => {
                healthy = false;
                ("!!", Hue::Bad, text)
            }
        };
        style::line(&text!("{} {:<8} {}", style.paint(hue, mark), what, finding))?;
    }
    Ok(if healthy { Exit::Success } else { Exit::Failed })
}

fn version_of_git() -> Finding {
    match git::git(&std::env::temp_dir(), ["--version"]) {
        Ok(version) => Finding::Good(version.trim().to_owned()),
        Err(error) => Finding::Bad(error.to_string()),
    }
}

/// Checks every provider that can be missing, with what runs that no longer exist left there.
fn machines() -> Vec<(&'static str, Finding)> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    let (providers, runs) = (Providers::of_this_process(), RunsDir::locate().ok());
    runtime.block_on(async {
        let mut findings = Vec::new();
        for provider in providers.iter() {
            let finding = match provider.check().await {
                Ok(None) => continue,
                Ok(Some(answer)) => left_at(provider, answer, runs.as_ref()).await,
                Err(error) => Finding::Warning(format!("jobs with containers and services cannot run: {error}")),
            };
            findings.push((provider.name(), finding));
        }
        findings
    })
}

/// Reports a provider that answered, and what is left over there.
async fn left_at(provider: &dyn Provider, answer: String, runs: Option<&RunsDir>) -> Finding {
    let Some(runs) = runs else { return Finding::Good(answer) };
    let left = match provider.holdings(runs.state()).await {
        Ok(holdings) => left_over(holdings, runs),
        Err(error) => return Finding::Warning(format!("{answer}: {error}")),
    };
    if left.is_empty() {
        return Finding::Good(answer);
    }
    let names: Vec<_> = left.iter().take(MAX_NAMES).map(|one| one.name.as_str()).collect();
    let more = if left.len() > names.len() { ", …" } else { "" };
    let (count, names) = (left.len(), names.join(", "));
    Finding::Warning(format!("{answer}; {count} left over ({names}{more}): `cuelight clean` removes them"))
}

fn find(name: &str) -> Option<PathBuf> {
    find_program(name, &std::env::var_os("PATH")?)
}

fn program(name: &str, without: &str) -> Finding {
    find(name).map_or_else(
        || Finding::Warning(format!("{name} is not on PATH: {without}")),
        |path| Finding::Good(path.display().to_string()),
    )
}

fn needed(name: &str) -> Finding {
    find(name).map_or_else(
        || Finding::Bad(format!("{name} is not on PATH: no script can run")),
        |path| Finding::Good(path.display().to_string()),
    )
}

fn state() -> Finding {
    let runs = match RunsDir::locate() {
        Ok(runs) => runs,
        Err(error) => return Finding::Bad(error.to_string()),
    };
    let probe = runs.state().join(format!(".probe-{}", std::process::id()));
    let tried =
        fs::create_dir_all(runs.state()).and_then(|()| fs::write(&probe, "x")).and_then(|()| fs::remove_file(&probe));
    match tried {
        Ok(()) => Finding::Good(format!("{} can be written", runs.state().display())),
        Err(error) => Finding::Bad(format!("{} cannot be written: {error}", runs.state().display())),
    }
}

fn settings() -> Finding {
    let repository = std::env::current_dir().ok().and_then(|folder| Repository::discover(&folder).ok());
    let loaded = config::load(repository.as_ref().map(|repository| repository.root.as_path()));
    match loaded.and_then(|settings| config::keymap(&settings).map(|_| settings)) {
        Ok(settings) => {
            let jobs = format!("at most {} jobs at once; `cuelight config` has all", settings.max_parallel);
            if settings.docker_socket {
                Finding::Warning(format!("{jobs}; containers get Docker's socket, and with it this machine"))
            } else {
                Finding::Good(jobs)
            }
        }
        Err(failure) => Finding::Bad(failure.message),
    }
}

fn terminal() -> Finding {
    if !std::io::stdout().is_terminal() {
        return Finding::Good("not a terminal: runs are printed as lines".to_owned());
    }
    let style = Style::of_output();
    let colour = if style.colours() == Colours::Terminal { "colours" } else { "no colours" };
    let signs =
        if style.glyphs() == Glyphs::Ascii { "ASCII symbols, as the locale has no UTF-8" } else { "Unicode symbols" };
    match crossterm::terminal::size() {
        Ok((width, height)) if screen::is_possible() => Finding::Good(format!("{width}x{height}, {colour}, {signs}")),
        Ok(_) => Finding::Warning("TERM names one that can only print: runs are printed as lines".to_owned()),
        Err(error) => Finding::Warning(format!("its size is unknown: {error}")),
    }
}

/// Counts the runs, and those that lost their worker: the next command that lists runs closes them.
fn open_runs() -> Finding {
    let Ok(runs) = RunsDir::locate() else { return Finding::Warning("unknown".to_owned()) };
    match history::rebuild(&runs).and_then(|count| Ok((count, history::unfinished(&runs)?))) {
        Ok((count, open)) => {
            let (alive, lost): (Vec<_>, Vec<_>) =
                open.into_iter().partition(|run| lock::is_held(&runs.folder(run.clone()).lock()));
            let text = format!("{count} kept, {} in progress", alive.len());
            match lost.as_slice() {
                [] => Finding::Good(text),
                lost => {
                    Finding::Warning(format!("{text}, {} lost their worker: `cuelight runs` closes them", lost.len()))
                }
            }
        }
        Err(error) => Finding::Bad(error.to_string()),
    }
}
