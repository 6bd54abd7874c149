//! Tests of the state machine alone, and with its driver.

mod driven;
mod environments;
mod machine;

use std::io;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::state::{Attempt, Effect, Input};
use super::verdict::Verdict;
use super::*;
use crate::engine::RunContext;
use crate::engine::concurrency::AcquireError;
use crate::engine::environments::{Entered, EnvironmentError, EnvironmentGate, JobDeployment};
use crate::engine::job::end::{JobEnd, NotRunnable};
use crate::engine::job::spec::JobSpec;
use crate::engine::panics::caught;
use crate::engine::sandbox::Interrupt;
use crate::engine::testing::sandbox::{ProcessScript, ScriptedSandbox, script_of};
use crate::engine::testing::{MemoryOutlet, facts, plan, scripted_run};
use crate::model::Event;

const PAIR: &str =
    "  a:\n    runs-on: x\n    steps: [run: '1']\n  b:\n    needs: a\n    runs-on: x\n    steps: [run: '1']\n";

const ALWAYS: &str = "  a:\n    runs-on: x\n    steps: [run: '1']\n  b:\n    needs: a\n    if: always()\n    runs-on: x\n    steps: [run: '1']\n";

const GROUP: &str = "  a:\n    concurrency: one\n    runs-on: x\n    steps: [run: '1']\n";

/// A run with its driver, whose processes are scripted.
struct Driven {
    home: tempfile::TempDir,
    outlet: Arc<MemoryOutlet>,
    sandbox: Arc<ScriptedSandbox>,
    stop: watch::Sender<Cancellation>,
}

impl Driven {
    fn new(outlet: Arc<MemoryOutlet>, sandbox: ScriptedSandbox) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        Self { home, outlet, sandbox: Arc::new(sandbox), stop: watch::channel(Cancellation::None).0 }
    }

    async fn run(&self, jobs: &str) -> RunEnd {
        let context = scripted_run(self.home.path(), &self.outlet, &self.sandbox);
        self.run_in(context, jobs, 2).await
    }

    async fn run_in(&self, context: RunContext, jobs: &str, slots: usize) -> RunEnd {
        let start = AttemptStart {
            plan: plan(jobs, &[]),
            carried: IndexMap::new(),
            resumed: HashMap::new(),
            slots,
            skips_unrunnable: false,
        };
        let (_displace, displaced) = mpsc::channel(1);
        run(Arc::new(context), start, Orders { stop: self.stop.subscribe(), displaced }).await
    }

    /// Returns how a job ended according to its last event.
    fn end_of(&self, id: &str) -> (Conclusion, String) {
        let ends = self.outlet.events().into_iter().filter_map(|event| match event {
            Event::JobFinished { job, conclusion, reason, .. } if job.as_str() == id => {
                Some((conclusion, reason.unwrap_or_default()))
            }
            _ => None,
        });
        let ends: Vec<_> = ends.collect();
        assert_eq!(ends.len(), 1, "one end of {id}: {ends:?}");
        ends[0].clone()
    }
}
