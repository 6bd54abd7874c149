//! Before a job starts: where it runs, and everything that it will need and cannot have.
//!
//! A job that would fail in its seventh step because an action, an image or node is not there fails before the first one,
//! and says all that it lacks. Images and actions are brought here meanwhile, all at once.

use std::ffi::OsStr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::join_all;

use crate::model::{Conclusion, Event, Gate, JobId};
use crate::workflow::expr::{PathKey, Scope, Value};
use crate::workflow::lint;
use crate::workflow::syntax::StepsJob;

use super::container::Container;
use super::end::JobEnd;
use super::environment::Folders;
use super::runs_on;
use super::runs_on::Placement;
use super::spec::JobSpec;
use crate::engine::RunContext;
use crate::engine::actions::resolve;
use crate::engine::actions::resolve::{Actions, Needs};
use crate::engine::sandbox::docker::body;
use crate::engine::sandbox::docker::client::DockerClient;
use crate::engine::sandbox::docker::labels::Labels;
use crate::engine::sandbox::provider::Progress;
use crate::engine::services::ports;
use crate::engine::services::ports::Claimed;

/// How often the progress of a pull is told.
const TELL: Duration = Duration::from_millis(200);

/// What a job runs with.
pub(in crate::engine) struct Ready {
    pub(in crate::engine) place: Placement,
    /// The job's container.
    pub(in crate::engine) container: Option<Container>,
    pub(in crate::engine) services: Vec<Container>,
    pub(in crate::engine) actions: Actions,
    /// The engine, when something of the job needs one.
    pub(in crate::engine) engine: Option<DockerClient>,
    /// What the job's first log should say.
    pub(in crate::engine) remarks: Vec<String>,
    /// Ports of this machine that are the job's.
    #[expect(dead_code, reason = "held until the job has ended")]
    pub(in crate::engine) ports: Claimed,
}

/// Finds a place for a job and all that it needs.
///
/// # Errors
/// How the job ends without having started.
pub(in crate::engine) async fn ready(run: &RunContext, job: &JobSpec, body: &StepsJob) -> Result<Ready, JobEnd> {
    Preflight { shared: run, job }.ready(body).await
}

struct Preflight<'p> {
    shared: &'p RunContext,
    job: &'p JobSpec,
}

impl Preflight<'_> {
    async fn ready(&self, body: &StepsJob) -> Result<Ready, JobEnd> {
        let failed = |reason: String| JobEnd { reason: Some(reason), ..JobEnd::of(Conclusion::Failure) };
        let scope = self.job.scope();
        let place = runs_on::place(body, &scope, &self.shared.options).map_err(|reason| JobEnd {
            reason: Some(format!("not runnable here ({reason})")),
            not_runnable: Some(reason),
            ..JobEnd::of(Conclusion::Skipped)
        })?;
        let (container, services) = self.containers(body, &place, &scope).map_err(failed)?;
        let mut needs = resolve::needs(&body.steps, self.shared).await;
        let engine = self.engine(&mut needs, container.as_ref(), &services).await;
        if place == Placement::Host
            && let Some(action) = &needs.node
        {
            let path = self.shared.host.environment().iter().find(|(name, _)| name == "PATH");
            let path = path.map_or(OsStr::new(""), |(_, path)| path);
            match resolve::node(path).await {
                Ok((program, version)) => needs.remarks.push(format!("node {version} ({})", program.display())),
                Err(reason) => needs.missing.push(format!("`{action}` is a JavaScript action, and {reason}")),
            }
        }
        if !needs.missing.is_empty() {
            return Err(failed(format!("not started: {}", needs.missing.join("; "))));
        }
        let ports = self.claim(&place, &services).await.map_err(failed)?;
        let mut remarks = self.facts(engine.as_ref(), &needs);
        remarks.append(&mut needs.remarks);
        Ok(Ready { place, container, services, actions: needs.actions, engine, remarks, ports })
    }

    fn containers(
        &self,
        body: &StepsJob,
        place: &Placement,
        scope: &Scope<'_>,
    ) -> Result<(Option<Container>, Vec<Container>), String> {
        let source = &self.job.workflow.source;
        // Paths in `volumes:` are this machine's.
        let workspace = Folders::of(self.shared, &self.job.id).workspace.to_string_lossy().into_owned();
        let mut github = self.shared.github.clone();
        github.insert("workspace", Value::string(workspace));
        let mut contexts = self.job.contexts.clone();
        contexts.set("github", Value::object(github));
        let scope = &Scope { contexts: &contexts, ..*scope };
        let read = |name: &str, template| Container::read(name, template, scope, source);
        let container = match (place, &body.container) {
            (Placement::Container, Some(template)) => read("container", template)?,
            (Placement::Image(image), _) => Some(Container::plain("container", image)),
            _ => None,
        };
        let services = body.services.iter().map(|(name, template)| read(&name.value, template));
        let services: Vec<_> = services.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        let labels = labels(self.shared, &self.job.id);
        for one in container.iter().chain(&services) {
            body::body(one, &labels)?;
        }
        Ok((container, services))
    }

    /// The engine that the job needs, with the images that it needs.
    async fn engine(
        &self,
        needs: &mut Needs,
        container: Option<&Container>,
        services: &[Container],
    ) -> Option<DockerClient> {
        let who = container
            .map(|container| format!("its container ({})", container.image))
            .or_else(|| services.first().map(|service| format!("its service `{}`", service.name)))
            .or_else(|| needs.container.as_ref().map(|action| format!("`{action}`")))?;
        let engine = match DockerClient::find().await {
            Ok(engine) => engine,
            Err(error) => {
                needs.missing.push(format!("{who} needs a container engine: {error}"));
                return None;
            }
        };
        if let Err(reason) = note(self.shared, &engine) {
            needs.missing.push(reason);
        }
        let published = services.iter().find(|service| !service.ports.is_empty());
        if let (None, None, Some(service)) = (engine.socket(), container, published) {
            needs.missing.push(format!(
                "service `{}` cannot be reached at localhost, as the engine at {} is another machine: run the job there \
                 too, with --sandbox docker",
                service.name,
                engine.address()
            ));
        }
        let services = services.iter().map(|service| (format!("service `{}`", service.name), service.clone()));
        let own = container.map(|container| ("the job's container".to_owned(), container.clone()));
        let actions = needs.images.iter().map(|image| ("an action".to_owned(), Container::plain("action", image)));
        let wanted: Vec<_> = services.chain(own).chain(actions).collect();
        let pulls = wanted.iter().map(|(who, container)| self.image(&engine, who, container).boxed());
        needs.missing.extend(join_all(pulls).await.into_iter().flatten());
        Some(engine)
    }

    /// Brings an image here, and says what is wrong if it cannot be had.
    async fn image(&self, engine: &DockerClient, who: &str, container: &Container) -> Option<String> {
        let (job, image) = (self.job.id.clone(), container.image.clone());
        let told = Mutex::new(None::<Instant>);
        let progress = |progress: Progress| {
            let mut told = told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if told.is_none_or(|at| at.elapsed() >= TELL) {
                *told = Some(Instant::now());
                let (job, image) = (job.clone(), image.clone());
                let Progress { done, total } = progress;
                self.shared.outlet.record(Event::ImagePulled { job, image, done, total });
            }
        };
        let found = engine.ensure_image(&container.image, container.credentials.as_ref(), &progress).await;
        let error = found.err()?;
        let place = if container.place.is_empty() { String::new() } else { format!("{}: ", container.place) };
        Some(format!("{place}{who} needs the image {}: {error}", container.image))
    }

    async fn claim(&self, place: &Placement, services: &[Container]) -> Result<Claimed, String> {
        if *place != Placement::Host {
            return Ok(Claimed::default());
        }
        let fixed = services.iter().flat_map(|service| &service.ports).filter_map(|port| port.outside);
        let who = format!("{} of run {}", self.job.name, self.shared.run);
        ports::claim(fixed, &self.shared.folder.runs().ports(), &who, |why| {
            self.shared.outlet.record(Event::JobWaiting { job: self.job.id.clone(), gate: Gate::Resource(why) });
        })
        .await
    }

    /// What the first log says: what the job runs with, and what it may miss.
    fn facts(&self, engine: Option<&DockerClient>, needs: &Needs) -> Vec<String> {
        let mut facts = vec![format!("cuelight {}", env!("CARGO_PKG_VERSION"))];
        facts.extend(engine.map(DockerClient::describe));
        let mut actions: Vec<_> = needs.actions.values().collect();
        actions.sort_unstable_by(|a, b| a.reference.cmp(&b.reference));
        facts.extend(actions.iter().map(|known| format!("{}: {}", known.reference, known.origin)));
        let missing = self.secrets_not_set();
        if !missing.is_empty() {
            facts.push(format!("##[warning]Secrets that are not set, and empty here: {}", missing.join(", ")));
        }
        facts
    }

    /// Secrets that the job's expressions name and that were not given.
    fn secrets_not_set(&self) -> Vec<String> {
        let secrets = self.job.contexts.get("secrets");
        let mut missing = Vec::new();
        for expr in lint::expressions(&self.job.definition) {
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
}

/// The labels of what a job makes in an engine.
pub(in crate::engine) fn labels(run: &RunContext, job: &JobId) -> Labels {
    Labels::new(&run.state, &run.run, job.as_str())
}

/// Notes which engine a run uses, before anything is made there: whoever closes the run if it is lost looks there.
///
/// # Errors
/// The run's folder cannot be written, in words.
pub(in crate::engine) fn note(shared: &RunContext, engine: &DockerClient) -> Result<(), String> {
    let noted = std::fs::write(shared.folder.engine(), engine.address());
    noted.map_err(|error| format!("the run's folder cannot be written: {error}"))
}
