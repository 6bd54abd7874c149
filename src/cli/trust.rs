//! Who may run here: a workflow is somebody's program, and on the host it can do what its user can.
//!
//! The first run of a repository says what would run and asks. The answer is bound to the repository: the place of its
//! git folder, that folder's identity on the disk (another clone at the same place is another repository), and the
//! address of its origin.

use std::collections::HashSet;
use std::fs;
use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::repo::git;
use crate::repo::git::Repository;
use crate::store::folder::RunsDir;
use crate::store::{StoreError, atomic};
use crate::workflow::expr::Expr;
use crate::workflow::plan::Plan;
use crate::workflow::syntax::{JobBody, StepAction};
use crate::workflow::template::{Piece, Template, TemplateKind};

use super::{Exit, Failure, Outcome, run, style};

/// So many lines of a script are shown before its repository is trusted.
const EXCERPT: usize = 3;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Take the trust back
    #[arg(long)]
    revoke: bool,
    /// List the trusted repositories
    #[arg(long, conflicts_with = "revoke")]
    list: bool,
    /// Show what this workflow would run, and ask
    #[arg(long, value_name = "WORKFLOW", conflicts_with_all = ["revoke", "list"])]
    ask: Option<String>,
    /// The event that starts it
    #[arg(long, default_value = "push", requires = "ask")]
    event: String,
}

/// A trusted repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Trusted {
    git_folder: PathBuf,
    device: u64,
    inode: u64,
    origin: String,
}

impl Trusted {
    fn of(repository: &Repository) -> Result<Self, Failure> {
        let folder = &repository.common;
        let data = fs::metadata(folder).map_err(StoreError::io("look at", folder))?;
        let origin = git::git(&repository.root, ["config", "--get", "remote.origin.url"]).unwrap_or_default();
        Ok(Self { git_folder: folder.clone(), device: data.dev(), inode: data.ino(), origin: origin.trim().to_owned() })
    }
}

pub(super) fn run(args: &Args) -> Outcome {
    let runs = RunsDir::locate()?;
    if args.list {
        for trusted in read(&runs)? {
            let origin = if trusted.origin.is_empty() { "no origin" } else { &trusted.origin };
            style::line(&format!("{}  {}", trusted.git_folder.display(), harmless(origin)))?;
        }
        return Ok(Exit::Success);
    }
    if let Some(workflow) = &args.ask {
        let run = run::Args { workflow: Some(workflow.clone()), event: args.event.clone(), ..run::Args::default() };
        let (repository, plan) = run::planned(&run)?;
        return require(&repository, &plan).map(|()| Exit::Success);
    }
    let repository = here()?;
    if args.revoke {
        let own = Trusted::of(&repository)?;
        let mut all = read(&runs)?;
        all.retain(|trusted| trusted.git_folder != own.git_folder);
        write(&runs, &all)?;
        style::line(&format!("{} is not trusted any more: its next run asks again.", repository.root.display()))?;
    } else {
        grant(&repository)?;
        style::line(&format!(
            "{} is trusted: its workflows run on this machine without asking.",
            repository.root.display()
        ))?;
    }
    Ok(Exit::Success)
}

fn here() -> Result<Repository, Failure> {
    let folder = std::env::current_dir()?;
    Repository::discover(&folder).map_err(|error| Failure::new(Exit::NotFound, error.to_string()))
}

/// Trusts a repository from now on.
fn grant(repository: &Repository) -> Result<(), Failure> {
    let runs = RunsDir::locate()?;
    let own = Trusted::of(repository)?;
    let mut all = read(&runs)?;
    all.retain(|trusted| trusted.git_folder != own.git_folder);
    all.push(own);
    write(&runs, &all)
}

/// Whether a repository is trusted.
pub(super) fn is_given(repository: &Repository) -> Result<bool, Failure> {
    Ok(read(&RunsDir::locate()?)?.contains(&Trusted::of(repository)?))
}

/// Lets a run go on only in a trusted repository; on a terminal it asks.
pub(super) fn require(repository: &Repository, plan: &Plan) -> Result<(), Failure> {
    let runs = RunsDir::locate()?;
    let own = Trusted::of(repository)?;
    let all = read(&runs)?;
    if all.contains(&own) {
        return Ok(());
    }
    let refused = || {
        let advice = "look at its workflows, then run `cuelight trust` there, or give --trust for this run";
        let before = all.iter().find(|trusted| trusted.git_folder == own.git_folder);
        let what = match before {
            Some(before) if before.origin != own.origin => "its origin is another one than when it was trusted",
            Some(_) => "it is not the repository that was trusted at this place",
            None => "it is not trusted to run on this machine",
        };
        let message = format!("{}: {what}: {advice}", repository.root.display());
        Failure::new(Exit::Rejected, message)
    };
    // While the screen has the terminal there is no line to answer on.
    let on_screen = crossterm::terminal::is_raw_mode_enabled().unwrap_or(false);
    if on_screen || !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        return Err(refused());
    }
    style::print(&(told(&plan.workflow().source.name, &repository.root, plan) + QUESTION))?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if !matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Err(refused());
    }
    grant(repository)
}

/// What is asked below that.
const QUESTION: &str = "\nTrust this repository? [y/N] ";

/// What would run, in words. Nothing that a file says reaches the terminal as a control sequence: it could hide the rest.
fn told(workflow: &str, root: &Path, plan: &Plan) -> String {
    let mut text = format!(
        "{} runs for the first time in\n  {}\nIts steps run on this machine, as you:\n\n",
        harmless(workflow),
        root.display()
    );
    let mut told = HashSet::new();
    for job in plan.jobs() {
        // The legs of a matrix run the same steps.
        if !told.insert((&job.key, &job.caller)) {
            continue;
        }
        let legs = plan.jobs().iter().filter(|other| other.key == job.key && other.caller == job.caller).count();
        let times = if legs > 1 { format!(" and {} more like it", legs - 1) } else { String::new() };
        text.push_str(&format!("  {}{times}\n", harmless(&job.name)));
        let JobBody::Steps(body) = &job.definition.body else { continue };
        for step in &body.steps {
            match &step.action {
                StepAction::Uses { reference, .. } => {
                    text.push_str(&format!("    uses {}\n", harmless(&reference.value)));
                }
                StepAction::Run { script, .. } => text.push_str(&excerpt(&written(script))),
                // A job with such a step does not start.
                StepAction::Steer(_) => {}
            }
        }
    }
    text
}

/// The first lines of a script, and how many are left.
fn excerpt(script: &str) -> String {
    let lines: Vec<_> = script.lines().filter(|line| !line.trim().is_empty()).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().take(EXCERPT).enumerate() {
        let mark = if number == 0 { '$' } else { ' ' };
        let line: String = harmless(line).chars().take(100).collect();
        text.push_str(&format!("    {mark} {}\n", line.trim_end()));
    }
    if lines.len() > EXCERPT {
        text.push_str(&format!("      and {} more lines\n", lines.len() - EXCERPT));
    }
    text
}

/// A script as the file has it, with its expressions.
fn written(script: &Template) -> String {
    let expression = |expression: &Expr| format!("${{{{ {} }}}}", expression.text().trim());
    match &script.kind {
        TemplateKind::Expression(only) => expression(only),
        TemplateKind::Interpolated(pieces) => pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.to_string(),
                Piece::Expression(inner) => expression(inner),
            })
            .collect(),
        _ => script.literal().unwrap_or_default().to_owned(),
    }
}

/// Text without control characters, those that turn the writing direction included.
fn harmless(text: &str) -> String {
    let hides = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if hides(c) { '�' } else { c }).collect()
}

fn path(runs: &RunsDir) -> PathBuf {
    runs.state().join("trust.json")
}

fn read(runs: &RunsDir) -> Result<Vec<Trusted>, StoreError> {
    let path = path(runs);
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|error| StoreError::Damaged { path, reason: format!("{error}; remove it to be asked again") }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}

fn write(runs: &RunsDir, all: &[Trusted]) -> Result<(), Failure> {
    let path = path(runs);
    fs::create_dir_all(runs.state()).map_err(StoreError::io("make the folder", runs.state()))?;
    let text = serde_json::to_vec_pretty(all).expect("paths and numbers serialise");
    Ok(atomic::write(&path, &text).map_err(StoreError::io("write", path))?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::workflow;
    use crate::workflow::plan::PlanContexts;
    use crate::workflow::source::Source;

    #[test]
    fn what_would_run_is_shown_and_nothing_hides_it() {
        let text = "on: push\njobs:\n  a:\n    name: \"a\\e[2J\"\n    runs-on: ubuntu-latest\n    strategy: {matrix: {n: [1, 2, 3]}}\n    steps:\n      - uses: actions/checkout@v4\n      - run: |\n          echo ${{ github.ref }}\n\n          curl evil \u{202e}\n          three\n          four\n          five\n";
        let parsed = workflow::parse(&Source::new("ci.yml", text)).value.expect("a workflow");
        let plan = Plan::new(Arc::new(parsed), &PlanContexts::default(), &|_| None).expect("a plan");
        insta::assert_snapshot!("summary", told("ci.yml", Path::new("/p"), &plan) + QUESTION);
    }
}
