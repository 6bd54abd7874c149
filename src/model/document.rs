//! A run as a JSON document for programs.

use serde_json::{Value, json};

use super::{EndReason, Gate, Job, Phase, Run, Step, Summary};

impl Phase {
    /// Returns why a job or a run waits, or `reason`, which is why it ended.
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
        self.phase.why(text(self.reason.as_ref()))
    }
}

impl Job {
    /// Returns why the job waits, or why it ended as it did.
    #[must_use]
    pub fn why(&self) -> Option<String> {
        self.phase.why(self.reason.clone())
    }

    fn document(&self) -> Value {
        let mut document = json!({
            "id": self.id, "key": self.key, "name": self.name, "needs": self.needs, "status": self.phase.word(),
            "allowed_failure": self.allowed_failure, "reason": self.why(), "explanation": self.explanation,
            "started": self.started, "finished": self.finished, "outputs": self.outputs, "environment": self.environment,
            "environment_url": self.environment_url, "sandbox": self.sandbox,
            "services": self.services.values().collect::<Vec<_>>(),
            "steps": self.steps.iter().map(Step::document).collect::<Vec<_>>(),
        });
        if let Some(id) = self.remote {
            document["remote"] = json!(id);
        }
        document
    }
}

impl Step {
    fn document(&self) -> Value {
        json!({
            "number": self.number, "name": self.name, "background": self.background, "status": self.phase.word(), "outcome": self.outcome,
            "exit_code": self.exit_code, "signal": self.signal, "reason": self.reason, "explanation": self.explanation,
            "lines": self.lines, "started": self.started, "finished": self.finished, "annotations": self.annotations,
        })
    }
}

impl Run {
    /// Returns why the run waits, or why it ended as it did.
    #[must_use]
    pub fn why(&self) -> Option<String> {
        self.phase.why(text(self.reason.as_ref()))
    }

    /// Returns the state of the run, its jobs and their steps. `dirty` are the files that differed from the commit.
    #[must_use]
    pub fn document(&self, dirty: &[String]) -> Value {
        let info = &self.info;
        let mut document = json!({
            "id": info.id, "name": self.name, "repository": info.repository, "workflow": info.workflow,
            "event": info.event, "ref": info.ref_name, "sha": info.sha, "dirty": dirty, "attempt": self.attempt,
            "status": self.phase.word(), "reason": self.why(), "created": info.created, "started": self.started,
            "finished": self.finished, "jobs": self.jobs.values().map(Job::document).collect::<Vec<_>>(),
        });
        if let Some(remote) = &info.remote {
            document["remote"] = json!(remote);
        }
        document
    }
}
