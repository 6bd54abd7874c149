//! `doctor`: whether runs have what they need here, and what is left over.

use std::fs;
use std::path::PathBuf;

use crate::engine::git;
use crate::model::Phase;
use crate::store::folder::RunsDir;
use crate::store::{history, lock};

use super::style::{self, Colour, Style};
use super::{Exit, Outcome};

/// Whether a check went well: a warning holds nothing back.
enum Finding {
    Good(String),
    Warning(String),
    Bad(String),
}

pub(super) fn run() -> Outcome {
    let findings = [
        ("git", version_of_git()),
        ("shell", program("bash", "steps without `shell:` run in sh instead")),
        ("sh", needed("sh")),
        ("python", program("python", "steps with `shell: python` fail")),
        ("node", program("node", "JavaScript actions need it once this version's successor runs them")),
        ("state", state()),
        ("runs", leftovers()),
    ];
    let style = Style::of_output();
    let mut healthy = true;
    for (what, finding) in findings {
        let (mark, colour, text) = match finding {
            Finding::Good(text) => ("ok", Colour::Green, text),
            Finding::Warning(text) => ("--", Colour::Yellow, text),
            Finding::Bad(text) => {
                healthy = false;
                ("!!", Colour::Red, text)
            }
        };
        style::line(&format!("{} {what:<8} {text}", style.paint(colour, mark)))?;
    }
    Ok(if healthy { Exit::Success } else { Exit::Failed })
}

fn version_of_git() -> Finding {
    match git::git(&std::env::temp_dir(), ["--version"]) {
        Ok(version) => Finding::Good(version.trim().to_owned()),
        Err(error) => Finding::Bad(error.to_string()),
    }
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
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

/// Runs whose worker is gone are closed by the next command that looks at runs; here they are only named.
fn leftovers() -> Finding {
    let Ok(runs) = RunsDir::locate() else { return Finding::Warning("unknown".to_owned()) };
    match history::list(&runs) {
        Ok(all) => {
            let open = all.iter().filter(|run| !matches!(run.phase, Phase::Done(_)));
            let (alive, lost): (Vec<_>, Vec<_>) =
                open.partition(|run| lock::is_held(&runs.folder(run.id.clone()).lock()));
            let text = format!("{} kept, {} in progress", all.len(), alive.len());
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
