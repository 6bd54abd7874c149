//! Prepares, plans and starts deployments.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use indexmap::IndexMap;
use tokio::time::timeout;

use super::lanes::REPORT_TIMEOUT;
use super::{DeployError, Deployments, masked};
use crate::launch::trust::{self, Consent, Trust};
use crate::model::deployment::{
    Action, Cause, Counters, DEPLOYMENT_EVENT, DeploymentPlan, Entry, EnvironmentSettings, EnvironmentState, Needed,
    Observed, Strategy, TargetSettings, workflow_name,
};
use crate::model::environment::Release;
use crate::model::lane::NoReport;
use crate::model::rollback::{ChangedCommit, Changes};
use crate::model::{Event, JobId, RunId, RunInfo, StepNumber};
use crate::repo::git::{Repository, git};
use crate::repo::uncommitted::{changed_files, named};
use crate::rollout::gates::{self, Closed, GateFacts, Refused};
use crate::rollout::outlet::{Outlet, Progress, StepLog};
use crate::rollout::plan;
use crate::rollout::release::{self, NamedRelease};
use crate::rollout::shell::Shell;
use crate::rollout::target::{self, TargetError, Targets};
use crate::store::clock::{minute_of_week, now};
use crate::store::folder::RunFolder;
use crate::store::spec::{DeploymentSpec, RunSpec};
use crate::worker::Mode;
use crate::worker::launch::spawn;

/// Maximum number of commits that are listed between two releases.
const MAX_COMMITS: usize = 12;

/// How long one of several hosts may take to report what it runs, before the others are shown without it. It is asked
/// after all hosts had 5 s to report their traffic, and the report of the environment has a limit of 10 s for both.
const HOST_TIMEOUT: Duration = Duration::from_secs(4);

/// Request for a deployment.
#[derive(Clone, Debug)]
pub struct DeployRequest {
    /// Name of the environment.
    pub environment: String,
    /// Tag, branch or commit; `None` for the current commit.
    pub release: Option<String>,
    /// What caused the deployment.
    pub cause: Cause,
    /// Reason that the person gave; may be empty.
    pub reason: String,
    /// Whether to override the rules of the environment.
    pub overrides: bool,
    /// Whether to deploy from a repository that is not trusted.
    pub trust: bool,
}

/// A deployment that can start.
pub struct PreparedDeployment {
    request: DeployRequest,
    settings: EnvironmentSettings,
    release: NamedRelease,
    live: Option<Release>,
    /// Whether the ledger knows what is live.
    knows_live: bool,
    closed: Vec<Closed>,
    unreadable: Vec<String>,
    missing: Vec<Needed>,
    left: Vec<String>,
    /// Why the target did not say what it runs, although it reports that. `None` if it did, or was not asked.
    pub(super) unobserved: Option<String>,
    pub(super) consent: Consent,
}

impl Deployments {
    /// Resolves a request: the release, the gates that apply to it, and the trust of the repository. Writes nothing,
    /// and runs nothing of the repository. Gates that hold the release back are in [`PreparedDeployment::closed`].
    ///
    /// # Errors
    /// The environment or release does not exist, an override has no reason, or the state or the repository cannot be
    /// read.
    pub fn prepare(&self, request: DeployRequest) -> Result<PreparedDeployment, DeployError> {
        if request.overrides && request.reason.trim().is_empty() {
            return Err(DeployError::NoReason("an override"));
        }
        let settings = self.settings(&request.environment)?.clone();
        let ledger = self.ledger()?;
        let state = ledger.of(&settings.name);
        let name = request.release.as_deref().unwrap_or("HEAD");
        let mut release = match state.found_image(name).filter(|_| request.cause == Cause::Rollback) {
            Some(found) => NamedRelease::of_image(found.clone()),
            None => release::resolve(&self.repository.root, name)?,
        };
        release.uncommitted = self.uncommitted(&settings, &request, &release.release)?;
        if request.cause == Cause::Rollback
            && let Some(known) = state.release(&release.release.sha)
        {
            // Keep the name under which the release was deployed.
            release.release = known.clone();
        }
        let mut closed = Vec::new();
        if request.cause == Cause::Manual {
            closed.extend(gates::policy(&settings, &ledger, &release));
        }
        let at = now();
        let minute_of_week = minute_of_week(at);
        let facts = GateFacts { settings: &settings, state: &state, record: None, now: at, minute_of_week };
        let is_rollback = request.cause == Cause::Rollback;
        closed.extend(gates::closed(&facts).into_iter().filter(|one| !is_rollback || one.holds_rollbacks()));
        let trust = if request.trust { Trust::Given } else { trust::of(&self.runs, &self.repository, self.named())? };
        let consent = Consent::new(self.repository.clone(), self.named().to_vec(), trust, Vec::new());
        let (live, knows_live) = (state.live().map(|live| live.release.clone()), state.knows_live());
        let unreadable = ledger.unreadable().iter().filter(|line| line.is_about(&settings.name));
        let unreadable = unreadable.map(ToString::to_string).collect();
        let missing = self.needed(&settings.name)?.into_iter().filter(|one| !one.is_set).collect();
        let left = self.left(&settings, &state);
        Ok(PreparedDeployment {
            request,
            settings,
            release,
            live,
            knows_live,
            closed,
            unreadable,
            missing,
            left,
            unobserved: None,
            consent,
        })
    }

    /// Returns a sentence about each host of the last successful deployment that the settings no longer have. Empty if
    /// the folder of that deployment was removed.
    fn left(&self, settings: &EnvironmentSettings, state: &EnvironmentState) -> Vec<String> {
        let Some(last) = state.last_success() else { return Vec::new() };
        let Ok(spec) = RunSpec::read(&self.runs.folder(last.run.clone())) else { return Vec::new() };
        let before = spec.work.deployment().map(|deployment| deployment.settings.target.hosts()).unwrap_or_default();
        left_hosts(before, settings, &last.release)
    }

    /// Whether a deployment uses the files of the working tree, its commands or the Compose file, and the release is
    /// checked out. A deployment of an image does not use them.
    fn uses_working_tree(&self, settings: &EnvironmentSettings, request: &DeployRequest, release: &Release) -> bool {
        let uses_files = matches!(settings.target, TargetSettings::Script(_) | TargetSettings::Compose(_));
        request.cause == Cause::Manual && uses_files && release.sha == self.repository.sha
    }

    /// Returns the files with uncommitted changes if a person requested the deployment and the changes concern it: the
    /// request names no release, or the commands run in the working tree, where the release is checked out. Empty for
    /// any other request.
    fn uncommitted(
        &self,
        settings: &EnvironmentSettings,
        request: &DeployRequest,
        release: &Release,
    ) -> Result<Vec<String>, DeployError> {
        let is_checked_out = request.cause == Cause::Manual && request.release.is_none();
        if !is_checked_out && !self.uses_working_tree(settings, request, release) {
            return Ok(Vec::new());
        }
        Ok(changed_files(&self.repository.root, trust::access(&self.runs, &self.repository), &release.sha)?)
    }

    /// Returns the plan of a deployment, based on what the target reports now. Runs the `status` command of the target,
    /// if it has one. For a target that reports nothing, the repository need not be trusted, as nothing of it runs.
    ///
    /// # Errors
    /// The repository is not trusted and the target is to be asked, the target does not report what is running, or no
    /// plan can be made from its report, as after a deployment that was left halfway.
    pub async fn plan(&self, prepared: &PreparedDeployment) -> Result<DeploymentPlan, DeployError> {
        let (plan, checked) = self.planned(prepared).await?;
        checked.map_err(DeployError::NotDeliverable)?;
        Ok(plan)
    }

    /// Returns the plan of a deployment, as [`Self::plan`] does, and whether the target can carry it out.
    pub(super) async fn planned(
        &self,
        prepared: &PreparedDeployment,
    ) -> Result<(DeploymentPlan, Result<(), TargetError>), DeployError> {
        if prepared.settings.target.asks().is_some() {
            prepared.consent.require()?;
        }
        let file = self.file();
        let targets = self.targets(&prepared.settings);
        let hosts = targets.foresee(&unrecorded(&prepared.settings.name)).await?;
        let state = file.read()?.of(&prepared.settings.name);
        let known = |sha: &str| release::known(&self.repository.root, Some(&state), sha);
        let plan = plan::over(&prepared.settings, &hosts, &prepared.release.release, known);
        let plan = plan.map_err(|error| self.no_plan(prepared, error))?;
        let checked = targets.can_carry_out(&plan).await;
        Ok((plan, checked))
    }

    /// Returns the plan of a deployment that is about to start, for the release that it replaces: what the ledger has as live
    /// need not be what the target runs. `None` if the target does not report what it runs, or did not answer; see
    /// [`PreparedDeployment::notes_of_target`]. A target that reports nothing matters only after a deployment that was
    /// interrupted, or failed halfway.
    ///
    /// # Errors
    /// Such a deployment has left the environment between two releases, or the state folder cannot be read. Any other
    /// obstacle is reported by the deployment itself.
    pub async fn foresee(&self, prepared: &mut PreparedDeployment) -> Result<Option<DeploymentPlan>, DeployError> {
        let reports = prepared.settings().target.reports();
        if !reports && self.left_by(prepared)?.is_none() {
            return Ok(None);
        }
        let why = match timeout(REPORT_TIMEOUT, self.planned(prepared)).await {
            Ok(Ok((plan, _))) => return Ok(Some(plan).filter(|_| reports)),
            Ok(Err(error @ DeployError::OnItsWay(_))) => return Err(error),
            Ok(Err(error)) => error.to_string(),
            Err(_) => NoReport::NoAnswer.text(),
        };
        prepared.unobserved = Some(why).filter(|_| reports);
        Ok(None)
    }

    /// Returns the targets of an environment, to ask them something.
    pub(super) fn targets(&self, settings: &EnvironmentSettings) -> Targets {
        let shell = Shell { folder: self.repository.root.clone(), environment: std::env::vars_os().collect() };
        target::of(settings, &RunId::default(), shell, self.file().observed(&settings.name))
    }

    /// Returns the number of commits that `head` has and `base` does not, and the newest twelve of them. The number is
    /// `None` if git does not know both.
    #[must_use]
    pub fn changes(&self, base: &Release, head: &Release) -> Changes {
        let (root, range) = (&self.repository.root, format!("{}..{}", base.sha, head.sha));
        let count = git(root, ["rev-list", "--count", "--end-of-options", &range]);
        let count: Option<u64> = count.ok().and_then(|count| count.trim().parse().ok());
        if matches!(count, None | Some(0)) {
            return Changes { count, commits: Vec::new() };
        }
        let listed =
            git(root, ["log", "--format=%H%x00%s%x00%an", &format!("-{MAX_COMMITS}"), "--end-of-options", &range]);
        let commit = |line: &str| {
            let mut fields = line.split('\0').map(str::to_owned);
            Some(ChangedCommit { sha: fields.next()?, subject: fields.next()?, author: fields.next()? })
        };
        Changes { count, commits: listed.unwrap_or_default().lines().filter_map(commit).collect() }
    }

    /// Starts a deployment: writes its folder and its entry, and starts its worker.
    ///
    /// # Errors
    /// Gates refuse the deployment, another release is live than when it was prepared, the release has moved to another
    /// commit, the repository is not trusted, the state folder cannot be written, or no worker can be started.
    pub fn start(&self, prepared: PreparedDeployment) -> Result<RunFolder, DeployError> {
        prepared.consent.require()?;
        // Other people may have deployed to the environment, or locked it, while a person read what would be done.
        let again = self.prepare(prepared.request.clone())?;
        again.require_open()?;
        if again.live != prepared.live || again.release.release.sha != prepared.release.release.sha {
            return Err(DeployError::Moved(prepared.settings.name));
        }
        let PreparedDeployment { request, settings, release: NamedRelease { release, uncommitted, .. }, live, .. } =
            again;
        let by = self.actor();
        let info = RunInfo {
            workflow: workflow_name(&settings.name),
            event: DEPLOYMENT_EVENT.to_owned(),
            ref_name: release.tag.clone().unwrap_or_else(|| release.reference.clone()),
            sha: release.digits().to_owned(),
            ..info(&self.repository)
        };
        let (folder, held) = self.runs.create_locked(info.created)?;
        let reason = masked(&settings, &request.reason);
        let entry = |action| Entry {
            at: now(),
            by: by.clone(),
            environment: settings.name.clone(),
            deployment: Some(folder.id().clone()),
            job: None,
            action,
            reason: reason.clone(),
        };
        let spec = DeploymentSpec {
            repository: self.repository.root.clone(),
            scope: self.repository.common.clone(),
            settings: settings.clone(),
            release: release.clone(),
            cause: request.cause.clone(),
            creator: by.clone(),
            uses_working_tree: self.uses_working_tree(&settings, &request, &release),
        };
        RunSpec::of_deployment(info, spec).write(&folder)?;
        let file = self.file();
        file.append(&entry(Action::Requested { release, from: live, cause: request.cause.clone() }))?;
        if !uncommitted.is_empty() {
            file.append(&Entry { reason: named(&uncommitted), ..entry(Action::Changed) })?;
        }
        if request.overrides {
            file.append(&entry(Action::Overrode))?;
        }
        spawn(&folder, held, &Mode::Start, &IndexMap::new())?;
        Ok(folder)
    }
}

impl PreparedDeployment {
    /// Returns the trust question about the repository, to answer it.
    pub fn consent_mut(&mut self) -> &mut Consent {
        &mut self.consent
    }

    /// Sets the reason for the ledger.
    pub fn set_reason(&mut self, reason: String) {
        self.request.reason = reason;
    }

    /// Returns the settings of the environment.
    #[must_use]
    pub fn settings(&self) -> &EnvironmentSettings {
        &self.settings
    }

    /// Returns the release.
    #[must_use]
    pub fn release(&self) -> &Release {
        &self.release.release
    }

    /// Returns the release that is live. `None` if no live release is known.
    #[must_use]
    pub fn live(&self) -> Option<&Release> {
        self.live.as_ref()
    }

    /// Whether the ledger knows what is live. If not, the target may serve something although [`Self::live`] is `None`.
    #[must_use]
    pub fn knows_live(&self) -> bool {
        self.knows_live
    }

    /// Checks that no gate refuses the deployment, unless it overrides them.
    ///
    /// # Errors
    /// At least one gate refuses the deployment; the error names the gates.
    pub fn require_open(&self) -> Result<(), DeployError> {
        if self.request.overrides {
            return Ok(());
        }
        Refused::check(&self.closed).map_err(|refused| match self.request.cause {
            Cause::Manual => DeployError::Overridable {
                refused,
                environment: self.settings.name.clone(),
                release: self.release.release.name().to_owned(),
            },
            // A rollback and a job cannot override them.
            Cause::Rollback | Cause::Job => refused.into(),
        })
    }

    /// Returns the lines of the ledger that cannot be read and may be about the environment, as sentences.
    #[must_use]
    pub fn unreadable(&self) -> &[String] {
        &self.unreadable
    }

    /// Returns the environment variables that the commands of the environment need, and that are not set here.
    #[must_use]
    pub fn missing(&self) -> &[Needed] {
        &self.missing
    }

    /// Returns a sentence about each host that an earlier deployment changed and that is no longer in the settings.
    #[must_use]
    pub fn left(&self) -> &[String] {
        &self.left
    }

    /// Explains why the plan of a first deployment shows nothing of its strategy. `None` for any other plan.
    #[must_use]
    pub fn plain_start(&self, plan: &DeploymentPlan) -> Option<String> {
        let shifts = matches!(self.settings.strategy, Strategy::BlueGreen { .. } | Strategy::Canary { .. });
        let is_first = plan.plans().all(|plan| plan.old.is_none());
        let strategy = self.settings.strategy.name();
        (shifts && is_first).then(|| {
            format!("nothing runs there yet, so this is a plain start; {strategy} begins with the next deployment")
        })
    }

    /// Returns the gates that are closed, in order.
    #[must_use]
    pub fn closed(&self) -> &[Closed] {
        &self.closed
    }
}

/// Returns the identity of a run of a repository.
fn info(repository: &Repository) -> RunInfo {
    RunInfo {
        repository: repository.slug.clone(),
        folder: repository.folder_of_name().map(Path::to_owned),
        created: now(),
        ..RunInfo::default()
    }
}

/// Returns a sentence about each of the hosts `before` that the settings no longer have. `last` is the release that was
/// deployed to them last.
fn left_hosts(before: &[String], settings: &EnvironmentSettings, last: &Release) -> Vec<String> {
    let gone = before.iter().filter(|host| !settings.target.hosts().contains(host));
    let (name, title) = (&settings.name, last.title());
    gone.map(|host| {
        format!("{host} is no longer a host of {name}: what runs there stays as it is; {title} was deployed there last")
    })
    .collect()
}

/// Returns what the target of an environment reports, of all its hosts together, and the requests that it has counted, by
/// slot; `None` if it does not count them. The note names hosts that do not answer. The caller has made sure that the
/// repository is trusted.
///
/// # Errors
/// No host answers.
pub(super) async fn observe(
    targets: &Targets,
    environment: &str,
) -> Result<(Observed, Option<[Counters; 2]>), TargetError> {
    let traffic = targets.traffic().await;
    if traffic.len() < targets.count() {
        return Ok((answered(targets, environment).await?, None));
    }
    let counted: Option<Vec<[Counters; 2]>> = traffic.iter().map(|host| host.counters).collect();
    let sum = |all: Vec<[Counters; 2]>| {
        let plus = |[blue, green]: [Counters; 2], [b, g]: [Counters; 2]| [blue.plus(b), green.plus(g)];
        all.into_iter().fold([Counters::default(); 2], plus)
    };
    let hosts: Vec<_> = traffic.into_iter().map(|host| (host.host, host.observed)).collect();
    Ok((Observed::of_hosts(&hosts), counted.map(sum)))
}

/// Returns what each host of an environment reports, with its name.
async fn observed(targets: &Targets, environment: &str) -> Result<Vec<(Option<String>, Observed)>, TargetError> {
    targets.observe(&unrecorded(environment)).await
}

/// Returns what the hosts of an environment that answer report together, with a note about the others.
async fn answered(targets: &Targets, environment: &str) -> Result<Observed, TargetError> {
    if !targets.has_hosts() {
        return Ok(Observed::of_hosts(&observed(targets, environment).await?));
    }
    let progress = unrecorded(environment);
    let asked = (0..targets.count()).map(|host| timeout(HOST_TIMEOUT, targets.of(host).observe(&progress)));
    let (mut hosts, mut notes, mut failure) = (Vec::new(), Vec::new(), None);
    for (host, answer) in join_all(asked).await.into_iter().enumerate() {
        let name = targets.name(host);
        match answer {
            Ok(Ok(observed)) => hosts.push((name.map(str::to_owned), observed)),
            Ok(Err(error)) => {
                let error = targets.failed(host, error);
                notes.push(error.to_string().lines().next().unwrap_or_default().to_owned());
                failure = failure.or(Some(error));
            }
            Err(_) => notes.push(format!("{} does not answer", name.unwrap_or_default())),
        }
    }
    if hosts.is_empty() {
        return match failure {
            Some(error) => Err(error),
            None => Ok(Observed::of_hosts(&observed(targets, environment).await?)),
        };
    }
    let mut all = Observed::of_hosts(&hosts);
    notes.extend(all.note.take());
    all.note = (!notes.is_empty()).then(|| notes.join("; "));
    Ok(all)
}

fn unrecorded(environment: &str) -> Progress {
    let outlet: Arc<dyn Outlet> = Arc::new(Unrecorded);
    Progress::new(&outlet, &JobId::new(environment), StepNumber(1))
}

/// Outlet that records nothing, for a target that is only observed.
struct Unrecorded;

impl Outlet for Unrecorded {
    fn record(&self, _: Event) {}

    fn log(&self, _: &JobId, _: StepNumber) -> Box<dyn StepLog> {
        Box::new(Self)
    }

    fn masked(&self, text: &str) -> String {
        text.to_owned()
    }
}

impl StepLog for Unrecorded {
    fn write(&mut self, _: &[u8]) {}

    fn finish(&mut self) {}
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model::deployment::{DockerSettings, ScriptCommand, Slot};
    use crate::rollout::testing::{NO_EFFECT, docker, release, settings};

    #[test]
    fn hosts_that_are_in_the_settings_no_more_are_named_with_their_release() {
        let hosts = ["ssh://web1", "ssh://web2"].map(str::to_owned).to_vec();
        let with = |hosts: &[String]| {
            let target = TargetSettings::Docker(DockerSettings { hosts: hosts.to_vec(), ..docker(2) });
            EnvironmentSettings { target, ..settings(Strategy::Recreate, 2, &[]) }
        };
        let left = left_hosts(&hosts, &with(&hosts[..1]), &release("v1"));
        let title = release("v1").title();
        let there = "ssh://web2 is no longer a host of production: what runs there stays as it is";
        assert_eq!(left, [format!("{there}; {title} was deployed there last")]);
        assert!(left_hosts(&hosts, &with(&hosts), &release("v1")).is_empty());
        assert!(left_hosts(&[], &with(&hosts), &release("v1")).is_empty());
    }

    #[tokio::test]
    async fn a_host_that_does_not_answer_does_not_hide_the_others() {
        let home = tempfile::tempdir().expect("a folder");
        let sha = release("v1").sha;
        let status = format!("if ! test -e up; then echo no route to host >&2; exit 1; fi; echo blue {sha} 2 2 100");
        let commands: Vec<_> = NO_EFFECT.iter().copied().chain([(ScriptCommand::Status, status.as_str())]).collect();
        let settings = settings(Strategy::Recreate, 2, &commands);
        let addresses = ["ssh://web1", "ssh://web2"].map(str::to_owned);
        let targets = Targets::on_hosts(&addresses, |address| {
            let folder = home.path().join(address.trim_start_matches("ssh://"));
            fs::create_dir(&folder).expect("made");
            let kept = folder.join("kept");
            let shell = Shell { folder, environment: std::env::vars_os().collect() };
            target::script_of(&settings, &RunId::default(), shell, kept)
        });
        let error = answered(&targets, "production").await.expect_err("no host answers").to_string();
        assert!(error.starts_with("web1: "), "{error}");
        fs::write(home.path().join("web1/up"), "").expect("written");
        let observed = answered(&targets, "production").await.expect("one host answers");
        let blue = observed.slot(Slot::Blue);
        assert_eq!((blue.release.as_deref(), blue.replicas, blue.weight), (Some(sha.as_str()), 2, 100));
        let note = observed.note.as_deref().expect("a note");
        assert!(note.starts_with("web2: "), "{note}");
        fs::write(home.path().join("web2/up"), "").expect("written");
        let observed = answered(&targets, "production").await.expect("all answer");
        assert_eq!((observed.slot(Slot::Blue).replicas, observed.note), (4, None));
    }
}
