//! Checks the permissions and the nesting of called workflows.
//!
//! GitHub's page on reusing workflows has these rules: a called workflow can have the permissions of its caller or
//! fewer, and both the nesting depth and the number of called workflows are limited.

use std::collections::HashSet;

use super::Policy;
use super::callees::Callees;
use crate::workflow::diagnostic::Diagnostic;
use crate::workflow::parse::entries;
use crate::workflow::plan::{MAX_CALL_DEPTH, MAX_CALLED};
use crate::workflow::schema::workflow::SCOPES;
use crate::workflow::schema::{Field, Shape};
use crate::workflow::source::Spanned;
use crate::workflow::syntax::{JobBody, JobDefinition, Workflow, resolve_call};
use crate::workflow::template::{Template, TemplateKind};

/// Access level of a scope.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Access {
    None,
    Read,
    Write,
}

impl Access {
    const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    fn of(word: &str) -> Self {
        match word {
            "write" => Self::Write,
            "read" => Self::Read,
            _ => Self::None,
        }
    }
}

/// Permissions of a token: one access level for each of [`SCOPES`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Grant(Vec<Access>);

impl Grant {
    /// Returns the highest access level that each scope has, limited to `most`.
    fn all(most: Access) -> Self {
        let highest = |field: &Field| {
            let Shape::Word { allowed, .. } = field.schema.shape else { return Access::None };
            allowed.iter().map(|word| Access::of(word)).filter(|level| *level <= most).max().unwrap_or(Access::None)
        };
        Self(SCOPES.iter().map(highest).collect())
    }

    fn default_of(policy: Policy) -> Self {
        let of = |field: &Field| match (policy, field.name) {
            (Policy::LimitedRead, "contents" | "packages") => Access::Read,
            (Policy::LimitedRead, _) | (Policy::Write, "id-token") => Access::None,
            (Policy::Write, _) => Access::Write,
        };
        let wanted = Self(SCOPES.iter().map(of).collect());
        let possible = Self::all(Access::Write);
        Self(wanted.0.into_iter().zip(possible.0).map(|(wanted, possible)| wanted.min(possible)).collect())
    }

    /// Returns the written permissions; scopes that are not listed have no access. `None` for an invalid value.
    fn written(permissions: &Template) -> Option<Self> {
        match (&permissions.kind, permissions.literal()) {
            (TemplateKind::Mapping(_), _) => {
                let level = |field: &Field| {
                    let named = entries(permissions).find(|(name, _)| name.value == field.name);
                    named.and_then(|(_, level)| level.literal().map(Access::of)).unwrap_or(Access::None)
                };
                Some(Self(SCOPES.iter().map(level).collect()))
            }
            (_, Some("read-all")) => Some(Self::all(Access::Read)),
            (_, Some("write-all")) => Some(Self::all(Access::Write)),
            _ => None,
        }
    }

    /// Returns the permissions in which `self` exceeds `given`, as text: the levels in `self` and the levels in
    /// `given`. `None` if `self` exceeds `given` in no scope.
    fn beyond(&self, given: &Self) -> Option<(String, String)> {
        let beyond = SCOPES.iter().zip(self.0.iter().zip(&given.0)).filter(|(_, (wanted, given))| wanted > given);
        let (wanted, given): (Vec<_>, Vec<_>) = beyond
            .map(|(field, (wanted, given))| {
                (format!("{}: {}", field.name, wanted.word()), format!("{}: {}", field.name, given.word()))
            })
            .unzip();
        (!wanted.is_empty()).then(|| (wanted.join(", "), given.join(", ")))
    }
}

/// Reports called workflows that request more permissions than their callers have, and calls that exceed GitHub's
/// limits.
pub(super) fn check(workflow: &Workflow, callees: &Callees<'_>, found: &mut Vec<Diagnostic>) {
    let mut walk =
        Walk { callees, seen: HashSet::new(), different: HashSet::new(), chain: Vec::new(), found: Vec::new() };
    let own = workflow.permissions.as_ref().and_then(Grant::written);
    for job in &workflow.jobs {
        let JobBody::Call { uses, .. } = &job.body else { continue };
        let given = permissions(job).or_else(|| own.clone());
        let given = given.or_else(|| callees.policy().map(Grant::default_of));
        walk.call(&uses.value, given.as_ref(), 1, &job.id);
    }
    found.append(&mut walk.found);
    if walk.different.len() > MAX_CALLED {
        let message = format!("too many called workflows: GitHub allows {MAX_CALLED}");
        let location = workflow.jobs.first().map_or(workflow.source.span(0, 0), |job| job.id.span);
        found.push(Diagnostic::error("workflow-call", location, message));
    }
}

fn permissions(job: &JobDefinition) -> Option<Grant> {
    job.permissions.as_ref().and_then(Grant::written)
}

struct Walk<'w> {
    callees: &'w Callees<'w>,
    /// Visited calls, each with its permissions and depth.
    seen: HashSet<(String, Option<Grant>, usize)>,
    different: HashSet<String>,
    /// The calls that contain the visited one, outermost first.
    chain: Vec<String>,
    found: Vec<Diagnostic>,
}

impl Walk<'_> {
    /// Visits a called workflow. Errors are reported at `job`, the job of the first file that leads to the call.
    fn call(&mut self, uses: &str, given: Option<&Grant>, depth: usize, job: &Spanned<String>) {
        if !self.seen.insert((uses.to_owned(), given.cloned(), depth)) || self.different.len() > MAX_CALLED {
            return;
        }
        if let Some(first) = self.chain.iter().position(|outer| outer == uses) {
            let message = format!("called workflows form a loop: {} → {uses}", self.chain[first..].join(" → "));
            let error = Diagnostic::error("workflow-call", job.span, message);
            self.found.push(
                error.hint("a workflow cannot call itself, directly or not: move the shared jobs to another file"),
            );
            return;
        }
        if depth >= MAX_CALL_DEPTH {
            let message =
                format!("`{uses}` is nested too deeply: GitHub allows {MAX_CALL_DEPTH} levels, this file included");
            self.found.push(Diagnostic::error("workflow-call", job.span, message));
            return;
        }
        self.different.insert(uses.to_owned());
        let Some(called) = self.callees.workflow(uses) else { return };
        let Some(workflow) = &called.workflow else { return };
        let own = workflow.permissions.as_ref().and_then(Grant::written);
        self.compare(uses, "it", own.as_ref(), given, job);
        self.chain.push(uses.to_owned());
        for inner in &workflow.jobs {
            let wanted = permissions(inner);
            let who = format!("its job `{}`", inner.id.value);
            self.compare(uses, &who, wanted.as_ref(), given, job);
            if let JobBody::Call { uses: inner, .. } = &inner.body {
                let given = wanted.as_ref().or(own.as_ref()).or(given);
                self.call(&resolve_call(&inner.value, uses), given, depth + 1, job);
            }
        }
        self.chain.pop();
    }

    fn compare(&mut self, uses: &str, who: &str, wanted: Option<&Grant>, given: Option<&Grant>, job: &Spanned<String>) {
        if let Some((wanted, given)) = wanted.zip(given).and_then(|(wanted, given)| wanted.beyond(given)) {
            let message = format!("`{uses}` cannot be called: {who} requests `{wanted}`, but the caller has `{given}`");
            let hint = format!("add `permissions: {{ {wanted} }}` to the calling job, or reduce those of the workflow");
            self.found.push(Diagnostic::error("permissions", job.span, message).hint(hint));
        }
    }
}
