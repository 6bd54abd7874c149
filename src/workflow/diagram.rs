//! The graph of a plan as Mermaid or Graphviz source.

use std::fmt::Write;

use crate::model::JobId;

use super::plan::Plan;

/// Replaces the control characters in a name, including line breaks, with spaces.
fn in_one_line(name: &str) -> String {
    name.replace(char::is_control, " ")
}

/// Returns the Mermaid node id of a job. Every character except ASCII letters and digits is replaced by its hexadecimal
/// code point between two `_`, so that different jobs have different ids. The prefix keeps an id from being a keyword
/// such as `end`.
fn node(id: &JobId) -> String {
    let plain = |sign: char| sign.is_ascii_alphanumeric();
    let signs = id.as_str().chars();
    let rest: String =
        signs.map(|sign| if plain(sign) { sign.into() } else { format!("_{:x}_", sign as u32) }).collect();
    format!("job_{rest}")
}

/// Renders the jobs of a plan and their needs as a Mermaid graph.
#[must_use]
pub fn mermaid(plan: &Plan) -> String {
    let mut graph = "graph LR".to_owned();
    // Mermaid renders HTML in a label, and `#` starts an entity.
    let label = |name: &str| {
        let entities = [('#', "#35;"), ('"', "#quot;"), ('<', "#lt;"), ('>', "#gt;")];
        entities.into_iter().fold(in_one_line(name), |name, (sign, entity)| name.replace(sign, entity))
    };
    // Writing to a string cannot fail.
    for job in plan.jobs() {
        let _ = write!(graph, "\n  {}[\"{}\"]", node(&job.id), label(&job.name));
        for need in &job.needs {
            let _ = write!(graph, "\n  {} --> {}", node(need), node(&job.id));
        }
    }
    graph
}

/// Renders the jobs of a plan and their needs as a Graphviz graph.
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_node_has_the_name_of_its_job() {
        let names = ["end", "build", "a-b", "a_b", "x.1", "x_1"].map(|id| node(&JobId::new(id)));
        assert_eq!(names, ["job_end", "job_build", "job_a_2d_b", "job_a_5f_b", "job_x_2e_1", "job_x_5f_1"]);
    }

    proptest! {
        #[test]
        fn different_jobs_have_different_nodes(ids in proptest::collection::hash_set("[a2df_.-]{0,6}", 0..40)) {
            let nodes: HashSet<String> = ids.iter().map(|id| node(&JobId::new(id.as_str()))).collect();
            prop_assert_eq!(nodes.len(), ids.len());
            prop_assert!(nodes.iter().all(|node| node.starts_with("job_")));
        }
    }
}
