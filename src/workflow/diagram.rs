//! The graph of a plan in the languages of drawing programs.

use std::fmt::Write;

use crate::model::JobId;

use super::plan::Plan;

/// Returns a name in one line.
fn in_one_line(name: &str) -> String {
    name.replace(char::is_control, " ")
}

/// Returns a Mermaid graph.
#[must_use]
pub fn mermaid(plan: &Plan) -> String {
    let mut graph = "graph LR".to_owned();
    let id = |id: &JobId| id.as_str().replace(['.', '-'], "_");
    // A label may contain HTML, and `#` starts an entity.
    let label = |name: &str| {
        let entities = [('#', "#35;"), ('"', "#quot;"), ('<', "#lt;"), ('>', "#gt;")];
        entities.into_iter().fold(in_one_line(name), |name, (sign, entity)| name.replace(sign, entity))
    };
    // Writing to a string cannot fail.
    for job in plan.jobs() {
        let _ = write!(graph, "\n  {}[\"{}\"]", id(&job.id), label(&job.name));
        for need in &job.needs {
            let _ = write!(graph, "\n  {} --> {}", id(need), id(&job.id));
        }
    }
    graph
}

/// Returns a Graphviz graph.
#[must_use]
pub fn dot(plan: &Plan) -> String {
    let quoted = |text: &str| format!("\"{}\"", in_one_line(text).replace('\\', "\\\\").replace('"', "\\\""));
    let mut graph = "digraph plan {\n  rankdir=LR;\n".to_owned();
    // Writing to a string cannot fail.
    for job in plan.jobs() {
        let _ = writeln!(graph, "  {} [label={}];", quoted(job.id.as_str()), quoted(&job.name));
        for need in &job.needs {
            let _ = writeln!(graph, "  {} -> {};", quoted(need.as_str()), quoted(job.id.as_str()));
        }
    }
    graph + "}"
}
