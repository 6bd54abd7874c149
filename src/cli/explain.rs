//! `explain`: how conditions of jobs and steps were evaluated, which reviews hold back jobs, why a deployment failed, and
//! how an expression is evaluated.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use crate::backend::runs::Runs;
use crate::files;
use crate::launch::LATEST;
use crate::launch::deploy;
use crate::launch::expression;
use crate::launch::expression::{Explained, contexts_of_run};
use crate::model::Wait;
use crate::report::conditions::Decided;
use crate::report::standing::Standing;
use crate::report::style;
use crate::report::style::Style;
use crate::report::{conditions, diagnosis};
use crate::store::clock::now;
use crate::store::folder::RunFolder;
use crate::store::history;
use crate::ui::terminal_text::text;
use crate::workflow::expr::{Contexts, Value};

use super::{Exit, Failure, Outcome, RunArg, block_on};

/// Explains why jobs and steps ran, were skipped, or wait for a review, and why a deployment failed.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cuelight explain                      every condition of the latest run
  cuelight explain --job deploy         those of one job and its steps
  cuelight explain --job deploy/3       those of one step
  cuelight explain 20261124-021500-ab12 why that deployment failed, and what to do next
  cuelight explain --expr \"github.ref == 'refs/heads/main'\"    with the contexts of the latest run
  cuelight explain --expr \"github.ref == 'refs/heads/main' && inputs.force\" --contexts contexts.json")]
pub(super) struct Args {
    #[command(flatten)]
    run: RunArg,
    /// The job, without `--job`
    #[arg(value_name = "JOB", hide = true)]
    of_job: Option<String>,
    /// The step, without `--step`
    #[arg(value_name = "STEP", hide = true)]
    of_step: Option<String>,
    /// Only this job: its id, key or name; JOB/STEP is one of its steps
    #[arg(long, short, conflicts_with = "of_job")]
    job: Option<String>,
    /// Only the step with this number or name
    #[arg(long, short, conflicts_with = "of_step")]
    step: Option<String>,
    /// Explain this expression instead, with or without `${{ }}`, with `github`, `inputs` and `vars` of the run
    #[arg(long, conflicts_with_all = ["of_job", "of_step", "job", "step"])]
    expr: Option<String>,
    /// Contexts of the expression, in place of those of the latest run: a file with a JSON object, or `-` for standard
    /// input
    #[arg(long, value_name = "FILE", requires = "expr")]
    contexts: Option<PathBuf>,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    match &args.expr {
        Some(expr) => expression(args, expr),
        None => of_run(args),
    }
}

/// Prints how the conditions of a run were evaluated, what its jobs wait for, and why it failed if it is a deployment.
fn of_run(args: &Args) -> Outcome {
    let folder = args.run.find().or_else(|failure| newest_to(&args.run.run).ok_or(failure))?;
    let run = history::read(&folder)?;
    let (job, step) = (args.job.as_ref().or(args.of_job.as_ref()), args.step.as_ref().or(args.of_step.as_ref()));
    let (job, step) = run.job_and_step(job.map(String::as_str), step.map(String::as_str));
    let jobs = run.jobs_wanted(job)?;
    let jobs_of: Vec<_> = jobs.iter().map(|job| job.id.clone()).collect();
    let mut decided = conditions::decided(&run, jobs, step);
    if let (Some(wanted), true) = (step, decided.is_empty()) {
        return Err(run.no_step(wanted).into());
    }
    decided.retain(Decided::has_explanation);
    let mut waits = block_on(Runs::new(folder.runs()).waits(&folder))??;
    let is_wanted = |wait: &Wait| wait.job.as_ref().is_none_or(|job| jobs_of.contains(job));
    waits.retain(|wait| step.is_none() && is_wanted(wait));
    let named = run.info.address();
    let failed = if job.is_none() { diagnosis::of(&run, &folder)? } else { None };
    let state = if job.is_none() && step.is_none() { deploy::state_of(&folder)? } else { None };
    let standing = state.as_ref().and_then(|(state, position)| Standing::of(&run, state, position.clone()));
    let observed = if standing.is_some() { block_on(deploy::observed_of(&folder))? } else { None };
    let standing = standing.map(|standing| standing.with_report(observed));
    let awaited = if job.is_none() { deploy::awaited(&folder) } else { None };
    if args.json {
        if let Some(standing) = &standing {
            style::json(&standing.document())?;
        }
        if let Some(failed) = &failed {
            style::json(&failed.document())?;
        }
        if let Some(sentence) = &awaited {
            style::json(&json!({"sentence": sentence}))?;
        }
        for wait in &waits {
            style::json(&json!({
                "wait": wait, "sentence": wait.cause.to_string(), "remedy": wait.cause.remedy(&named, run.info.server()),
            }))?;
        }
        decided.iter().flat_map(Decided::documents).try_for_each(|one| style::json(&one))?;
        return Ok(Exit::Success);
    }
    if let Some(standing) = &standing {
        style::print(&standing.text(failed.is_some(), Style::of_output()))?;
    }
    if let Some(failed) = &failed {
        style::print(&failed.text(Style::of_output()))?;
    }
    if let Some(sentence) = &awaited {
        style::line(sentence.as_str())?;
    }
    if decided.is_empty() && waits.is_empty() {
        if failed.is_some() || standing.is_some() || awaited.is_some() {
            return Ok(Exit::Success);
        }
        style::line(if run.info.remote.is_some() {
            "No job waits. Servers do not report why jobs and steps were skipped."
        } else {
            "No job or step has an `if`, none was skipped, and none waits."
        })?;
        return Ok(Exit::Success);
    }
    let style = Style::of_output();
    // The explanation of a condition may already name the review that its job waits for.
    waits.retain(|wait| !decided.iter().any(|one| wait.job.as_ref().is_some_and(|job| one.names_review_of(job))));
    style::print(&style.spelled(conditions::waits(&waits, &named, run.info.server(), style)))?;
    if !waits.is_empty() && !decided.is_empty() {
        style::line("")?;
    }
    style::print(&style.spelled(conditions::page(&decided, style, now())))?;
    Ok(Exit::Success)
}

/// Returns the run of the newest deployment to an environment of this machine. `None` if there is none.
fn newest_to(environment: &str) -> Option<RunFolder> {
    let deployments = super::deploy::local_if_any().ok()??;
    deployments.settings(environment).ok()?;
    let state = deployments.ledger().ok()?.of(environment);
    let newest = state.deployments().next()?;
    Some(deployments.runs().folder(newest.run.clone()))
}

/// Explains an expression with contexts of a run or from a file.
fn expression(args: &Args, text: &str) -> Outcome {
    let mut contexts = contexts_of(args)?;
    if let Some(path) = &args.contexts {
        read(path)?.iter().for_each(|(name, value)| contexts.set(name, value.clone()));
    }
    let Explained { value, explanation, missing } = expression::explain(text, &contexts, &std::env::current_dir()?)
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    if args.json {
        style::json(&json!({ "value": value.as_ref().ok().map(Value::to_json), "explanation": explanation }))?;
    } else {
        let style = Style::of_output();
        style::print(&conditions::explanation(&explanation, style))?;
    }
    if !missing.is_empty() {
        let example = missing.iter().map(|name| format!("\"{name}\": {{…}}")).collect::<Vec<_>>().join(", ");
        style::notice(&Style::of_errors().spelled(text!(
            "note: empty, because not given: {}; give them as a JSON object, {{{}}}, in a file with --contexts FILE, or on \
             standard input with --contexts -",
            missing.join(", "),
            example
        )));
    }
    Ok(if value.is_ok() { Exit::Success } else { Exit::Failed })
}

/// Returns the contexts of the run that is named or, without a file, of the latest run if there is one.
fn contexts_of(args: &Args) -> Result<Contexts, Failure> {
    let is_named = args.run.run != LATEST;
    if !is_named && args.contexts.is_some() {
        return Ok(Contexts::new());
    }
    let read = || -> Result<Contexts, Failure> {
        let folder = args.run.find()?;
        let contexts = contexts_of_run(&folder).map_err(|error| Failure::new(Exit::NotFound, error.to_string()))?;
        style::notice(&Style::of_errors().spelled(text!("note: github, inputs and vars are those of {}", folder.id())));
        Ok(contexts)
    };
    read().or_else(|failure| if is_named { Err(failure) } else { Ok(Contexts::new()) })
}

fn read(path: &Path) -> Result<Contexts, Failure> {
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
