//! Finds where a job runs, and fetches everything that it needs, before it starts.
//!
//! This check makes a job fail before its first step, with a list of everything that is missing. Without it, a missing
//! action, image or Node.js would fail the job only when its step runs. Actions are fetched one after the other, and
//! then all images in parallel.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Conclusion, Event, Gate, JobId};
use crate::workflow::expr::{PathKey, Scope, Value};
use crate::workflow::lint;
use crate::workflow::syntax::{NamedValues, StepsJob};

use super::container;
use super::container::ContainerError;
use super::end::{JobEnd, NotRunnable};
use super::folders::{Folders, search_path};
use super::runs_on;
use super::spec::JobSpec;
use crate::engine::RunContext;
use crate::engine::actions::resolve;
use crate::engine::actions::resolve::{Actions, Needs, WorkflowRepository};
use crate::engine::outlet::Outlet;
use crate::engine::sandbox::container::ContainerSpec;
use crate::engine::sandbox::provider::{
    Base, Machine, MachineSpec, Progress, ProviderError, RequiredImage, Requirements,
};
use crate::engine::sandbox::providers::Placement;
use crate::engine::services::ports;
use crate::engine::services::ports::Claimed;
use crate::engine::tools;

/// Minimum time between two progress records of an image.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// A job that can start once it has its ports: its machine and actions.
pub(in crate::engine) struct Ready {
    /// Machine of the job, not started yet.
    pub(in crate::engine) machine: Box<dyn Machine>,
    /// Whether the machine starts a container for the job, or services.
    pub(in crate::engine) has_containers: bool,
    /// Whether the steps run in a container, as whichever user its image or its options name.
    pub(super) in_container: bool,
    /// Actions that the job uses, except those in the workspace.
    pub(in crate::engine) actions: Actions,
    /// Repository of the job's workflow, if it is not the run's repository.
    pub(in crate::engine) called: Option<WorkflowRepository>,
    /// Lines for the log of the step "Set up job".
    pub(in crate::engine) remarks: Vec<String>,
    /// Ports of this machine that the services of the job use.
    fixed_ports: Vec<u16>,
    /// The claimed ports, which are held until the job has ended.
    pub(in crate::engine) ports: Claimed,
}

impl Ready {
    /// Waits until the ports of the job are free, and claims them. Records what the job waits for. Call this only for a
    /// job that is about to run: a job that claims ports and then waits for something else could block the job that it
    /// waits for.
    ///
    /// # Errors
    /// A port cannot be claimed; the error is the end of the job.
    pub(super) async fn claim_ports(&mut self, run: &RunContext, job: &JobSpec) -> Result<(), JobEnd> {
        let who = format!("{} of run {}", job.name, run.run);
        let folder = run.folder.runs().ports();
        let claimed = ports::claim(self.fixed_ports.iter().copied(), &folder, &who, |reason| {
            run.outlet.record(Event::JobWaiting { job: job.id.clone(), gate: Gate::Resource(reason) });
        });
        self.ports = claimed.await.map_err(|error| JobEnd::failed(error.to_string()))?;
        Ok(())
    }

    /// Releases the ports for other jobs.
    pub(super) fn release_ports(&mut self) {
        self.ports = Claimed::default();
    }
}

/// Finds where a job runs, and fetches everything that it needs.
///
/// # Errors
/// The job cannot start; the error is its end.
pub(in crate::engine) async fn ready(run: &RunContext, job: &JobSpec, body: &StepsJob) -> Result<Ready, JobEnd> {
    let failed = |reason: String| JobEnd { reason: Some(reason), ..JobEnd::of(Conclusion::Failure) };
    let placement = runs_on::place(body, &job.scope(), &run.options, &run.providers).map_err(|error| {
        let why = if error.is_elsewhere() { NotRunnable::Elsewhere } else { NotRunnable::Nowhere };
        why(error.to_string()).end()
    })?;
    let folders = Folders::of(run, &job.id);
    let (placement, container, services) =
        containers(run, job, body, &folders, placement).map_err(|error| failed(error.to_string()))?;
    let mut needs = resolve::needs(&body.steps, &job.workflow.source.name, run).await;
    resolve::check_locks(&mut needs, &job.workflow.dependencies);
    let folder = run.folder.clone();
    let requirements = Requirements {
        run: &folder,
        base: &placement.base,
        services: &services,
        needs_containers: needs_containers(container.as_ref(), &services, &needs),
        images: images(container.as_ref(), &services, &needs),
    };
    let recorder = ProgressRecorder { outlet: &*run.outlet, job: &job.id, recorded: Mutex::default() };
    let provider = placement.provider.prepare(&requirements, &|image, progress| recorder.record(image, progress)).await;
    let provider = provider.unwrap_or_else(|unmet| {
        needs.missing.extend(unmet.iter().map(ToString::to_string));
        None
    });
    if placement.base == Base::Machine
        && let Some(action) = &needs.node
    {
        match resolve::node(search_path(&*run.host)).await {
            Ok((program, version)) => needs.remarks.push(format!("node {version} ({})", program.display())),
            Err(error) => needs.missing.push(format!("`{action}` is a JavaScript action, and {error}")),
        }
    }
    if !needs.missing.is_empty() {
        let unset = secrets_not_set(job);
        needs.missing.extend((!unset.is_empty()).then(|| format!("secrets that are not set: {}", unset.join(", "))));
        return Err(failed(format!("not started: {}", needs.missing.join("; "))));
    }
    let fixed_ports = fixed_ports(&placement.base, &services);
    let mut remarks = remarks(run, job, provider, &needs);
    if body.snapshot.is_some() {
        remarks.push("`snapshot` is supported only on GitHub: no image of the runner is created here".to_owned());
    }
    // With --in-place, no other user may write to the folders here, either.
    remarks.extend(container.as_ref().filter(|_| !run.options.in_place).and_then(container::remark_about_user));
    remarks.append(&mut needs.remarks);
    let shared = if container.is_some() { folders.shared(run, &needs.actions) } else { Vec::new() };
    let tools = if container.is_some() {
        let remotes = needs.actions.values().filter_map(|action| action.remote.as_ref());
        tools::container::folders(run, &tools::setup::tools(remotes)).await
    } else {
        Vec::new()
    };
    let in_container = container.is_some();
    let has_containers = in_container || !services.is_empty();
    let machine = placement.provider.machine(MachineSpec {
        run: folder,
        job: job.id.clone(),
        base: placement.base,
        container,
        services,
        shared,
        tools,
        control: folders.control(),
        workspace: folders.workspace,
        supervised: run.options.supervisor,
        socket: run.options.docker_socket,
        return_files: rustix::process::getuid().as_raw() != 0 && !run.options.in_place,
        max_snapshots: run.options.keep_failed,
        outlet: std::sync::Arc::clone(&run.outlet),
    });
    let ports = Claimed::default();
    let Needs { actions, called, .. } = needs;
    Ok(Ready { machine, has_containers, in_container, actions, called, remarks, fixed_ports, ports })
}

/// Why the definition of a job's container or of a service is rejected.
#[derive(Debug, thiserror::Error)]
enum ContainersError {
    /// A definition is invalid.
    #[error(transparent)]
    Definition(#[from] ContainerError),
    /// The provider does not support the container.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

/// Evaluates and checks the job's container and services. Returns them with the placement of the job, which depends on
/// whether the job has a container.
fn containers(
    run: &RunContext,
    job: &JobSpec,
    body: &StepsJob,
    folders: &Folders,
    placement: Placement,
) -> Result<(Placement, Option<ContainerSpec>, Vec<ContainerSpec>), ContainersError> {
    // `github.workspace` in `volumes:` must be a path on this machine.
    let mut github = run.github.clone();
    github.insert("workspace", Value::string(folders.workspace.to_string_lossy().into_owned()));
    let mut contexts = job.contexts.clone();
    contexts.set("github", Value::object(github));
    let scope = Scope { contexts: &contexts, ..job.scope() };
    let read = |name: &str, template| container::read(name, template, &scope, &job.workflow.source);
    let asked = body.container.as_ref().map(|template| read("container", template)).transpose()?.flatten();
    let (placement, container) = match (asked, &placement.base) {
        (Some(asked), _) => (run.providers.in_container(placement), Some(asked)),
        (None, Base::Image(image)) => {
            let container = ContainerSpec::plain("container", image);
            (placement, Some(container))
        }
        (None, _) => (placement, None),
    };
    let services = match &body.services {
        NamedValues::Written(services) => {
            services.iter().map(|(name, template)| read(&name.value, template)).collect::<Result<Vec<_>, _>>()?
        }
        NamedValues::Computed(whole) => container::read_all(whole, &scope, &job.workflow.source)?,
    };
    let services: Vec<_> = services.into_iter().flatten().collect();
    for one in container.iter().chain(&services) {
        placement.provider.check_container(one)?;
    }
    Ok((placement, container, services))
}

/// Describes the first part of the job that needs containers; `None` if no part does.
fn needs_containers(container: Option<&ContainerSpec>, services: &[ContainerSpec], needs: &Needs) -> Option<String> {
    container
        .map(|container| format!("its container ({})", container.image))
        .or_else(|| services.first().map(|service| format!("its service `{}`", service.name)))
        .or_else(|| needs.container.as_ref().map(|action| format!("`{action}`")))
}

/// Lists the images of services, of the job's container, and of actions.
fn images(container: Option<&ContainerSpec>, services: &[ContainerSpec], needs: &Needs) -> Vec<RequiredImage> {
    let required = |needed_by: String, container: ContainerSpec| RequiredImage { needed_by, container };
    let of_services = services.iter().map(|service| required(format!("service `{}`", service.name), service.clone()));
    let of_job = container.map(|container| required("the job's container".to_owned(), container.clone()));
    let of_actions =
        needs.images.iter().map(|image| required("an action".to_owned(), ContainerSpec::plain("action", image)));
    of_services.chain(of_job).chain(of_actions).collect()
}

/// Records the download progress of images, at most once per [`PROGRESS_INTERVAL`] and image.
struct ProgressRecorder<'r> {
    outlet: &'r dyn Outlet,
    job: &'r JobId,
    /// Time of the last record, by image.
    recorded: Mutex<HashMap<String, Instant>>,
}

impl ProgressRecorder<'_> {
    fn record(&self, image: &str, progress: Progress) {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        if recorded.get(image).is_none_or(|at| at.elapsed() >= PROGRESS_INTERVAL) {
            recorded.insert(image.to_owned(), Instant::now());
            let Progress { done, total } = progress;
            self.outlet.record(Event::ImagePulled { job: self.job.clone(), image: image.to_owned(), done, total });
        }
    }
}

/// Returns the fixed ports of this machine that the job's services use. A job in a container uses none, because it has
/// a separate network.
fn fixed_ports(base: &Base, services: &[ContainerSpec]) -> Vec<u16> {
    let services = if *base == Base::Machine { services } else { &[] };
    services.iter().flat_map(|service| &service.ports).filter_map(|port| port.outside).collect()
}

/// Returns the lines for the log of the step "Set up job": the versions of cuelight, the provider and the actions,
/// where GitHub's API is answered, and the missing secrets.
fn remarks(run: &RunContext, job: &JobSpec, provider: Option<String>, needs: &Needs) -> Vec<String> {
    let mut remarks = vec![format!("cuelight {}", env!("CARGO_PKG_VERSION"))];
    remarks.extend(provider);
    let mut actions: Vec<_> = needs.actions.values().collect();
    actions.sort_unstable_by(|a, b| a.reference.cmp(&b.reference));
    remarks.extend(actions.iter().map(|action| format!("{}: {}", action.reference, action.origin)));
    if needs.node.is_some() || needs.container.is_some() {
        remarks.push(if run.facts.local_api {
            "GitHub's API: answered on this machine, about this repository and run".to_owned()
        } else {
            "GitHub's API: answered by GitHub".to_owned()
        });
    }
    let missing = secrets_not_set(job);
    if !missing.is_empty() {
        remarks.push(format!("##[warning]Secrets that are not set, and empty here: {}", missing.join(", ")));
    }
    remarks
}

/// Returns the names of the secrets that the job's expressions use and that were not given.
fn secrets_not_set(job: &JobSpec) -> Vec<String> {
    let secrets = job.contexts.get("secrets");
    let mut missing = Vec::new();
    for expr in lint::expressions(&job.definition) {
        for reference in expr.roots() {
            let Some(PathKey::Name(name, _)) = reference.path.first() else { continue };
            let set = secrets.is_some_and(|secrets| secrets.get(name).is_some());
            if reference.context.text.eq_ignore_ascii_case("secrets")
                && !set
                && !missing.iter().any(|known| known == name)
            {
                missing.push((*name).to_owned());
            }
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sandbox::provider::{ProviderError, Unmet};
    use crate::engine::sandbox::testing::Script;
    use crate::engine::testing::{MemoryOutlet, job_spec, run_context};
    use crate::workflow::syntax::JobBody;
    use std::sync::Arc;

    /// Result of a preflight: everything that the job runs with, or how it ends.
    struct Outcome {
        ready: Result<Ready, JobEnd>,
        images: Vec<String>,
        events: Vec<Event>,
    }

    impl Outcome {
        /// Returns why the job does not start.
        fn reason(&self) -> &str {
            self.ready.as_ref().err().and_then(|end| end.reason.as_deref()).expect("the job does not start")
        }
    }

    /// Runs the preflight of a job with the given lines. The action `o/js@v1` exists and is a JavaScript action.
    async fn preflight(job: &str, script: Script) -> Outcome {
        let folder = tempfile::tempdir().expect("a folder");
        let action = folder.path().join("js");
        std::fs::create_dir(&action).expect("made");
        std::fs::write(action.join("action.yml"), "name: js\nruns: {using: node20, main: x.js}\n").expect("written");
        let (script, providers) = script.providers();
        let outlet = Arc::new(MemoryOutlet::default());
        let run = run_context(folder.path(), &outlet, providers, &[("o/js", &action)]);
        let lines = job.lines().fold(String::new(), |text, line| format!("{text}    {line}\n"));
        let job = job_spec(&format!("on: push\njobs:\n  a:\n{lines}"));
        let JobBody::Steps(body) = &job.definition.body else { panic!("a job with steps") };
        let ready = ready(&run, &job, body).await;
        let images = script.images.lock().expect("no panic").clone();
        Outcome { ready, images, events: outlet.events() }
    }

    fn image_is_missing() -> Unmet {
        Unmet::Image {
            place: "ci.yml:5:20".to_owned(),
            needed_by: "service `db`".to_owned(),
            image: "db:1".to_owned(),
            error: ProviderError::NotFound("cannot pull db:1: not found".to_owned()),
        }
    }

    fn docker_is_missing() -> Unmet {
        let error = ProviderError::Unavailable("no container engine answers (unix:///nowhere)".to_owned());
        Unmet::Provider { needed_by: "its service `db`".to_owned(), error }
    }

    #[tokio::test]
    async fn missing_requirements_are_listed_before_the_job_starts() {
        let service = "runs-on: ubuntu-latest\nservices: {db: {image: 'db:1'}}\nsteps: [{run: x}]";
        let all = "runs-on: ubuntu-latest\nservices: {db: {image: 'db:1'}}\nenv: {A: '${{ secrets.KEY }}'}\n\
                   steps: [{uses: o/js@v1}, {uses: o/none@v1}]";
        let image = "ci.yml:5:20: service `db` needs the image db:1: cannot pull db:1: not found";
        let docker = "its service `db` needs a container engine: no container engine answers (unix:///nowhere)";
        let action = "`o/none@v1` is not in the cache, and --offline is set";
        let node = "`o/js@v1` is a JavaScript action, and node is not on PATH: install Node.js 20 or newer";
        for (name, job, unmet, expected) in [
            ("image", service, vec![image_is_missing()], vec![image]),
            ("Docker", service, vec![docker_is_missing()], vec![docker]),
            ("action", "runs-on: ubuntu-latest\nsteps: [{uses: o/none@v1}]", vec![], vec![action]),
            ("node", "runs-on: ubuntu-latest\nsteps: [{uses: o/js@v1}]", vec![], vec![node]),
            ("all", all, vec![image_is_missing()], vec![action, image, node, "secrets that are not set: KEY"]),
        ] {
            let outcome = preflight(job, Script { unmet, ..Script::default() }).await;
            assert_eq!(outcome.reason(), format!("not started: {}", expected.join("; ")), "{name}");
            let end = outcome.ready.err().expect("the job does not start");
            assert_eq!((end.conclusion, end.not_runnable), (Conclusion::Failure, None), "{name}");
        }
    }

    #[tokio::test]
    async fn a_job_for_another_machine_is_skipped_with_its_label() {
        let outcome = preflight("runs-on: windows-2022\nsteps: [{run: x}]", Script::default()).await;
        assert!(
            outcome.reason().starts_with("not runnable here (no runner for `windows-2022`"),
            "{}",
            outcome.reason()
        );
        let end = outcome.ready.err().expect("skipped");
        assert!(end.conclusion == Conclusion::Skipped && end.not_runnable.is_some());
    }

    #[tokio::test]
    async fn an_invalid_definition_is_reported_with_its_position() {
        let job = "runs-on: ubuntu-latest\nservices: {db: {image: x, ports: [http]}}\nsteps: [{run: x}]";
        let outcome = preflight(job, Script::default()).await;
        assert!(outcome.reason().starts_with("ci.yml:5:"), "{}", outcome.reason());
        assert_eq!(outcome.images, Vec::<String>::new(), "nothing is fetched for it");
    }

    #[tokio::test]
    async fn all_images_of_a_job_are_requested_from_its_provider() {
        let job = "runs-on: ubuntu-latest\ncontainer: own:1\nservices: {db: {image: 'db:1'}}\nsteps: [{uses: 'docker://tool:1'}]";
        let outcome = preflight(job, Script::default()).await;
        assert_eq!(outcome.images, ["service `db`: db:1", "the job's container: own:1", "an action: tool:1"]);
        let ready = outcome.ready.unwrap_or_else(|end| panic!("{:?}", end.reason));
        assert_eq!((ready.machine.describe().as_str(), ready.has_containers), ("docker own:1", true));
        assert!(ready.in_container);
        assert_eq!(ready.remarks[1], "docker 1 at unix:///here");
    }

    #[tokio::test]
    async fn a_container_without_an_image_runs_on_the_machine() {
        let job = "runs-on: ubuntu-latest\ncontainer: '${{ github.nothing }}'\nsteps: [{run: x}]";
        let ready = preflight(job, Script::default()).await.ready.unwrap_or_else(|end| panic!("{:?}", end.reason));
        assert_eq!((ready.machine.describe().as_str(), ready.has_containers), ("host", false));
        assert!(!ready.in_container);
    }

    #[tokio::test(start_paused = true)]
    async fn progress_of_an_image_is_recorded_a_few_times_a_second() {
        let (outlet, job) = (MemoryOutlet::default(), JobId::new("a"));
        let recorder = ProgressRecorder { outlet: &outlet, job: &job, recorded: Mutex::default() };
        for done in 1..=100 {
            recorder.record("a:1", Progress { done, total: 100 });
            recorder.record("b:1", Progress { done, total: 100 });
            tokio::time::advance(PROGRESS_INTERVAL / 50).await;
        }
        let recorded = outlet.events().into_iter().map(|event| match event {
            Event::ImagePulled { image, done, .. } => format!("{image} {done}"),
            other => panic!("{other:?}"),
        });
        assert_eq!(recorded.collect::<Vec<_>>(), ["a:1 1", "b:1 1", "a:1 51", "b:1 51"]);
    }

    #[tokio::test]
    async fn progress_reaches_the_journal() {
        let job = "runs-on: ubuntu-latest\ncontainer: own:1\nsteps: [{run: x}]";
        let progress = vec![("own:1", Progress { done: 1, total: 9 }), ("own:1", Progress { done: 2, total: 9 })];
        let outcome = preflight(job, Script { progress, ..Script::default() }).await;
        let expected = Event::ImagePulled { job: JobId::new("a"), image: "own:1".to_owned(), done: 1, total: 9 };
        assert_eq!(outcome.events, [expected]);
    }
}
