//! Runs of deployments to environments, which `rollout` carries out.

use std::ffi::OsString;
use std::future::ready;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::engine::cancel::Cancellation;
use crate::engine::concurrency::{AcquireError, GroupRequest};
use crate::engine::outlet::Outlet as _;
use crate::model::deployment::workflow_name;
use crate::model::{Command, EndReason, Event, JobId, Phase, Run, StepNumber};
use crate::repo::git::{Access, Repository};
use crate::repo::uncommitted::changed_files;
use crate::rollout::driver::{self, Begin, Queue, QueueError, Stop, Subject, Tools, Turn};
use crate::rollout::ledger::{self, LedgerFile};
use crate::rollout::outlet::{Outlet, StepLog};
use crate::rollout::recording::{Connect, server_of};
use crate::rollout::release;
use crate::rollout::shell::Shell;
use crate::rollout::target;
use crate::store::clock::minute_of_week;
use crate::store::folder::RunFolder;
use crate::store::spec::DeploymentSpec;

use super::Mode;
use super::concurrency::ConcurrencyQueue;
use super::outlet::RunOutlet;
use super::work::{AttemptHost, Ended, HostedAttempt, Planned, Rejected, Work};

/// The run of a deployment.
pub(super) struct DeploymentRun(Arc<Request>);

struct Request {
    folder: RunFolder,
    spec: DeploymentSpec,
    /// Environment of the worker process, inherited by commands.
    environment: Vec<(OsString, OsString)>,
    /// Connects to the server that records deployments.
    connect: Connect,
}

impl DeploymentRun {
    pub(super) fn new(
        folder: RunFolder,
        spec: DeploymentSpec,
        environment: Vec<(OsString, OsString)>,
        connect: Connect,
    ) -> Self {
        Self(Arc::new(Request { folder, spec, environment, connect }))
    }
}

impl Work for DeploymentRun {
    fn secrets(&self) -> Vec<String> {
        self.0.spec.settings.secrets(&self.0.environment).map(str::to_owned).collect()
    }

    fn attempt(&self, mode: &Mode, _: &Run) -> BoxFuture<'static, Planned> {
        let begin = match mode {
            Mode::Start | Mode::Resume => Ok(Begin::Forward),
            Mode::Abort { reason } => Ok(Begin::Back(reason.clone())),
            Mode::Rerun(_) => Err(Rejected("a deployment cannot be re-run: deploy or roll back".to_owned())),
        };
        let request = Arc::clone(&self.0);
        let planned = begin.map(|begin| Box::new(DeploymentAttempt { request, begin }) as Box<dyn HostedAttempt>);
        ready(planned).boxed()
    }

    fn clean_up(&self, _: &Run) {}
}

/// One attempt of a deployment.
struct DeploymentAttempt {
    request: Arc<Request>,
    begin: Begin,
}

impl HostedAttempt for DeploymentAttempt {
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }

    fn takes(&self) -> fn(&Command) -> bool {
        |command| {
            matches!(command, Command::Deployment { .. } | Command::Review { .. } | Command::Yield { job: None, .. })
        }
    }

    fn run(self: Box<Self>, host: AttemptHost) -> BoxFuture<'static, Ended> {
        async move {
            let Self { request, begin } = *self;
            let AttemptHost { folder, attempt, outlet, cancelled, orders, .. } = host;
            let Request { spec, environment, .. } = &*request;
            let name = workflow_name(&spec.settings.name);
            let (settings, root) = (&spec.settings, spec.repository.clone());
            let ledger = LedgerFile::of(&folder.runs(), &spec.scope);
            let shell = Shell { folder: root.clone(), environment: environment.clone() };
            let kept = ledger.observed(&settings.name);
            let repository = Repository::discover(&root);
            let worker = repository.as_ref().map_or_else(|_| spec.creator.clone(), ledger::actor);
            let subject = Subject {
                settings: settings.clone(),
                release: spec.release.clone(),
                cause: spec.cause.clone(),
                creator: spec.creator.clone(),
                worker,
            };
            let title = subject.title();
            let queue = ConcurrencyQueue::new(&request.folder, root.clone(), (attempt, &title), &outlet);
            let known = {
                let (ledger, environment) = (ledger.clone(), settings.name.clone());
                move |sha: &str| {
                    let state = ledger.read().ok().map(|ledger| ledger.of(&environment));
                    release::known(&root, state.as_ref(), sha)
                }
            };
            let changed = {
                let (root, sha, uses) = (spec.repository.clone(), spec.release.sha.clone(), spec.uses_working_tree);
                move || if uses { changed_files(&root, Access::Trusted, &sha) } else { Ok(Vec::new()) }
            };
            let server = server_of(settings, request.connect, spec.repository.clone(), folder.runs());
            let tools = Tools {
                server,
                targets: Arc::new(target::of(settings, folder.id(), shell.clone(), kept)),
                folder,
                attempt,
                outlet: Arc::new(Recorder::new(&outlet)),
                shell,
                ledger,
                queue: Arc::new(Turns { queue, group: name, outlet, attempt, title }),
                known: Arc::new(known),
                changed: Arc::new(changed),
                minute_of_week,
            };
            let (raise, stop) = watch::channel(Stop::No);
            let carried = driver::carry_out(subject, tools, orders, stop, begin);
            let end = tokio::select! {
                end = carried => end,
                never = translate(cancelled, raise) => match never {},
            };
            // The run ends for the same reason as the deployment.
            Ended { conclusion: end.conclusion, reason: end.reason.map(EndReason::Message) }
        }
        .boxed()
    }
}

/// Passes cancellations of the run on to the deployment. Never returns.
async fn translate(
    mut cancelled: watch::Receiver<Cancellation>,
    stop: watch::Sender<Stop>,
) -> std::convert::Infallible {
    loop {
        stop.send_replace(match *cancelled.borrow_and_update() {
            Cancellation::None => Stop::No,
            Cancellation::Cancel => Stop::Back,
            Cancellation::Force | Cancellation::Lost => Stop::AtOnce,
        });
        if cancelled.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The queue of an environment: a concurrency group.
struct Turns {
    queue: Arc<ConcurrencyQueue>,
    group: String,
    outlet: Arc<RunOutlet>,
    attempt: u32,
    /// Name of the run.
    title: String,
}

impl Queue for Turns {
    fn wait(&self, is_patient: bool) -> BoxFuture<'_, Result<Turn, QueueError>> {
        async move {
            let wanted = GroupRequest { group: self.group.clone(), cancel_in_progress: false, queue_all: is_patient };
            let acquired = async { self.queue.wait(self.queue.enter(None, &wanted)?).await };
            match acquired.await {
                Ok(ticket) => {
                    if matches!(self.outlet.run().phase, Phase::Waiting(_)) {
                        // The wait for the group was recorded.
                        self.outlet.record(Event::RunStarted { attempt: self.attempt, name: self.title.clone() });
                    }
                    Ok(Box::new(ticket) as Turn)
                }
                Err(AcquireError::Deadlock(reason) | AcquireError::Failed(reason)) => Err(QueueError(reason)),
            }
        }
        .boxed()
    }
}

/// Outlet that writes the events and logs of a deployment to the folder of its run.
pub(super) struct Recorder(Arc<RunOutlet>);

impl Recorder {
    pub(super) fn new(outlet: &Arc<RunOutlet>) -> Self {
        Self(Arc::clone(outlet))
    }
}

impl Outlet for Recorder {
    fn record(&self, event: Event) {
        self.0.record(event);
    }

    fn log(&self, job: &JobId, step: StepNumber) -> Box<dyn StepLog> {
        Box::new(Log(Arc::clone(&self.0).log(job, step)))
    }

    fn masked(&self, text: &str) -> String {
        self.0.masker().mask_text(text)
    }
}

struct Log(Box<dyn crate::engine::outlet::StepLog>);

impl StepLog for Log {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
        self.0.flush();
    }

    fn finish(&mut self) {
        self.0.finish();
    }
}
