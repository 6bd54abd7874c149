//! `explain`: why the condition of a job or step held or not, and what an expression is made from.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use crate::engine::workspace::hash_files::WorkspaceFiles;
use crate::model::{Conclusion, Explanation, Job, Phase, Step};
use crate::repo::workflows;
use crate::store::history;
use crate::workflow::expr::{Contexts, Expr, Function, Scope, Status, Value, Vocabulary};
use crate::workflow::schema::availability::CONTEXTS;

use super::style;
use super::style::{Colour, Style};
use super::{Exit, Failure, Outcome, runs, runs_dir};

/// Tells why a job or step ran or did not.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cuelight explain                      every condition of the latest run
  cuelight explain latest deploy        those of one job and its steps
  cuelight explain --expr \"github.ref == 'refs/heads/main' && inputs.force\" --contexts contexts.json")]
pub(super) struct Args {
    /// The run's id, its beginning or end, or `latest`
    #[arg(default_value = "latest")]
    run: String,
    /// Only this job
    job: Option<String>,
    /// Only the step with this number or name
    step: Option<String>,
    /// Explain this expression instead, as it stands between `${{` and `}}`
    #[arg(long, conflicts_with_all = ["run", "job", "step"])]
    expr: Option<String>,
    /// The contexts that it sees: a file with a JSON object of them, or `-`
    #[arg(long, value_name = "FILE", requires = "expr")]
    contexts: Option<PathBuf>,
    /// Print a JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    match &args.expr {
        Some(expr) => expression(args, expr),
        None => conditions(args),
    }
}

/// A job or a step and what is known of its condition.
struct Told<'r> {
    job: &'r Job,
    step: Option<&'r Step>,
}

impl<'r> Told<'r> {
    fn phase(&self) -> &'r Phase {
        self.step.map_or(&self.job.phase, |step| &step.phase)
    }

    fn reason(&self) -> Option<&'r str> {
        self.step.map_or(&self.job.reason, |step| &step.reason).as_deref()
    }

    fn explanation(&self) -> Option<&'r Explanation> {
        self.step.map_or(&self.job.explanation, |step| &step.explanation).as_ref()
    }

    /// Conditions that were evaluated, and what was skipped without one.
    fn is_worth_telling(&self) -> bool {
        let skipped = self.phase().conclusion() == Some(Conclusion::Skipped);
        self.explanation().is_some() || (skipped && self.reason().is_some())
    }

    fn as_text(&self, style: Style) -> String {
        let name = self.step.map_or_else(String::new, |step| format!(" › {} {}", step.number, step.name));
        let heading = style.paint(Colour::Bold, &format!("{}{name}", self.job.name));
        let skipped = self.phase().conclusion() == Some(Conclusion::Skipped);
        let reason = self.reason().filter(|_| skipped).and_then(|reason| reason.lines().next());
        let reason = reason.map_or_else(|| self.phase().word().to_owned(), |reason| format!("skipped: {reason}"));
        let mut text = format!("{} {heading}  {}\n", style.glyph(self.phase()), style.paint(Colour::Dim, &reason));
        for line in self.explanation().map(Explanation::lines).unwrap_or_default() {
            text.push_str(&format!("    {line}\n"));
        }
        text
    }

    fn as_json(&self) -> Json {
        json!({
            "job": self.job.id, "step": self.step.map(|step| step.number),
            "name": self.step.map_or(&self.job.name, |step| &step.name), "status": self.phase().word(),
            "reason": self.reason(), "explanation": self.explanation(),
        })
    }
}

/// The conditions of a run.
fn conditions(args: &Args) -> Outcome {
    let run = history::read(&runs_dir()?.find(&args.run)?)?;
    let jobs = match &args.job {
        Some(wanted) => runs::jobs(&run, wanted)?,
        None => run.jobs.values().collect(),
    };
    let mut told = Vec::new();
    for job in jobs {
        let of_step = |step| Told { job, step: Some(step) };
        match &args.step {
            None => told.extend(std::iter::once(Told { job, step: None }).chain(job.steps.iter().map(of_step))),
            Some(wanted) => {
                let is_it = |step: &&Step| step.number.to_string() == *wanted || step.name == *wanted;
                told.extend(job.steps.iter().filter(is_it).map(of_step));
            }
        }
    }
    if let (Some(wanted), true) = (&args.step, told.is_empty()) {
        let message =
            format!("{} has no step `{wanted}` there; `cuelight show {}` lists them", run.info.id, run.info.id);
        return Err(Failure::new(Exit::NotFound, message));
    }
    told.retain(Told::is_worth_telling);
    if args.json {
        for one in &told {
            style::line(&one.as_json().to_string())?;
        }
        return Ok(Exit::Success);
    }
    if told.is_empty() {
        style::line("Nothing there has an `if`, and nothing was skipped.")?;
        return Ok(Exit::Success);
    }
    let style = Style::of_output();
    let text: Vec<_> = told.iter().map(|one| one.as_text(style)).collect();
    style::print(&style.spelled(text.join("\n")))?;
    Ok(Exit::Success)
}

/// An expression over contexts from a file.
fn expression(args: &Args, text: &str) -> Outcome {
    let contexts = match &args.contexts {
        Some(path) => contexts(path)?,
        None => Contexts::new(),
    };
    let inside = text.trim().strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}")).unwrap_or(text).trim();
    let names: Vec<_> = CONTEXTS.iter().copied().chain(contexts.iter().map(|(name, _)| name)).collect();
    let vocabulary = Vocabulary { contexts: Some(&names), functions: Function::EXTRA, jobs_named: true };
    let expr = Expr::parse(inside, &vocabulary).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    let files = WorkspaceFiles::at(&std::env::current_dir()?);
    let (value, mut explanation) =
        expr.explain(&Scope { contexts: &contexts, status: Status::default(), host: &files });
    explanation.shorten();
    if args.json {
        style::line(
            &json!({ "value": value.as_ref().ok().map(Value::to_json), "explanation": explanation }).to_string(),
        )?;
    } else {
        style::line(&Style::of_output().spelled(explanation.lines().join("\n")))?;
    }
    Ok(if value.is_ok() { Exit::Success } else { Exit::Failed })
}

fn contexts(path: &Path) -> Result<Contexts, Failure> {
    let text = if path.as_os_str() == "-" { io::read_to_string(io::stdin())? } else { workflows::read(path)? };
    let read: serde_json::Map<String, Json> = serde_json::from_str(&text).map_err(|error| {
        Failure::new(Exit::Usage, format!("{}: a JSON object of contexts is expected: {error}", path.display()))
    })?;
    Ok(read.into_iter().map(|(name, value)| (name, Value::from(value))).collect())
}
