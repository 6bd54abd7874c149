//! `explain`: how the conditions of jobs and steps were evaluated, which reviews hold back jobs, and the values of an expression's operands.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use crate::backend::runs::Runs;
use crate::files;
use crate::launch::expression;
use crate::model::legs;
use crate::model::{Conclusion, Explanation, Job, PendingReview, Phase, Run, RunId, Step, Timestamp, Wait};
use crate::store::clock::now;
use crate::store::history;
use crate::ui::terminal_text::TerminalText;
use crate::ui::terminal_text::text;
use crate::ui::theme::Hue;
use crate::workflow::expr::{Contexts, Value};

use super::printer::{first_line, waiting};
use super::style;
use super::style::Style;
use super::{Exit, Failure, Outcome, RunArg, block_on};

/// Explains why jobs and steps ran, were skipped, or wait for a review.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cuelight explain                      every condition of the latest run
  cuelight explain latest deploy        those of one job and its steps
  cuelight explain --expr \"github.ref == 'refs/heads/main' && inputs.force\" --contexts contexts.json")]
pub(super) struct Args {
    #[command(flatten)]
    run: RunArg,
    /// Only this job
    job: Option<String>,
    /// Only the step with this number or name
    step: Option<String>,
    /// Explain this expression instead, with or without `${{ }}`
    #[arg(long, conflicts_with_all = ["run", "job", "step"])]
    expr: Option<String>,
    /// Contexts of the expression: a file with a JSON object, or `-` for standard input
    #[arg(long, value_name = "FILE", requires = "expr")]
    contexts: Option<PathBuf>,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    match &args.expr {
        Some(expr) => expression(args, expr),
        None => conditions(args),
    }
}

/// A job or a step, and the result of its condition.
pub(super) struct Decided<'r> {
    job: &'r Job,
    /// The job, and further legs of its matrix that were skipped for the same kind of reason.
    legs: Vec<&'r Job>,
    step: Option<&'r Step>,
    /// The run, and the review that holds back the job.
    review: Option<(&'r RunId, &'r PendingReview)>,
}

impl<'r> Decided<'r> {
    fn phase(&self) -> &'r Phase {
        self.step.map_or(&self.job.phase, |step| &step.phase)
    }

    fn reason(&self) -> Option<&'r str> {
        self.step.map_or(&self.job.reason, |step| &step.reason).as_deref()
    }

    fn explanation(&self) -> Option<&'r Explanation> {
        self.step.map_or(&self.job.explanation, |step| &step.explanation).as_ref()
    }

    /// Whether the condition was evaluated, the job or step was skipped without a condition, or a review holds it back.
    fn has_explanation(&self) -> bool {
        let skipped = self.phase().conclusion() == Some(Conclusion::Skipped);
        self.explanation().is_some() || self.review.is_some() || (skipped && self.reason().is_some())
    }

    fn as_text(&self, style: Style, now: Timestamp) -> TerminalText {
        let name = self.step.map(|step| text!(" › {} {}", step.number, step.name)).unwrap_or_default();
        let (job, values) = legs::titled(&self.legs).unwrap_or_else(|| (self.job.name.clone(), String::new()));
        let heading = style.bold(text!("{}{}", job, name));
        let skipped = self.phase().conclusion() == Some(Conclusion::Skipped);
        let reason = self.step.map_or_else(|| legs::reason(&self.legs), |step| step.reason.clone());
        let reason = reason.filter(|_| skipped);
        let word = style.word(self.phase());
        let reason = reason.map_or_else(|| text!("{}", word), |reason| text!("{}: {}", word, first_line(&reason)));
        let mut lines = text!("{} {}  {}\n", style.glyph(self.phase()), heading, style.paint(Hue::Dim, reason));
        if let Some((run, review)) = self.review {
            lines.push_line(&text!("    {}", waiting(review, run, style, now)));
        }
        if !values.is_empty() {
            lines.push_line(&style.paint(Hue::Dim, text!("    {}", values)));
        }
        for line in self.explanation().map(Explanation::lines).unwrap_or_default() {
            lines.push_line(&text!("    {}", line));
        }
        lines
    }

    fn as_json(&self) -> Vec<Json> {
        self.legs.iter().map(|job| Self { job, legs: vec![job], ..*self }.leg_as_json()).collect()
    }

    fn leg_as_json(&self) -> Json {
        json!({
            "job": self.job.id, "step": self.step.map(|step| step.number),
            "name": self.step.map_or(&self.job.name, |step| &step.name), "status": self.phase().word(),
            "reason": self.reason(), "explanation": self.explanation(),
            "review": self.review.map(|(_, review)| review.document()),
        })
    }
}

/// Prints the conditions of a run.
fn conditions(args: &Args) -> Outcome {
    let folder = args.run.find()?;
    let run = history::read(&folder)?;
    let jobs = match &args.job {
        Some(wanted) => run.jobs_named(wanted)?,
        None => run.jobs.values().collect(),
    };
    let jobs_of: Vec<_> = jobs.iter().map(|job| job.id.clone()).collect();
    let mut decided = decided(&run, jobs, args.step.as_deref());
    if let (Some(wanted), true) = (&args.step, decided.is_empty()) {
        return Err(run.no_step(wanted).into());
    }
    decided.retain(Decided::has_explanation);
    let mut waits = block_on(Runs::new(folder.runs()).waits(&folder))??;
    let is_wanted = |wait: &Wait| wait.job.as_ref().is_none_or(|job| jobs_of.contains(job));
    waits.retain(|wait| args.step.is_none() && is_wanted(wait));
    let named = run.info.address();
    if args.json {
        for wait in &waits {
            style::json(&json!({
                "wait": wait, "sentence": wait.cause.to_string(), "remedy": wait.cause.remedy(&named),
            }))?;
        }
        decided.iter().flat_map(Decided::as_json).try_for_each(|one| style::json(&one))?;
        return Ok(Exit::Success);
    }
    if decided.is_empty() && waits.is_empty() {
        style::line(if run.info.remote.is_some() {
            "No job waits. A server does not say why jobs and steps were skipped."
        } else {
            "No job or step has an `if`, none was skipped, and none waits."
        })?;
        return Ok(Exit::Success);
    }
    let style = Style::of_output();
    // What a review holds back is explained with its job.
    waits.retain(|wait| !decided.iter().any(|one| one.review.is_some() && Some(&one.job.id) == wait.job.as_ref()));
    style::print(&style.spelled(waiting_page(&waits, &named, style)))?;
    if !waits.is_empty() && !decided.is_empty() {
        style::line("")?;
    }
    style::print(&style.spelled(page(&decided, style, now())))?;
    Ok(Exit::Success)
}

/// Returns the decisions about these jobs and their steps, or about the step with this number or name.
pub(super) fn decided<'r>(
    run: &'r Run,
    jobs: impl IntoIterator<Item = &'r Job>,
    step: Option<&str>,
) -> Vec<Decided<'r>> {
    let of_job = |job: &'r Job| {
        let is_it = move |found: &&Step| step.is_none_or(|step| found.is_named(step));
        let steps = job.steps.iter().filter(is_it);
        let steps = steps.map(move |step| Decided { job, legs: vec![job], step: Some(step), review: None });
        let review = run.review_of(job).map(|review| (&run.info.id, review));
        step.is_none().then(|| Decided { job, legs: vec![job], step: None, review }).into_iter().chain(steps)
    };
    let of_legs = |legs: Vec<&'r Job>| {
        let is_plain = |job: &&Job| job.steps.is_empty() && job.explanation.is_none();
        if legs.len() > 1 && step.is_none() && legs.iter().all(is_plain) {
            return vec![Decided { job: legs[0], legs, step: None, review: None }];
        }
        legs.into_iter().flat_map(of_job).collect()
    };
    legs::alike(jobs).into_iter().flat_map(of_legs).collect()
}

/// Formats decisions for people.
pub(super) fn page(decided: &[Decided], style: Style, now: Timestamp) -> TerminalText {
    let mut page = TerminalText::default();
    for (at, one) in decided.iter().enumerate() {
        if at > 0 {
            page.push(&text!("\n"));
        }
        page.push(&one.as_text(style, now));
    }
    page
}

/// Formats what jobs wait for, with the command that ends each wait. `run` is the run as commands name it.
fn waiting_page(waits: &[Wait], run: &str, style: Style) -> TerminalText {
    let mut page = TerminalText::default();
    for wait in waits {
        page.push_line(&text!("{}  {}", style.bold(&wait.name), wait.cause.to_string()));
        if let Some(remedy) = wait.cause.remedy(run) {
            page.push_line(&text!("    {}", style.paint(Hue::Dim, remedy)));
        }
    }
    page
}

/// Explains an expression with contexts from a file.
fn expression(args: &Args, text: &str) -> Outcome {
    let contexts = match &args.contexts {
        Some(path) => contexts(path)?,
        None => Contexts::new(),
    };
    let (value, explanation) = expression::explain(text, &contexts, &std::env::current_dir()?)
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    if args.json {
        style::json(&json!({ "value": value.as_ref().ok().map(Value::to_json), "explanation": explanation }))?;
    } else {
        let style = Style::of_output();
        explanation.lines().iter().try_for_each(|line| style::line(&style.spelled(text!("{}", line))))?;
    }
    Ok(if value.is_ok() { Exit::Success } else { Exit::Failed })
}

fn contexts(path: &Path) -> Result<Contexts, Failure> {
    let text = if path.as_os_str() == "-" {
        io::read_to_string(io::stdin())?.into_bytes()
    } else {
        let failed = |error| Failure::new(Exit::NotFound, format!("cannot read {}: {error}", path.display()));
        files::read_named(path).map_err(failed)?
    };
    let read: serde_json::Map<String, Json> = serde_json::from_slice(&text).map_err(|error| {
        Failure::new(Exit::Usage, format!("{}: a JSON object of contexts is expected: {error}", path.display()))
    })?;
    Ok(read.into_iter().map(|(name, value)| (name, Value::from(value))).collect())
}
