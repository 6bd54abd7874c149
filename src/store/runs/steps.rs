//! Applies records to a job and its steps.

use crate::model::deployment::TrafficSample;
use crate::model::{
    Conclusion, Event, Gate, HeldOrder, Job, Phase, Step, StepKind, StepNumber, StepOutline, Timestamp,
};

/// Maximum number of traffic samples that a job keeps: enough for a chart on a very wide screen.
const MAX_SAMPLES: usize = 200;

/// Describes the download of a job's image. Sizes are in bytes; `total` is 0 if it is unknown.
pub(super) fn pulling(image: &str, done: u64, total: u64) -> String {
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    match total {
        0 => format!("the image {image}"),
        _ => format!("the image {image}: {:.0} of {:.0} MB", megabytes(done), megabytes(total)),
    }
}

/// Applies an event of a job.
pub(super) fn fold_job(job: &mut Job, at: Timestamp, event: &Event) {
    // The server may answer only after the end of the job.
    if let Event::DeploymentRecorded { page: Some(page), .. } = event {
        job.deployment_page = Some(page.clone());
    }
    if job.phase.is_done() {
        return fold_ended(job, at, event);
    }
    match event {
        Event::JobWaiting { gate, .. } if !job.phase.is_active() => job.phase = Phase::Waiting(gate.clone()),
        Event::Decided { step: None, explanation, .. } => job.explanation = Some(explanation.clone()),
        Event::Decided { step: Some(number), explanation, .. } => {
            step(job, *number).explanation = Some(explanation.clone());
        }
        Event::JobStarted { name, sandbox, environment, .. } => {
            if environment.is_some() {
                job.environment.clone_from(environment);
            }
            job.phase = Phase::Running;
            job.name.clone_from(name);
            job.sandbox = Some(sandbox.clone());
            job.started.get_or_insert(at);
        }
        Event::JobFinished { conclusion, allowed_failure, reason, outputs, environment_url, .. } => {
            job.allowed_failure = *allowed_failure;
            job.reason.clone_from(reason);
            job.outputs.clone_from(outputs);
            job.environment_url.clone_from(environment_url);
            close_job(job, *conclusion, at);
        }
        Event::StepsPlanned { steps, .. } => {
            for outline in steps {
                step(job, outline.number).plan(outline);
            }
        }
        Event::ServiceChanged { service, .. } => drop(job.services.insert(service.name.clone(), service.clone())),
        Event::TrafficObserved { slots, note, .. } => {
            job.traffic.push_back(TrafficSample { at, slots: slots.clone(), note: note.clone() });
            if job.traffic.len() > MAX_SAMPLES {
                job.traffic.pop_front();
            }
        }
        Event::StepStarted { step: number, name, .. } => {
            let step = step(job, *number);
            if !step.phase.is_done() {
                step.phase = Phase::Running;
                step.name.clone_from(name);
                step.started.get_or_insert(at);
            }
        }
        Event::ProcessStarted { step: number, pgid, .. } => {
            let step = step(job, *number);
            if !step.phase.is_done() && !step.process_groups.contains(pgid) {
                step.process_groups.push(*pgid);
            }
        }
        Event::Output { step: number, output, .. } => {
            let step = step(job, *number);
            step.lines = step.lines.max(output.first.saturating_add(output.count));
            step.open = 0;
            step.printed = Some(at);
        }
        Event::LineGrew { step: number, line, bytes, .. } => {
            let step = step(job, *number);
            step.lines = step.lines.max(line.saturating_add(1));
            step.open = *bytes;
            step.printed = Some(at);
        }
        Event::RunnerFound { log, .. } => job.runner_log = Some(log.clone()),
        Event::StepHeld { step: number, reason, until, .. } => {
            let step = step(job, *number);
            if !step.phase.is_done() {
                step.phase = Phase::Waiting(Gate::Held { reason: reason.clone(), until: *until });
            }
        }
        Event::StepReleased { step: number, order: Some(HeldOrder::RetryFrom(from)), .. }
            if step(job, *number).phase.is_held() =>
        {
            let again = |step: &&mut Step| step.kind == StepKind::Main && (*from..=*number).contains(&step.number);
            job.steps.iter_mut().filter(again).for_each(Step::queue_again);
        }
        Event::StepReleased { step: number, order, .. } => {
            let step = step(job, *number);
            if step.phase.is_held_after_failure() {
                step.phase = Phase::Running;
                if *order == Some(HeldOrder::Retry) {
                    step.annotations.clear();
                }
            } else if step.phase.is_held() {
                step.phase = Phase::Queued;
            }
        }
        Event::Annotated { step: number, annotation, .. } => step(job, *number).annotations.push(annotation.clone()),
        Event::StepFinished { step: number, outcome, conclusion, exit_code, signal, reason, .. } => {
            let step = step(job, *number);
            if !step.phase.is_done() {
                step.outcome = Some(*outcome);
                step.exit_code = *exit_code;
                step.signal = *signal;
                step.reason.clone_from(reason);
                step.close(*conclusion, at);
            }
        }
        _ => {}
    }
}

/// Applies an event of a job that has ended: output and annotations of its steps, and new steps. A job on a server gets
/// them after its end, when its log is read. A new step holds the lines that belong to no other step.
fn fold_ended(job: &mut Job, at: Timestamp, event: &Event) {
    match event {
        Event::StepsPlanned { steps, .. } => {
            for outline in steps {
                if !job.steps.iter().any(|step| step.number == outline.number) {
                    let step = step(job, outline.number);
                    step.plan(outline);
                    step.close(Conclusion::Neutral, at);
                }
            }
        }
        Event::Output { step: number, output, .. } => {
            if let Some(step) = job.steps.iter_mut().find(|step| step.number == *number) {
                step.lines = step.lines.max(output.first.saturating_add(output.count));
                step.open = 0;
                step.printed = Some(at);
            }
        }
        Event::Annotated { step: number, annotation, .. } => {
            if let Some(step) = job.steps.iter_mut().find(|step| step.number == *number) {
                step.annotations.push(annotation.clone());
            }
        }
        _ => {}
    }
}

/// Ends a job, and its steps whose end was not recorded.
pub(super) fn close_job(job: &mut Job, conclusion: Conclusion, at: Timestamp) {
    if job.phase.is_done() {
        return;
    }
    let began = job.phase.is_active();
    for step in &mut job.steps {
        let end = match conclusion {
            _ if !has_begun(&step.phase) => Conclusion::Skipped,
            // The step did not record its success, so it counts as failed.
            Conclusion::Success | Conclusion::Skipped => Conclusion::Failure,
            other => other,
        };
        if !step.phase.is_done() {
            step.close(end, at);
        }
    }
    if began {
        job.finished = Some(at);
    }
    job.phase = Phase::Done(conclusion);
}

/// Whether a step has started and not ended.
fn has_begun(phase: &Phase) -> bool {
    phase.is_active() || phase.is_held_after_failure()
}

/// Returns the step with this number. It is added if it was not planned.
fn step(job: &mut Job, number: StepNumber) -> &mut Step {
    let place = match job.steps.binary_search_by_key(&number, |step| step.number) {
        Ok(place) => place,
        Err(place) => {
            job.steps.insert(
                place,
                Step {
                    number,
                    name: format!("Step {number}"),
                    kind: StepKind::Main,
                    background: false,
                    label: None,
                    phase: Phase::Queued,
                    outcome: None,
                    exit_code: None,
                    signal: None,
                    reason: None,
                    explanation: None,
                    started: None,
                    finished: None,
                    lines: 0,
                    open: 0,
                    printed: None,
                    annotations: Vec::new(),
                    process_groups: Vec::new(),
                },
            );
            place
        }
    };
    &mut job.steps[place]
}

impl Step {
    fn plan(&mut self, outline: &StepOutline) {
        self.kind = outline.kind;
        self.background = outline.background;
        self.label.clone_from(&outline.label);
        if self.phase == Phase::Queued {
            self.name.clone_from(&outline.name);
        }
    }

    /// Makes the step wait for another try. Its lines stay; its annotations are those of the new try.
    fn queue_again(&mut self) {
        self.phase = Phase::Queued;
        self.annotations.clear();
        (self.outcome, self.exit_code, self.signal, self.reason) = (None, None, None, None);
        (self.started, self.finished) = (None, None);
        self.process_groups.clear();
    }

    fn close(&mut self, conclusion: Conclusion, at: Timestamp) {
        if has_begun(&self.phase) {
            self.finished = Some(at);
        }
        self.phase = Phase::Done(conclusion);
        self.process_groups.clear();
    }
}
