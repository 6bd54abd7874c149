//! Finds the runs of a repository that meet conditions, including runs that are older than the listed ones.

use crate::backend::github::address::{Repository, escaped, segment};
use crate::backend::github::client::{Client, Freshness, Priority};
use crate::backend::github::workflows::{WorkflowError, Workflows};
use crate::store::history::Filter;

use super::{PollError, Poller};

/// Number of runs per page.
const PAGE: usize = 100;

/// Maximum number of pages: a server returns at most a thousand runs that meet conditions.
const MAX_PAGES: usize = 10;

/// Number of digits of a full commit id.
const SHA: usize = 40;

impl Poller {
    /// Fetches the newest runs of a repository that meet the conditions of a filter, and mirrors them without their
    /// jobs: `most` runs rounded up to whole pages, but at most 1000. Sends no request if the filter has no condition
    /// that the server supports, and mirrors nothing if the name of the workflow is unknown or ambiguous.
    ///
    /// # Errors
    /// The server gives no answer, or a folder cannot be written.
    pub async fn list_matching(&self, repository: &Repository, filter: &Filter, most: usize) -> Result<(), PollError> {
        let query = query(filter);
        if query.is_empty() && filter.workflow.is_none() {
            return Ok(());
        }
        let host = self.host(&repository.host).await?;
        let Some(below) = below(&host.client, repository, filter).await? else { return Ok(()) };
        let path = format!("{}/actions/{below}?per_page={PAGE}{query}", repository.path());
        let count = most.div_ceil(PAGE).clamp(1, MAX_PAGES);
        let mut pages = host.client.pages(&path, count, Freshness::NOW, Priority::User);
        while let Some(answer) = pages.next().await? {
            host.mirror_listed(repository, &answer.body, Priority::User).await?;
        }
        Ok(())
    }
}

/// Returns the path of the list to request: the runs of the repository, or of one workflow. `None` if the name of the
/// workflow is unknown or ambiguous.
async fn below(client: &Client, repository: &Repository, filter: &Filter) -> Result<Option<String>, PollError> {
    let Some(wanted) = &filter.workflow else { return Ok(Some("runs".to_owned())) };
    match Workflows::of(client, repository).find(wanted).await {
        Ok(workflow) => Ok(Some(format!("workflows/{}/runs", segment(workflow.file())))),
        Err(WorkflowError::Unknown { .. } | WorkflowError::Ambiguous { .. }) => Ok(None),
        Err(WorkflowError::Malformed { host, what }) => Err(PollError::Malformed { host, what }),
        Err(WorkflowError::Api(error)) => Err(error.into()),
    }
}

/// Returns the conditions as query parameters. An abbreviated commit id is left out, because servers do not search for
/// it.
fn query(filter: &Filter) -> String {
    let text = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("&{name}={}", segment(value)));
    let commit = filter.commit.clone().filter(|commit| commit.len() == SHA);
    let status = filter.status.map(|status| format!("&status={}", status.word()));
    let since = filter.since.map(|since| {
        let time = since.instant().strftime("%Y-%m-%dT%H:%M:%SZ");
        format!("&created={}", escaped(&format!(">={time}")))
    });
    let texts = [
        text("branch", &filter.branch),
        text("event", &filter.event),
        text("actor", &filter.actor),
        text("head_sha", &commit),
    ];
    texts.into_iter().chain([status, since]).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Conclusion, Timestamp};
    use crate::store::history::StatusFilter;

    #[test]
    fn the_conditions_of_a_filter_are_parameters_that_the_server_knows() {
        assert_eq!(query(&Filter::default()), "");
        let text = |text: &str| Some(text.to_owned());
        let filter = Filter {
            branch: text("feature/a b&c"),
            event: text("push"),
            status: Some(StatusFilter::Concluded(Conclusion::Failure)),
            commit: text("abc123"),
            actor: text("maria"),
            since: Some(Timestamp(1_800_000_000_000)),
            ..Filter::default()
        };
        let expected =
            "&branch=feature%2Fa%20b%26c&event=push&actor=maria&status=failure&created=%3E%3D2027-01-15T08%3A00%3A00Z";
        assert_eq!(query(&filter), expected);
        let sha = "0123456789012345678901234567890123456789";
        assert_eq!(query(&Filter { commit: text(sha), ..Filter::default() }), format!("&head_sha={sha}"));
    }
}
