//! `plan`: what a workflow would run.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use ratatui::buffer::Buffer;
use serde_json::{Value as Json, json};

use crate::app::panes::graph::picture as picture_of;
use crate::engine::attempt::outline;
use crate::launch::{Payload, triggers};
use crate::model::RunInfo;
use crate::model::{Event, Record, RunId, Timestamp};
use crate::repo::git::Repository;
use crate::repo::workflows;
use crate::store::runs::RunStore;
use crate::ui::export;
use crate::ui::theme::{Colours, Glyphs, Theme};
use crate::workflow;
use crate::workflow::diagnostic::{Diagnostic, Severity};
use crate::workflow::expr::{Object, Value};
use crate::workflow::plan::{MAX_CALL_DEPTH, Plan, PlanContexts};
use crate::workflow::source::Source;
use crate::workflow::syntax::{JobBody, StepAction, Workflow};
use crate::workflow::template::{Piece, Template, TemplateKind};

use super::style;
use super::{Exit, Failure, Outcome};

#[derive(clap::Args)]
pub(super) struct Args {
    /// A workflow file, or the name of one in .github/workflows [default: which of them the event runs, and why]
    workflow: Option<String>,
    /// The event
    #[arg(long, short, default_value = "push")]
    event: String,
    /// A file with the event's payload, as JSON
    #[arg(long, value_name = "FILE")]
    event_path: Option<PathBuf>,
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
    let root = repository.map_or_else(|_| folder.clone(), |repository| repository.root);
    let path = workflows::find(args.workflow.as_deref(), &folder, &root)?;
    let text = std::fs::read(&path)
        .map_err(|error| Failure::new(Exit::NotFound, format!("cannot read {}: {error}", path.display())))?;
    let source = Source::new(path.to_string_lossy(), String::from_utf8_lossy(&text).into_owned());
    let parsed = workflow::parse(&source);
    let errors: Vec<_> = parsed.diagnostics.iter().filter(|found| found.severity == Severity::Error).collect();
    let Some(workflow) = parsed.value.map(Arc::new) else {
        if args.format == Format::Template {
            let errors: Vec<_> = errors.iter().map(|found| json!({"Message": found.message})).collect();
            style::line(&json!({"errors": errors}).to_string())?;
            return Ok(Exit::Failed);
        }
        return Err(refused(&parsed.diagnostics, &source));
    };
    if args.format == Format::Template {
        let jobs = template(&workflow, args.refs.as_deref(), MAX_CALL_DEPTH)?;
        style::line(&json!({"jobs": jobs}).to_string())?;
        return Ok(Exit::Success);
    }
    let runs = workflow.triggers.iter().any(|trigger| trigger.event.value == args.event);
    let known = PlanContexts { github: github(&args.event), inputs: Object::default(), vars: Object::default() };
    let called = |name: &str| std::fs::read_to_string(root.join(name)).ok().map(|text| Source::new(name, text));
    let plan = Plan::new(workflow, &known, &called).map_err(|faults| {
        let told: Vec<_> = faults.iter().map(|(source, fault)| fault.render(source, false)).collect();
        Failure::new(Exit::Failed, told.join("\n\n"))
    })?;
    if !runs && args.format != Format::Json {
        let events: Vec<_> = plan.workflow().triggers.iter().map(|trigger| trigger.event.value.clone()).collect();
        let message = format!("{} does not run on `{}`; its events are {}", source.name, args.event, events.join(", "));
        return Err(Failure::new(Exit::Failed, message));
    }
    let text = match args.format {
        Format::Json if !runs => json!({"jobs": []}).to_string(),
        Format::Json => expanded(&plan).to_string(),
        Format::Mermaid => mermaid(&plan),
        Format::Dot => dot(&plan),
        Format::Svg => export::svg(&graph(&plan)),
        Format::Text | Format::Template => lines(&plan),
    };
    style::line(&text)?;
    Ok(Exit::Success)
}

/// The workflows that the event runs and those that it skips, and why.
fn overview(args: &Args, repository: &Repository) -> Outcome {
    let payload = args.event_path.clone().map_or(Payload::Derived, Payload::File).read()?;
    let decided = triggers::all(repository, &args.event, &payload)?;
    if args.format == Format::Json {
        let workflows = decided
            .iter()
            .map(|one| json!({"workflow": one.name, "decision": one.word(), "reason": one.reason()}))
            .collect::<Vec<_>>();
        style::line(&json!({"event": args.event, "workflows": workflows}).to_string())?;
    } else if decided.is_empty() {
        return Err(Failure::new(Exit::NotFound, format!("there is no workflow in {}", workflows::FOLDER)));
    } else {
        let width = decided.iter().map(|one| one.name.chars().count()).max().unwrap_or_default();
        for one in &decided {
            style::line(&format!("{:<width$}  {:<7}  {}", one.name, one.word(), one.reason()))?;
        }
    }
    Ok(Exit::Success)
}

fn github(event: &str) -> Object {
    [("event_name".to_owned(), Value::string(event))].into_iter().collect()
}

/// Columns of the graph where no terminal says how many there are.
const COLUMNS: u16 = 500;

/// The graph as the screen draws it before anything has begun.
fn graph(plan: &Plan) -> Buffer {
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
    let theme = Theme {
        glyphs: if style.ascii { Glyphs::Ascii } else { Glyphs::Unicode },
        colours: Colours::None,
        motion: false,
    };
    let terminal = std::io::stdout().is_terminal().then(crossterm::terminal::size);
    let columns = terminal.and_then(Result::ok).map_or(COLUMNS, |(columns, _)| columns);
    store.run(&id).map(|run| picture_of(run, theme, columns)).unwrap_or_default()
}

fn lines(plan: &Plan) -> String {
    let drawn = if plan.jobs().len() > 1 { export::text(&graph(plan)) + "\n" } else { String::new() };
    let rows = plan.jobs().iter().map(|job| {
        let needs: Vec<_> = job.needs.iter().map(ToString::to_string).collect();
        let needs = if needs.is_empty() { String::new() } else { format!("  needs {}", needs.join(", ")) };
        let unknown = if job.leg.is_none() { "  (its matrix is known once those have ended)" } else { "" };
        let condition = job.definition.condition.written.as_ref();
        let condition = condition.map(|written| format!("  if {}", written.value.trim())).unwrap_or_default();
        format!("{:<20} {}{needs}{condition}{unknown}", job.id.to_string(), job.name)
    });
    drawn + &rows.collect::<Vec<_>>().join("\n")
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

fn mermaid(plan: &Plan) -> String {
    let mut text = String::from("graph LR");
    let id = |id: &str| id.replace(['.', '-'], "_");
    for job in plan.jobs() {
        text.push_str(&format!("\n  {}[\"{}\"]", id(job.id.as_str()), job.name.replace('"', "#quot;")));
        for need in &job.needs {
            text.push_str(&format!("\n  {} --> {}", id(need.as_str()), id(job.id.as_str())));
        }
    }
    text
}

fn dot(plan: &Plan) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut text = String::from("digraph plan {\n  rankdir=LR;\n");
    for job in plan.jobs() {
        text.push_str(&format!("  {} [label={}];\n", quoted(job.id.as_str()), quoted(&job.name)));
        for need in &job.needs {
            text.push_str(&format!("  {} -> {};\n", quoted(need.as_str()), quoted(job.id.as_str())));
        }
    }
    text.push('}');
    text
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
                            let with = with.iter().map(|(name, value)| (name.value.clone(), token(value)));
                            document["with"] = with.collect::<serde_json::Map<_, _>>().into();
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
    let told: Vec<_> = errors.map(|found| found.render(source, false)).collect();
    Failure::new(Exit::Failed, told.join("\n\n"))
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
