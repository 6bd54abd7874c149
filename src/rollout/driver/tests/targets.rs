//! Targets in front of the commands of a host.

use std::future::ready;

use super::*;
use crate::model::deployment::{Plan, PlanStep};
use crate::rollout::check::Answer;
use crate::rollout::outlet::Progress;

/// Sender of a command, with the sender for its reply.
type Abort = (mpsc::Sender<Asked>, oneshot::Sender<Reply>);

/// A target that does nothing at once. The first step that changes it sends an abort.
struct Hasty(Arc<Mutex<Option<Abort>>>);

impl Target for Hasty {
    fn observe<'t>(&'t self, _: &'t Progress) -> BoxFuture<'t, Result<Observed, TargetError>> {
        ready(Ok(Observed::default())).boxed()
    }

    fn act<'t>(&'t self, _: &'t PlanStep, _: &'t Plan, _: &'t Progress) -> BoxFuture<'t, Result<(), TargetError>> {
        if let Some((order, reply)) = self.0.lock().expect("no panic").take() {
            let abort = DeploymentOrder::Abort { reason: String::new() };
            let command = Command::Deployment { order: abort, by: Some(person("olu")) };
            assert!(order.try_send((command, reply)).is_ok(), "there is room");
        }
        ready(Ok(())).boxed()
    }

    fn health<'t>(&'t self, _: Slot, _: &'t Plan, _: &'t Progress) -> BoxFuture<'t, Answer> {
        ready(Answer::Good(String::new())).boxed()
    }

    fn check<'t>(&'t self, _: &'t Probe, _: Duration, _: Slot, _: &'t Plan, _: &'t Progress) -> BoxFuture<'t, Answer> {
        ready(Answer::Good(String::new())).boxed()
    }
}

#[tokio::test]
async fn an_abort_that_is_accepted_while_a_step_ends_is_never_lost() {
    let mut accepted = 0;
    for _ in 0..20 {
        let mut rig = Rig::new(settings(Strategy::BlueGreen { pause: None }, 2, COMMANDS));
        rig.hosts = vec!["web1"];
        let abort = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&abort);
        rig.front = Some(Box::new(move |_, _| Arc::new(Hasty(Arc::clone(&shared)))));
        let going = rig.deploy("v1");
        let (reply, mut replied) = oneshot::channel();
        // The deployment runs on this thread, so it has not begun yet.
        *abort.lock().expect("no panic") = Some((going.order.clone(), reply));
        let end = going.end.await.expect("no panic");
        if replied.try_recv() == Ok(Reply::Accepted) {
            accepted += 1;
            assert_eq!(rig.record(&going.folder).outcome, Some(Outcome::RolledBack), "{end:?}");
        }
    }
    assert!(accepted > 0, "no abort was read");
}
