//! Why runs on a server wait, with details that only the server knows.

use bytes::Bytes;
use tokio::time::Duration;

use crate::backend::github::address::escaped;
use crate::backend::github::client::{ApiError, Client, Freshness, Priority};
use crate::backend::github::mirror::reviews;
use crate::backend::github::wire::deployments::{PendingDeployment, ProtectionRule};
use crate::backend::github::wire::repository::{ConcurrencyGroup, Runner};
use crate::backend::github::wire::runs::Run as WireRun;
use crate::backend::github::wire::words::Status;
use crate::backend::github::wire::{Field, Page};
use crate::model::{GroupHolder, MatchingRunner, PendingReview, Run, Wait, WaitCause};
use crate::store::folder::RunFolder;
use crate::store::history;
use crate::store::spec::{RemoteSpec, RunSpec};

use super::{PollError, Poller};

/// Maximum age of cached answers about runners and environments.
const SETTLED: Freshness = Freshness(Duration::from_secs(30));

/// Prefixes of the labels of GitHub-hosted runners, whose availability is not reported.
const HOSTED: [&str; 3] = ["ubuntu-", "windows-", "macos-"];

impl Poller {
    /// Returns why a run and its jobs wait, with details from its server. For a run of this machine, nothing is
    /// fetched, because its records have all details. What the token may not read is left out.
    ///
    /// # Errors
    /// The run's folder cannot be read, or its server gives no answer.
    pub async fn waits(&self, folder: &RunFolder) -> Result<Vec<Wait>, PollError> {
        let run = history::read(folder)?;
        let mut waits = run.waits();
        let spec = RunSpec::read(folder)?;
        let Some(remote) = spec.work.remote().filter(|_| !waits.is_empty()) else { return Ok(waits) };
        let client = self.client(&remote.host).await?;
        let ask = Ask { client: &client, remote };
        for wait in &mut waits {
            let job = wait.job.as_ref().and_then(|id| run.jobs.get(id)).and_then(|job| job.remote);
            match &mut wait.cause {
                WaitCause::Runner { labels, runners } => *runners = ask.runners(labels).await?,
                WaitCause::Group { group, holder, ahead } if !group.is_empty() => {
                    if let Some((found, before)) = ask.holder(group, job, &run).await? {
                        (*holder, *ahead) = (Some(found), Some(before));
                    }
                }
                WaitCause::Rules { environment, apps } if !environment.is_empty() => {
                    *apps = ask.apps(environment).await?;
                }
                _ => {}
            }
        }
        Ok(waits)
    }
}

struct Ask<'a> {
    client: &'a Client,
    remote: &'a RemoteSpec,
}

impl Ask<'_> {
    /// Fetches a path below the path of the repository. `None` if the token may not read it, or it does not exist.
    async fn get(&self, below: &str, freshness: Freshness) -> Result<Option<Bytes>, PollError> {
        let path = format!("/repos/{}/{below}", self.remote.repository);
        match self.client.get(&path, freshness, Priority::User).await {
            Ok(answer) => Ok(Some(answer.body)),
            Err(ApiError::Refused { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Fetches one object, as [`Self::get`] does.
    async fn one<T: Field>(&self, below: &str) -> Result<Option<T>, PollError> {
        let body = self.get(below, Freshness::NOW).await?;
        Ok(body.and_then(|body| serde_json::from_slice(&body).ok()))
    }

    /// Fetches the first page of a list whose array is called `name`, as [`Self::get`] does.
    async fn list<T: Field>(&self, name: &str, below: &str, freshness: Freshness) -> Result<Option<Vec<T>>, PollError> {
        let body = self.get(below, freshness).await?;
        Ok(body.and_then(|body| Page::read(&body, name)).map(|page| page.list.items))
    }

    /// Returns the runners of the repository that have all of these labels. `None` if there are no labels, for labels
    /// of GitHub-hosted runners, or if the token may not read the runners.
    async fn runners(&self, labels: &[String]) -> Result<Option<Vec<MatchingRunner>>, PollError> {
        let is_hosted = |label: &String| HOSTED.iter().any(|hosted| label.starts_with(hosted));
        if labels.is_empty() || labels.iter().any(is_hosted) {
            return Ok(None);
        }
        let found = self.list::<Runner>("runners", "actions/runners?per_page=100", SETTLED).await?;
        let Some(found) = found else { return Ok(None) };
        let has = |runner: &Runner, wanted: &String| {
            let mut known =
                runner.labels.iter().flat_map(|labels| &labels.items).filter_map(|label| label.name.as_ref());
            known.any(|known| known.eq_ignore_ascii_case(wanted))
        };
        let matching = found.iter().filter(|runner| labels.iter().all(|wanted| has(runner, wanted)));
        let described = matching.map(|runner| MatchingRunner {
            name: runner.name.clone().unwrap_or_default(),
            online: runner.status.as_deref() == Some("online"),
            busy: runner.busy.unwrap_or_default(),
        });
        Ok(Some(described.collect()))
    }

    /// Returns the holder of a concurrency group, and the number of members before the run or one of its jobs. `None`
    /// if the token may not read the group, or if it has no holder.
    async fn holder(
        &self,
        group: &str,
        job: Option<u64>,
        run: &Run,
    ) -> Result<Option<(GroupHolder, usize)>, PollError> {
        let before = match job.filter(|_| run.phase.is_active()) {
            Some(job) => format!("ahead_of_job={job}"),
            None => format!("ahead_of_run={}", self.remote.id),
        };
        let path = format!("actions/concurrency_groups/{}?{before}", escaped(group).replace('/', "%2F"));
        let Some(group) = self.one::<ConcurrencyGroup>(&path).await? else { return Ok(None) };
        let members = group.group_members.map(|members| members.items).unwrap_or_default();
        let Some(id) = members.first().and_then(|first| first.run_id) else { return Ok(None) };
        let job = members.first().and_then(|first| first.job_name.as_ref());
        let found: Option<WireRun> = self.one(&format!("actions/runs/{id}")).await?;
        let found = found.unwrap_or_default();
        let number = found.run_number.map(|number| format!(" #{number}")).unwrap_or_default();
        let name = format!("{}{number}", found.name.as_deref().unwrap_or("another run"));
        let name = job.map_or_else(|| name.clone(), |job| format!("{name} › {job}"));
        let pending: Vec<PendingDeployment> = if found.status == Some(Status::Waiting) {
            let below = format!("actions/runs/{id}/pending_deployments");
            self.list("pending_deployments", &below, Freshness::NOW).await?.unwrap_or_default()
        } else {
            Vec::new()
        };
        let pending: Vec<PendingReview> = pending.iter().map(|one| reviews::review(one, "")).collect();
        let holder = GroupHolder {
            run: format!("{}/{id}", self.remote.repository),
            name,
            since: found.run_started_at.or(found.created_at).map(|time| time.0),
            waits_for: (!pending.is_empty()).then(|| PendingReview::reasons(&pending)),
            reviews: pending
                .iter()
                .filter(|review| review.may_review())
                .map(|review| review.environment.clone())
                .collect(),
        };
        Ok(Some((holder, members.len())))
    }

    /// Returns the apps that have protection rules in an environment. `None` if the token may not read them.
    async fn apps(&self, environment: &str) -> Result<Option<Vec<String>>, PollError> {
        let path = format!("environments/{}/deployment_protection_rules", escaped(environment).replace('/', "%2F"));
        let found = self.list::<ProtectionRule>("custom_deployment_protection_rules", &path, SETTLED).await?;
        let Some(rules) = found else { return Ok(None) };
        let apps = rules.into_iter().filter(|rule| rule.enabled != Some(false));
        Ok(Some(apps.filter_map(|rule| rule.app.and_then(|app| app.slug.or(app.name))).collect()))
    }
}
