//! `plan`: shows what a workflow would run.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;
use serde_json::json;

use crate::config::Config;
use crate::files;
use crate::launch;
use crate::launch::{LaunchError, PUSH, Refusal, called, request, triggers, trust};
use crate::repo::git::{Access, Repository};
use crate::repo::workflows;
use crate::report::plan as report;
use crate::report::style;
use crate::report::style::Style;
use crate::ui::terminal_text::TerminalText;
use crate::workflow;
use crate::workflow::diagnostic::{Diagnostic, Severity};
use crate::workflow::diagram;
use crate::workflow::document;
use crate::workflow::document::DocumentError;
use crate::workflow::plan::Plan;
use crate::workflow::source::Source;
use crate::workflow::triggers::{event_hint, event_meant_by, likely_event};

use super::run::{EventArgs, PlanArgs};
use super::{Exit, Failure, Outcome, runs_dir};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  cuelight plan                         which workflows a push of this branch runs, and why
  cuelight plan ci --job test           the job `test` of one workflow, and the jobs that it needs
  cuelight plan deploy --event workflow_dispatch --input target=dev

With --job, --matrix, --env, --input, --var or values of the event, workflows of other repositories that are called are
fetched, as for a run.")]
pub(super) struct Args {
    /// A workflow file, or the name of one in .github/workflows [default: list which workflows the event runs, and why]
    workflow: Option<String>,
    #[command(flatten)]
    event: EventArgs,
    #[command(flatten)]
    choice: PlanArgs,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Folder of called workflows of other repositories, as DIR/owner/repo/path@ref
    #[arg(long, hide = true)]
    refs: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The graph, and a line per job
    Text,
    /// The graph as an SVG picture
    Svg,
    /// The jobs after matrix expansion
    Json,
    /// The workflow as the parser converts it
    Template,
    /// A Mermaid graph
    Mermaid,
    /// A Graphviz graph
    Dot,
}

pub(super) fn run(args: &Args) -> Outcome {
    let is_chosen = args.choice.is_given();
    if is_chosen && args.format == Format::Template {
        let message = "--format template prints a workflow as it is written: leave it out, or leave out --job, --matrix, \
                       --env, --input and --var";
        return Err(Failure::new(Exit::Usage, message));
    }
    let lists = args.workflow.is_none() && !is_chosen && matches!(args.format, Format::Text | Format::Json);
    if (is_chosen || args.event.has_payload()) && !lists && args.format != Format::Template {
        return of_run(args);
    }
    let folder = std::env::current_dir()?;
    let repository = Repository::discover(&folder);
    if lists {
        return overview(args, &repository?);
    }
    let facts = repository.ok();
    let root = facts.as_ref().map_or_else(|| folder.clone(), |repository| repository.root.clone());
    let path = workflows::find(args.workflow.as_deref(), &folder, &root)?;
    let source = Source::new(workflows::relative(&path, &root), workflows::read(&path)?);
    let parsed = workflow::parse(&source);
    let errors: Vec<_> = parsed.diagnostics.iter().filter(|found| found.severity == Severity::Error).collect();
    let Some(workflow) = parsed.value.map(Arc::new) else {
        if args.format == Format::Template {
            let errors: Vec<_> = errors.iter().map(|found| json!({"Message": found.message})).collect();
            style::json(&json!({"errors": errors}))?;
            return Ok(Exit::Failed);
        }
        return Err(refused(&parsed.diagnostics, &source));
    };
    if args.format == Format::Template {
        let called = |name: &str| {
            let path = args.refs.as_ref()?.join(name);
            Some(Source::new(path.to_string_lossy(), files::read_text(&path).ok()?))
        };
        let jobs = document::jobs(&workflow, &called)?;
        style::json(&json!({"jobs": jobs}))?;
        return Ok(Exit::Success);
    }
    let event = args.event.name.as_deref().or_else(|| likely_event(&workflow)).unwrap_or(PUSH).to_owned();
    if args.event.name.is_none() && event != PUSH {
        style::notice(&super::other_event(&workflows::relative(&path, &root), &event));
    }
    let runs = workflow.triggers.iter().any(|trigger| trigger.event.value == event);
    let is_listed = path.starts_with(root.join(workflows::FOLDER));
    let known = request::contexts(&workflow, &event, facts.as_ref(), is_listed);
    let state = runs_dir()?;
    let access = facts.as_ref().map_or(Access::Guarded, |repository| trust::access(&state, repository));
    let called = called::known(&workflow, &root, &Config::load(Some(&root))?, access);
    let plan = Plan::new(workflow, &known, &|name| called.callee(name))
        .map_err(|faults| Failure::of_faults(faults.iter().map(|(source, fault)| (&**source, fault))))?;
    let is_mistyped = !runs && event_meant_by(&event).is_some();
    if is_mistyped || (!runs && args.format != Format::Json) {
        let events: Vec<_> = plan.workflow().triggers.iter().map(|trigger| trigger.event.value.clone()).collect();
        let (known, hint) = (events.join(", "), event_hint(&event));
        let message = format!("{} does not run on `{event}`; its events are {known}{hint}", source.name);
        return Err(Failure::new(if is_mistyped { Exit::Usage } else { Exit::Failed }, message));
    }
    if runs { print(&plan, args.format) } else { print_none() }
}

/// Prints the plan of the run that `cuelight run` would start with the same arguments, which decide it.
fn of_run(args: &Args) -> Outcome {
    let request = args.choice.request(args.workflow.as_deref(), &args.event)?;
    let planned = match launch::plan(&runs_dir()?, &request) {
        // A workflow without the event has no jobs, which is no error in JSON.
        Err(LaunchError::Refused(Refusal::Event { event, .. }))
            if args.format == Format::Json && event_meant_by(&event).is_none() =>
        {
            return print_none();
        }
        planned => planned?,
    };
    let info = planned.info();
    if args.event.name.is_none() && info.event != PUSH {
        style::notice(&super::other_event(&info.workflow, &info.event));
    }
    print(planned.plan(), args.format)
}

/// Prints a plan in a format.
fn print(plan: &Plan, format: Format) -> Outcome {
    style::line(&text_of(plan, format)?)?;
    Ok(Exit::Success)
}

/// Prints the plan of a workflow that does not run on the event, as JSON.
fn print_none() -> Outcome {
    style::line(&style::document(&json!({"jobs": []}))?)?;
    Ok(Exit::Success)
}

/// Returns a plan in a format.
fn text_of(plan: &Plan, format: Format) -> io::Result<TerminalText> {
    Ok(match format {
        Format::Json => style::document(&document::expanded(plan))?,
        Format::Mermaid => TerminalText::lines(&diagram::mermaid(plan)),
        Format::Dot => TerminalText::lines(&diagram::dot(plan)),
        Format::Svg => report::graph(plan).svg(),
        Format::Text if style::is_linear() => report::sentences(plan),
        Format::Text | Format::Template => report::lines(plan),
    })
}

/// Prints the workflows that the event runs or skips, and why. Fails if a workflow has errors, as `lint` does.
fn overview(args: &Args, repository: &Repository) -> Outcome {
    let payload = args.event.payload().read()?;
    let access = runs_dir().map_or(Access::Guarded, |runs| trust::access(&runs, repository));
    let event = args.event.name.as_deref().unwrap_or(PUSH);
    let decided = triggers::all(repository, access, event, &payload)?;
    if let Some(error) = triggers::mistyped(event, &decided) {
        return Err(error.into());
    }
    if args.format == Format::Json {
        let workflows = decided
            .iter()
            .map(|one| json!({"workflow": one.name, "decision": one.word(), "reason": one.reason()}))
            .collect::<Vec<_>>();
        style::json(&json!({"event": event, "workflows": workflows}))?;
    } else if decided.is_empty() {
        return Err(Failure::new(Exit::NotFound, format!("no workflow in {}", workflows::FOLDER)));
    } else {
        style::print(&report::overview(&decided, Style::of_output()))?;
    }
    let broken: Vec<_> = decided.iter().filter(|one| one.is_broken()).collect();
    let Some(first) = broken.first() else { return Ok(Exit::Success) };
    let message = match broken.len() {
        1 => format!("{} has errors: `cuelight lint {}` shows them", first.name, first.file()),
        many => format!("{many} workflows have errors: `cuelight lint` shows them"),
    };
    Err(Failure::new(Exit::Failed, message))
}

/// Returns the failure for a workflow file with errors.
fn refused(diagnostics: &[Diagnostic], source: &Source) -> Failure {
    let errors = diagnostics.iter().filter(|found| found.severity == Severity::Error);
    Failure::of_faults(errors.map(|found| (source, found)))
}

impl From<DocumentError> for Failure {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Refused { file, diagnostics } => refused(&diagnostics, &file),
            DocumentError::TooDeep(_) => Self::new(Exit::Failed, error.to_string()),
        }
    }
}
