//! `plan`: what a workflow would run.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use serde_json::{Value as Json, json};

use crate::app::panes::graph::picture as picture_of;
use crate::engine::attempt::outline;
use crate::launch::event::Assignment;
use crate::launch::{PUSH, Payload, triggers, trust};
use crate::model::RunInfo;
use crate::model::{Event, JobId, Record, RunId, Timestamp};
use crate::repo::git::{Access, Repository};
use crate::repo::workflows;
use crate::store::folder::RunsDir;
use crate::store::runs::RunStore;
use crate::store::spec::ref_name;
use crate::ui::export::Picture;
use crate::ui::terminal_text::TerminalText;
use crate::ui::terminal_text::text;
use crate::ui::text::width;
use crate::ui::theme::{Colours, Theme};
use crate::workflow;
use crate::workflow::diagnostic::{Diagnostic, Severity};
use crate::workflow::expr::{Object, Value};
use crate::workflow::inputs::typed;
use crate::workflow::plan::{MAX_CALL_DEPTH, Plan, PlanContexts};
use crate::workflow::source::Source;
use crate::workflow::syntax::{JobBody, NamedValues, StepAction, Workflow};
use crate::workflow::template::{Piece, Template, TemplateKind};
use crate::workflow::triggers::likely_event;

use super::style;
use super::{Exit, Failure, Outcome};

#[derive(clap::Args)]
pub(super) struct Args {
    /// A workflow file, or the name of one in .github/workflows [default: which of them the event runs, and why]
    workflow: Option<String>,
    /// The event [default: push, or the likeliest event of a workflow without it]
    #[arg(long, short)]
    event: Option<String>,
    /// A file with the event's payload, as JSON
    #[arg(long, value_name = "FILE")]
    event_path: Option<PathBuf>,
    /// A value of the event's payload, such as `pull_request.number=12`
    #[arg(long = "event-set", value_name = "KEY=VALUE")]
    event_values: Vec<Assignment>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Called workflows of other repositories, as DIR/owner/repo/path@ref
    #[arg(long, hide = true)]
    refs: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The graph, and a line per job
    Text,
    /// The graph as a picture
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
    let folder = std::env::current_dir()?;
    let repository = Repository::discover(&folder);
    if args.workflow.is_none() && matches!(args.format, Format::Text | Format::Json) {
        return overview(args, &repository?);
    }
    let facts = repository.ok();
    let root = facts.as_ref().map_or_else(|| folder.clone(), |repository| repository.root.clone());
    let path = workflows::find(args.workflow.as_deref(), &folder, &root)?;
    let source = Source::new(path.to_string_lossy(), workflows::read(&path)?);
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
        let jobs = template(&workflow, args.refs.as_deref(), MAX_CALL_DEPTH)?;
        style::json(&json!({"jobs": jobs}))?;
        return Ok(Exit::Success);
    }
    let event = args.event.as_deref().or_else(|| likely_event(&workflow)).unwrap_or(PUSH).to_owned();
    if args.event.is_none() && event != PUSH {
        style::notice(&super::other_event(&workflows::relative(&path, &root), &event));
    }
    let runs = workflow.triggers.iter().any(|trigger| trigger.event.value == event);
    let (inputs, unknown_inputs) = inputs(&workflow, &event);
    let known = PlanContexts {
        github: github(&event, facts.as_ref()),
        inputs,
        unknown_inputs,
        vars: Object::default(),
        knows_every_file: path.starts_with(root.join(workflows::FOLDER)),
    };
    let called = |name: &str| std::fs::read_to_string(root.join(name)).ok().map(|text| Source::new(name, text));
    let plan = Plan::new(workflow, &known, &called).map_err(|faults| {
        let rendered: Vec<_> = faults.iter().map(|(source, fault)| fault.render(source, false)).collect();
        Failure::new(Exit::Failed, rendered.join("\n\n"))
    })?;
    if !runs && args.format != Format::Json {
        let events: Vec<_> = plan.workflow().triggers.iter().map(|trigger| trigger.event.value.clone()).collect();
        let message = format!("{} does not run on `{}`; its events are {}", source.name, event, events.join(", "));
        return Err(Failure::new(Exit::Failed, message));
    }
    let text = match args.format {
        Format::Json if !runs => style::document(&json!({"jobs": []}))?,
        Format::Json => style::document(&expanded(&plan))?,
        Format::Mermaid => mermaid(&plan),
        Format::Dot => dot(&plan),
        Format::Svg => graph(&plan).svg(),
        Format::Text | Format::Template => lines(&plan),
    };
    style::line(&text)?;
    Ok(Exit::Success)
}

/// The workflows that the event runs and those that it skips, and why.
fn overview(args: &Args, repository: &Repository) -> Outcome {
    let (file, values) = (args.event_path.clone(), args.event_values.clone());
    let payload = Payload { file, values, ..Payload::default() }.read()?;
    let access = RunsDir::locate().map_or(Access::Guarded, |runs| trust::access(&runs, repository));
    let event = args.event.as_deref().unwrap_or(PUSH);
    let decided = triggers::all(repository, access, event, &payload)?;
    if args.format == Format::Json {
        let workflows = decided
            .iter()
            .map(|one| json!({"workflow": one.name, "decision": one.word(), "reason": one.reason()}))
            .collect::<Vec<_>>();
        style::json(&json!({"event": event, "workflows": workflows}))?;
    } else if decided.is_empty() {
        return Err(Failure::new(Exit::NotFound, format!("there is no workflow in {}", workflows::FOLDER)));
    } else {
        let columns = decided.iter().map(|one| width(&one.name)).max().unwrap_or_default();
        for one in &decided {
            style::line(&text!("{:<columns$}  {:<7}  {}", one.name, one.word(), one.reason()))?;
        }
    }
    Ok(Exit::Success)
}

/// The `github` context as far as it is known without a run.
fn github(event: &str, repository: Option<&Repository>) -> Object {
    let mut github = Object::default();
    github.insert("event_name", Value::string(event));
    if let Some(repository) = repository {
        github.insert("ref", Value::string(repository.git_ref.clone()));
        github.insert("ref_name", Value::string(ref_name(&repository.git_ref)));
        github.insert("sha", Value::string(repository.sha.clone()));
        github.insert("repository", Value::string(repository.slug.clone()));
        github.insert("actor", Value::string(repository.actor.clone()));
    }
    github
}

/// The `inputs` context made of defaults, and the names of the inputs without one.
fn inputs(workflow: &Workflow, event: &str) -> (Object, Vec<String>) {
    let (mut known, mut unknown) = (Object::default(), Vec::new());
    let trigger = workflow.triggers.iter().find(|trigger| trigger.event.value == event);
    for input in trigger.into_iter().flat_map(|trigger| &trigger.inputs) {
        let name = &input.name.value;
        let default = input.default.as_ref().and_then(Template::literal);
        match default.and_then(|default| typed(&input.kind, Value::string(default)).ok()) {
            Some(value) => known.insert(name.clone(), value),
            None => unknown.push(name.clone()),
        }
    }
    (known, unknown)
}

/// Columns of the graph where no terminal says how many there are.
const COLUMNS: u16 = 500;

/// The graph as the screen draws it before anything has begun.
pub(super) fn graph(plan: &Plan) -> Picture {
    let id = RunId::new("plan");
    let mut store = RunStore::default();
    store.open(RunInfo {
        id: id.clone(),
        repository: String::new(),
        workflow: String::new(),
        event: String::new(),
        ref_name: String::new(),
        sha: String::new(),
        created: Timestamp(0),
    });
    let jobs = plan.jobs().iter().map(outline).collect();
    store.apply(&id, &Record { seq: 1, at: Timestamp(0), event: Event::JobsPlanned { jobs, replaces: None } });
    let style = style::Style::of_output();
    let theme = Theme { glyphs: style.glyphs(), colours: Colours::None, motion: false };
    let terminal = std::io::stdout().is_terminal().then(crossterm::terminal::size);
    let columns = terminal.and_then(Result::ok).map_or(COLUMNS, |(columns, _)| columns);
    store.run(&id).map(|run| picture_of(run, theme, columns).into()).unwrap_or_default()
}

/// The graph, and a line per job.
pub(super) fn lines(plan: &Plan) -> TerminalText {
    let mut lines = TerminalText::default();
    if plan.jobs().len() > 1 {
        lines.push_line(&graph(plan).text());
    }
    for (at, job) in plan.jobs().iter().enumerate() {
        let needs: Vec<_> = job.needs.iter().map(ToString::to_string).collect();
        let needs = if needs.is_empty() { text!("") } else { text!("  needs {}", needs.join(", ")) };
        let unknown = if job.leg.is_none() { "  (its matrix is known during the run)" } else { "" };
        let condition = job.definition.condition.written.as_ref();
        let condition = condition.map(|written| text!("  if {}", written.value.trim())).unwrap_or_default();
        if at > 0 {
            lines.push(&text!("\n"));
        }
        lines.push(&text!("{:<20} {}{}{}{}", job.id, job.name, needs, condition, unknown));
    }
    lines
}

fn expanded(plan: &Plan) -> Json {
    let jobs = plan.jobs().iter().filter(|job| job.caller.is_none()).map(|job| {
        let matrix = job.leg.as_ref().map_or(Json::Null, |leg| leg.matrix.to_json());
        json!({
            "id": job.key, "type": kind(&job.definition.body), "name": job.name,
            "needs": job.definition.needs.iter().map(|need| need.value.as_str()).collect::<Vec<_>>(),
            "matrix": matrix,
        })
    });
    json!({"jobs": jobs.collect::<Vec<_>>()})
}

fn kind(body: &JobBody) -> &'static str {
    match body {
        JobBody::Steps(_) => "job",
        JobBody::Call { .. } => "reusableWorkflowJob",
    }
}

pub(super) fn mermaid(plan: &Plan) -> TerminalText {
    let mut graph = text!("graph LR");
    let id = |id: &JobId| id.as_str().replace(['.', '-'], "_");
    // A label may hold HTML, and `#` starts an entity.
    let label = |name: &str| {
        let entities = [('#', "#35;"), ('"', "#quot;"), ('<', "#lt;"), ('>', "#gt;")];
        entities.into_iter().fold(name.to_owned(), |name, (sign, entity)| name.replace(sign, entity))
    };
    for job in plan.jobs() {
        graph.push(&text!("\n  {}[\"{}\"]", id(&job.id), label(&job.name)));
        for need in &job.needs {
            graph.push(&text!("\n  {} --> {}", id(need), id(&job.id)));
        }
    }
    graph
}

pub(super) fn dot(plan: &Plan) -> TerminalText {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut graph = text!("digraph plan {{\n  rankdir=LR;\n");
    for job in plan.jobs() {
        graph.push_line(&text!("  {} [label={}];", quoted(job.id.as_str()), quoted(&job.name)));
        for need in &job.needs {
            graph.push_line(&text!("  {} -> {};", quoted(need.as_str()), quoted(job.id.as_str())));
        }
    }
    graph.push(&text!("}}"));
    graph
}

/// The jobs as converted: names, conditions and ids that the parser adds, nothing expanded. A workflow that is called
/// and can be found is there with its jobs.
fn template(workflow: &Workflow, refs: Option<&Path>, levels: usize) -> Result<Vec<Json>, Failure> {
    let jobs = workflow.jobs.iter().map(|job| {
        let name = job.name.as_ref().map_or_else(|| json!(job.id.value), token);
        let mut document = json!({
            "type": kind(&job.body), "id": job.id.value, "name": name,
            "needs": job.needs.iter().map(|need| need.value.as_str()).collect::<Vec<_>>(),
            "if": marked(job.condition.expr.text()),
        });
        match &job.body {
            JobBody::Steps(body) => {
                document["runs-on"] = token(&body.runs_on);
                if let Some(env) = &body.env {
                    document["env"] = token(env);
                }
                let steps = body.steps.iter().map(|step| {
                    let mut document = json!({"id": step.id, "if": marked(step.condition.expr.text())});
                    if let Some(name) = &step.name {
                        document["name"] = token(name);
                    }
                    match &step.action {
                        StepAction::Run { script, .. } => document["run"] = written(script, &workflow.source),
                        StepAction::Steer(_) => {}
                        StepAction::Uses { reference, with } => {
                            document["uses"] = json!(reference.value);
                            document["with"] = match with {
                                NamedValues::Computed(whole) => token(whole),
                                NamedValues::Written(with) => {
                                    let with = with.iter().map(|(name, value)| (name.value.clone(), token(value)));
                                    with.collect::<serde_json::Map<_, _>>().into()
                                }
                            };
                        }
                    }
                    document
                });
                document["steps"] = steps.collect();
            }
            JobBody::Call { uses, .. } => {
                document["ref"] = json!(uses.value);
                if let Some(called) = refs.and_then(|refs| called(&refs.join(&uses.value))).transpose()? {
                    let Some(levels) = levels.checked_sub(1).filter(|levels| *levels > 0) else {
                        let message = format!("{}: more than {MAX_CALL_DEPTH} workflows call each other", uses.value);
                        return Err(Failure::new(Exit::Failed, message));
                    };
                    document["jobs"] = json!(template(&called, refs, levels)?);
                }
            }
        }
        Ok(document)
    });
    jobs.collect()
}

/// A called workflow; nothing where there is no such file.
fn called(path: &Path) -> Option<Result<Workflow, Failure>> {
    let source = Source::new(path.to_string_lossy(), std::fs::read_to_string(path).ok()?);
    let parsed = workflow::parse(&source);
    Some(parsed.value.ok_or_else(|| refused(&parsed.diagnostics, &source)))
}

/// Why a file is no workflow.
fn refused(diagnostics: &[Diagnostic], source: &Source) -> Failure {
    let errors = diagnostics.iter().filter(|found| found.severity == Severity::Error);
    let rendered: Vec<_> = errors.map(|found| found.render(source, false)).collect();
    Failure::new(Exit::Failed, rendered.join("\n\n"))
}

fn marked(expression: &str) -> Json {
    json!(format!("${{{{ {} }}}}", expression.trim()))
}

/// A script. GitHub's package for workflows keeps a block text with expressions in it as the file spells it, indentation
/// and all; what runs has none.
fn written(script: &Template, source: &Source) -> Json {
    let spelled = source.text.get(script.span.start as usize..).unwrap_or_default();
    let block = spelled.starts_with(['|', '>']) && matches!(script.kind, TemplateKind::Interpolated(_));
    let Some((_, body)) = spelled.split_once('\n').filter(|_| block) else { return token(script) };
    // The block ends where a line is indented less than its first.
    let indentation = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let blank = |line: &str| line.trim().is_empty();
    let least = body.lines().find(|line| !blank(line)).map(indentation).unwrap_or_default();
    let lines = body.split_inclusive('\n');
    let text: String = lines.take_while(|line| blank(line) || indentation(line) >= least).collect();
    let end = text.trim_end_matches(['\n', '\r', ' ']).len();
    let last = text[end..].find('\n').map_or(text.len(), |at| end + at + 1);
    json!(text[..last])
}

fn token(template: &Template) -> Json {
    match &template.kind {
        TemplateKind::Null => Json::Null,
        TemplateKind::Bool(value) => json!(value),
        TemplateKind::Number(value, _) => Value::Number(*value).to_json(),
        TemplateKind::Text(text) => json!(text.as_ref()),
        TemplateKind::Expression(expr) => marked(expr.text()),
        TemplateKind::Interpolated(pieces) => {
            let pieces = pieces.iter().map(|piece| match piece {
                Piece::Text(text) => text.to_string(),
                Piece::Expression(expr) => format!("${{{{ {} }}}}", expr.text().trim()),
            });
            json!(pieces.collect::<String>())
        }
        TemplateKind::Sequence(items) => items.iter().map(token).collect(),
        TemplateKind::Mapping(entries) => {
            let entries =
                entries.iter().map(|(key, value)| (key.literal().unwrap_or_default().to_owned(), token(value)));
            entries.collect::<serde_json::Map<_, _>>().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_called_workflow_is_there_with_its_jobs() {
        let refs = tempfile::tempdir().expect("a folder");
        let own = |uses: &str| {
            let text = format!("on: workflow_call\njobs: {{a: {{uses: '{uses}'}}}}\n");
            workflow::parse(&Source::new("a.yml", text)).value.expect("a workflow")
        };
        let folder = refs.path().join("o/r");
        std::fs::create_dir_all(&folder).expect("made");
        std::fs::write(folder.join("b.yml@v1"), "on: workflow_call\njobs: {b: {runs-on: x}}\n").expect("written");
        std::fs::write(folder.join("self.yml@v1"), "on: workflow_call\njobs: {c: {uses: o/r/self.yml@v1}}\n")
            .expect("written");
        let jobs = |uses: &str| template(&own(uses), Some(refs.path()), MAX_CALL_DEPTH);
        let found = jobs("o/r/b.yml@v1").map(Json::from).unwrap_or_default();
        assert_eq!((&found[0]["ref"], &found[0]["jobs"][0]["id"]), (&json!("o/r/b.yml@v1"), &json!("b")));
        let missing = jobs("o/r/none.yml@v1").map(Json::from).unwrap_or_default();
        assert_eq!(missing[0]["jobs"], Json::Null);
        assert!(jobs("o/r/self.yml@v1").is_err(), "one that calls itself ends");
    }
}
