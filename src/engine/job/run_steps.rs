//! Runs all steps of a job in order: `pre` phases of actions, the steps of the file, `post` phases; then evaluates the
//! job's outputs. Background steps have ended before the first `post`.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::engine::actions::resolve;
use crate::engine::cancel::{CancelWatch, Cancellation, changed};
use crate::engine::checkpoint::{Checkpoint, Status};
use crate::engine::step::end::{StepEnd, minutes};
use crate::engine::workspace::hash_files::WorkspaceFiles;
use crate::model::{Conclusion, StepKind};
use crate::workflow::display_names;
use crate::workflow::expr::Scope;
use crate::workflow::syntax::{StepAction, StepsJob};
use crate::workflow::template::TemplateError;

use super::end::JobEnd;
use super::environment::JobEnvironment;
use super::runner_steps::StepSequence;
use super::steps::Steps;
use super::steps::background::{Background, FINAL_WAIT, needs_final_wait};
use super::steps::run::Next;
use super::steps::scope::{StepRef, StepScope};
use super::task::{DEFAULT_TIMEOUT, JobTask, WorkEnd};

/// Maximum size of the outputs of a job in bytes, as on GitHub.
const MAX_OUTPUTS: usize = 1024 * 1024;

/// An `env` that cannot be evaluated.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{}:{}: `env` of the {owner}: {source}", .source.span.line, .source.span.column)]
struct EnvError {
    file: String,
    owner: &'static str,
    source: TemplateError,
}

impl JobTask {
    /// Runs all steps of the job. If the machine of the job is lost, its steps end within seconds and the job fails.
    pub(super) async fn run_steps(
        &self,
        body: &StepsJob,
        environment: &JobEnvironment,
        sequence: &mut StepSequence,
    ) -> WorkEnd {
        let (ask, own) = watch::channel(*self.cancellation.borrow());
        // Forwards cancellations in a separate task, because steps block the task of the job while they hash files.
        tokio::spawn(hand_on(self.cancellation.clone(), ask.clone()));
        let mut steps = pin!(self.all_steps(body, environment, sequence, own));
        let mut lost = pin!(environment.lost());
        let mut reason = None;
        let (mut end, complete) = loop {
            tokio::select! {
                done = &mut steps => break done,
                error = &mut lost, if reason.is_none() => {
                    reason = Some(error.to_string());
                    Cancellation::Lost.ask(&ask);
                }
            }
        };
        if reason.is_some() {
            end = JobEnd { conclusion: Conclusion::Failure, reason, allowed_failure: false, ..end };
        }
        (end, complete)
    }

    async fn all_steps(
        &self,
        body: &StepsJob,
        environment: &JobEnvironment,
        sequence: &mut StepSequence,
        asked: watch::Receiver<Cancellation>,
    ) -> WorkEnd {
        let watch = |limit| CancelWatch::new(asked.clone(), self.job.ignores_cancel, Instant::now() + limit);
        let files = |cancel| WorkspaceFiles::at(&environment.workspace).until_cancelled(cancel);
        let host = files(watch(DEFAULT_TIMEOUT));
        let evaluated = Scope { contexts: &environment.contexts, status: self.job.status, host: &host };
        let timeout = match Self::limit(body, &evaluated) {
            Ok(timeout) => timeout,
            Err(error) => return (JobEnd::failed(error.to_string()), None),
        };
        let start = match self.starting_point(body, &evaluated) {
            Ok(start) => start,
            Err(error) => return (JobEnd::failed(error.to_string()), None),
        };
        let cancel = watch(timeout);
        let host = files(cancel.clone());
        let evaluated = Scope { host: &host, ..evaluated };
        let mut steps = Steps::new(environment, cancel, &self.slot, &start);
        let mut scope = StepScope { steps: start.steps, status: start.status, ..StepScope::default() };
        let all = StepRef::of_job(&self.job.definition);

        let mut reason = self.run_pres(&all, environment, &mut steps, &mut scope, sequence).await;
        let mut background = Background::default();
        let mut numbers = Vec::with_capacity(all.len());
        let mut index = 0;
        while let Some(step) = all.get(index) {
            let name = display_names::step_name(step, &evaluated);
            let number = numbers.get(index).copied().unwrap_or_else(|| {
                let number = sequence.add_of_file(&name, step.is_background());
                numbers.push(number);
                number
            });
            (steps.done, steps.is_beside) = (index, !background.is_joined());
            if index < start.done {
                steps.register_post_again(&mut scope, step);
            } else if step.is_background() {
                steps.close_way_back();
                background.start(&steps, &mut scope, step, number, name);
            } else {
                let next = if let StepAction::Steer(steering) = &step.action {
                    steps.close_way_back();
                    Next::After(background.control(&mut steps, &mut scope, step, steering, number).await)
                } else {
                    steps.begin(&scope, number, reason.as_deref());
                    background.beside(steps.top_level(&mut scope, step, number)).await
                };
                let end = match next {
                    Next::After(end) => end,
                    Next::Back(from) => {
                        let (count, before) = steps.go_back(&mut scope, &all[..=index], from);
                        (index, reason) = (index - count, before);
                        steps.done = index;
                        if !steps.is_beside {
                            steps.checkpoint(&scope);
                        }
                        continue;
                    }
                };
                steps.ended(end.conclusion);
                keep_first(&mut reason, end);
                // A job cannot resume between the start of a background step and the step that waits for it, so no
                // checkpoint is stored there.
                (steps.done, steps.is_beside) = (index + 1, !background.is_joined());
                if !steps.is_beside {
                    steps.checkpoint(&scope);
                }
            }
            index += 1;
        }
        let last = needs_final_wait(&all).then(|| {
            let number = sequence.add(FINAL_WAIT, StepKind::Job);
            self.start(number, FINAL_WAIT)
        });
        let end = background.finish(&mut steps, &mut scope).await;
        if let Some(step) = last {
            step.close(&end);
        }
        keep_first(&mut reason, end);
        for post in std::mem::take(&mut scope.posts).into_iter().rev() {
            let mut step = self.start_next(sequence, &format!("Post {}", post.name), StepKind::Post);
            if steps.cancel.is_cancelled() {
                scope.status = Status::Cancelled;
            }
            let end = steps.post(&mut scope, post, step.number(), step.log()).await;
            if steps.cancel.is_cancelled() {
                scope.status = Status::Cancelled;
            }
            step.close(&end);
            keep_first(&mut reason, end);
        }
        let end = conclude(&steps, &scope, timeout, reason);
        self.complete(body, &steps, &scope, end)
    }

    /// Runs the `pre` phases of actions that are not in the workspace. Returns the reason of the first failure; `None`
    /// if all succeeded.
    async fn run_pres(
        &self,
        all: &[StepRef],
        environment: &JobEnvironment,
        steps: &mut Steps<'_>,
        scope: &mut StepScope,
        sequence: &mut StepSequence,
    ) -> Option<String> {
        let mut reason = None;
        for step in all.iter().filter(|step| resolve::with_pre(&environment.actions, step, None).is_some()) {
            let evaluated = Scope { contexts: &environment.contexts, ..self.job.scope() };
            let name = format!("Pre {}", display_names::step_name(step, &evaluated));
            let number = sequence.add(&name, StepKind::Pre);
            let mut runner_step = self.start(number, &name);
            let end = steps.pre(scope, step, number, runner_step.log()).await;
            runner_step.close(&end);
            if end.conclusion == Conclusion::Failure {
                reason = reason.or(end.reason);
            }
        }
        reason
    }

    /// Returns the state to start from: `env` of the workflow, the job and the run's options, or the checkpoint of a
    /// lost worker.
    fn starting_point(&self, body: &StepsJob, scope: &Scope<'_>) -> Result<Checkpoint, EnvError> {
        if let Some(resumed) = &self.job.resumed {
            return Ok(resumed.checkpoint.clone());
        }
        let mut start = Checkpoint::default();
        for (env, owner) in [(&self.job.workflow.env, "workflow"), (&body.env, "job")] {
            let Some(env) = env else { continue };
            let file = &self.job.workflow.source.name;
            let texts = env.texts(scope).map_err(|source| EnvError { file: file.clone(), owner, source })?;
            start.env.extend(texts);
        }
        start.env.extend(self.run.options.env.clone());
        Ok(start)
    }

    /// Evaluates the outputs, environment URL and `continue-on-error` of the job. The job fails if one of them is
    /// invalid. Returns the end of the job and of its step "Complete job".
    fn complete(&self, body: &StepsJob, steps: &Steps<'_>, scope: &StepScope, mut end: JobEnd) -> WorkEnd {
        let outlet = &self.run.outlet;
        let contexts = steps.contexts(scope);
        let host = steps.files();
        let evaluated = Scope { contexts: &contexts, status: scope.functions(), host: &host };
        let mut wrong = None;
        for (name, value) in &body.outputs {
            match value.evaluate(&evaluated).map(|value| value.to_text()) {
                // As on GitHub, an output that may hold a secret is dropped.
                Ok(text) if outlet.holds_secret(&text) => {}
                Ok(text) => drop(end.outputs.insert(name.value.clone(), text)),
                Err(error) => wrong = Some(format!("output `{}`: {error}", name.value)),
            }
        }
        let size: usize = end.outputs.iter().map(|(name, value)| name.len() + value.len()).sum();
        if size > MAX_OUTPUTS {
            end.outputs.clear();
            wrong = Some(format!("the outputs have {size} bytes; the limit is {MAX_OUTPUTS}"));
        }
        let url = body.environment.as_ref().and_then(|environment| environment.entry("url"));
        match url.map(|url| url.evaluate(&evaluated)).transpose() {
            Ok(url) => end.environment_url = url.map(|url| url.to_text()).filter(|url| !url.is_empty()),
            Err(error) => wrong = Some(format!("`environment.url`: {error}")),
        }
        match body.continue_on_error.as_ref().map(|allowed| allowed.evaluate(&evaluated)).transpose() {
            Ok(allowed) => {
                let failed = matches!(end.conclusion, Conclusion::Failure | Conclusion::TimedOut);
                end.allowed_failure = failed && allowed.is_some_and(|value| value.is_truthy());
            }
            Err(error) => wrong = Some(format!("`continue-on-error`: {error}")),
        }
        let complete = wrong.clone().map_or_else(|| StepEnd::of(Conclusion::Success), StepEnd::failed);
        if let Some(wrong) = wrong {
            end.conclusion = Conclusion::Failure;
            end.reason.get_or_insert(wrong);
        }
        (end, Some(complete))
    }
}

/// Keeps the reason of the first failure.
fn keep_first(reason: &mut Option<String>, end: StepEnd) {
    if reason.is_none() && end.conclusion == Conclusion::Failure {
        *reason = end.reason;
    }
}

/// Forwards cancellation requests for a job until the receiver is dropped.
async fn hand_on(mut asked: watch::Receiver<Cancellation>, ask: watch::Sender<Cancellation>) {
    loop {
        asked.borrow_and_update().ask(&ask);
        tokio::select! {
            () = changed(&mut asked) => {}
            () = ask.closed() => return,
        }
    }
}

/// Returns the end of a job whose steps have ended.
fn conclude(steps: &Steps<'_>, scope: &StepScope, timeout: Duration, reason: Option<String>) -> JobEnd {
    if steps.cancel.timed_out() {
        let reason = Some(format!("the job exceeded its limit of {}", minutes(timeout)));
        return JobEnd { reason, ..JobEnd::of(Conclusion::TimedOut) };
    }
    let conclusion = match scope.status {
        Status::Success => Conclusion::Success,
        Status::Failure => Conclusion::Failure,
        Status::Cancelled => Conclusion::Cancelled,
    };
    JobEnd { reason, ..JobEnd::of(conclusion) }
}
