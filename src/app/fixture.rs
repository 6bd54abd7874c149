//! A scripted run for tests: lint succeeded, one leg of a test matrix failed, the security job runs, the build waits.

use std::collections::HashMap;

use crossterm::event::{KeyModifiers, MouseEvent, MouseEventKind};
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;

use crate::model::feed::{Feed, Input, InputKind, StartableWorkflow};
use crate::model::testing;
use crate::model::testing::{Script, outline};
use crate::model::{
    Annotation, Conclusion, Deployment, Event, JobId, JobOutline, Level, Phase, Record, RunId, RunInfo, Service,
    ServiceState, StepNumber, Summary, Timestamp,
};
use crate::store::logs::query::{
    LogKey, LogPage, LogSearch, LogSearchResult, MAX_RUN_HITS, PageRequest, Query, RawLine, RunSearch, RunSearchResult,
};
use crate::ui::theme::{Glyphs, Theme};

use super::App;
use super::keymap::{Keymap, typed};
use super::msg::{Effect, Msg, RenderedPage};

/// Time at which the run of the fixture was created, in milliseconds.
pub(crate) const START: u64 = 1_795_487_000_000;

/// Returns the id of the fixture's run.
pub(crate) fn run() -> RunId {
    RunId::new("20261124-021530-4f3a")
}

/// Returns the fixed part of a run, created at the same time as the fixture's.
pub(crate) fn header(id: RunId) -> RunInfo {
    testing::info(id, Timestamp(START))
}

/// Returns a script that starts at the same time as the fixture.
pub(crate) fn script() -> Script {
    Script::new(Timestamp(START))
}

/// Returns the event that reports the state of a job's service; only `postgres` publishes a port.
fn service(job: &str, name: &str, state: ServiceState) -> Event {
    let ports = [("5432/tcp".to_owned(), "54321".to_owned())].into_iter().filter(|_| name == "postgres");
    let service = Service {
        name: name.to_owned(),
        image: format!("{name}:16"),
        state,
        ports: ports.collect(),
        detail: (state == ServiceState::Unhealthy).then(|| "connection refused".to_owned()),
        restarts: 0,
    };
    Event::ServiceChanged { job: JobId::new(job), service }
}

const STEPS: [&str; 4] = ["Set up job", "Checkout", "Install dependencies", "Run tests"];

/// Returns the records of the fixture: after three minutes the security job still runs.
pub(crate) fn records() -> Vec<Record> {
    use Conclusion::{Failure, Success};
    let outlines = [
        outline("lint", "Lint", &[]),
        outline("test", "Test (3.12)", &["lint"]),
        outline("test-2", "Test (3.13)", &["lint"]),
        outline("security", "Security Scan", &["lint"]),
        JobOutline {
            environment: Some("staging".to_owned()),
            ..outline("build", "Build Docker", &["test", "test-2", "security"])
        },
    ];
    let mut script = script();
    script.start(outlines.into());
    script.at(1).job("lint", "Lint", &["Set up job", "Checkout", "Run ruff"]);
    for (number, name) in [(1, "Set up job"), (2, "Checkout"), (3, "Run ruff")] {
        script.at(1).step("lint", number, name, 12).at(number.into()).step_end("lint", number, Success);
    }
    script.at(41).job_end("lint", Success);
    for (id, name) in [("test", "Test (3.12)"), ("test-2", "Test (3.13)")] {
        script.at(42).job(id, name, &STEPS);
        for (number, name) in [(1, STEPS[0]), (2, STEPS[1]), (3, STEPS[2])] {
            script.at(43).step(id, number, name, 8).at(60).step_end(id, number, Success);
        }
    }
    for (job, name, state) in [
        ("test", "postgres", ServiceState::Stopped),
        ("test-2", "postgres", ServiceState::Healthy),
        ("test-2", "redis", ServiceState::Running),
        ("test-2", "app", ServiceState::Unhealthy),
    ] {
        script.at(50).event(service(job, name, state));
    }
    script.at(60).step("test", 4, STEPS[3], 230).at(100).step_end("test", 4, Success).at(101).job_end("test", Success);
    script.at(42).job("security", "Security Scan", &["Set up job", "Scan"]);
    script.at(43).step("security", 1, "Set up job", 3).at(44).step_end("security", 1, Success);
    script.at(44).step("security", 2, "Scan", 1204);
    script.at(60).step("test-2", 4, STEPS[3], 318);
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
    script.at(117).event(Event::Annotated { job: JobId::new("test-2"), step: StepNumber(4), annotation });
    script.at(118).step_end("test-2", 4, Failure).at(119).job_end("test-2", Failure);
    script.records
}

/// Returns the remaining records: security succeeds, build is skipped, the run fails.
pub(crate) fn rest() -> Vec<Record> {
    let mut script = script();
    script.records = records();
    let first = script.records.len();
    script.at(200).step_end("security", 2, Conclusion::Success).at(201).job_end("security", Conclusion::Success);
    script.at(201).job_end("build", Conclusion::Skipped).at(202).end(Conclusion::Failure);
    script.records.split_off(first)
}

/// Returns a completed run.
pub(crate) fn past(id: &str, name: &str, conclusion: Conclusion, created: u64) -> Summary {
    Summary {
        info: RunInfo {
            workflow: format!(".github/workflows/{}.yml", name.to_lowercase()),
            sha: "9c1f2d0aaa".to_owned(),
            ..testing::info(RunId::new(id), Timestamp(created))
        },
        name: name.to_owned(),
        attempt: 1,
        phase: Phase::Done(conclusion),
        reason: None,
        started: Some(Timestamp(created)),
        finished: Some(Timestamp(created + 95_000)),
        deployments: vec![Deployment {
            environment: if name == "Release" { "production" } else { "staging" }.to_owned(),
            url: Some("https://tally.example".to_owned()),
            phase: Phase::Done(conclusion),
            at: Some(Timestamp(created + 95_000)),
        }],
        reviews: Vec::new(),
    }
}

/// The screen with a simulated keyboard, and with logs in memory.
pub(crate) struct Driver {
    pub(crate) app: App,
    /// Effects that the driver does not carry out.
    pub(crate) effects: Vec<Effect>,
    /// Alerts and window titles.
    pub(crate) alerts: Vec<Effect>,
    /// The lines of the logs, by job and step.
    logs: HashMap<(String, u32), Vec<String>>,
    size: (u16, u16),
}

impl Driver {
    /// Returns a screen of this size without any run.
    pub(crate) fn new(width: u16, height: u16, theme: Theme) -> Self {
        let app = App::new(theme, Keymap::default());
        let mut driver =
            Self { app, effects: Vec::new(), alerts: Vec::new(), logs: HashMap::new(), size: (width, height) };
        driver.send(Msg::Tick(Timestamp(START))).send(Msg::Resize(width, height));
        driver
    }

    /// Returns a screen that shows the fixture, three minutes after its start.
    pub(crate) fn showing(width: u16, height: u16, glyphs: Glyphs) -> Self {
        let mut driver = Self::new(width, height, Theme { glyphs, motion: false, ..Theme::default() });
        let day = 86_400_000;
        driver.feed(Feed::Listed {
            runs: vec![
                past("20261123-101010-aaaa", "Release", Conclusion::Success, START - day),
                past("20261122-101010-bbbb", "CI", Conclusion::Cancelled, START - 2 * day),
            ],
            more: false,
            of: None,
        });
        driver.feed(Feed::Startable(vec![
            StartableWorkflow {
                jobs: Vec::new(),
                server: None,
                workflow: ".github/workflows/ci.yml".to_owned(),
                name: "CI".to_owned(),
                events: vec!["push".to_owned(), "pull_request".to_owned()],
                inputs: Vec::new(),
                secrets: vec![("TOKEN".to_owned(), true), ("KEY".to_owned(), false)],
            },
            StartableWorkflow {
                jobs: Vec::new(),
                server: None,
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

    /// Sets the log of a step.
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

    /// Sends a message, and carries out the effects that only read.
    pub(crate) fn send(&mut self, msg: Msg) -> &mut Self {
        let mut effects = self.app.update(msg);
        while let Some(effect) = effects.pop() {
            let answer = match effect {
                Effect::LoadPage(request) => Msg::Page(RenderedPage::new(self.page(request), self.app.theme())),
                Effect::CopyLines(request) => Msg::Copied(self.page(request)),
                Effect::SearchLog(scan) => Msg::LogSearched(self.scan(scan)),
                Effect::SearchRun(grep) => Msg::RunSearched(self.grep(&grep)),
                alert @ (Effect::Title(_) | Effect::Alert { .. }) => {
                    self.alerts.push(alert);
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

    /// Returns the effects since the last call.
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

    /// Returns the screen as text, one line per row.
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

    /// Returns the last row of the screen, which has the hints.
    pub(crate) fn footer(&self) -> String {
        self.screen().lines().next_back().unwrap_or_default().to_owned()
    }

    /// Returns the column and row at which the screen first shows a text.
    pub(crate) fn place(&self, text: &str) -> (u16, u16) {
        let screen = self.screen();
        let mut rows = screen.lines().zip(0..);
        let found = rows.find_map(|(line, row)| Some((line[..line.find(text)?].chars().count() as u16, row)));
        found.unwrap_or_else(|| panic!("{text} is not in: {screen}"))
    }

    /// Turns the wheel of the mouse or presses a button, at a column and row of the screen.
    pub(crate) fn mouse(&mut self, kind: MouseEventKind, (column, row): (u16, u16)) -> &mut Self {
        self.send(Msg::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }))
    }

    /// Whether the screen shows this text.
    pub(crate) fn shows(&self, text: &str) -> bool {
        self.screen().contains(text)
    }
}

fn input(name: &str, kind: InputKind, required: bool) -> Input {
    Input { name: name.to_owned(), about: format!("the {name}"), required, kind, default: String::new() }
}
