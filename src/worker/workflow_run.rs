//! Runs of workflows, whose jobs the engine carries out.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use indexmap::IndexMap;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;

use crate::engine::actions::store::Store;
use crate::engine::attempt::{self, AttemptStart, CarriedJob, Orders};
use crate::engine::cancel::{Cancellation, Grace};
use crate::engine::concurrency::{AcquireError, GroupRequest};
use crate::engine::context::RunFacts;
use crate::engine::hold::Holds;
use crate::engine::outlet::Outlet;
use crate::engine::results::Results;
use crate::engine::sandbox::host::Host;
use crate::engine::sandbox::providers::Providers;
use crate::engine::workspace::warm;
use crate::engine::{Options, Resumed, RunContext};
use crate::model::{Command, Conclusion, EndReason, Event, JobId, Phase, Reply, RepositoryId, Run, RunInfo};
use crate::repo::git::{GitError, NO_COMMIT};
use crate::rollout::recording::Connect;
use crate::store::concurrency::Ticket;
use crate::store::folder::RunFolder;
use crate::store::history::{Filter, StatusFilter};
use crate::store::spec::{Breakpoints, WorkflowSpec};
use crate::store::{StoreError, history, lock};

use super::concurrency::ConcurrencyQueue;
use super::control::Environments;
use super::file_records::FileRecords;
use super::held_commands::HeldCommands;
use super::job_environments::JobEnvironments;
use super::outlet::RunOutlet;
use super::prepare::{Prepared, Refusal, prepare};
use super::work::{AttemptHost, Ended, HostedAttempt, Planned, Rejected, Work};
use super::working_tree::AttemptTree;
use super::{Mode, caches, checkpoints, rerun, working_tree};

/// The run of a workflow.
pub(super) struct WorkflowRun(Arc<Request>);

/// Request of the run, the same for all attempts.
struct Request {
    folder: RunFolder,
    info: RunInfo,
    spec: Arc<WorkflowSpec>,
    secrets: IndexMap<String, String>,
    /// Environment of the worker process, inherited by steps on this machine.
    environment: Vec<(OsString, OsString)>,
    /// Connects to the server that records deployments.
    connect: Connect,
    /// The held steps of the current attempt; `None` before the first attempt.
    holds: Mutex<Option<Arc<Holds>>>,
}

impl WorkflowRun {
    pub(super) fn new(
        folder: RunFolder,
        info: RunInfo,
        spec: WorkflowSpec,
        (secrets, environment): (IndexMap<String, String>, Vec<(OsString, OsString)>),
        connect: Connect,
    ) -> Self {
        let environment = environment.into_iter().filter(|variable| !is_secret(variable, &secrets)).collect();
        let spec = Arc::new(spec);
        Self(Arc::new(Request { folder, info, spec, secrets, environment, connect, holds: Mutex::default() }))
    }
}

/// Minimum length in bytes of a secret that is also searched for in the values of other variables: a shorter one may
/// match by chance.
const MIN_SECRET: usize = 8;

/// Whether a variable of this process is a secret. Steps get only the secrets that the workflow passes to them.
fn is_secret((name, value): &(OsString, OsString), secrets: &IndexMap<String, String>) -> bool {
    let is_value = |secret: &String| secret.len() >= MIN_SECRET && value == secret.as_str();
    name.to_str().is_some_and(|name| secrets.contains_key(name)) || secrets.values().any(is_value)
}

impl Work for WorkflowRun {
    fn secrets(&self) -> Vec<String> {
        self.0.secrets.values().cloned().collect()
    }

    fn environments(&self) -> Environments {
        let request = Arc::clone(&self.0);
        Arc::new(move |job: &JobId| {
            let holds = request.holds.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let held = holds.and_then(|holds| holds.environment(job));
            if held.is_some() {
                return held;
            }
            let last = checkpoints::read(&request.folder.checkpoint(job)).pop();
            Some(last?.failed?.opened(&request.secrets))
        })
    }

    fn attempt(&self, mode: &Mode, before: &Run) -> BoxFuture<'static, Planned> {
        let (request, mode, before) = (Arc::clone(&self.0), mode.clone(), before.clone());
        async move {
            let planned = spawn_blocking(move || WorkflowAttempt::plan(request, &mode, before));
            let attempt = planned.await.expect("planning an attempt does not panic")?;
            Ok(Box::new(attempt) as Box<dyn HostedAttempt>)
        }
        .boxed()
    }

    fn clean_up(&self, run: &Run) {
        if run.phase.conclusion() == Some(Conclusion::Success) {
            warm::keep(&self.0.folder, run, self.0.spec.cache);
            // Failures that are allowed keep their files, for `cuelight shell`.
            let (folder, keep) = (&self.0.folder, self.0.spec.keep_failed);
            let failed = run.jobs.values().filter(|job| keep > 0 && job.is_allowed_failure());
            let kept: Vec<PathBuf> = failed
                .flat_map(|job| {
                    let id = &job.id;
                    [folder.job_work(id), folder.checkpoint(id), folder.checkouts(id), folder.dependencies(id)]
                })
                .collect();
            remove_except(&folder.work(), &kept);
            remove_except(&folder.checkpoints(), &kept);
            if !kept.is_empty() {
                remove_older(folder, &run.info, keep);
            }
        }
    }
}

/// Maximum number of runs of a workflow among which those that kept files are searched for.
const MAX_SEARCHED: usize = 100;

/// Removes the files of jobs from all but the newest `keep` runs of a workflow that succeeded and kept files: a job that
/// fails in every run would otherwise keep a workspace for each.
fn remove_older(folder: &RunFolder, info: &RunInfo, keep: usize) {
    let filter = Filter {
        repository: Some(RepositoryId { name: info.repository.clone(), folder: info.folder.clone() }),
        workflow: Some(info.workflow.clone()),
        status: Some(StatusFilter::Concluded(Conclusion::Success)),
        ..Filter::default()
    };
    let runs = folder.runs();
    let found = history::page(&runs, &filter, None, MAX_SEARCHED).unwrap_or_default().runs;
    let with_files = found.into_iter().map(|run| runs.folder(run.info.id)).filter(|run| run.work().exists());
    for old in with_files.skip(keep) {
        // A run that has been started again uses its files.
        if let Ok(Some(_held)) = lock::take(&old.lock()) {
            let _ = fs::remove_dir_all(old.work());
            let _ = fs::remove_dir_all(old.checkpoints());
        }
    }
}

/// Removes the entries of a folder that are not kept, and the folder itself if none is kept. What cannot be removed
/// stays until the run is deleted.
fn remove_except(folder: &Path, kept: &[PathBuf]) {
    if !kept.iter().any(|path| path.parent() == Some(folder) && path.exists()) {
        let _ = fs::remove_dir_all(folder);
        return;
    }
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    for path in entries.filter(|path| !kept.contains(path)) {
        let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
    }
}

impl Request {
    /// Records changes of the working tree while the attempt waited.
    ///
    /// # Errors
    /// Git cannot read the repository.
    async fn record_changes(self: &Arc<Self>, outlet: &Arc<RunOutlet>) -> Result<(), GitError> {
        let (request, outlet) = (Arc::clone(self), Arc::clone(outlet));
        let record = move || working_tree::record_changes(&request.folder, &request.spec, &outlet, None);
        spawn_blocking(record).await.expect("reading changes does not panic")
    }

    fn context(
        &self,
        facts: RunFacts,
        outlet: Arc<RunOutlet>,
        concurrency: Arc<ConcurrencyQueue>,
        environments: Arc<JobEnvironments>,
        holds: Arc<Holds>,
        checkout_done: mpsc::UnboundedSender<SystemTime>,
    ) -> RunContext {
        let Self { folder, spec, .. } = self;
        let actions = caches::of_run(caches::ACTIONS, folder);
        let host = Arc::new(Host::new(self.environment.iter().cloned()));
        RunContext {
            run: folder.id().to_string(),
            github: facts.github(),
            facts,
            outlet,
            concurrency,
            environments,
            providers: Providers::new(&host),
            host,
            actions: Store::new(actions, spec.actions.clone(), spec.repository.clone(), spec.offline),
            state: folder.state().to_owned(),
            folder: folder.clone(),
            repository: spec.repository.clone(),
            results: Results::new(folder.clone(), spec.repository.clone(), spec.cache),
            holds,
            begun: SystemTime::now(),
            checkout_done,
            work: folder.work(),
            tool_cache: caches::of_run(caches::TOOLS, folder),
            options: Options {
                in_place: spec.in_place,
                any_runner: spec.any_runner,
                runs_on: spec.runs_on.clone(),
                supervisor: spec.supervisor,
                docker_socket: spec.docker_socket,
                git_objects: spec.git_objects.clone(),
                keep_failed: spec.keep_failed,
                sandbox: spec.sandbox.clone(),
                image: spec.image.clone(),
                warm_start: spec.warm_start.clone(),
                cold: spec.cold,
                called_commits: spec.called_commits.clone(),
                env: spec.env.clone(),
                debug: spec.debug,
                grace: Grace::default(),
            },
        }
    }
}

/// Waits for the concurrency group of the run as a whole, if it requests one.
///
/// # Errors
/// The end of the attempt: it was cancelled meanwhile, or cannot acquire the group.
async fn acquire(
    queue: &ConcurrencyQueue,
    wanted: Option<&GroupRequest>,
    mut cancelled: watch::Receiver<Cancellation>,
) -> Result<Option<Ticket>, Ended> {
    let Some(wanted) = wanted else { return Ok(None) };
    let acquired = async { queue.wait(queue.enter(None, wanted)?).await };
    tokio::select! {
        acquired = acquired => match acquired {
            Ok(ticket) => Ok(Some(ticket)),
            Err(AcquireError::Deadlock(reason) | AcquireError::Failed(reason)) => {
                Err(Ended { conclusion: Conclusion::StartupFailure, reason: Some(EndReason::Message(reason)) })
            }
        },
        _ = cancelled.wait_for(|requested| *requested != Cancellation::None) => {
            Err(Ended { conclusion: Conclusion::Cancelled, reason: None })
        }
    }
}

/// Whether jobs of an attempt may use files that have changed since the attempt was planned, without a record of a
/// checkout. A job that continues uses the files that it kept, except in the user's own folder.
fn may_use_files_of_now(spec: &WorkflowSpec, resumed: &HashMap<JobId, Resumed>) -> bool {
    resumed.is_empty() || spec.in_place
}

/// Returns the reason for the end of an attempt that could not start.
fn not_started(refusal: &Refusal) -> EndReason {
    EndReason::NotStarted(refusal.to_string())
}

/// One attempt of a workflow run.
struct WorkflowAttempt {
    request: Arc<Request>,
    before: Run,
    /// Results of jobs that are carried over from earlier attempts.
    carried: IndexMap<JobId, CarriedJob>,
    /// Jobs that resume in the middle of their steps.
    resumed: HashMap<JobId, Resumed>,
    /// Whether steps that fail are held, if the attempt resumes the one before: as a person set it there.
    holds: Option<bool>,
    /// Identity of the run, with the working tree of this attempt.
    info: RunInfo,
    /// Working tree of this attempt; `None` if it is the one of the request, or if the attempt cannot start.
    tree: Option<AttemptTree>,
    /// The plan of the attempt, or why it cannot start.
    prepared: Result<Prepared, EndReason>,
}

impl HostedAttempt for WorkflowAttempt {
    fn secrets(&self) -> Vec<String> {
        self.prepared.iter().map(|prepared| prepared.facts.token.clone()).collect()
    }

    fn takes(&self) -> fn(&Command) -> bool {
        |command| matches!(command, Command::Held { .. } | Command::Hold { .. } | Command::Synced { .. })
    }

    fn run(self: Box<Self>, host: AttemptHost) -> BoxFuture<'static, Ended> {
        self.carry_out(host).boxed()
    }
}

impl WorkflowAttempt {
    /// Plans an attempt. Reads the checkpoints of its jobs and, with git, the working tree.
    ///
    /// # Errors
    /// A job cannot run again from the requested step.
    fn plan(request: Arc<Request>, mode: &Mode, before: Run) -> Result<Self, Rejected> {
        let Request { folder, info, spec, secrets, .. } = &*request;
        let resumed = rerun::resumed(mode, folder, &before, secrets).map_err(|error| Rejected(error.to_string()))?;
        let carried = rerun::kept(mode, &before);
        let mut info = info.clone();
        let is_of_request = *mode == Mode::Start || info.sha == NO_COMMIT;
        let read = (!is_of_request).then(|| AttemptTree::read(folder, spec, &before, &carried, &resumed)).transpose();
        let (number, secrets) = (before.attempt + 1, secrets.clone());
        let (tree, prepared) = match read {
            Ok(None) => (None, prepare(&info, spec, secrets, number)),
            Ok(Some(read)) => {
                info.set_working_tree(&read.tree);
                let spec = WorkflowSpec { git_ref: read.tree.git_ref.clone(), ..WorkflowSpec::clone(spec) };
                (Some(read), prepare(&info, &spec, secrets, number))
            }
            Err(error) => (None, Err(Refusal::WorkingTree(error))),
        };
        let prepared = prepared.map_err(|refusal| not_started(&refusal));
        // An attempt that planned no jobs has not recorded whether it holds steps.
        let has_begun = before.jobs.values().any(|job| job.attempt == before.attempt);
        let holds = (*mode == Mode::Resume && has_begun).then_some(before.holds);
        Ok(Self { request, before, carried, resumed, holds, info, tree, prepared })
    }

    async fn carry_out(self, mut host: AttemptHost) -> Ended {
        let spec = &self.request.spec;
        let holds = Holds::new(spec.hold_minutes.map(Duration::from_mins));
        let holds = Arc::new(match (&spec.breakpoints, &self.prepared) {
            (Some(Breakpoints { minutes, .. }), Ok(prepared)) => {
                holds.with_breakpoints(prepared.breakpoints.clone(), Duration::from_mins(*minutes))
            }
            _ => holds,
        });
        if let Some(on) = self.holds {
            holds.turn(on);
        }
        *self.request.holds.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&holds));
        let Request { folder, spec, .. } = &*self.request;
        let records = FileRecords::new(folder.clone(), Arc::clone(spec), Arc::clone(&host.outlet));
        let checkout_done = records.checkout_done();
        // Commands are also answered while the run waits for its concurrency group.
        let orders = std::mem::replace(&mut host.orders, mpsc::channel(1).1);
        let mut commands = HeldCommands::new(orders, Arc::clone(&holds), records);
        let end = tokio::select! {
            end = self.run_jobs(host, &holds, checkout_done) => end,
            never = commands.answer() => match never {},
        };
        commands.finish().await;
        end
    }

    async fn run_jobs(
        self,
        host: AttemptHost,
        holds: &Arc<Holds>,
        checkout_done: mpsc::UnboundedSender<SystemTime>,
    ) -> Ended {
        // An attempt that does not start leaves jobs as they are, so that a later one can still resume them.
        let reset = if self.prepared.is_ok() { self.reset_jobs() } else { Ok(()) };
        let Self { request, before, carried, resumed, info, tree, prepared, holds: _ } = self;
        if let Some(read) = tree {
            read.record(&request.folder, host.attempt, &host.outlet);
        }
        let ended = |name: String, reason: EndReason| {
            host.outlet.record(Event::RunStarted { attempt: host.attempt, name });
            Ended { conclusion: Conclusion::StartupFailure, reason: Some(reason) }
        };
        let prepared = match (prepared, reset) {
            (Ok(prepared), Ok(())) => prepared,
            (Err(reason), _) => return ended(request.info.workflow.clone(), reason),
            (Ok(prepared), Err(error)) => return ended(prepared.name, EndReason::Message(error.to_string())),
        };
        for (job, resumed) in &resumed {
            host.outlet.carry_over(&before.jobs[job], &resumed.finished);
        }
        let named = (host.attempt, prepared.name.as_str());
        let queue = ConcurrencyQueue::new(&request.folder, request.spec.repository.clone(), named, &host.outlet);
        // Held until the attempt has ended.
        let _group = match acquire(&queue, prepared.turn.as_ref(), host.cancelled.clone()).await {
            Ok(group) => group,
            Err(end) => return end,
        };
        let waited = matches!(host.outlet.run().phase, Phase::Waiting(_));
        host.outlet.record(Event::RunStarted { attempt: host.attempt, name: prepared.name.clone() });
        if waited
            && may_use_files_of_now(&request.spec, &resumed)
            && request.info.sha != NO_COMMIT
            && let Err(error) = request.record_changes(&host.outlet).await
        {
            let reason = not_started(&Refusal::WorkingTree(error));
            return Ended { conclusion: Conclusion::StartupFailure, reason: Some(reason) };
        }
        if holds.is_on() {
            let command = Command::Hold { on: true };
            host.outlet.record(Event::Ordered { command, reply: Reply::Accepted, by: None });
        }
        let start = AttemptStart {
            plan: prepared.plan,
            carried,
            resumed,
            slots: request.spec.max_parallel,
            skips_unrunnable: request.spec.skip_unrunnable,
        };
        let here = (request.spec.repository.clone(), request.environment.as_slice());
        let of_tree = (&info, request.spec.dirty.clone());
        let of_run = (&host.outlet, &queue, request.connect);
        let environments = JobEnvironments::new(&request.folder, of_tree, here, of_run);
        let (gate, holds) = (Arc::clone(&environments), Arc::clone(holds));
        let context = request.context(prepared.facts, host.outlet, queue, gate, holds, checkout_done);
        let orders = Orders { stop: host.cancelled, displaced: host.displaced };
        let end = attempt::run(Arc::new(context), start, orders).await;
        environments.finish().await;
        Ended { conclusion: end.conclusion, reason: end.reason.map(EndReason::Message) }
    }

    /// Removes the checkpoints of the jobs that run again, except those from which this attempt resumes, and the notes
    /// about the checkouts of jobs that start from the beginning.
    fn reset_jobs(&self) -> Result<(), StoreError> {
        for job in self.before.jobs.keys().filter(|job| !self.carried.contains_key(*job)) {
            let path = self.request.folder.checkpoint(job);
            let done = self.resumed.get(job).map_or(0, |resumed| resumed.checkpoint.done);
            checkpoints::begin(&path, done).map_err(StoreError::io("write", &path))?;
            if !self.resumed.contains_key(job) {
                let _ = fs::remove_file(self.request.folder.checkouts(job));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::checkpoint::Checkpoint;
    use crate::model::RerunScope;
    use crate::worker::working_tree::tests::Case;

    fn request(case: &Case) -> Arc<Request> {
        let (folder, spec) = (case.folder.clone(), Arc::new(case.spec.clone()));
        let info = history::info(&folder).expect("read");
        let connect: Connect = |_, _| panic!("no job deploys");
        Arc::new(Request {
            folder,
            info,
            spec,
            secrets: IndexMap::new(),
            environment: Vec::new(),
            connect,
            holds: Mutex::default(),
        })
    }

    #[test]
    fn a_job_that_continues_in_the_folder_of_the_user_uses_the_files_of_now() {
        let kept = Resumed { checkpoint: Checkpoint::default(), finished: Vec::new(), why: String::new() };
        let resumed = HashMap::from([(JobId::new("a"), kept)]);
        let of = |in_place| WorkflowSpec { in_place, ..WorkflowSpec::default() };
        assert!(may_use_files_of_now(&of(true), &resumed) && !may_use_files_of_now(&of(false), &resumed));
        assert!(may_use_files_of_now(&of(false), &HashMap::new()), "the attempt starts from the beginning");
    }

    #[test]
    fn an_attempt_whose_files_cannot_be_read_does_not_start() {
        let case = Case::new(Vec::new());
        let plan = |request: Arc<Request>, mode: &Mode| {
            let attempt = WorkflowAttempt::plan(request, mode, case.outlet.run()).expect("planned");
            attempt.prepared.map(|prepared| prepared.facts.sha).map_err(|reason| reason.to_string())
        };
        let again = Mode::Rerun(RerunScope::All);
        let sha = request(&case).info.sha.clone();
        assert_eq!(plan(request(&case), &again), Ok(sha.clone()));
        case.damage();
        let refusal = plan(request(&case), &again).expect_err("git cannot read the index");
        assert!(refusal.contains("the files that this attempt would use cannot be read: `git status"), "{refusal}");
        assert_eq!(plan(request(&case), &Mode::Start), Ok(sha), "the files of the request are known");
        let mut outside = Arc::into_inner(request(&case)).expect("not shared");
        outside.info.sha = NO_COMMIT.to_owned();
        assert_eq!(plan(Arc::new(outside), &again), Ok(NO_COMMIT.to_owned()), "a folder without git has no such files");
    }
}
