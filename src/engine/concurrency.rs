//! Concurrency groups of this machine.
//!
//! The engine requests groups; the worker queues for them among all runs of this machine.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::model::JobId;
use crate::store::concurrency::Ticket;
use crate::workflow::expr::{Scope, Value};
use crate::workflow::syntax::Concurrency;
use crate::workflow::template::{Template, TemplateError};

/// A request for a concurrency group, made by a run or a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupRequest {
    /// Name of the group.
    pub group: String,
    /// Whether to cancel the run or job that holds the group.
    pub cancel_in_progress: bool,
    /// Whether the other requests that wait for the group keep waiting. By default they are cancelled.
    pub queue_all: bool,
}

/// Why a `concurrency` is invalid.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GroupError {
    /// An expression could not be evaluated.
    #[error("`concurrency` cannot be evaluated: {0}")]
    Evaluate(#[from] TemplateError),
    /// The name of the group is empty.
    #[error("the group of `concurrency` is empty")]
    Empty,
    /// The name of the group is a mapping or a sequence.
    #[error("the group of `concurrency` must be a string, not {0}")]
    NotText(&'static str),
    /// `queue` is neither `single` nor `max`.
    #[error("`queue` must be `single` or `max`, not `{0}`")]
    Queue(String),
    /// `queue: max` with `cancel-in-progress: true`.
    #[error("`queue: max` cannot be combined with `cancel-in-progress: true`")]
    QueueAndCancel,
}

impl GroupRequest {
    /// Evaluates `concurrency`.
    ///
    /// # Errors
    /// An expression cannot be evaluated, the name of the group is empty or not a string, `queue` is neither `single`
    /// nor `max`, or `queue: max` is combined with `cancel-in-progress: true`.
    pub fn new(concurrency: &Concurrency, scope: &Scope<'_>) -> Result<Self, GroupError> {
        let evaluate = |value: &Option<Template>| value.as_ref().map(|value| value.evaluate(scope)).transpose();
        let (group, cancel, queue) = match concurrency {
            Concurrency::Written { group, cancel_in_progress, queue } => {
                (group.evaluate(scope)?, evaluate(cancel_in_progress)?, evaluate(queue)?)
            }
            Concurrency::Short(short) => match short.evaluate(scope)? {
                Value::Object(keys) => {
                    let key = |name: &str| keys.get(name).cloned();
                    (key("group").unwrap_or(Value::Null), key("cancel-in-progress"), key("queue"))
                }
                group => (group, None, None),
            },
        };
        if !group.is_primitive() {
            return Err(GroupError::NotText(group.kind()));
        }
        let group = group.to_text();
        if group.trim().is_empty() {
            return Err(GroupError::Empty);
        }
        let cancel_in_progress = cancel.is_some_and(|cancel| cancel.to_text() == "true");
        let queue_all = match queue.unwrap_or(Value::Null).to_text().as_str() {
            "" | "single" => false,
            "max" => true,
            other => return Err(GroupError::Queue(other.to_owned())),
        };
        if queue_all && cancel_in_progress {
            return Err(GroupError::QueueAndCancel);
        }
        Ok(Self { group, cancel_in_progress, queue_all })
    }
}

/// Why a group cannot be acquired.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AcquireError {
    /// The job would wait for itself.
    #[error("{0}")]
    Deadlock(String),
    /// The state folder cannot be used, or the wait for the group panicked.
    #[error("{0}")]
    Failed(String),
}

/// The concurrency groups of this machine.
pub trait ConcurrencyGate: Send + Sync {
    /// Enters the queue of a group immediately, and returns a future that resolves once the job holds the group. The
    /// job holds it until the ticket is dropped. Records what the job waits for. Dropping the future leaves the queue.
    fn acquire(self: Arc<Self>, job: JobId, request: GroupRequest) -> BoxFuture<'static, Result<Ticket, AcquireError>>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow;
    use crate::workflow::expr::{Contexts, NoFiles, Status};
    use crate::workflow::source::Source;

    fn requested(concurrency: &str) -> Result<GroupRequest, String> {
        let text = format!("on: push\nconcurrency: {concurrency}\njobs: {{a: {{runs-on: x, steps: [{{run: x}}]}}}}\n");
        let parsed = workflow::parse(&Source::new("ci.yml", text));
        let workflow = parsed.value.unwrap_or_else(|| panic!("{:?}", parsed.diagnostics));
        let contexts: Contexts =
            [("github", Value::from(serde_json::json!({"ref": "r", "n": {}})))].into_iter().collect();
        let scope = Scope { contexts: &contexts, status: Status::default(), host: &NoFiles };
        GroupRequest::new(workflow.concurrency.as_ref().expect("a group"), &scope).map_err(|error| error.to_string())
    }

    #[test]
    fn a_group_is_a_name_or_a_mapping_written_out_or_computed() {
        let request = |group: &str, cancel_in_progress, queue_all| {
            Ok(GroupRequest { group: group.to_owned(), cancel_in_progress, queue_all })
        };
        let computed = |json: &str| format!("'${{{{ fromJSON(''{json}'') }}}}'");
        for (written, expected) in [
            ("g", request("g", false, false)),
            ("'${{ github.ref }}-x'", request("r-x", false, false)),
            ("{group: g, cancel-in-progress: true}", request("g", true, false)),
            ("{group: g, queue: max, cancel-in-progress: \"${{ github.ref == '' }}\"}", request("g", false, true)),
            ("{group: g, queue: \"${{ github.ref == 'r' && 'max' || 'single' }}\"}", request("g", false, true)),
            (&computed("{\"group\": \"g\", \"cancel-in-progress\": true}"), request("g", true, false)),
            (&computed("{\"group\": \"g\", \"queue\": \"max\"}"), request("g", false, true)),
            (&computed("\"g\""), request("g", false, false)),
        ] {
            assert_eq!(requested(written), expected, "{written}");
        }
        for (written, reason) in [
            (computed("{\"queue\": \"max\"}").as_str(), "the group of `concurrency` is empty"),
            (&computed("[]"), "the group of `concurrency` must be a string, not Array"),
            ("{group: '${{ github.n }}'}", "the group of `concurrency` must be a string, not Object"),
            (&computed("{\"group\": \"g\", \"queue\": \"all\"}"), "`queue` must be `single` or `max`, not `all`"),
            (
                "{group: g, queue: max, cancel-in-progress: \"${{ github.ref == 'r' }}\"}",
                "`queue: max` cannot be combined with `cancel-in-progress: true`",
            ),
        ] {
            assert_eq!(requested(written), Err(reason.to_owned()), "{written}");
        }
    }
}
