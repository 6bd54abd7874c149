//! Contexts for the expressions of a job before it runs, and the reason why a job was skipped.

use crate::engine::context::texts;
use crate::engine::scheduler::NodeId;
use crate::model::{Conclusion, JobId};
use crate::workflow::expr::{Contexts, Object, Scope, Status, Value};
use crate::workflow::plan::PlannedJob;
use crate::workflow::source::Span;

use super::state::Attempt;

impl Attempt {
    /// Returns the contexts for expressions at the top level of a workflow: `github vars inputs`.
    pub(super) fn workflow_contexts(&self, inputs: Value) -> Contexts {
        let mut contexts = Contexts::default();
        contexts.set("github", self.github.clone());
        contexts.set("vars", self.vars.clone());
        contexts.set("inputs", inputs);
        contexts
    }

    /// Returns the contexts for the expressions of a job: `github needs vars inputs`.
    pub(super) fn contexts(&self, id: NodeId) -> Contexts {
        let node = &self.nodes[id.index()];
        let scope = &self.scopes[node.scope];
        let needs =
            node.definition.needs.iter().filter_map(|need| Some((need.value.as_str(), *scope.nodes.get(&need.value)?)));
        let mut contexts = self.workflow_contexts(scope.inputs.clone());
        contexts.set("needs", self.results(needs));
        contexts
    }

    /// Returns the contexts for the expressions of one leg: the contexts of its job, and `matrix strategy secrets`.
    pub(super) fn leg_contexts(&self, id: NodeId, job: &JobId) -> Contexts {
        let node = &self.nodes[id.index()];
        let mut contexts = self.contexts(id);
        let index = node.planned.iter().find(|planned| planned.id == *job).map_or(0, PlannedJob::place);
        let total = node.total;
        let number = |count: usize| Value::Number(count as f64);
        let strategy = [
            ("fail-fast".to_owned(), Value::Bool(node.limits.fail_fast)),
            ("job-index".to_owned(), number(index)),
            ("job-total".to_owned(), number(total)),
            ("max-parallel".to_owned(), number(node.limits.max_parallel.unwrap_or(total))),
        ];
        contexts.set("strategy", Value::object(strategy.into_iter().collect()));
        contexts.set("matrix", node.legs[job].matrix.clone());
        let mut secrets = self.scopes[node.scope].secrets.clone();
        secrets.entry("GITHUB_TOKEN".to_owned()).or_insert_with(|| self.token.clone());
        contexts.set("secrets", texts(&secrets));
        contexts
    }

    /// Returns outputs and results of jobs by key, in the form of the `needs` and `jobs` contexts.
    pub(super) fn results<'k>(&self, nodes: impl Iterator<Item = (&'k str, NodeId)>) -> Value {
        let entries = nodes.map(|(key, node)| {
            let result = self.scheduler.result(node).map_or("", Conclusion::word);
            let entry: Object = [
                ("outputs".to_owned(), texts(&self.nodes[node.index()].outputs)),
                ("result".to_owned(), Value::string(result)),
            ]
            .into_iter()
            .collect();
            (key.to_owned(), Value::object(entry))
        });
        Value::object(entries.collect())
    }

    /// Returns the status for `success()`, `failure()` and `cancelled()` in the expressions of a job. It covers all
    /// direct and indirect needs of the job.
    pub(super) fn status(&self, id: NodeId) -> Status {
        let ancestors = self.scheduler.ancestors(id);
        let cancelled = self.scheduler.is_cancelled();
        Status {
            success: !cancelled && ancestors.iter().all(|result| *result == Conclusion::Success),
            failure: ancestors.contains(&Conclusion::Failure),
            cancelled,
        }
    }

    /// Returns why a job was skipped.
    pub(super) fn why_skipped(&self, id: NodeId, scope: &Scope<'_>) -> String {
        let node = &self.nodes[id.index()];
        if self.scheduler.is_cancelled() {
            return "the run was cancelled".to_owned();
        }
        let names_status = node.definition.condition.written.is_some() && scope.status.success;
        if !names_status {
            let nodes = &self.scopes[node.scope].nodes;
            let culprit = node.definition.needs.iter().find_map(|need| {
                let result = self.scheduler.result(*nodes.get(&need.value)?)?;
                (result != Conclusion::Success).then(|| format!("needs `{}`, which {}", need.value, result.verb()))
            });
            if let Some(culprit) = culprit {
                return culprit;
            }
        }
        node.definition.condition.written.as_ref().map_or_else(
            || "a job that it needs did not succeed".to_owned(),
            |written| format!("`if: {}` was false", written.value.trim()),
        )
    }

    /// Returns a position in the file of a job: `file:line:column`.
    pub(super) fn position(&self, id: NodeId, span: Span) -> String {
        format!("{}:{}:{}", self.nodes[id.index()].workflow.source.name, span.line, span.column)
    }
}
