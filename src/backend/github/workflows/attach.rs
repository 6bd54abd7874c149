//! Finds the run that a dispatch started, if the server does not return its id.

use std::collections::HashSet;

use crate::backend::github::client::{Freshness, Priority};
use crate::backend::github::wire::Page;
use crate::backend::github::wire::repository::User;
use crate::backend::github::wire::runs::Run;
use crate::workflow::inputs::BY_HAND;

use super::{KNOWN, ServerWorkflow, WorkflowError, Workflows};

/// What identifies the run of a dispatch, collected before the dispatch is sent.
pub(super) struct Expected {
    /// Path of the list in which the run will appear.
    list: String,
    /// Ids of the runs that already existed.
    before: HashSet<u64>,
    /// Branch or tag, without `refs/…/`.
    git_ref: String,
    /// Name of the user; `None` for the token of an app.
    user: Option<String>,
    /// Text that the title of the run may contain.
    marker: Option<String>,
}

/// Runs that may belong to a dispatch.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Found {
    None,
    One(u64),
    Several(Vec<u64>),
}

impl Expected {
    /// Chooses from the newest runs of the workflow: the new run with the marker, else all new runs of the ref and the
    /// user.
    fn among(&self, runs: &[Run]) -> Found {
        let is_new = |run: &&Run| {
            let has =
                |known: Option<&String>, wanted: &str| known.is_none_or(|known| known.eq_ignore_ascii_case(wanted));
            let actor = run.actor.as_ref().and_then(|actor| actor.login.as_ref());
            run.id.is_some_and(|id| !self.before.contains(&id))
                && has(run.event.as_ref(), BY_HAND)
                && has(run.head_branch.as_ref(), &self.git_ref)
                && self.user.as_ref().is_none_or(|user| has(actor, user))
        };
        let new: Vec<&Run> = runs.iter().filter(is_new).collect();
        let is_marked = |run: &&&Run| {
            let title = run.display_title.as_deref().unwrap_or_default();
            self.marker.as_ref().is_some_and(|marker| title.contains(marker))
        };
        match new.iter().find(is_marked).or(new.first().filter(|_| new.len() == 1)).and_then(|run| run.id) {
            Some(id) => Found::One(id),
            None if new.is_empty() => Found::None,
            None => Found::Several(new.iter().filter_map(|run| run.id).collect()),
        }
    }
}

impl Workflows<'_> {
    /// Collects what identifies the run of a dispatch, including the existing runs.
    pub(super) async fn expect(
        &self,
        workflow: &ServerWorkflow,
        git_ref: &str,
        marker: Option<String>,
    ) -> Result<Expected, WorkflowError> {
        let list = self.path_of(workflow, &format!("runs?event={BY_HAND}&per_page=30"));
        let plain = ["refs/heads/", "refs/tags/"].iter().find_map(|kind| git_ref.strip_prefix(kind));
        let user = match self.client.get("/user", KNOWN, Priority::User).await {
            Ok(answer) => serde_json::from_slice::<User>(&answer.body).ok().and_then(|user| user.login),
            Err(error) if error.is_transient() => return Err(error.into()),
            // The token of an app has no user.
            Err(_) => None,
        };
        let before = self.runs(&list).await?.iter().filter_map(|run| run.id).collect();
        Ok(Expected { list, before, git_ref: plain.unwrap_or(git_ref).to_owned(), user, marker })
    }

    /// Fetches the newest runs of the workflow, and looks for the run of a dispatch.
    pub(super) async fn appeared(&self, expected: &Expected) -> Result<Found, WorkflowError> {
        Ok(expected.among(&self.runs(&expected.list).await?))
    }

    async fn runs(&self, list: &str) -> Result<Vec<Run>, WorkflowError> {
        let answer = self.client.get(list, Freshness::NOW, Priority::User).await?;
        let what = "a list of runs";
        Ok(Page::read(&answer.body, "workflow_runs").ok_or_else(|| self.malformed(what))?.list.items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(id: u64, actor: &str, branch: &str, title: &str) -> Run {
        let run = json!({"id": id, "event": BY_HAND, "head_branch": branch, "display_title": title, "actor": {"login": actor}});
        serde_json::from_value(run).expect("a run")
    }

    #[test]
    fn a_run_is_recognised_or_named_as_one_of_several_and_never_guessed() {
        let expected = |marker: Option<&str>| Expected {
            list: String::new(),
            before: HashSet::from([1]),
            git_ref: "main".to_owned(),
            user: Some("maria".to_owned()),
            marker: marker.map(str::to_owned),
        };
        let others = [run(1, "maria", "main", "old"), run(2, "olu", "main", "theirs"), run(3, "maria", "dev", "other")];
        assert_eq!(expected(None).among(&others), Found::None);
        let mut runs = others.to_vec();
        runs.push(run(4, "maria", "main", "Deploy"));
        assert_eq!(expected(None).among(&runs), Found::One(4));
        runs.push(run(5, "maria", "main", "Deploy cuelight-17"));
        assert_eq!(expected(None).among(&runs), Found::Several(vec![4, 5]));
        assert_eq!(expected(Some("cuelight-17")).among(&runs), Found::One(5));
        assert_eq!(expected(Some("cuelight-18")).among(&runs), Found::Several(vec![4, 5]));
    }
}
