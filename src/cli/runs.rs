//! Past and present runs: the list, one run, its logs.

use std::io::{self, Write};

use serde_json::json;

use crate::model::{Conclusion, EndReason, Gate, Job, JobId, LineRange, Phase, Run, Step, Summary, Timestamp};
use crate::store::folder::RunFolder;
use crate::store::history;
use crate::store::history::{Filter, StatusFilter};
use crate::worker::outlet::now;

use super::printer::{Logs, shown, table};
use super::style;
use super::style::{Colour, Style, duration};
use super::{Exit, Failure, Outcome, runs_dir};

/// How many runs are listed unless `--limit` is given.
const LIMIT: usize = 20;

#[derive(clap::Args)]
pub(super) struct ListArgs {
    /// Maximum number of runs to show
    #[arg(long, short = 'n', default_value_t = LIMIT)]
    limit: usize,
    /// Only runs of this workflow: its path, or the name of its file with or without extension
    #[arg(long, short)]
    workflow: Option<String>,
    /// Only runs on this branch or tag
    #[arg(long, short)]
    branch: Option<String>,
    /// Only runs of this event
    #[arg(long, short)]
    event: Option<String>,
    /// Only runs with this status or conclusion
    #[arg(long, short, value_parser = status)]
    status: Option<StatusFilter>,
    /// Only runs created since then: a date, or an age such as `12h` or `7d`
    #[arg(long, value_parser = since)]
    since: Option<Timestamp>,
    /// Only runs of this repository
    #[arg(long, short = 'R', value_name = "OWNER/NAME")]
    repository: Option<String>,
    /// Only runs older than this one: its id, or the beginning or end of its id
    #[arg(long, value_name = "RUN")]
    before: Option<String>,
    /// Print a JSON object a line
    #[arg(long)]
    json: bool,
}

impl Default for ListArgs {
    fn default() -> Self {
        Self {
            limit: LIMIT,
            workflow: None,
            branch: None,
            event: None,
            status: None,
            since: None,
            repository: None,
            before: None,
            json: false,
        }
    }
}

#[derive(clap::Args)]
pub(super) struct ShowArgs {
    /// The run's id, its beginning or end, or `latest`
    #[arg(default_value = "latest")]
    run: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct LogsArgs {
    /// The run's id, its beginning or end, or `latest`
    #[arg(default_value = "latest")]
    run: String,
    /// Only this job
    #[arg(long, short)]
    job: Option<String>,
    /// Only the step with this number or name
    #[arg(long, short)]
    step: Option<String>,
    /// Only steps that failed
    #[arg(long)]
    failed: bool,
}

/// Reads a status or conclusion.
fn status(word: &str) -> Result<StatusFilter, String> {
    let words = || StatusFilter::words().collect::<Vec<_>>().join(", ");
    StatusFilter::parse(word).ok_or_else(|| format!("expected one of {}", words()))
}

/// Reads a date, a time, or an age.
fn since(text: &str) -> Result<Timestamp, String> {
    let now = jiff::Zoned::now();
    let at_home = |time: jiff::civil::DateTime| time.to_zoned(now.time_zone().clone());
    let time = if let Ok(age) = text.parse::<jiff::Span>() {
        now.checked_sub(age.abs())
    } else if let Ok(time) = text.parse::<jiff::Timestamp>() {
        Ok(time.to_zoned(now.time_zone().clone()))
    } else {
        text.parse::<jiff::civil::DateTime>().and_then(at_home)
    };
    let time = time.map_err(|_| "expected a date such as 2026-11-24, or an age such as 12h or 7d".to_owned())?;
    Ok(Timestamp(u64::try_from(time.timestamp().as_millisecond()).unwrap_or_default()))
}

pub(super) fn list(args: &ListArgs) -> Outcome {
    let runs = runs_dir()?;
    let filter = Filter {
        repository: args.repository.clone(),
        workflow: args.workflow.clone(),
        branch: args.branch.clone(),
        event: args.event.clone(),
        status: args.status,
        since: args.since,
    };
    let before = args.before.as_ref().map(|wanted| runs.find(wanted)).transpose()?;
    let page = history::page(&runs, &filter, before.as_ref().map(RunFolder::id), args.limit)?;
    if args.json {
        for summary in &page.runs {
            style::line(&serde_json::to_string(summary).map_err(io::Error::other)?)?;
        }
        return Ok(Exit::Success);
    }
    if page.runs.is_empty() {
        style::line(if filter == Filter::default() && before.is_none() {
            "There are no runs yet. `cuelight run` starts one, `cuelight demo` shows one."
        } else {
            "No run matches."
        })?;
        return Ok(Exit::Success);
    }
    let style = Style::of_output();
    let mut text = String::new();
    for summary in &page.runs {
        text.push_str(&row(summary, style));
        text.push('\n');
    }
    if let (true, Some(last)) = (page.more, page.runs.last()) {
        text.push_str(&style.paint(Colour::Dim, &format!("older runs: --before {}\n", last.info.id)));
    }
    style::print(&text)?;
    Ok(Exit::Success)
}

/// Why something ended so, or what holds it back.
fn reason(phase: &Phase, reason: Option<&str>) -> Option<String> {
    match phase {
        Phase::Waiting(gate @ Gate::Concurrency { .. }) => Some(gate.reason()),
        _ => reason.map(str::to_owned),
    }
}

fn row(summary: &Summary, style: Style) -> String {
    let time = match (summary.started, summary.finished) {
        (Some(started), Some(finished)) => duration(finished.since(started)),
        (Some(started), None) => duration(now().since(started)),
        _ => String::new(),
    };
    let reason = reason(&summary.phase, summary.reason.as_ref().map(EndReason::text)).unwrap_or_default();
    let reason = reason.lines().next().unwrap_or_default();
    let attempt = if summary.attempt > 1 { format!(" attempt {}", summary.attempt) } else { String::new() };
    let row = format!(
        "{} {}  {:<20} {:<16} {:<12} {:>8}  {}{}  {}",
        style.glyph(&summary.phase),
        summary.info.id,
        summary.name,
        summary.info.ref_name,
        summary.info.event,
        time,
        summary.phase.word(),
        attempt,
        style.paint(Colour::Dim, reason)
    );
    row.trim_end().to_owned()
}

pub(super) fn show(args: &ShowArgs) -> Outcome {
    let folder = runs_dir()?.find(&args.run)?;
    let run = history::read(&folder)?;
    if args.json {
        let jobs: Vec<_> = run.jobs.values().map(as_json).collect();
        let document = json!({
            "id": run.info.id, "name": run.name, "workflow": run.info.workflow, "event": run.info.event, "ref": run.info.ref_name,
            "sha": run.info.sha, "attempt": run.attempt, "status": run.phase.word(), "reason": reason(&run.phase, run.reason.as_ref().map(EndReason::text)),
            "created": run.info.created, "started": run.started, "finished": run.finished, "jobs": jobs,
        });
        style::line(&serde_json::to_string_pretty(&document).map_err(io::Error::other)?)?;
        return Ok(Exit::Success);
    }
    let style = Style::of_output();
    let mut text = format!("{} {}  {}  {}\n", style.glyph(&run.phase), run.name, run.info.id, run.phase.word());
    let commit: String = run.info.sha.chars().take(7).collect();
    text.push_str(&style.paint(
        Colour::Dim,
        &format!(
            "{} on {} · {}@{commit} · attempt {}\n",
            run.info.workflow, run.info.event, run.info.ref_name, run.attempt
        ),
    ));
    if let Some(reason) = reason(&run.phase, run.reason.as_ref().map(EndReason::text)) {
        text.push_str(&format!("{reason}\n"));
    }
    text.push('\n');
    text.push_str(&table(&run, style));
    for job in run.jobs.values().filter(|job| !job.steps.is_empty()) {
        text.push_str(&format!("\n{} {}\n", style.glyph(&job.phase), style.paint(Colour::Bold, &job.name)));
        for step in &job.steps {
            text.push_str(&step_row(step, style));
        }
    }
    text.push_str(&format!("\nlogs: {}\n", folder.logs().display()));
    style::print(&style.spelled(text))?;
    Ok(Exit::Success)
}

fn step_row(step: &Step, style: Style) -> String {
    let time = match (step.started, step.finished) {
        (Some(started), Some(finished)) => duration(finished.since(started)),
        _ => String::new(),
    };
    let reason = step.reason.as_ref().and_then(|reason| reason.lines().next()).unwrap_or_default();
    let row = format!(
        "  {} {:>2} {:<44} {time:>8}  {}",
        style.glyph(&step.phase),
        step.number,
        step.name,
        style.paint(Colour::Dim, reason)
    );
    format!("{}\n", row.trim_end())
}

fn as_json(job: &Job) -> serde_json::Value {
    let steps: Vec<_> = job
        .steps
        .iter()
        .map(|step| {
            json!({
                "number": step.number, "name": step.name, "status": step.phase.word(),
                "outcome": step.outcome, "exit_code": step.exit_code, "signal": step.signal, "reason": step.reason,
                "explanation": step.explanation,
                "lines": step.lines, "started": step.started, "finished": step.finished,
                "annotations": step.annotations,
            })
        })
        .collect();
    json!({
        "id": job.id, "key": job.key, "name": job.name, "needs": job.needs, "status": job.phase.word(),
        "allowed_failure": job.allowed_failure, "reason": reason(&job.phase, job.reason.as_deref()), "explanation": job.explanation, "started": job.started,
        "finished": job.finished, "outputs": job.outputs, "environment": job.environment,
        "environment_url": job.environment_url, "sandbox": job.sandbox,
        "services": job.services.values().collect::<Vec<_>>(), "steps": steps,
    })
}

/// The jobs of a run that somebody means: by id, by the workflow's name for them, or by their own.
pub(super) fn jobs<'r>(run: &'r Run, wanted: &str) -> Result<Vec<&'r Job>, Failure> {
    let is_it = |job: &&Job| [job.id.as_str(), &job.key, &job.name].contains(&wanted);
    let jobs: Vec<_> = run.jobs.values().filter(is_it).collect();
    if jobs.is_empty() {
        let names: Vec<_> = run.jobs.keys().map(JobId::as_str).collect();
        let message = format!("{} has no job `{wanted}`; it has {}", run.info.id, names.join(", "));
        return Err(Failure::new(Exit::NotFound, message));
    }
    Ok(jobs)
}

/// The first of them.
pub(super) fn job<'r>(run: &'r Run, wanted: &str) -> Result<&'r Job, Failure> {
    jobs(run, wanted).map(|jobs| jobs[0])
}

pub(super) fn logs(args: &LogsArgs) -> Outcome {
    let folder = runs_dir()?.find(&args.run)?;
    let run = history::read(&folder)?;
    let jobs = match &args.job {
        Some(wanted) => jobs(&run, wanted)?,
        None => run.jobs.values().collect(),
    };
    let style = Style::of_output();
    let mut out = io::BufWriter::new(io::stdout().lock());
    let wanted_step = |step: &&Step| {
        args.step.as_ref().is_none_or(|wanted| step.number.to_string() == *wanted || step.name == *wanted)
            && (!args.failed
                || step.outcome == Some(Conclusion::Failure)
                || step.phase == Phase::Done(Conclusion::Failure))
    };
    let mut found = false;
    for job in jobs {
        for step in job.steps.iter().filter(wanted_step) {
            found = true;
            // One step alone is printed as it is, so that it can be piped.
            if args.step.is_none() && step.lines > 0 {
                let heading = format!("{} / {} {}", job.name, step.number, step.name);
                writeln!(out, "{}", style.paint(Colour::Bold, &heading))?;
            }
            let all = LineRange { first: 0, count: u64::MAX };
            folder
                .lines(&run, &job.id, step.number, all, &mut |line| writeln!(out, "{}", shown(line, style.colour)))?;
        }
    }
    out.flush()?;
    if let (Some(wanted), false) = (&args.step, found) {
        return Err(no_step(&run, wanted));
    }
    Ok(Exit::Success)
}

/// What is said about a step that is not there.
pub(super) fn no_step(run: &Run, wanted: &str) -> Failure {
    let message = format!("{} has no step `{wanted}` there; `cuelight show {}` lists them", run.info.id, run.info.id);
    Failure::new(Exit::NotFound, message)
}
