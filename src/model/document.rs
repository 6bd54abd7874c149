//! A run as a JSON document for programs.

use serde_json::{Value, json};

use super::{Deployment, EndReason, Gate, Job, PendingReview, Phase, Review, Run, Step, Summary, WorkingTree};

impl Phase {
    /// Returns why a run, a job or a step waits. Returns `reason` if it does not wait, or only for needed jobs, a free
    /// slot or a resource.
    fn why(&self, reason: Option<String>) -> Option<String> {
        match self {
            Self::Waiting(Gate::Needs | Gate::Capacity | Gate::Resource(_)) => reason,
            Self::Waiting(gate) => Some(gate.reason()),
            _ => reason,
        }
    }
}

fn text(reason: Option<&EndReason>) -> Option<String> {
    reason.map(|reason| reason.text().into_owned())
}

impl Summary {
    /// Returns why the run waits, or why it ended as it did.
    #[must_use]
    pub fn why(&self) -> Option<String> {
        reviews(&self.reviews).or_else(|| self.phase.why(text(self.reason.as_ref())))
    }

    /// Returns the run as a JSON document for programs, without its jobs. Statuses are words.
    #[must_use]
    pub fn document(&self) -> Value {
        let info = &self.info;
        let mut document = json!({
            "id": info.id, "name": self.name, "repository": info.repository, "workflow": info.workflow,
            "event": info.event, "ref": info.ref_name, "sha": info.sha, "changed": info.changed, "attempt": self.attempt,
            "status": self.phase.word(), "reason": self.why(), "created": info.created, "started": self.started,
            "finished": self.finished, "deployments": self.deployments.iter().map(Deployment::document).collect::<Vec<_>>(),
            "reviews": self.reviews.iter().map(PendingReview::document).collect::<Vec<_>>(),
        });
        if !info.only.is_empty() {
            document["only"] = json!(info.only);
        }
        if let Some(folder) = &info.folder {
            document["folder"] = json!(folder);
        }
        if let Some(remote) = &info.remote {
            document["remote"] = json!(remote);
        }
        document
    }
}

impl Deployment {
    fn document(&self) -> Value {
        json!({ "environment": self.environment, "url": self.url, "status": self.phase.word(), "at": self.at })
    }
}

/// Returns what a run waits for, if reviews hold back its jobs.
fn reviews(pending: &[PendingReview]) -> Option<String> {
    (!pending.is_empty()).then(|| PendingReview::reasons(pending))
}

impl Job {
    /// Returns why the job waits, or why it ended as it did.
    #[must_use]
    pub fn why(&self) -> Option<String> {
        self.phase.why(self.reason.clone())
    }

    fn document(&self, run: &Run) -> Value {
        let reason = self.why().or_else(|| run.kept_from(self));
        let mut document = json!({
            "id": self.id, "key": self.key, "name": self.name, "needs": self.needs, "status": self.phase.word(),
            "attempt": self.attempt,
            "allowed_failure": self.allowed_failure, "reason": reason, "explanation": self.explanation,
            "started": self.started, "finished": self.finished, "outputs": self.outputs, "environment": self.environment,
            "environment_url": self.environment_url, "sandbox": self.sandbox,
            "deployment_page": self.deployment_page,
            "services": self.services.values().collect::<Vec<_>>(),
            "steps": self.steps.iter().map(Step::document).collect::<Vec<_>>(),
        });
        if let Some(id) = self.remote {
            document["remote"] = json!(id);
        }
        if let Some(log) = &self.runner_log {
            document["runner_log"] = json!(log);
        }
        if let Some(sample) = self.traffic.back() {
            document["traffic"] = json!(sample);
        }
        document
    }
}

impl PendingReview {
    /// Returns the review as a JSON document for programs. The reason of the wait, and the reason why the user may not
    /// review, are texts.
    #[must_use]
    pub fn document(&self) -> Value {
        json!({
            "id": self.id, "environment": self.environment, "reviewers": self.reviewers, "may_review": self.may_review(),
            "refusal": self.refusal.map(|refusal| refusal.to_string()), "wait_until": self.wait_until,
            "since": self.since, "jobs": self.jobs, "reason": self.reason(),
        })
    }
}

impl Review {
    fn document(&self) -> Value {
        json!({
            "environments": self.environments, "approved": self.approved, "by": self.by, "comment": self.comment,
            "at": self.at,
        })
    }
}

impl Step {
    /// Returns why the step is held, or why it ended as it did.
    #[must_use]
    pub fn why(&self) -> Option<String> {
        self.phase.why(self.reason.clone())
    }

    fn document(&self) -> Value {
        json!({
            "number": self.number, "name": self.name, "background": self.background, "status": self.phase.word(), "outcome": self.outcome,
            "exit_code": self.exit_code, "signal": self.signal, "reason": self.why(), "explanation": self.explanation,
            "lines": self.lines, "started": self.started, "finished": self.finished, "annotations": self.annotations,
        })
    }
}

impl WorkingTree {
    fn document(&self, attempt: u32) -> Value {
        let Self { ref_name, sha, changed, files, edited, .. } = self;
        json!({
            "attempt": attempt, "ref": ref_name, "sha": sha, "changed": changed, "dirty": files, "edited": edited,
        })
    }
}

impl Run {
    /// Returns why the run waits, or why it ended as it did.
    #[must_use]
    pub fn why(&self) -> Option<String> {
        reviews(&self.reviews).or_else(|| self.phase.why(text(self.reason.as_ref())))
    }

    /// Returns the run, its jobs and their steps as a JSON document for programs: the fields of [`Summary::document`], and
    /// more. `dirty` are the files that differed from the commit, and `attempts` the same for each attempt. The `attempt`
    /// of a job is an earlier one if the job was not run again.
    #[must_use]
    pub fn document(&self) -> Value {
        let mut document = Summary::from(self).document();
        document["dirty"] = json!(self.uncommitted());
        document["attempts"] = self.trees.iter().map(|(attempt, tree)| tree.document(*attempt)).collect();
        document["jobs"] = self.jobs.values().map(|job| job.document(self)).collect();
        document["reviewed"] = self.reviewed.iter().map(Review::document).collect();
        document
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use indexmap::IndexMap;

    use super::*;
    use crate::model::testing::{info, summary};
    use crate::model::{RunId, Timestamp};

    #[test]
    fn a_run_has_the_fields_of_its_summary() {
        let info = info(RunId::new("20261124-000000-0001"), Timestamp(7));
        let listed = summary(info.clone(), "CI", Phase::Queued).document();
        let run = Run {
            info,
            name: "CI".to_owned(),
            attempt: 1,
            trees: BTreeMap::new(),
            phase: Phase::Queued,
            reason: None,
            started: None,
            finished: None,
            jobs: IndexMap::new(),
            holds: false,
            reviews: Vec::new(),
            reviewed: Vec::new(),
            seq: 0,
        };
        let shown = run.document();
        for (field, value) in listed.as_object().expect("an object") {
            assert_eq!(shown.get(field), Some(value), "{field}");
        }
        assert_eq!((&listed["status"], &listed["ref"]), (&json!("queued"), &json!("main")));
    }
}
