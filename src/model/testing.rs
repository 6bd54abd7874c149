//! Builds runs for tests and benchmarks. Values that do not matter to a test have defaults.

use indexmap::IndexMap;

use super::environment::{DeploymentState, EnvironmentDeployment, Origin, Release};
use super::{
    Annotation, Command, Conclusion, EndReason, Event, Explanation, Gate, JobId, JobOutline, Level, LineRange, Outcome,
    PendingReview, Phase, Record, Reply, ReviewRefusal, RunId, RunInfo, Service, ServiceState, StepKind, StepNumber,
    StepOutline, Summary, Timestamp,
};

/// Name of the step that belongs to the job itself, as the runner calls it.
const SET_UP: &str = "Set up job";

/// Returns a run that a push to `main` of `octo/app` started.
#[must_use]
pub fn info(id: RunId, created: Timestamp) -> RunInfo {
    RunInfo {
        id,
        repository: "octo/app".to_owned(),
        workflow: ".github/workflows/ci.yml".to_owned(),
        event: "push".to_owned(),
        ref_name: "main".to_owned(),
        sha: "3f2c1ab9d0".to_owned(),
        folder: None,
        changed: 0,
        only: Vec::new(),
        created,
        remote: None,
    }
}

/// Returns the summary of a run in its first attempt, without other details.
#[must_use]
pub fn summary(info: RunInfo, name: &str, phase: Phase) -> Summary {
    Summary {
        info,
        name: name.to_owned(),
        attempt: 1,
        phase,
        reason: None,
        started: None,
        finished: None,
        deployments: Vec::new(),
        reviews: Vec::new(),
    }
}

/// Returns the outline of a job that needs these jobs and has no environment.
#[must_use]
pub fn outline(id: &str, name: &str, needs: &[&str]) -> JobOutline {
    JobOutline {
        id: JobId::new(id),
        key: id.to_owned(),
        name: name.to_owned(),
        needs: needs.iter().map(JobId::new).collect(),
        environment: None,
        caller: None,
        remote: None,
    }
}

/// Returns the event that starts an attempt of a run named `CI`.
#[must_use]
pub fn run_started(attempt: u32) -> Event {
    Event::RunStarted { attempt, name: "CI".to_owned() }
}

/// Returns the event that ends a step. A failed step exits with `exit_code`, any other with 0.
#[must_use]
pub fn step_finished(job: &str, step: u32, conclusion: Conclusion, exit_code: i32, reason: Option<&str>) -> Event {
    Event::StepFinished {
        job: JobId::new(job),
        step: StepNumber(step),
        outcome: conclusion,
        conclusion,
        exit_code: Some(if conclusion == Conclusion::Failure { exit_code } else { 0 }),
        signal: None,
        reason: reason.map(str::to_owned),
    }
}

/// Returns the event that ends a job without outputs.
#[must_use]
pub fn job_finished(job: &str, conclusion: Conclusion, reason: Option<&str>) -> Event {
    Event::JobFinished {
        job: JobId::new(job),
        conclusion,
        allowed_failure: false,
        reason: reason.map(str::to_owned),
        outputs: IndexMap::new(),
        environment_url: None,
    }
}

/// Returns an annotation: an error at a line of a file.
#[must_use]
pub fn annotation(file: &str, line: u32, message: &str) -> Annotation {
    Annotation {
        level: Level::Error,
        message: message.to_owned(),
        title: None,
        file: Some(file.to_owned()),
        line: Some(line),
        end_line: None,
        column: None,
        end_column: None,
    }
}

/// Returns a review of an environment that no job waits for yet. The user may review it.
#[must_use]
pub fn pending_review(id: u64, environment: &str, reviewers: &[&str]) -> PendingReview {
    PendingReview {
        id,
        environment: environment.to_owned(),
        reviewers: reviewers.iter().map(|name| (*name).to_owned()).collect(),
        refusal: None,
        wait_until: None,
        since: None,
        jobs: Vec::new(),
    }
}

/// Id of the environment `production` in [`two_reviews`].
pub const PRODUCTION: u64 = 17_000_000_001;

/// Id of the environment `canary` in [`two_reviews`].
pub const CANARY: u64 = 17_000_000_002;

/// Id of the environment `staging` in [`two_reviews`].
pub const STAGING: u64 = 17_000_000_003;

/// Returns a run that waits for reviews after its build: of `staging` and `production` by maria or olu, and of
/// `canary`, which the user may not review and which also has a timer of one hour.
#[must_use]
pub fn two_reviews(start: Timestamp) -> Script {
    let deploy = |id: &str, name: &str, environment: &str| JobOutline {
        environment: Some(environment.to_owned()),
        ..outline(id, name, &["build"])
    };
    let review = |id, environment: &str, job: &str| PendingReview {
        jobs: vec![JobId::new(job)],
        ..pending_review(id, environment, &["maria", "olu"])
    };
    let canary = PendingReview {
        refusal: Some(ReviewRefusal::OwnDeployment),
        wait_until: Some(Timestamp(start.0 + 3_600_000)),
        ..review(CANARY, "canary", "canary")
    };
    let mut script = Script::new(start);
    script
        .start(vec![
            outline("build", "Build", &[]),
            deploy("staging", "Deploy to staging", "staging"),
            deploy("canary", "Deploy canary", "canary"),
            deploy("production", "Deploy", "production"),
        ])
        .at(1)
        .job("build", "Build", &["Set up job", "Compile"])
        .step("build", 2, "Compile", 12)
        .at(60)
        .step_end("build", 2, Conclusion::Success)
        .job_end("build", Conclusion::Success)
        .event(Event::ReviewsPending {
            environments: vec![
                review(STAGING, "staging", "staging"),
                canary,
                review(PRODUCTION, "production", "production"),
            ],
        });
    script
}

/// Returns a run in which every text of every event is `text`, for tests of what an attacker could write. Its step
/// prints five lines.
#[must_use]
pub fn hostile(text: &str) -> (RunInfo, Script) {
    let any = || text.to_owned();
    let mut script = Script::new(Timestamp(0)).paced(100);
    let (job, step) = (JobId::new(text), StepNumber(2));
    let gate = Gate::Concurrency { group: any(), holder: any() };
    let outline = JobOutline { environment: Some(any()), ..outline(text, text, &[text]) };
    script
        .event(Event::RunWaiting { gate: gate.clone(), attempt: 1, name: any() })
        .event(Event::RunStarted { attempt: 2, name: any() })
        .event(Event::JobsPlanned { jobs: vec![outline], replaces: None });
    for gate in [gate, Gate::Resource(any()), Gate::Rule(any()), Gate::Review(any())] {
        script.event(Event::JobWaiting { job: job.clone(), gate });
    }
    script
        .event(Event::JobStarted { name: any(), job: job.clone(), sandbox: any(), environment: None })
        .event(Event::ImagePulled { job: job.clone(), image: any(), done: 1, total: 2 });
    for state in [ServiceState::Healthy, ServiceState::Exited] {
        let ports = [(any(), any()), ("1".to_owned(), any())].into_iter().collect();
        let service = Service { name: any(), image: any(), state, ports, detail: Some(any()), restarts: 0 };
        script.event(Event::ServiceChanged { job: job.clone(), service });
    }
    let planned = StepOutline { number: step, name: any(), kind: StepKind::Main, background: true, label: None };
    script
        .event(Event::StepsPlanned { job: job.clone(), steps: vec![planned] })
        .step(text, step.0, text, 5)
        .event(step_finished(text, step.0, Conclusion::Failure, 1, Some("exit code 1")));
    let operand = Explanation { text: any(), outcome: Outcome::Failed(any()), operands: Vec::new() };
    let explanation = Explanation { text: any(), outcome: Outcome::Value(any()), operands: vec![operand] };
    script.event(Event::Decided { job: job.clone(), step: Some(step), explanation });
    for level in [Level::Notice, Level::Error] {
        let annotation = Annotation { level, title: Some(any()), ..annotation(text, 3, text) };
        script.event(Event::Annotated { job: job.clone(), step, annotation });
    }
    let review = PendingReview { jobs: vec![job.clone()], ..pending_review(1, text, &[text]) };
    let command = Command::Yield { group: any(), job: None, to: any() };
    script
        .event(Event::ReviewsPending { environments: vec![review] })
        .event(Event::Reviewed { environments: vec![any()], approved: true, by: any(), comment: any() })
        .event(Event::Ordered { command, reply: Reply::Rejected { reason: any() }, by: None })
        .event(Event::JobFinished {
            job,
            conclusion: Conclusion::Failure,
            allowed_failure: true,
            reason: Some(any()),
            outputs: IndexMap::from([(any(), any())]),
            environment_url: Some(any()),
        })
        .event(Event::RunFinished { conclusion: Conclusion::Failure, reason: Some(EndReason::Message(any())) });
    let info = RunInfo {
        id: RunId::new("20261124-000000-0001"),
        repository: any(),
        workflow: any(),
        event: any(),
        ref_name: any(),
        sha: any(),
        folder: None,
        changed: 3,
        only: vec![any()],
        created: Timestamp(0),
        remote: None,
    };
    (info, script)
}

/// Builds the records of a run, in order.
#[derive(Clone, Debug)]
pub struct Script {
    start: Timestamp,
    now: Timestamp,
    /// Milliseconds from one record to the next.
    pace: u64,
    /// The records so far.
    pub records: Vec<Record>,
}

impl Script {
    /// Creates a script. Its records have the time `start` until [`Script::at`] sets another.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self { start, now: start, pace: 0, records: Vec::new() }
    }

    /// Sets the time between two records, in milliseconds. The first record is that much after the start.
    #[must_use]
    pub fn paced(self, pace: u64) -> Self {
        Self { pace, ..self }
    }

    /// Sets the time of the next record, in seconds after the start.
    pub fn at(&mut self, seconds: u64) -> &mut Self {
        self.now = Timestamp(self.start.0 + seconds * 1000);
        self
    }

    /// Adds a record of an event.
    pub fn event(&mut self, event: Event) -> &mut Self {
        self.now = Timestamp(self.now.0 + self.pace);
        let seq = self.records.len() as u64 + 1;
        self.records.push(Record { seq, at: self.now, event });
        self
    }

    /// Starts the run, and plans its jobs.
    pub fn start(&mut self, jobs: Vec<JobOutline>) -> &mut Self {
        self.event(run_started(1)).event(Event::JobsPlanned { jobs, replaces: None })
    }

    /// Starts a job on the host, and plans its steps.
    pub fn job(&mut self, id: &str, name: &str, steps: &[&str]) -> &mut Self {
        let job = JobId::new(id);
        let steps = (1..).zip(steps).map(|(number, name)| StepOutline {
            number: StepNumber(number),
            name: (*name).to_owned(),
            kind: if *name == SET_UP { StepKind::Job } else { StepKind::Main },
            background: false,
            label: None,
        });
        let steps = steps.collect();
        self.event(Event::JobStarted {
            job: job.clone(),
            name: name.to_owned(),
            sandbox: "host".to_owned(),
            environment: None,
        });
        self.event(Event::StepsPlanned { job, steps })
    }

    /// Starts a step, and lets it print this many lines.
    pub fn step(&mut self, job: &str, number: u32, name: &str, lines: u64) -> &mut Self {
        let (job, step) = (JobId::new(job), StepNumber(number));
        self.event(Event::StepStarted { job: job.clone(), step, name: name.to_owned() });
        self.event(Event::Output { job, step, output: LineRange { first: 0, count: lines } })
    }

    /// Ends a step. A failed one exits with 1.
    pub fn step_end(&mut self, job: &str, number: u32, conclusion: Conclusion) -> &mut Self {
        self.event(step_finished(job, number, conclusion, 1, None))
    }

    /// Ends a job.
    pub fn job_end(&mut self, job: &str, conclusion: Conclusion) -> &mut Self {
        self.event(job_finished(job, conclusion, None))
    }

    /// Ends the run.
    pub fn end(&mut self, conclusion: Conclusion) -> &mut Self {
        self.event(Event::RunFinished { conclusion, reason: None })
    }
}

/// Returns a deployment of a tag that was created at a time. Its state decides the other fields: it succeeded if it is
/// or was live, and it began unless it waits.
#[must_use]
pub fn deployment_of(tag: &str, state: DeploymentState, created: Timestamp) -> EnvironmentDeployment {
    // Each tag gets a different commit.
    let sha = tag.bytes().map(|byte| format!("{byte:02x}")).rev().collect::<String>() + "abcdef0123456789";
    let release = Release { sha, reference: "main".to_owned(), tag: Some(tag.to_owned()) };
    let succeeded = matches!(state, DeploymentState::Success | DeploymentState::Inactive);
    let waits = matches!(state, DeploymentState::Pending | DeploymentState::Waiting | DeploymentState::Queued);
    EnvironmentDeployment {
        release,
        succeeded,
        began: !waits,
        creator: "ines".to_owned(),
        created,
        ended: None,
        description: String::new(),
        origin: Origin::default(),
        outcome: None,
        run: Some(created.0),
        local: None,
        job: None,
        url: None,
        state,
    }
}
