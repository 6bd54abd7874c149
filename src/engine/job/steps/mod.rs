//! Runs the steps of a job in order, with GitHub's rules.
//!
//! Background steps run in parallel with the others, each on a [`branch`](Steps::branch) of the state.
//!
//! [`run`] does what every step needs: it evaluates the environment, the condition and the timeout, and applies
//! `continue-on-error`. [`uses`] runs steps that use an action. A [`composite`] action runs steps inside a step, and
//! [`posts`] runs the phases of actions before the first step and after the last one, so these modules call each other.
//! [`execute`] runs the process of a step and applies its results. [`trail`] takes a job back to an earlier step.

use std::collections::HashSet;

use indexmap::IndexMap;

use crate::engine::RunContext;
use crate::engine::cancel::CancelWatch;
use crate::engine::checkpoint::{Checkpoint, FailedStep};
use crate::engine::slot::Slot;
use crate::engine::step::context::StepContext;
use crate::engine::step::matcher::Matchers;
use crate::engine::workspace::hash_files::WorkspaceFiles;
use crate::model::StepNumber;

use self::scope::{StepRef, StepScope};
use self::trail::Trail;
use super::environment::JobEnvironment;

pub(super) mod background;
mod composite;
mod execute;
pub(super) mod posts;
pub(super) mod run;
pub(super) mod scope;
mod trail;
mod uses;

/// Runs the steps of one job, and keeps the state that they pass to each other.
pub(super) struct Steps<'j> {
    /// Environment of the job: its folders, contexts, actions and machine.
    job: &'j JobEnvironment,
    pub(super) cancel: CancelWatch,
    /// The job's share in the limit of jobs that run at once.
    slot: &'j Slot,
    /// `env` of the workflow and the job, and variables that steps wrote to `GITHUB_ENV`.
    pub(super) env: IndexMap<String, String>,
    /// Folders that steps wrote to `GITHUB_PATH`, newest first.
    pub(super) path: Vec<String>,
    matchers: Matchers,
    /// State that phases of actions saved for later phases (`STATE_…`), by the key of the step.
    pub(super) states: IndexMap<String, IndexMap<String, String>>,
    /// The part of `states` that `pre` phases saved. The main phase gets only this part, also when it runs again:
    /// actions recognize the phase by their state.
    pre_states: IndexMap<String, IndexMap<String, String>>,
    /// Keys of the steps whose posts are registered.
    registered: HashSet<String>,
    /// Whether a step masked a value that was not a secret before. Other attempts do not know that value.
    pub(super) masked: bool,
    /// Environment and working directory of the last step that failed: of its process, or of the job if it had no
    /// process in the job's sandbox. `None` if no step has failed.
    pub(super) failed: Option<FailedStep>,
    /// Number of steps of the job that have ended.
    pub(super) done: usize,
    /// Whether background steps have started for which no step has waited yet. While this is true, the job cannot
    /// resume.
    pub(super) is_beside: bool,
    /// Steps to which the job can go back; none in the branch of a background step.
    trail: Trail,
    /// In the branch of a background step: the variables and folders that the step wrote, to be applied to the job by
    /// [`Self::join`]. `None` in the job's own state.
    written: Option<Written>,
}

/// Variables and folders that a step wrote to `GITHUB_ENV` and `GITHUB_PATH`, in order.
#[derive(Default)]
struct Written {
    env: IndexMap<String, String>,
    path: Vec<String>,
}

impl<'j> Steps<'j> {
    /// Creates the state of a job's steps from the checkpoint `start`.
    pub(super) fn new(job: &'j JobEnvironment, cancel: CancelWatch, slot: &'j Slot, start: &Checkpoint) -> Self {
        Self {
            job,
            cancel,
            slot,
            env: start.env.clone(),
            path: start.path.clone(),
            matchers: Matchers::default(),
            states: start.states.clone(),
            pre_states: IndexMap::new(),
            registered: HashSet::new(),
            masked: false,
            failed: None,
            done: start.done,
            is_beside: false,
            trail: Trail::default(),
            written: None,
        }
    }

    /// Returns a copy of the state, in which a background step runs. The step's changes apply to the job once the copy
    /// is [joined](Self::join).
    fn branch(&self, step: &StepRef, cancel: CancelWatch) -> Self {
        let of_step = |states: &IndexMap<String, IndexMap<String, String>>| {
            let own = states.iter().filter(|(key, _)| step.covers(key));
            own.map(|(key, state)| (key.clone(), state.clone())).collect()
        };
        Self {
            job: self.job,
            cancel,
            slot: self.slot,
            env: self.env.clone(),
            path: self.path.clone(),
            matchers: self.matchers.branch(),
            states: of_step(&self.states),
            pre_states: of_step(&self.pre_states),
            registered: self.registered.clone(),
            masked: false,
            failed: None,
            done: self.done,
            is_beside: false,
            trail: Trail::default(),
            written: Some(Written::default()),
        }
    }

    /// Applies the changes of a background step's branch.
    fn join(&mut self, branch: Self) {
        self.matchers.join(branch.matchers);
        self.states.extend(branch.states);
        self.registered.extend(branch.registered);
        self.masked |= branch.masked;
        self.failed = branch.failed.or(self.failed.take());
        self.write(branch.written.unwrap_or_default());
    }

    /// Sets variables and adds folders for the steps after this one.
    fn write(&mut self, written: Written) {
        if let Some(kept) = &mut self.written {
            kept.env.extend(written.env.clone());
            kept.path.extend(written.path.iter().cloned());
        }
        self.trail.keep(&written, &self.env, &self.path);
        self.env.extend(written.env);
        for folder in written.path {
            self.path.retain(|known| *known != folder);
            self.path.insert(0, folder);
        }
    }

    /// Stores the current state as a checkpoint, so that the job can resume if the worker is lost, and so that
    /// `cuelight shell` finds the step that failed. Does nothing in the branch of a background step, because its state
    /// is not the job's.
    pub(in crate::engine::job) fn checkpoint(&self, scope: &StepScope) {
        self.checkpoint_for_shell(scope, self.failed.as_ref());
    }

    /// Stores the current state as a [checkpoint](Self::checkpoint), with the environment that `cuelight shell` gets.
    fn checkpoint_for_shell(&self, scope: &StepScope, shell: Option<&FailedStep>) {
        if self.written.is_some() {
            return;
        }
        let lost = [
            (self.job.has_containers(), "its containers and services are gone"),
            (self.masked, "a value was masked while the job ran, and only its steps know it"),
            (self.is_beside, "background steps ran beside the step that was held"),
        ];
        let now = Checkpoint {
            done: self.done,
            status: scope.status,
            env: self.env.clone(),
            path: self.path.clone(),
            steps: scope.steps.clone(),
            states: self.states.clone(),
            warm_folders: self.job.warm_folders(),
            failed: shell.cloned(),
            not_resumable: lost.into_iter().find(|(lost, _)| *lost).map(|(_, reason)| reason.to_owned()),
        };
        let RunContext { outlet, facts, .. } = &*self.job.shared;
        outlet.checkpoint(&self.job.id, &now.sealed(&facts.secrets, &|text| outlet.holds_secret(text)));
    }

    /// Returns the files of the workspace, for `hashFiles` in expressions. The folders of a warm start are left out, so
    /// that the hash is the same as without a warm start.
    pub(in crate::engine::job) fn files(&self) -> WorkspaceFiles {
        let files = WorkspaceFiles::at(&self.job.workspace).until_cancelled(self.cancel.clone());
        files.of_machine(self.job.sandbox.is_elsewhere()).without(self.job.warm_folders())
    }

    /// Returns the context of a step.
    fn context(&self, number: StepNumber) -> StepContext<'j> {
        let options = &self.job.shared.options;
        StepContext {
            job: &self.job.id,
            number,
            outlet: &*self.job.shared.outlet,
            sandbox: &*self.job.sandbox,
            workspace: &self.job.workspace,
            temp: &self.job.temp,
            in_container: self.job.is_container(),
            debug: options.debug,
            grace: options.grace,
        }
    }
}
