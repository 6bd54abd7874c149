//! Jobs that wait for their environments.

use super::*;

/// An environment whose rules let a job pass once the test notifies them.
#[derive(Default)]
struct HeldEnvironment(tokio::sync::Notify);

impl EnvironmentGate for HeldEnvironment {
    fn enter(self: Arc<Self>, _: JobId, _: String) -> BoxFuture<'static, Entered> {
        async move {
            self.0.notified().await;
            Ok(None)
        }
        .boxed()
    }
}

/// Jobs of which `deploy` waits for an environment.
const DEPLOY_AND_BUILD: &str = "  deploy:\n    runs-on: x\n    environment: production\n    steps: [run: '1']\n  \
                                build:\n    runs-on: x\n    steps: [run: '1']\n";

/// Runs the jobs `deploy` and `build` with one slot, and checks that `build` runs while `deploy` waits. `opens` is called
/// when `build` starts, and lets `deploy` pass.
async fn build_runs_while_deploy_waits(
    jobs: &str,
    environments: Arc<dyn EnvironmentGate>,
    opens: impl Fn() + Send + Sync + 'static,
) {
    let outlet = MemoryOutlet::observed(move |event| {
        if let Event::JobStarted { job, .. } = event
            && job.as_str() == "build"
        {
            opens();
        }
    });
    let run = Driven::new(outlet, ScriptedSandbox::always(ProcessScript::exits(0)));
    let context = RunContext { environments, ..scripted_run(run.home.path(), &run.outlet, &run.sandbox) };
    let end = tokio::time::timeout(std::time::Duration::from_hours(1), run.run_in(context, jobs, 1)).await;
    assert_eq!(end.expect("build starts while deploy waits").conclusion, Conclusion::Success);
    let turns = run.outlet.events().into_iter().filter_map(|event| match event {
        Event::JobStarted { job, .. } => Some(format!("{job} starts")),
        Event::JobFinished { job, .. } => Some(format!("{job} ends")),
        _ => None,
    });
    assert_eq!(turns.collect::<Vec<_>>(), ["build starts", "build ends", "deploy starts", "deploy ends"]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_for_an_environment_leaves_its_slot_to_another() {
    let environment = Arc::<HeldEnvironment>::default();
    let opens = Arc::clone(&environment);
    build_runs_while_deploy_waits(DEPLOY_AND_BUILD, environment, move || opens.0.notify_one()).await;
}

/// An environment that looks free at first, but that another deployment has until `ends` is notified.
#[derive(Default)]
struct TakenEnvironment {
    ends: tokio::sync::Notify,
    /// Calls of the methods of the deployment, in order.
    asked: std::sync::Mutex<Vec<&'static str>>,
}

struct TakenDeployment(Arc<TakenEnvironment>);

impl EnvironmentGate for TakenEnvironment {
    fn enter(self: Arc<Self>, _: JobId, _: String) -> BoxFuture<'static, Entered> {
        async move { Ok(Some(Box::new(TakenDeployment(self)) as _)) }.boxed()
    }
}

impl TakenDeployment {
    fn ask(&self, what: &'static str) -> usize {
        let mut asked = self.0.asked.lock().expect("no panic");
        asked.push(what);
        asked.iter().filter(|one| **one == what).count()
    }
}

impl JobDeployment for TakenDeployment {
    fn wait(&mut self) -> BoxFuture<'_, Result<(), EnvironmentError>> {
        async move {
            if self.ask("wait") > 1 {
                self.0.ends.notified().await;
            }
            Ok(())
        }
        .boxed()
    }

    fn begin(&mut self) -> BoxFuture<'_, Result<bool, EnvironmentError>> {
        async move { Ok(self.ask("begin") > 1) }.boxed()
    }

    fn end(self: Box<Self>, conclusion: Conclusion, _: Option<&str>) -> Result<(), EnvironmentError> {
        assert_eq!((self.ask("end"), conclusion), (1, Conclusion::Success));
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_environment_is_taken_when_it_has_a_slot_waits_again_without_the_slot() {
    let environment = Arc::<TakenEnvironment>::default();
    let other = Arc::clone(&environment);
    build_runs_while_deploy_waits(DEPLOY_AND_BUILD, environment.clone(), move || other.ends.notify_one()).await;
    assert_eq!(*environment.asked.lock().expect("no panic"), ["wait", "begin", "wait", "begin", "end"]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_for_an_environment_leaves_its_ports_to_another() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|bound| bound.local_addr()).expect("free").port();
    let job = |name: &str, key: &str| {
        format!(
            "  {name}:\n    runs-on: x\n    {key}services: {{db: {{image: a, ports: ['{port}:1']}}}}\n    steps: [run: '1']\n"
        )
    };
    let jobs = job("deploy", "environment: production\n    ") + &job("build", "");
    let environment = Arc::<HeldEnvironment>::default();
    let opens = Arc::clone(&environment);
    build_runs_while_deploy_waits(&jobs, environment, move || opens.0.notify_one()).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_cancelled_while_it_waits_for_an_environment_never_starts() {
    let jobs = "  deploy:\n    runs-on: x\n    environment: production\n    steps: [run: '1']\n";
    let run = Driven::new(Arc::default(), ScriptedSandbox::always(ProcessScript::exits(0)));
    let environments = Arc::<HeldEnvironment>::default();
    let context = RunContext { environments, ..scripted_run(run.home.path(), &run.outlet, &run.sandbox) };
    let cancels = async {
        tokio::time::sleep(std::time::Duration::from_mins(1)).await;
        run.stop.send_replace(Cancellation::Cancel);
    };
    let (end, ()) = tokio::join!(run.run_in(context, jobs, 1), cancels);
    assert_eq!(end.conclusion, Conclusion::Cancelled);
    assert_eq!(run.end_of("deploy"), (Conclusion::Cancelled, "cancelled before it started".to_owned()));
}
