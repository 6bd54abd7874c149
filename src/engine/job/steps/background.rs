//! Background steps of a job, and the steps that control them: `wait`, `wait-all`, `cancel`, `parallel`.
//!
//! A background step runs on a branch of the job's state. The control step that waits for it *joins* the branch:
//! outputs, variables, `PATH`, matchers and posts of the step exist for the job only from then on. Secrets are masked
//! at once.
//!
//! All steps run in the task of the job: [`Background::beside`] polls the background steps while another step runs.
//! Without background steps, this costs nothing.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use indexmap::IndexMap;
use tokio::sync::watch;

use crate::engine::checkpoint::Status;
use crate::engine::outlet::StepLog;
use crate::engine::step::end::StepEnd;
use crate::model::{Conclusion, StepNumber};
use crate::workflow::syntax::{Steering, StepAction};

use super::Steps;
use super::run::Next;
use super::scope::{Completed, Condition, StepRef, StepScope};

/// Maximum number of background steps of a job that run at once, as on GitHub. Further steps are queued.
const MAX_RUNNING: usize = 10;

/// Name of a step that the runner adds. It waits for the background steps for which no step of the file waits.
pub(in crate::engine::job) const FINAL_WAIT: &str = "Wait for all background steps";

/// Whether the job must wait at its end, because no later control step names one of the background steps.
pub(in crate::engine::job) fn needs_final_wait(all: &[StepRef]) -> bool {
    let mut open: Vec<&StepRef> = Vec::new();
    for step in all {
        match &step.action {
            _ if step.is_background() => open.push(step),
            StepAction::Steer(steering) => open.retain(|one| !names(step, steering, one)),
            _ => {}
        }
    }
    !open.is_empty()
}

/// Whether a control step waits for a background step or cancels it.
fn names(control: &StepRef, steering: &Steering, step: &StepRef) -> bool {
    match steering {
        Steering::WaitAll => true,
        Steering::Wait(ids) => ids.iter().any(|id| id.value.eq_ignore_ascii_case(&step.id)),
        Steering::Cancel(id) => id.value.eq_ignore_ascii_case(&step.id),
        Steering::Parallel(_) => step.is_in_group(control),
    }
}

/// The background steps of a job.
#[derive(Default)]
pub(in crate::engine::job) struct Background<'j> {
    /// All background steps that were started or queued, in the order of the file.
    steps: Vec<BackgroundStep<'j>>,
    running: FuturesUnordered<Branch<'j>>,
    /// Background steps that wait until fewer are running, with their position in `steps`.
    queued: VecDeque<(usize, Branch<'j>)>,
}

/// Future of a background step. Its output is the step's position in [`Background::steps`], and its results.
type Branch<'j> = BoxFuture<'j, (usize, Ended<'j>)>;

/// A background step.
struct BackgroundStep<'j> {
    step: StepRef,
    name: String,
    /// Becomes true once a `cancel` step names this step.
    cancel: watch::Sender<bool>,
    /// Position among the posts of the job at which the posts of this step are inserted.
    posts_before: usize,
    progress: Progress<'j>,
    /// Whether a `wait`, `wait-all` or `parallel` step has waited for this step. If so, the end of that step includes
    /// its failure, and the end of the job does not count it again.
    counted: bool,
}

enum Progress<'j> {
    Running,
    Ended(Box<Ended<'j>>),
    Joined(StepEnd),
}

/// A background step that has ended and is not joined yet.
struct Ended<'j> {
    end: StepEnd,
    steps: Steps<'j>,
    scope: StepScope,
}

impl<'j> Background<'j> {
    /// Starts a background step, or queues it if [`MAX_RUNNING`] of them are already running. The step makes progress
    /// only during [`Self::beside`], [`Self::control`] and [`Self::finish`].
    pub(in crate::engine::job) fn start(
        &mut self,
        steps: &Steps<'j>,
        scope: &mut StepScope,
        step: &StepRef,
        number: StepNumber,
        name: String,
    ) {
        let (cancel, asked) = watch::channel(false);
        let mut branch = steps.branch(step, steps.cancel.for_step(asked));
        // The post of an action with a `pre` phase is already registered.
        let posts_before = scope.posts.iter().position(|post| post.step.key() == step.key());
        let mut inside = StepScope {
            steps: scope.steps.clone(),
            status: scope.status,
            posts: posts_before.map(|at| scope.posts.remove(at)).into_iter().collect(),
            ..StepScope::default()
        };
        let at = self.steps.len();
        let own = step.clone();
        let run = async move {
            let end = if branch.cancel.is_step_cancelled() {
                let end = branch.complete(&mut inside, &own, Completed::of(StepEnd::cancelled_by_step()));
                branch.job.shared.outlet.record(end.event(&branch.job.id, number));
                end
            } else {
                loop {
                    // A background step only goes back to itself.
                    if let Next::After(end) = branch.top_level(&mut inside, &own, number).await {
                        break end;
                    }
                }
            };
            (at, Ended { end, steps: branch, scope: inside })
        };
        self.queued.push_back((at, run.boxed()));
        let posts_before = posts_before.unwrap_or(scope.posts.len());
        let (step, progress) = (step.clone(), Progress::Running);
        self.steps.push(BackgroundStep { step, name, cancel, posts_before, progress, counted: false });
        self.start_queued();
    }

    fn start_queued(&mut self) {
        while self.running.len() < MAX_RUNNING
            && let Some((_, branch)) = self.queued.pop_front()
        {
            self.running.push(branch);
        }
    }

    /// Waits for other work of the job while the background steps run.
    pub(in crate::engine::job) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        if self.running.is_empty() {
            return work.await;
        }
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                () = self.one_ended(), if !self.running.is_empty() => {}
                done = &mut work => return done,
            }
        }
    }

    /// Waits until one of the running steps has ended, and starts a queued one. Returns at once if none is running.
    async fn one_ended(&mut self) {
        let Some((at, ended)) = self.running.next().await else { return };
        self.steps[at].progress = Progress::Ended(Box::new(ended));
        self.start_queued();
    }

    /// Whether every background step has been joined.
    pub(in crate::engine::job) fn is_joined(&self) -> bool {
        self.steps.iter().all(|step| matches!(step.progress, Progress::Joined(_)))
    }

    /// Runs a control step of the job: cancels the background steps that it names if it is a `cancel` step, waits for
    /// them, and joins them. Writes their results to a separate log, and records how the control step ended.
    pub(in crate::engine::job) async fn control(
        &mut self,
        steps: &mut Steps<'j>,
        scope: &mut StepScope,
        step: &StepRef,
        steering: &Steering,
        number: StepNumber,
    ) -> StepEnd {
        let outlet = &steps.job.shared.outlet;
        let mut log = Arc::clone(outlet).log(&steps.job.id, number);
        let held = self.beside(steps.stop_before(scope, number, &IndexMap::new(), &mut *log)).await;
        let end = match steps.prepare(scope, step, Condition::Always, Some(number)) {
            Err(end) => end,
            Ok(prepared) => match held {
                Err(Next::After(end)) => end,
                // The job does not go back from here: the way back is closed.
                Ok(_) | Err(Next::Back(_)) => {
                    steps.record_start(number, &prepared);
                    self.carry_out(steps, scope, step, steering, &mut *log).await
                }
            },
        };
        let end = steps.complete(scope, step, Completed::of(end));
        log.finish();
        outlet.record(end.event(&steps.job.id, number));
        end
    }

    async fn carry_out(
        &mut self,
        steps: &mut Steps<'j>,
        scope: &mut StepScope,
        step: &StepRef,
        steering: &Steering,
        log: &mut dyn StepLog,
    ) -> StepEnd {
        let named = self.select(|one| match steering {
            Steering::WaitAll => !matches!(one.progress, Progress::Joined(_)),
            _ => names(step, steering, &one.step),
        });
        if let Steering::Cancel(_) = steering {
            self.cancel(&named);
        }
        let ended = self.wait(steps, scope, &named).await;
        for (name, end) in &ended {
            log.write(format!("{name}: {}\n", described(end)).as_bytes());
        }
        if let Steering::Cancel(_) = steering {
            return StepEnd::of(Conclusion::Success);
        }
        for at in named {
            self.steps[at].counted = true;
        }
        together(&ended)
    }

    /// Waits for all background steps before the first `post` of the job, joins them, and updates the job's status.
    /// Returns the combined result of those that no `wait`, `wait-all` or `parallel` step has waited for.
    pub(in crate::engine::job) async fn finish(&mut self, steps: &mut Steps<'j>, scope: &mut StepScope) -> StepEnd {
        let open = self.select(|step| !step.counted);
        let end = together(&self.wait(steps, scope, &open).await);
        if steps.cancel.is_cancelled() {
            scope.status = Status::Cancelled;
        }
        scope.status.merge(end.conclusion);
        end
    }

    fn select(&self, wanted: impl Fn(&BackgroundStep<'j>) -> bool) -> Vec<usize> {
        (0..self.steps.len()).filter(|at| wanted(&self.steps[*at])).collect()
    }

    /// Cancels steps that have not ended. A queued step is started, so that it ends at once.
    fn cancel(&mut self, named: &[usize]) {
        for at in named {
            self.steps[*at].cancel.send_replace(true);
        }
        let (cancelled, queued) = self.queued.drain(..).partition(|(at, _)| named.contains(at));
        self.queued = queued;
        let cancelled: VecDeque<_> = cancelled;
        self.running.extend(cancelled.into_iter().map(|(_, branch)| branch));
    }

    /// Waits until steps have ended, and joins them. Returns their names and ends.
    async fn wait(&mut self, steps: &mut Steps<'j>, scope: &mut StepScope, named: &[usize]) -> Vec<(String, StepEnd)> {
        while named.iter().any(|at| matches!(self.steps[*at].progress, Progress::Running)) {
            self.one_ended().await;
        }
        named.iter().map(|at| (self.steps[*at].name.clone(), self.steps[*at].join(steps, scope))).collect()
    }
}

impl<'j> BackgroundStep<'j> {
    /// Applies the changes of the step to the job, once. Returns the end of the step.
    fn join(&mut self, steps: &mut Steps<'j>, scope: &mut StepScope) -> StepEnd {
        let end = match &self.progress {
            Progress::Running => StepEnd::cancelled(),
            Progress::Ended(ended) => ended.end.clone(),
            Progress::Joined(end) => return end.clone(),
        };
        if let Progress::Ended(ended) = std::mem::replace(&mut self.progress, Progress::Joined(end.clone())) {
            let Ended { steps: branch, scope: mut inside, .. } = *ended;
            steps.join(branch);
            if let Some(result) = inside.steps.shift_remove(&self.step.id) {
                scope.steps.insert(self.step.id.clone(), result);
            }
            // Posts run in the reverse order of the starts.
            let at = self.posts_before.min(scope.posts.len());
            scope.posts.splice(at..at, inside.posts);
        }
        end
    }
}

/// Describes the result of a step, as in `failure (exit code 1), allowed`.
fn described(end: &StepEnd) -> String {
    let word = end.outcome.word();
    let reason = end.reason.as_deref().filter(|reason| *reason != word);
    let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    let allowed = if end.outcome == end.conclusion { "" } else { ", allowed" };
    format!("{word}{reason}{allowed}")
}

/// Returns the combined result of several steps: a failure if any of them failed; otherwise cancelled if any was
/// cancelled; otherwise a success.
fn together(ended: &[(String, StepEnd)]) -> StepEnd {
    for conclusion in [Conclusion::Failure, Conclusion::Cancelled] {
        let such = ended.iter().filter(|(_, end)| end.conclusion == conclusion);
        let reasons = such.map(|(name, end)| format!("{name}: {}", end.reason.as_deref().unwrap_or(conclusion.word())));
        let reasons: Vec<_> = reasons.collect();
        if !reasons.is_empty() {
            return StepEnd { reason: Some(reasons.join("; ")), ..StepEnd::of(conclusion) };
        }
    }
    StepEnd::of(Conclusion::Success)
}
