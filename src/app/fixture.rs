//! A scripted run for tests: lint succeeded, one leg of a test matrix failed, security runs, build waits.

use std::collections::HashMap;

use indexmap::IndexMap;
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;

use crate::model::RunInfo;
use crate::model::{
    Annotation, Conclusion, Event, JobId, JobOutline, Level, LineRange, Record, RunId, Service, ServiceState, StepKind,
    StepNumber, StepOutline, Timestamp,
};
use crate::model::{Deployment, Summary};
use crate::ui::theme::{Glyphs, Theme};

use super::App;
use super::keymap::{Keymap, typed};
use super::msg::{Effect, Msg, RenderedPage};
use crate::model::feed::{Feed, Input, InputKind, StartableWorkflow};
use crate::store::logs::query::{
    LogKey, LogPage, LogSearch, LogSearchResult, MAX_RUN_HITS, PageRequest, Query, RawLine, RunSearch, RunSearchResult,
};

/// When the run of the fixture was created.
pub(crate) const START: u64 = 1_795_487_000_000;

/// The run of the fixture.
pub(crate) fn run() -> RunId {
    RunId::new("20261124-021530-4f3a")
}

/// What is known of a run before its records.
pub(crate) fn header(id: RunId) -> RunInfo {
    RunInfo {
        id,
        repository: "octo/app".to_owned(),
        workflow: ".github/workflows/ci.yml".to_owned(),
        event: "push".to_owned(),
        ref_name: "main".to_owned(),
        sha: "3f2c1ab9d0".to_owned(),
        created: Timestamp(START),
    }
}

/// Collects records, each with its time in seconds after the start.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) records: Vec<Record>,
}

impl Script {
    pub(crate) fn at(&mut self, seconds: u64, event: Event) -> &mut Self {
        let seq = self.records.len() as u64 + 1;
        self.records.push(Record { seq, at: Timestamp(START + seconds * 1000), event });
        self
    }

    pub(crate) fn begin(&mut self, jobs: &[(&str, &str, &[&str])]) -> &mut Self {
        let outline = |(id, name, needs): &(&str, &str, &[&str])| JobOutline {
            id: JobId::new(id),
            key: (*id).to_owned(),
            name: (*name).to_owned(),
            needs: needs.iter().map(JobId::new).collect(),
            environment: (*id == "build").then(|| "staging".to_owned()),
            caller: None,
        };
        self.at(0, Event::RunStarted { attempt: 1, name: "CI".to_owned() });
        self.at(0, Event::JobsPlanned { jobs: jobs.iter().map(outline).collect(), replaces: None })
    }

    pub(crate) fn job(&mut self, seconds: u64, id: &str, name: &str, steps: &[&str]) -> &mut Self {
        let job = JobId::new(id);
        let step = |(number, name): (usize, &&str)| StepOutline {
            number: StepNumber(number as u32 + 1),
            name: (*name).to_owned(),
            kind: if number == 0 { StepKind::Job } else { StepKind::Main },
        };
        let steps = steps.iter().enumerate().map(step).collect();
        self.at(seconds, Event::JobStarted { job: job.clone(), name: name.to_owned(), sandbox: "host".to_owned() });
        self.at(seconds, Event::StepsPlanned { job, steps })
    }

    pub(crate) fn step(&mut self, seconds: u64, id: &str, number: u32, name: &str, lines: u64) -> &mut Self {
        let (job, step) = (JobId::new(id), StepNumber(number));
        self.at(seconds, Event::StepStarted { job: job.clone(), step, name: name.to_owned() });
        self.at(seconds, Event::Output { job, step, output: LineRange { first: 0, count: lines } })
    }

    pub(crate) fn step_end(&mut self, seconds: u64, id: &str, number: u32, conclusion: Conclusion) -> &mut Self {
        let exit_code = Some(i32::from(conclusion == Conclusion::Failure));
        let (job, step) = (JobId::new(id), StepNumber(number));
        let event =
            Event::StepFinished { job, step, outcome: conclusion, conclusion, exit_code, signal: None, reason: None };
        self.at(seconds, event)
    }

    pub(crate) fn job_end(&mut self, seconds: u64, id: &str, conclusion: Conclusion) -> &mut Self {
        let event = Event::JobFinished {
            job: JobId::new(id),
            conclusion,
            allowed_failure: false,
            reason: None,
            outputs: IndexMap::new(),
            environment_url: None,
        };
        self.at(seconds, event)
    }

    pub(crate) fn service(&mut self, seconds: u64, id: &str, name: &str, state: ServiceState) -> &mut Self {
        let ports = [("5432/tcp".to_owned(), "54321".to_owned())].into_iter().filter(|_| name == "postgres");
        let service = Service {
            name: name.to_owned(),
            image: format!("{name}:16"),
            state,
            ports: ports.collect(),
            detail: (state == ServiceState::Unhealthy).then(|| "connection refused".to_owned()),
            restarts: 0,
        };
        self.at(seconds, Event::ServiceChanged { job: JobId::new(id), service })
    }

    pub(crate) fn end(&mut self, seconds: u64, conclusion: Conclusion) -> &mut Self {
        self.at(seconds, Event::RunFinished { conclusion, reason: None })
    }
}

const STEPS: [&str; 4] = ["Set up job", "Checkout", "Install dependencies", "Run tests"];

/// The records of the fixture: after three minutes the security job still runs.
pub(crate) fn records() -> Vec<Record> {
    use Conclusion::{Failure, Success};
    let mut script = Script::default();
    script.begin(&[
        ("lint", "Lint", &[]),
        ("test", "Test (3.12)", &["lint"]),
        ("test-2", "Test (3.13)", &["lint"]),
        ("security", "Security Scan", &["lint"]),
        ("build", "Build Docker", &["test", "test-2", "security"]),
    ]);
    script.job(1, "lint", "Lint", &["Set up job", "Checkout", "Run ruff"]);
    for (number, name) in [(1, "Set up job"), (2, "Checkout"), (3, "Run ruff")] {
        script.step(1, "lint", number, name, 12).step_end(number.into(), "lint", number, Success);
    }
    script.job_end(41, "lint", Success);
    for (id, name) in [("test", "Test (3.12)"), ("test-2", "Test (3.13)")] {
        script.job(42, id, name, &STEPS);
        for (number, name) in [(1, STEPS[0]), (2, STEPS[1]), (3, STEPS[2])] {
            script.step(43, id, number, name, 8).step_end(60, id, number, Success);
        }
    }
    for (job, name, state) in [
        ("test", "postgres", ServiceState::Stopped),
        ("test-2", "postgres", ServiceState::Healthy),
        ("test-2", "redis", ServiceState::Running),
        ("test-2", "app", ServiceState::Unhealthy),
    ] {
        script.service(50, job, name, state);
    }
    script.step(60, "test", 4, STEPS[3], 230).step_end(100, "test", 4, Success).job_end(101, "test", Success);
    script.job(42, "security", "Security Scan", &["Set up job", "Scan"]);
    script.step(43, "security", 1, "Set up job", 3).step_end(44, "security", 1, Success);
    script.step(44, "security", 2, "Scan", 1204);
    script.step(60, "test-2", 4, STEPS[3], 318);
    let annotation = Annotation {
        level: Level::Error,
        message: "AssertionError: 401 != 200".to_owned(),
        title: None,
        file: Some("tests/test_api.py".to_owned()),
        line: Some(318),
        end_line: None,
        column: None,
        end_column: None,
    };
    script.at(117, Event::Annotated { job: JobId::new("test-2"), step: StepNumber(4), annotation });
    script.step_end(118, "test-2", 4, Failure).job_end(119, "test-2", Failure);
    script.records
}

/// The rest of the fixture: security ends well, build is skipped, the run has failed.
pub(crate) fn rest() -> Vec<Record> {
    let mut script = Script { records: records() };
    let begun = script.records.len();
    script.step_end(200, "security", 2, Conclusion::Success).job_end(201, "security", Conclusion::Success);
    script.job_end(201, "build", Conclusion::Skipped).end(202, Conclusion::Failure);
    script.records.split_off(begun)
}

/// A run of the past.
pub(crate) fn past(id: &str, name: &str, conclusion: Conclusion, created: u64) -> Summary {
    Summary {
        info: RunInfo {
            id: RunId::new(id),
            repository: "octo/app".to_owned(),
            workflow: format!(".github/workflows/{}.yml", name.to_lowercase()),
            event: "push".to_owned(),
            ref_name: "main".to_owned(),
            sha: "9c1f2d0aaa".to_owned(),
            created: Timestamp(created),
        },
        name: name.to_owned(),
        attempt: 1,
        phase: crate::model::Phase::Done(conclusion),
        reason: None,
        started: Some(Timestamp(created)),
        finished: Some(Timestamp(created + 95_000)),
        deployments: vec![Deployment {
            environment: if name == "Release" { "production" } else { "staging" }.to_owned(),
            url: Some("https://tally.example".to_owned()),
            phase: crate::model::Phase::Done(conclusion),
            at: Some(Timestamp(created + 95_000)),
        }],
    }
}

/// An application with a keyboard and a screen, and with logs in memory.
pub(crate) struct Driver {
    pub(crate) app: App,
    /// The effects that nobody carried out.
    pub(crate) effects: Vec<Effect>,
    /// What is for whoever looks elsewhere.
    pub(crate) calls: Vec<Effect>,
    /// The lines of the logs, by job and step.
    logs: HashMap<(String, u32), Vec<String>>,
    size: (u16, u16),
}

impl Driver {
    /// A screen of this size that knows nothing.
    pub(crate) fn new(width: u16, height: u16, theme: Theme) -> Self {
        let app = App::new(theme, Keymap::default());
        let mut driver =
            Self { app, effects: Vec::new(), calls: Vec::new(), logs: HashMap::new(), size: (width, height) };
        driver.send(Msg::Tick(Timestamp(START))).send(Msg::Resize(width, height));
        driver
    }

    /// A screen that shows the fixture, three minutes after its start.
    pub(crate) fn showing(width: u16, height: u16, glyphs: Glyphs) -> Self {
        let mut driver = Self::new(width, height, Theme { glyphs, motion: false, ..Theme::default() });
        let day = 86_400_000;
        driver.feed(Feed::Listed {
            runs: vec![
                past("20261123-101010-aaaa", "Release", Conclusion::Success, START - day),
                past("20261122-101010-bbbb", "CI", Conclusion::Cancelled, START - 2 * day),
            ],
            more: false,
        });
        driver.feed(Feed::Startable(vec![
            StartableWorkflow {
                workflow: ".github/workflows/ci.yml".to_owned(),
                name: "CI".to_owned(),
                events: vec!["push".to_owned(), "pull_request".to_owned()],
                inputs: Vec::new(),
                secrets: vec![("TOKEN".to_owned(), true), ("KEY".to_owned(), false)],
            },
            StartableWorkflow {
                workflow: ".github/workflows/release.yml".to_owned(),
                name: "Release".to_owned(),
                events: vec!["workflow_dispatch".to_owned()],
                inputs: vec![
                    input("version", InputKind::Text, true),
                    input("dry", InputKind::Boolean, false),
                    input("target", InputKind::Choice(vec!["dev".to_owned(), "prod".to_owned()]), false),
                    input("copies", InputKind::Number, false),
                ],
                secrets: Vec::new(),
            },
        ]));
        driver.feed(Feed::Opened(header(run()))).feed(Feed::Records { run: run(), records: records() });
        driver.log("security", 2, (1..=1204).map(|line| format!("scanning module {line} ... ok")).collect());
        let mut failing: Vec<String> =
            (1..=314).map(|line| format!("tests/test_api.py::test_{line} \x1b[32mPASSED\x1b[0m")).collect();
        failing.push("tests/test_api.py::test_login \x1b[1;31mFAILED\x1b[0m".to_owned());
        failing.push("##[group]Captured output".to_owned());
        failing.push("E   AssertionError: 401 != 200".to_owned());
        failing.push("##[error]Process completed with exit code 1.".to_owned());
        driver.log("test-2", 4, failing);
        driver.select("20261124-021530-4f3a").send(Msg::Tick(Timestamp(START + 192_000)));
        driver
    }

    /// Gives a step its log.
    pub(crate) fn log(&mut self, job: &str, step: u32, lines: Vec<String>) {
        self.logs.insert((job.to_owned(), step), lines);
    }

    fn select(&mut self, id: &str) -> &mut Self {
        self.app = self.app.clone().showing(RunId::new(id));
        self.send(Msg::Tick(Timestamp(START)))
    }

    pub(crate) fn feed(&mut self, feed: Feed) -> &mut Self {
        self.send(Msg::Feed(feed))
    }

    /// Hands over a message, and carries out the effects that only read.
    pub(crate) fn send(&mut self, msg: Msg) -> &mut Self {
        let mut effects = self.app.update(msg);
        while let Some(effect) = effects.pop() {
            let answer = match effect {
                Effect::LoadPage(request) => Msg::Page(RenderedPage::new(self.page(request), self.app.theme())),
                Effect::CopyLines(request) => Msg::Copied(self.page(request)),
                Effect::SearchLog(scan) => Msg::LogSearched(self.scan(scan)),
                Effect::SearchRun(grep) => Msg::RunSearched(self.grep(&grep)),
                call @ (Effect::Title(_) | Effect::Alert { .. }) => {
                    self.calls.push(call);
                    continue;
                }
                other => {
                    self.effects.push(other);
                    continue;
                }
            };
            effects.extend(self.app.update(answer));
        }
        self
    }

    fn lines(&self, key: &LogKey) -> &[String] {
        self.logs.get(&(key.job.to_string(), key.step.0)).map_or(&[], Vec::as_slice)
    }

    fn page(&self, request: PageRequest) -> LogPage {
        let numbers = request.lines.iter().cloned().flatten();
        let lines = numbers.filter_map(|number| {
            let bytes = self.lines(&request.key).get(number as usize)?.clone().into_bytes();
            Some(RawLine { number, bytes, time: Some(Timestamp(START + 60_000 + number * 10)) })
        });
        LogPage { lines: Ok(lines.collect()), request }
    }

    fn scan(&self, scan: LogSearch) -> LogSearchResult {
        let query = match &scan.what {
            Query::Matches(pattern) => Some((pattern.query().expect("not empty").0, pattern.inverted)),
            Query::Errors => None,
        };
        let matches = |line: &str| match &query {
            Some((query, inverted)) => query.ranges(line.as_bytes()).is_empty() == *inverted,
            None => line.starts_with("E   "),
        };
        let lines =
            (0..).zip(self.lines(&scan.key)).filter(|(number, line)| scan.lines.contains(number) && matches(line));
        let found = Ok(lines.map(|(number, _)| number).collect());
        LogSearchResult { search: scan, found, done: true }
    }

    fn grep(&self, grep: &RunSearch) -> RunSearchResult {
        let (query, _) = grep.pattern.query().expect("not empty");
        let mut hits = Vec::new();
        for (log, (key, lines)) in grep.logs.iter().enumerate() {
            let lines = (0..*lines).zip(self.lines(key)).filter(|(_, line)| !query.ranges(line.as_bytes()).is_empty());
            let text =
                |(number, line): (u64, &String)| RawLine { number, bytes: line.clone().into_bytes(), time: None };
            hits.extend(lines.take(MAX_RUN_HITS - hits.len()).map(|line| (log, text(line))));
        }
        RunSearchResult { id: grep.id, hits: Ok(hits), done: true }
    }

    /// Presses keys: characters as they are, other keys by name in angle brackets (`<enter>`, `<ctrl-c>`).
    pub(crate) fn press(&mut self, keys: &str) -> &mut Self {
        for key in typed(keys).expect("keys") {
            self.send(Msg::Key(key));
        }
        self
    }

    /// What was asked for since the last time.
    pub(crate) fn asked(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    pub(crate) fn resize(&mut self, width: u16, height: u16) -> &mut Self {
        self.size = (width, height);
        self.send(Msg::Resize(width, height))
    }

    pub(crate) fn buffer(&self) -> Buffer {
        let mut buffer = Buffer::empty(Rect::new(0, 0, self.size.0, self.size.1));
        self.app.draw(&mut buffer);
        buffer
    }

    /// The screen as text, one line a row.
    pub(crate) fn screen(&self) -> String {
        let buffer = self.buffer();
        let mut text = String::new();
        for row in buffer.content.chunks(usize::from(self.size.0)) {
            let line: String = row.iter().map(Cell::symbol).collect();
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// Whether the screen shows this text.
    pub(crate) fn shows(&self, text: &str) -> bool {
        self.screen().contains(text)
    }
}

fn input(name: &str, kind: InputKind, required: bool) -> Input {
    Input { name: name.to_owned(), about: format!("the {name}"), required, kind, default: String::new() }
}
