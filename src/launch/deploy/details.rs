//! Reads the details of an environment that a person wants before a deployment or a rollback: releases to choose from,
//! the commits of deployments, and what would be deployed next.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;

use super::lanes::source;
use super::{DeployError, DeployRequest, Deployments};
use crate::model::deployment::{Cause, DeploymentRecord, EnvironmentSettings, EnvironmentState};
use crate::model::environment::{Environment, Release};
use crate::model::lane_details::{
    CommitResult, Deployable, DeployedCommits, Distance, EarlierRelease, LaneDetails, NextDeployment,
};
use crate::model::rollback::Changes;
use crate::model::{Conclusion, Summary, Timestamp};
use crate::repo::git::{GitError, git};
use crate::rollout::{gates, release};
use crate::store::StoreError;
use crate::store::clock::now;
use crate::store::history::{self, Filter};
use crate::store::spec::RunSpec;

/// Maximum number of commits of the checkout that are offered as releases. Others can be named.
const MAX_COMMITS: usize = 50;

/// Maximum number of tags that are offered besides.
const MAX_TAGS: usize = 20;

/// Maximum number of deployments whose commits are read.
const MAX_HISTORY: usize = 10;

/// Maximum number of earlier releases whose commits are counted.
const MAX_EARLIER: usize = 20;

/// Maximum number of runs that are searched for results of commits.
const MAX_RUNS: usize = 200;

/// Most branches whose names are given to git in one command: the arguments of a program have a limit.
const MAX_REFS: usize = 5_000;

/// Maximum number of commits after the live release for which releases are compared with it.
const MAX_NEW: usize = 1_000;

impl Deployments {
    /// Reads the details of an environment. Starts git some dozens of times, and blocks meanwhile.
    ///
    /// # Errors
    /// The environment does not exist, the settings are invalid, or git or the state folder cannot be read.
    pub fn details(&self, name: &str) -> Result<LaneDetails, DeployError> {
        let settings = self.settings(name)?;
        let states = self.states(&self.ledger()?)?;
        let state = &states[name];
        let shown = state.shown(now());
        let current = shown.current().map(|current| &current.release);
        let subjects = self.subjects(state)?;
        let live = state.live().map(|live| &live.release);
        Ok(LaneDetails {
            environment: name.to_owned(),
            releases: self.releases(settings, &states, live)?,
            next: self.next(settings, &states)?,
            needed: self.needed(name)?,
            history: self.history(state, &subjects),
            live: live.map(|live| live.sha.clone()),
            earlier: current.map(|current| self.earlier(&shown, current, &subjects)).unwrap_or_default(),
            current: current.map(|current| current.sha.clone()),
        })
    }

    /// Returns the releases to choose from, newest first.
    fn releases(
        &self,
        settings: &EnvironmentSettings,
        states: &IndexMap<String, EnvironmentState>,
        live: Option<&Release>,
    ) -> Result<Vec<Deployable>, DeployError> {
        let most = format!("-{MAX_COMMITS}");
        let has_commits = !self.repository.sha.is_empty();
        let mut commits = if has_commits { self.log([most.as_str(), "HEAD"])? } else { Vec::new() };
        let of_checkout: HashSet<String> = commits.iter().map(|commit| commit.sha.clone()).collect();
        let deployed = states.values().filter_map(EnvironmentState::live);
        let deployed: Vec<(Release, Timestamp)> =
            deployed.map(|live| (live.release.clone(), live.ended.unwrap_or(live.created))).collect();
        let named = self.tags()?.into_iter().chain(deployed.iter().map(|(release, _)| release.sha.clone()));
        for commit in self.commits(named)? {
            if commits.iter().all(|known| known.sha != commit.sha) {
                commits.push(commit);
            }
        }
        let new = live.and_then(|live| self.since(live));
        let mut results = self.results(&commits.iter().map(|commit| commit.sha.as_str()).collect())?;
        let is_allowed = self.allowed_by_branch(settings, &commits)?;
        let before: Vec<(&String, &EnvironmentState)> =
            settings.after.iter().filter_map(|name| states.get_key_value(name)).collect();
        let of_commits = commits.into_iter().map(|commit| {
            let distance = match &new {
                _ if live.is_some_and(|live| live.sha == commit.sha) => Distance::Live,
                Some(parents) if parents.contains_key(&commit.sha) => Distance::New(reachable(parents, &commit.sha)),
                Some(_) if of_checkout.contains(&commit.sha) => Distance::Older,
                _ => Distance::Unknown,
            };
            let by_name = gates::refused_by_name(settings, &commit.tags, &[]);
            let by_name = by_name.filter(|_| !is_allowed.contains(&commit.sha));
            let release = Release {
                // The same tag that is chosen when the commit is named.
                reference: commit.tags.last().unwrap_or(&commit.sha).clone(),
                tag: commit.tags.into_iter().next_back(),
                sha: commit.sha,
            };
            let (passed, missing): (Vec<_>, Vec<_>) =
                before.iter().partition(|(_, state)| gates::has_succeeded(state, &release));
            let missing = missing.into_iter().map(|(name, _)| format!("it has not succeeded in {name}"));
            Deployable {
                is_checked_out: release.sha == self.repository.sha,
                result: results.remove(&release.sha),
                distance,
                subject: commit.subject,
                committed: commit.committed,
                branches: commit.branches,
                passed: passed.into_iter().map(|(name, _)| (*name).clone()).collect(),
                refused: by_name.into_iter().chain(missing).collect(),
                release,
            }
        });
        let mut releases: Vec<Deployable> = of_commits.collect();
        for (release, at) in deployed.into_iter().filter(|(release, _)| release.is_image()) {
            if releases.iter().all(|known| known.release.sha != release.sha) {
                releases.push(of_image(release, at, live));
            }
        }
        // Stable, so that commits of the same second stay in the order of their history.
        releases.sort_by_key(|one| Reverse(one.committed));
        Ok(releases)
    }

    /// Returns the full names of the newest tags.
    fn tags(&self) -> Result<Vec<String>, GitError> {
        let most = format!("--count={MAX_TAGS}");
        let args = ["for-each-ref", "--sort=-creatordate", &most, "--format=%(refname)", "refs/tags"];
        Ok(git(&self.repository.root, args)?.lines().map(str::to_owned).collect())
    }

    /// Returns these commits, as far as the repository has them.
    fn commits(&self, named: impl IntoIterator<Item = String>) -> Result<Vec<Commit>, GitError> {
        let named: Vec<String> = named.into_iter().filter(|name| Release::of_image(name).is_none()).collect();
        if named.is_empty() {
            return Ok(Vec::new());
        }
        let options = ["--no-walk=unsorted", "--ignore-missing", "--end-of-options"];
        self.log(options.into_iter().chain(named.iter().map(String::as_str)))
    }

    /// Returns the commits that `git log` with these arguments prints.
    fn log<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<Vec<Commit>, GitError> {
        // Names of refs are printed whatever the configuration leaves out.
        const LOG: [&str; 6] = [
            "log",
            "--decorate=full",
            "--decorate-refs=refs/heads",
            "--decorate-refs=refs/remotes",
            "--decorate-refs=refs/tags",
            "--format=%H%x00%ct%x00%s%x00%D",
        ];
        let printed = git(&self.repository.root, LOG.into_iter().chain(args))?;
        Ok(printed.lines().filter_map(Commit::parse).collect())
    }

    /// Returns the commits that the checkout has and a release does not, with their parents. `None` if git does not
    /// know the release, or if there are more than [`MAX_NEW`].
    fn since(&self, release: &Release) -> Option<HashMap<String, Vec<String>>> {
        let (most, range) = (format!("--max-count={}", MAX_NEW + 1), format!("{}..HEAD", release.sha));
        let listed = git(&self.repository.root, ["rev-list", "--parents", &most, "--end-of-options", &range]).ok()?;
        let with_parents = listed.lines().filter_map(|line| {
            let mut commits = line.split(' ').map(str::to_owned);
            Some((commits.next()?, commits.collect()))
        });
        let parents: HashMap<String, Vec<String>> = with_parents.collect();
        (parents.len() <= MAX_NEW).then_some(parents)
    }

    /// Returns which of these commits are on a branch that may be deployed to an environment.
    fn allowed_by_branch(
        &self,
        settings: &EnvironmentSettings,
        commits: &[Commit],
    ) -> Result<HashSet<String>, GitError> {
        let all = || -> HashSet<String> { commits.iter().map(|commit| commit.sha.clone()).collect() };
        let is_allowed = |branches: &[String]| gates::refused_by_name(settings, &[], branches).is_none();
        if is_allowed(&[]) || commits.is_empty() {
            return Ok(all());
        }
        let refs = git(&self.repository.root, ["for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes"])?;
        let allowed = refs.lines().filter(|full| {
            let mut branches = Vec::new();
            release::add_branch(&mut branches, full);
            is_allowed(&branches)
        });
        let others: Vec<String> = allowed.map(|full| format!("^{full}")).collect();
        let (mut on_allowed, mut rest) = (HashSet::new(), all());
        for part in others.chunks(MAX_REFS) {
            if rest.is_empty() {
                break;
            }
            let args = ["rev-list", "--end-of-options"].into_iter();
            let args = args.chain(rest.iter().map(String::as_str)).chain(part.iter().map(String::as_str));
            let outside = git(&self.repository.root, args)?;
            let outside: HashSet<&str> = outside.lines().collect();
            on_allowed.extend(rest.extract_if(|sha| !outside.contains(sha.as_str())));
        }
        Ok(on_allowed)
    }

    /// Returns the results of the newest runs of these commits.
    fn results(&self, commits: &HashSet<&str>) -> Result<HashMap<String, CommitResult>, StoreError> {
        let filter = Filter { repository: Some(self.repository.id()), ..Filter::default() };
        let runs = history::page(&self.runs, &filter, None, MAX_RUNS)?.runs;
        // A run on this machine is a test of its commit only if no file was changed.
        let is_clean = |run: &Summary| run.info.changed == 0;
        let mut seen = HashSet::new();
        let mut results: HashMap<String, CommitResult> = HashMap::new();
        for run in runs.iter().filter(|run| !run.info.is_deployment() && commits.contains(run.info.sha.as_str())) {
            let Some(conclusion) = run.phase.conclusion() else { continue };
            let has_passed = conclusion == Conclusion::Success;
            let has_failed =
                matches!(conclusion, Conclusion::Failure | Conclusion::TimedOut | Conclusion::StartupFailure);
            // Only the newest run of each workflow counts.
            if !(has_passed || has_failed) || seen.contains(&(&run.info.sha, &run.info.workflow)) || !is_clean(run) {
                continue;
            }
            // A failure of some jobs is a failure of the workflow, but a success of some jobs is not a success of all.
            if has_passed && !self.is_whole(run) {
                continue;
            }
            seen.insert((&run.info.sha, &run.info.workflow));
            let file = run.info.workflow.rsplit('/').next().unwrap_or_default();
            let result = CommitResult {
                workflow: if file.is_empty() { run.name.clone() } else { file.to_owned() },
                has_passed,
                is_local: run.info.remote.is_none(),
                at: run.finished.unwrap_or(run.info.created),
            };
            let known = results.entry(run.info.sha.clone()).or_insert_with(|| result.clone());
            if known.has_passed && !result.has_passed {
                *known = result;
            }
        }
        Ok(results)
    }

    /// Whether a successful run carried out all jobs of its workflow.
    fn is_whole(&self, run: &Summary) -> bool {
        if run.info.remote.is_some() {
            return true;
        }
        // A success has a reason if jobs were left out because they need another machine.
        let spec = RunSpec::read(&self.runs.folder(run.info.id.clone())).ok();
        let workflow = spec.as_ref().and_then(|spec| spec.work.workflow());
        run.reason.is_none() && workflow.is_some_and(|work| work.jobs.is_empty() && work.matrix.is_empty())
    }

    /// Returns what would be deployed next; `None` before the first commit.
    fn next(
        &self,
        settings: &EnvironmentSettings,
        states: &IndexMap<String, EnvironmentState>,
    ) -> Result<Option<NextDeployment>, DeployError> {
        if self.repository.sha.is_empty() {
            return Ok(None);
        }
        let head = release::resolve(&self.repository.root, "HEAD")?.release;
        let (source, release) = source(settings, states, head);
        let live = states[&settings.name].live().map(|live| &live.release);
        let request = DeployRequest {
            environment: settings.name.clone(),
            release: Some(release.sha.clone()),
            cause: Cause::Manual,
            reason: String::new(),
            overrides: false,
            trust: false,
        };
        let closed = match self.prepare(request) {
            Ok(prepared) => prepared.closed().iter().map(|closed| closed.sentence.clone()).collect(),
            Err(error) => vec![error.to_string()],
        };
        Ok(Some(NextDeployment {
            is_live: live.is_some_and(|live| live.sha == release.sha),
            changes: live.map(|live| self.changes(live, &release)).unwrap_or_default(),
            release,
            source,
            closed,
        }))
    }

    /// Returns the first lines of the messages of the commits that were deployed to an environment, by commit.
    fn subjects(&self, state: &EnvironmentState) -> Result<HashMap<String, String>, GitError> {
        let mut shas: Vec<String> = Vec::new();
        for record in state.deployments() {
            if shas.len() < MAX_HISTORY + MAX_EARLIER && !shas.contains(&record.release.sha) {
                shas.push(record.release.sha.clone());
            }
        }
        Ok(self.commits(shas)?.into_iter().map(|commit| (commit.sha, commit.subject)).collect())
    }

    /// Returns the commits of the newest deployments. One that ended before it began has brought none.
    fn history(&self, state: &EnvironmentState, subjects: &HashMap<String, String>) -> Vec<DeployedCommits> {
        let has_commits = |record: &&DeploymentRecord| record.began || record.outcome.is_none();
        let newest = state.deployments().take(MAX_HISTORY).filter(has_commits);
        let commits = newest.map(|record| {
            let is_rollback = record.cause == Cause::Rollback;
            let changes = match &record.from {
                Some(from) if is_rollback => self.changes(&record.release, from),
                Some(from) => self.changes(from, &record.release),
                None => Changes::default(),
            };
            DeployedCommits {
                run: record.run.clone(),
                sha: record.release.sha.clone(),
                subject: subjects.get(&record.release.sha).cloned().unwrap_or_default(),
                is_rollback,
                changes,
            }
        });
        commits.collect()
    }

    /// Returns the releases that an environment can go back to from the current one.
    fn earlier(
        &self,
        shown: &Environment,
        current: &Release,
        subjects: &HashMap<String, String>,
    ) -> Vec<EarlierRelease> {
        let mut earlier: Vec<EarlierRelease> = Vec::new();
        for one in shown.deployments.iter().filter(|one| one.succeeded && one.release.sha != current.sha) {
            let sha = &one.release.sha;
            if earlier.len() < MAX_EARLIER && earlier.iter().all(|known| known.sha != *sha) {
                let range = format!("{sha}..{}", current.sha);
                let undone = git(&self.repository.root, ["rev-list", "--count", "--end-of-options", &range]);
                earlier.push(EarlierRelease {
                    sha: sha.clone(),
                    subject: subjects.get(sha).cloned().unwrap_or_default(),
                    undone: undone.ok().and_then(|count| count.trim().parse().ok()),
                });
            }
        }
        earlier
    }
}

/// A commit with the names of the refs that point to it.
struct Commit {
    sha: String,
    committed: Timestamp,
    subject: String,
    /// Sorted by name.
    tags: Vec<String>,
    branches: Vec<String>,
}

impl Commit {
    /// Parses a line that [`Deployments::log`] asks git for.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split('\0');
        let (sha, seconds, subject) = (fields.next()?, fields.next()?.parse::<u64>().ok()?, fields.next()?);
        let (mut tags, mut branches) = (Vec::new(), Vec::new());
        for name in fields.next().unwrap_or_default().split(", ") {
            let name = name.rsplit_once(" -> ").map_or(name, |(_, name)| name);
            if let Some(tag) = name.strip_prefix("tag: refs/tags/") {
                tags.push(tag.to_owned());
                continue;
            }
            release::add_branch(&mut branches, name);
        }
        tags.sort_unstable();
        let committed = Timestamp(seconds.saturating_mul(1_000));
        Some(Self { sha: sha.to_owned(), committed, subject: subject.to_owned(), tags, branches })
    }
}

/// Returns the release of an image that was deployed at this time and whose commit is not known.
fn of_image(release: Release, deployed: Timestamp, live: Option<&Release>) -> Deployable {
    let is_live = live.is_some_and(|live| live.sha == release.sha);
    Deployable {
        release,
        subject: String::new(),
        committed: deployed,
        branches: Vec::new(),
        is_checked_out: false,
        result: None,
        distance: if is_live { Distance::Live } else { Distance::Unknown },
        passed: Vec::new(),
        refused: vec!["only its image is known, and not its commit".to_owned()],
    }
}

/// Returns the number of commits among `parents` that a commit of them leads to, itself included.
fn reachable(parents: &HashMap<String, Vec<String>>, from: &str) -> u64 {
    let mut seen: HashSet<&str> = HashSet::new();
    let mut next: Vec<&str> = vec![from];
    while let Some(commit) = next.pop() {
        if let Some(parents) = parents.get(commit)
            && seen.insert(commit)
        {
            next.extend(parents.iter().map(String::as_str));
        }
    }
    seen.len() as u64
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::launch::deploy::{LaneMemory, WayBack};
    use crate::launch::trust;
    use crate::model::deployment::{Action, Actor, Entry, Observed, Outcome, Slot, SlotState};
    use crate::model::lane::NoReport;
    use crate::model::rollback::RollbackRequest;
    use crate::model::{EndReason, Phase, RemoteRun, RunId, RunInfo, testing};
    use crate::store::folder::RunsDir;
    use crate::store::lock;
    use crate::store::spec::WorkflowSpec;

    const SETTINGS: &str = r#"
[environments.staging]
variables = ["SHOP_NAME_THAT_IS_NOT_SET"]
[environments.staging.target]
start = "true"
stop = "true"
healthy = "true"

[environments.production]
on = "tag:v*"
after = ["staging"]
reviewers = ["ada"]
[environments.production.target]
start = "true"
stop = "true"
healthy = "true"
"#;

    fn call(folder: &Path, args: &[&str]) -> String {
        let who = ["-c", "user.name=Ada L", "-c", "user.email=ada@example.org"];
        git(folder, who.into_iter().chain(args.iter().copied())).expect("git works").trim().to_owned()
    }

    /// A repository with three commits, of which the first two have the tags v1 and v2.
    struct Shop {
        folder: tempfile::TempDir,
        state: tempfile::TempDir,
    }

    impl Shop {
        fn new() -> Self {
            let shop =
                Self { folder: tempfile::tempdir().expect("a folder"), state: tempfile::tempdir().expect("a folder") };
            let folder = shop.folder.path();
            call(folder, &["init", "-q", "-b", "main"]);
            std::fs::write(folder.join(".cuelight.toml"), SETTINGS).expect("written");
            call(folder, &["add", ".cuelight.toml"]);
            for (number, subject) in (1..).zip(["Open the shop", "Add a cart", "Fix the cart"]) {
                call(folder, &["commit", "-q", "--allow-empty", "-m", subject]);
                if number < 3 {
                    call(folder, &["tag", &format!("v{number}")]);
                }
            }
            shop
        }

        fn deployments(&self) -> Deployments {
            Deployments::of(&RunsDir::at(self.state.path()), self.folder.path()).expect("a repository")
        }

        /// Records deployments of these tags to an environment, all of which succeeded.
        fn deployed(&self, environment: &str, tags: &[(&str, Cause)]) {
            let deployments = self.deployments();
            let resolve = |tag: &str| release::known(self.folder.path(), None, tag).expect("a tag or an image");
            let mut from = None;
            for (number, (tag, cause)) in (1..).zip(tags) {
                let release = resolve(tag);
                let requested = Action::Requested { release: release.clone(), from, cause: cause.clone() };
                for action in [requested, Action::Began, Action::Ended { outcome: Outcome::Succeeded }] {
                    let by = Actor { user: "ada".to_owned(), host: "web".to_owned(), email: String::new() };
                    let entry = Entry {
                        at: Timestamp(number),
                        by,
                        environment: environment.to_owned(),
                        deployment: Some(RunId::new(format!("{environment}-{number}"))),
                        job: None,
                        action,
                        reason: String::new(),
                    };
                    deployments.file().append(&entry).expect("written");
                }
                from = Some(release);
            }
        }
    }

    /// Describes the releases to choose from: title, subject, and what is known about each.
    fn listed(details: &LaneDetails) -> Vec<(String, String, Distance)> {
        let row = |one: &Deployable| {
            let name = one.release.tag.clone().unwrap_or_else(|| "none".to_owned());
            (name, one.subject.clone(), one.distance)
        };
        details.releases.iter().map(row).collect()
    }

    #[tokio::test]
    async fn a_rollback_leaves_only_the_release_that_the_target_runs() {
        let shop = Shop::new();
        let head = release::known(shop.folder.path(), None, "HEAD").expect("a commit");
        let status = format!("status = \"echo blue {} 2 2 100\"\nstart =", head.sha);
        std::fs::write(shop.folder.path().join(".cuelight.toml"), SETTINGS.replacen("start =", &status, 1))
            .expect("written");
        shop.deployed("staging", &[("v1", Cause::Manual), ("v2", Cause::Manual)]);
        let deployments = shop.deployments();
        let (environment, from) = ("staging".to_owned(), Some("v2".to_owned()));
        let wanted = RollbackRequest { environment, from, ..RollbackRequest::default() };
        let Ok(WayBack::Deploy(request)) = deployments.way_back(&wanted, None) else {
            panic!("v2 is recorded as live")
        };
        let prepared = deployments.prepare(DeployRequest { trust: true, ..request }).expect("prepared");
        let plan = deployments.plan(&prepared).await.expect("planned");
        let recorded = prepared.live().cloned().expect("v2 is recorded as live");
        let said = format!("recorded {}, but {} serves", recorded.title(), head.short());
        assert_eq!(prepared.contradicted(&plan), Some(said.clone()));
        assert_eq!(prepared.replaced(Some(&plan)).0.map(|release| &release.sha), Some(&head.sha));
        let state = deployments.ledger().expect("a ledger").of("staging");
        let title = recorded.title();
        let only_recorded = format!("{title} is recorded as live");
        assert_eq!(deployments.described(&state, None), only_recorded, "its target was not asked");
        let described = |answer: Result<&Observed, NoReport>| deployments.described(&state, Some(answer));
        let none_alone = format!("{only_recorded}; its target does not report that one release serves alone");
        assert_eq!(described(Ok(&Observed::default())), none_alone);
        let unanswered = format!("{title} is recorded as live; its target does not answer");
        assert_eq!(described(Err(NoReport::NoAnswer)), unanswered, "it was not observed");
        let mut observed = Observed::default();
        let sha = Some(head.sha.clone());
        *observed.slot_mut(Slot::Blue) = SlotState { release: sha, replicas: 2, healthy: 2, open: 2, weight: 100 };
        assert_eq!(described(Ok(&observed)), format!("{} serves; {title} is recorded as live", head.short()));
        observed.slot_mut(Slot::Blue).release = Some("f".repeat(40));
        assert_eq!(
            described(Ok(&observed)),
            format!("fffffff serves; {only_recorded}"),
            "this clone does not have the commit"
        );
        observed.slot_mut(Slot::Blue).release = Some(state.live().expect("v2 is recorded").release.sha.clone());
        assert_eq!(described(Ok(&observed)), format!("{title} is live"));
        let error = prepared.check_rollback(&plan, Some("v2")).expect_err("v2 does not serve").to_string();
        assert!(error.starts_with("`v2` is not in staging: ") && error.contains(&said), "{error}");
        for from in [None, Some(head.sha.as_str())] {
            prepared.check_rollback(&plan, from).expect("the release that serves");
        }
        deployments.check_replaced(&prepared, Some(&head)).await.expect("it was shown");
        let moved = deployments.check_replaced(&prepared, Some(&recorded)).await;
        assert!(matches!(moved, Err(DeployError::Moved(_))), "another release was shown");
        trust::grant(deployments.runs(), deployments.repository(), deployments.named()).expect("written");
        let (deployments, mut memory) = (Arc::new(deployments), LaneMemory::default());
        deployments.ask_targets(&mut memory, Some("staging")).await.expect("asked");
        let ledger = deployments.ledger().expect("read");
        let shown = deployments.shown(&ledger, Some("staging"), &mut memory).expect("shown");
        let [staging] = shown.as_slice() else { panic!("one environment") };
        assert_eq!(staging.health, Some(format!("{said}, 2/2 healthy")));
        assert_eq!(staging.phase(), Some(Phase::Done(Conclusion::Neutral)));
    }

    #[tokio::test]
    async fn a_rollback_from_the_release_that_serves_is_not_refused_because_another_one_is_recorded() {
        let shop = Shop::new();
        shop.deployed("staging", &[("v1", Cause::Manual), ("v2", Cause::Manual)]);
        let resolve = |name: &str| release::known(shop.folder.path(), None, name).expect("a commit");
        let head = resolve("HEAD");
        let status = shop.state.path().join("status");
        let command = format!("status = \"cat {}\"\nstart =", status.display());
        let settings = SETTINGS.replacen("start =", &command, 1);
        std::fs::write(shop.folder.path().join(".cuelight.toml"), settings).expect("written");
        let deployments = shop.deployments();
        trust::grant(deployments.runs(), deployments.repository(), deployments.named()).expect("written");
        let serve = |sha: &str| std::fs::write(&status, format!("blue {sha} 2 2 100\n")).expect("written");
        let wanted = |to: Option<&str>, from: Option<&str>| {
            let (environment, to, from) = ("staging".to_owned(), to.map(str::to_owned), from.map(str::to_owned));
            RollbackRequest { environment, to, from, ..RollbackRequest::default() }
        };
        let way = async |to: Option<&str>, from: Option<&str>| match deployments.find_way_back(&wanted(to, from)).await
        {
            Ok(WayBack::Deploy(request)) => Ok(request.release.expect("a release")),
            Ok(WayBack::Abort(_)) => panic!("nothing is in progress"),
            Err(error) => Err(error.to_string()),
        };
        let (v1, v2) = (resolve("v1").sha, resolve("v2").sha);
        serve(&head.sha);
        // The last other release that succeeded is the recorded one.
        assert_eq!(way(None, Some(head.short())).await, Ok(v2.clone()));
        assert_eq!(way(None, None).await, Ok(v2.clone()));
        assert_eq!(way(Some("v2"), None).await, Ok(v2.clone()), "it does not serve");
        assert_eq!(way(Some("v1"), None).await, Ok(v1.clone()));
        let error = way(None, Some("v2")).await.expect_err("v2 does not serve");
        assert!(error.starts_with("`v2` is not in staging: ") && error.contains(head.short()), "{error}");
        // A commit that this clone does not have serves.
        let unknown = "f".repeat(40);
        serve(&unknown);
        assert_eq!(way(None, None).await, Ok(v2.clone()), "it is not live");
        assert_eq!(way(None, Some(unknown.as_str())).await, Ok(v2.clone()));
        // The recorded release serves.
        serve(&v2);
        assert_eq!(way(None, Some("v2")).await, Ok(v1.clone()));
        assert!(way(None, Some(head.short())).await.expect_err("it is not live").contains("v2 "));
        // Without an answer, the ledger decides.
        std::fs::remove_file(&status).expect("removed");
        assert_eq!(way(None, Some("v2")).await, Ok(v1.clone()));
        // Another machine has gone back to v1 already.
        serve(&v1);
        let request = DeployRequest {
            environment: "staging".to_owned(),
            release: Some(v1),
            cause: Cause::Rollback,
            reason: String::new(),
            overrides: false,
            trust: true,
        };
        let prepared = deployments.prepare(request).expect("prepared");
        let plan = deployments.plan(&prepared).await.expect("planned");
        let error = prepared.check_rollback(&plan, None).expect_err("v1 serves").to_string();
        assert!(error.starts_with("v1 ") && error.ends_with("is already live in staging"), "{error}");
    }

    #[tokio::test]
    async fn a_deployment_names_the_release_that_the_target_runs_and_none_if_it_does_not_answer() {
        let shop = Shop::new();
        shop.deployed("staging", &[("v1", Cause::Manual), ("v2", Cause::Manual)]);
        let head = release::known(shop.folder.path(), None, "HEAD").expect("a commit");
        let found = async |status: &str| {
            let status = format!("status = \"{status}\"\nstart =");
            std::fs::write(shop.folder.path().join(".cuelight.toml"), SETTINGS.replacen("start =", &status, 1))
                .expect("written");
            let deployments = shop.deployments();
            let (environment, release) = ("staging".to_owned(), Some("v1".to_owned()));
            let (cause, reason) = (Cause::Manual, String::new());
            let request = DeployRequest { environment, release, cause, reason, overrides: false, trust: true };
            let mut prepared = deployments.prepare(request).expect("prepared");
            let plan = deployments.foresee(&mut prepared).await.expect("nothing was left halfway");
            let (replaced, is_known) = prepared.replaced(plan.as_ref());
            let replaced = replaced.map(|release| release.sha.clone());
            (replaced, is_known, prepared.notes_of_target(plan.as_ref()).join("; "))
        };
        let (replaced, is_known, notes) = found(&format!("echo blue {} 2 2 100", head.sha)).await;
        assert_eq!((replaced, is_known), (Some(head.sha.clone()), true));
        assert!(
            notes.starts_with("recorded v2 ") && notes.ends_with(&format!("but {} serves", head.short())),
            "{notes}"
        );
        assert_eq!(found("true").await.0, None, "nothing runs there");
        let (replaced, is_known, notes) = found("exit 3").await;
        assert_eq!((replaced, is_known), (None, false));
        assert!(notes.contains("cannot determine what is running") && notes.contains("; v2 "), "{notes}");
        assert!(notes.ends_with("is recorded as live"), "{notes}");
    }

    #[test]
    fn deployments_whose_workers_run_are_listed_and_those_that_wait_come_first() {
        let shop = Shop::new();
        shop.deployed("staging", &[("v1", Cause::Manual)]);
        let deployments = shop.deployments();
        assert!(deployments.running().expect("read").is_empty(), "it has ended");
        let release = release::known(shop.folder.path(), None, "v2").expect("a tag");
        let mut held = Vec::new();
        for (environment, has_begun) in [("staging", true), ("production", false), ("staging", false)] {
            let (folder, lock) = deployments.runs.create_locked(Timestamp(9)).expect("made");
            let requested = Action::Requested { release: release.clone(), from: None, cause: Cause::Manual };
            for action in [Some(requested), has_begun.then_some(Action::Began)].into_iter().flatten() {
                let by = Actor { user: "ada".to_owned(), host: "web".to_owned(), email: String::new() };
                let (deployment, environment) = (Some(folder.id().clone()), environment.to_owned());
                let entry =
                    Entry { at: Timestamp(9), by, environment, deployment, job: None, action, reason: String::new() };
                deployments.file().append(&entry).expect("written");
            }
            held.push((lock, folder.lock()));
        }
        let running = deployments.running().expect("read");
        let found: Vec<_> = running.iter().map(|open| (&*open.record.environment, open.record.began)).collect();
        assert_eq!(found, [("staging", false), ("production", false), ("staging", true)]);
        let (worker, lock) = held.pop().expect("three");
        lock::release(worker, &lock);
        assert_eq!(deployments.running().expect("read").len(), 2, "the worker of the last one has ended");
    }

    #[test]
    fn the_history_of_the_repository_is_offered_newest_first() {
        let shop = Shop::new();
        shop.deployed("staging", &[("v2", Cause::Manual)]);
        shop.deployed("production", &[("v1", Cause::Manual)]);
        let details = shop.deployments().details("production").expect("read");
        let row = |name: &str, subject: &str, distance| (name.to_owned(), subject.to_owned(), distance);
        assert_eq!(
            listed(&details),
            [
                row("none", "Fix the cart", Distance::New(2)),
                row("v2", "Add a cart", Distance::New(1)),
                row("v1", "Open the shop", Distance::Live),
            ]
        );
        assert!(details.releases[0].is_checked_out && details.releases[0].branches == ["main"]);
        assert_eq!(details.live, Some(details.releases[2].release.sha.clone()));
        let staging = shop.deployments().details("staging").expect("read");
        assert_eq!(staging.releases[2].distance, Distance::Older);
    }

    #[test]
    fn a_listed_release_says_what_it_has_passed_and_why_it_is_refused() {
        let shop = Shop::new();
        shop.deployed("staging", &[("v2", Cause::Manual)]);
        let marks = |environment: &str| {
            let details = shop.deployments().details(environment).expect("read");
            let mark = |one: &Deployable| (one.passed.join(" "), one.refused.join("; "));
            details.releases.iter().map(mark).collect::<Vec<_>>()
        };
        let row = |passed: &str, refused: &str| (passed.to_owned(), refused.to_owned());
        assert_eq!(
            marks("production"),
            [
                row("", "only tag:v* may be deployed to production; it has not succeeded in staging"),
                row("staging", ""),
                row("", "it has not succeeded in staging"),
            ]
        );
        assert_eq!(marks("staging"), [row("", ""), row("", ""), row("", "")]);
        // A branch counts for all commits that it contains, and not only for the one at its end.
        let rule = SETTINGS.replace("[environments.staging]\n", "[environments.staging]\non = \"push:release\"\n");
        std::fs::write(shop.folder.path().join(".cuelight.toml"), rule).expect("written");
        let only = row("", "only push:release may be deployed to staging");
        assert_eq!(marks("staging"), [only.clone(), only.clone(), only.clone()]);
        call(shop.folder.path(), &["branch", "release", "v2"]);
        assert_eq!(marks("staging"), [only, row("", ""), row("", "")]);
    }

    #[test]
    fn an_image_that_is_live_is_listed_and_cannot_be_promoted() {
        const IMAGE: &str = "sha256:0123456789abcdef";
        let shop = Shop::new();
        shop.deployed("staging", &[(IMAGE, Cause::Manual)]);
        let details = shop.deployments().details("production").expect("read");
        let image = details.releases.iter().find(|one| one.release.is_image()).expect("an image");
        assert_eq!((image.release.sha.as_str(), image.distance), (IMAGE, Distance::Unknown));
        let next = details.next.expect("a release");
        assert_eq!((next.release.sha.as_str(), next.source.as_str()), (IMAGE, "staging"));
        assert!(next.closed.len() == 1 && next.closed[0].contains("whose commit is not known"), "{:?}", next.closed);
        let staging = shop.deployments().details("staging").expect("read");
        let image = staging.releases.iter().find(|one| one.release.is_image()).expect("an image");
        assert_eq!(image.distance, Distance::Live);
    }

    #[test]
    fn a_repository_that_git_cannot_read_is_not_one_without_commits() {
        let shop = Shop::new();
        let deployments = shop.deployments();
        let states = deployments.states(&deployments.ledger().expect("read")).expect("valid settings");
        let settings = deployments.settings("staging").expect("an environment");
        assert!(deployments.next(settings, &states).expect("read").is_some());
        std::fs::remove_file(shop.folder.path().join(".git/HEAD")).expect("removed");
        assert!(deployments.next(settings, &states).is_err());
    }

    #[test]
    fn a_success_of_some_jobs_is_not_a_success_of_the_workflow() {
        let shop = Shop::new();
        let deployments = shop.deployments();
        let is_whole = |work: WorkflowSpec, reason: Option<EndReason>| {
            let id = RunId::new("20261123-101010-aaaa");
            let folder = deployments.runs().folder(id.clone());
            std::fs::create_dir_all(folder.path()).expect("made");
            let info = testing::info(id, Timestamp(0));
            RunSpec::of_workflow(info.clone(), work).write(&folder).expect("written");
            let run = Summary { reason, ..testing::summary(info, "CI", Phase::Done(Conclusion::Success)) };
            deployments.is_whole(&run)
        };
        assert!(is_whole(WorkflowSpec::default(), None));
        assert!(!is_whole(WorkflowSpec { jobs: vec!["test".to_owned()], ..WorkflowSpec::default() }, None));
        let matrix = [("os".to_owned(), "linux".to_owned())].into_iter().collect();
        assert!(!is_whole(WorkflowSpec { matrix, ..WorkflowSpec::default() }, None));
        let skipped = EndReason::Message("skipped, because they need another machine: windows".to_owned());
        assert!(!is_whole(WorkflowSpec { skip_unrunnable: true, ..WorkflowSpec::default() }, Some(skipped)));
        // A run on a server has all jobs of its workflow.
        let info = testing::info(RunId::new("none"), Timestamp(0));
        let info = RunInfo { remote: Some(RemoteRun::default()), ..info };
        assert!(deployments.is_whole(&testing::summary(info, "CI", Phase::Done(Conclusion::Success))));
    }

    #[test]
    fn the_next_deployment_is_that_of_the_environment_before_with_the_gates_that_hold_it_back() {
        let shop = Shop::new();
        shop.deployed("staging", &[("v2", Cause::Manual)]);
        shop.deployed("production", &[("v1", Cause::Manual)]);
        let next = shop.deployments().details("production").expect("read").next.expect("a commit");
        assert_eq!((next.release.tag.as_deref(), next.source.as_str()), (Some("v2"), "staging"));
        assert_eq!((next.changes.count, next.is_live), (Some(1), false));
        assert!(next.closed.len() == 1 && next.closed[0] == "needs an approval by one of ada", "{:?}", next.closed);
        let staging = shop.deployments().details("staging").expect("read");
        let next = staging.next.expect("a commit");
        assert_eq!((next.source.as_str(), next.changes.count), ("main", Some(1)));
        let needed: Vec<_> = staging.needed.iter().map(|one| (one.name.as_str(), one.is_set)).collect();
        assert_eq!(needed, [("SHOP_NAME_THAT_IS_NOT_SET", false)]);
    }

    #[test]
    fn each_deployment_has_its_commits_and_each_way_back_what_it_undoes() {
        let shop = Shop::new();
        shop.deployed("staging", &[("v1", Cause::Manual), ("v2", Cause::Manual), ("v1", Cause::Rollback)]);
        let details = shop.deployments().details("staging").expect("read");
        let history: Vec<_> =
            details.history.iter().map(|one| (one.subject.as_str(), one.changes.counted(one.is_rollback))).collect();
        assert_eq!(
            history,
            [
                ("Open the shop", Some("1 commit is undone".to_owned())),
                ("Add a cart", Some("1 commit is new".to_owned())),
                ("Open the shop", None),
            ]
        );
        shop.deployed("production", &[("v1", Cause::Manual), ("v2", Cause::Manual)]);
        let details = shop.deployments().details("production").expect("read");
        let earlier: Vec<_> = details.earlier.iter().map(|one| (one.subject.as_str(), one.undone)).collect();
        assert_eq!(earlier, [("Open the shop", Some(1))]);
    }

    #[test]
    fn a_repository_without_commits_offers_nothing() {
        let (folder, state) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        call(folder.path(), &["init", "-q", "-b", "main"]);
        std::fs::write(folder.path().join(".cuelight.toml"), SETTINGS).expect("written");
        let deployments = Deployments::of(&RunsDir::at(state.path()), folder.path()).expect("a repository");
        let details = deployments.details("staging").expect("read");
        assert!(details.releases.is_empty() && details.next.is_none() && details.history.is_empty());
    }

    #[test]
    fn commits_are_counted_once_where_branches_were_merged() {
        let parents = |commits: &[(&str, &[&str])]| -> HashMap<String, Vec<String>> {
            let one = |(sha, parents): &(&str, &[&str])| {
                ((*sha).to_owned(), parents.iter().map(|parent| (*parent).to_owned()).collect())
            };
            commits.iter().map(one).collect()
        };
        let merged = parents(&[("d", &["b", "c"]), ("c", &["a"]), ("b", &["a"]), ("a", &["live"])]);
        assert_eq!((reachable(&merged, "d"), reachable(&merged, "b"), reachable(&merged, "a")), (4, 2, 1));
    }

    #[test]
    fn tags_and_branches_are_read_from_the_decoration() {
        let line = "abc\x001796056262\x00Fix, twice -> done\x00HEAD -> refs/heads/main, tag: refs/tags/v2, \
                    tag: refs/tags/v10, refs/remotes/origin/main, refs/remotes/origin/HEAD, refs/heads/fix/a,b";
        let commit = Commit::parse(line).expect("a commit");
        assert_eq!((commit.subject.as_str(), commit.committed), ("Fix, twice -> done", Timestamp(1_796_056_262_000)));
        assert_eq!(
            (commit.tags, commit.branches),
            (["v10", "v2"].map(str::to_owned).to_vec(), ["main", "fix/a,b"].map(str::to_owned).to_vec())
        );
    }
}
