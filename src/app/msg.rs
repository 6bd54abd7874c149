//! What comes in and what is asked for: the application touches the world through these values only.

use std::ops::Range;
use std::time::Duration;

use crossterm::event::{KeyEvent, MouseEvent};

use crate::model::{Command, JobId, Record, Reply, RunId, StepNumber, Timestamp};
use crate::store::history::Summary;
use crate::store::runs::RunHeader;
use crate::ui::log::Line;
use crate::ui::theme::Theme;

use super::pattern::Pattern;

/// Something happened.
#[derive(Clone, Debug)]
pub enum Msg {
    /// Time has passed: it is now this late.
    Tick(Timestamp),
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted.
    Paste(String),
    /// The mouse was used.
    Mouse(MouseEvent),
    /// The terminal has this many columns and rows now.
    Resize(u16, u16),
    /// News of runs.
    Feed(Feed),
    /// Lines of a log that were asked for.
    Page(RenderedPage),
    /// Lines of a log that were asked for to be copied.
    Copied(Page),
    /// What was looked for in a log, as far as it was found.
    LogSearched(LogSearchResult),
    /// What was looked for in the logs of a run, as far as it was found.
    RunSearched(RunSearchResult),
}

/// News of runs, from whoever follows them.
#[derive(Clone, Debug)]
pub enum Feed {
    /// Past and present runs at a glance, in any order.
    Listed(Vec<Summary>),
    /// A run was started from here, and is listed.
    Started(RunId),
    /// A change of files started a run, which is listed.
    Fired(RunId),
    /// A run is followed from now on; its records come next.
    Opened(RunHeader),
    /// Records of a run, in order; those that came already may come again.
    Records {
        /// Which run.
        run: RunId,
        /// What happened.
        records: Vec<Record>,
    },
    /// A run is gone from this machine.
    Removed(RunId),
    /// An order was answered; what came of it is told by records.
    Replied {
        /// Which run it was for.
        run: RunId,
        /// What was asked.
        command: Command,
        /// The answer.
        reply: Reply,
    },
    /// The workflows that can be started here.
    Startable(Vec<StartableWorkflow>),
    /// A run was not started: the repository is not trusted to run on this machine.
    Untrusted {
        /// Its workflow.
        workflow: String,
        /// The event.
        event: String,
        /// The order to start it.
        start: Request,
    },
    /// How watch mode stands, while it is on.
    Watching(Option<Watching>),
    /// Something to be told.
    Notice(Notice),
}

/// What the repository's files are watched for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Watching {
    /// The file of the only workflow that is run; nothing for all that a push of the change would fire.
    pub workflow: Option<String>,
    /// The first of the files that have changed, and how many there are; nothing while nothing is to be started.
    pub changed: Option<(String, usize)>,
    /// What is waited for before something is started.
    pub waits: Waits,
}

/// What a change waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waits {
    /// That nothing changes for so long.
    ForQuiet(Duration),
    /// That the run that it overtakes has ended.
    ForRun,
}

/// A workflow that can be started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StartableWorkflow {
    /// Its file, relative to the repository.
    pub workflow: String,
    /// Its name.
    pub name: String,
    /// The events it reacts to, the likeliest first.
    pub events: Vec<String>,
    /// What a person who starts it is asked.
    pub inputs: Vec<Input>,
    /// The secrets that it names, and whether they are set.
    pub secrets: Vec<(String, bool)>,
}

/// An input of a workflow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// Whether it must be given.
    pub required: bool,
    /// What it takes.
    pub kind: InputKind,
    /// What it is unless somebody says otherwise.
    pub default: String,
}

/// What an input takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InputKind {
    /// Text, the name of an environment included.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// One of these.
    Choice(Vec<String>),
}

/// Something to be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// Whether it is bad news.
    pub bad: bool,
    /// One line.
    pub text: String,
}

impl Notice {
    /// Good or neutral news.
    pub fn news(text: impl Into<String>) -> Self {
        Self { bad: false, text: text.into() }
    }

    /// Bad news.
    pub fn bad(text: impl Into<String>) -> Self {
        Self { bad: true, text: text.into() }
    }
}

/// Something to be done, whose outcome comes back as a [`Msg`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Give an order to whoever follows runs.
    Request(Request),
    /// Read lines of a log; answered by [`Msg::Page`].
    LoadPage(PageRequest),
    /// Look for something in a log; answered by any number of [`Msg::LogSearched`]. It ends what was looked for in this place before.
    SearchLog(LogSearch),
    /// Look no further.
    CancelSearch(SearchSlot),
    /// Look for something in the logs of a run; answered by any number of [`Msg::RunSearched`]. It ends the one before, which
    /// [`SearchSlot::Run`] names.
    SearchRun(RunSearch),
    /// Put this text on the user's clipboard.
    Copy(String),
    /// Read lines of a log to be copied; answered by [`Msg::Copied`].
    CopyLines(PageRequest),
    /// Give the terminal to an editor that shows a line of a file of the run's repository.
    Edit {
        /// Of which run.
        run: RunId,
        /// The file, relative to the repository, or to the job's copy of it.
        file: String,
        /// Which line, from 1.
        line: Option<u32>,
    },
    /// Give the terminal to a shell where a job runs or failed, or in one of its services.
    Shell {
        /// Of which run.
        run: RunId,
        /// Of which job.
        job: JobId,
        /// In the container of this service.
        service: Option<String>,
    },
    /// Give the terminal to the question whether the repository is to be trusted, with all that would run; and start that
    /// when it is.
    Trust {
        /// Its workflow.
        workflow: String,
        /// The event.
        event: String,
        /// The order to start it.
        start: Request,
    },
    /// Call whoever looks elsewhere.
    Alert {
        /// Which run.
        run: RunId,
        /// Why.
        why: AlertReason,
        /// What happened, in one line.
        text: String,
    },
    /// Name the terminal's window.
    Title(String),
    /// Let go of the mouse, or take it.
    CaptureMouse(bool),
    /// Draw the whole screen anew.
    Redraw,
    /// Give the terminal back to the shell until it says to go on.
    Suspend,
    /// Leave the screen.
    Quit,
}

/// Why somebody is called who looks elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AlertReason {
    /// A run failed.
    Failed,
    /// It, or one of its jobs, began to wait.
    Waits,
}

/// An order, and what it is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// Ask this of the run's worker.
    Submit {
        /// Which run.
        run: RunId,
        /// What.
        command: Command,
    },
    /// Start a run; told back by [`Feed::Started`].
    Start {
        /// The workflow's file.
        workflow: String,
        /// The event.
        event: String,
        /// Inputs, by name.
        inputs: Vec<(String, String)>,
        /// The secrets that it is given, by name.
        secrets: Vec<String>,
        /// Where jobs without a container run, unless the settings decide.
        sandbox: Option<String>,
    },
    /// Watch the repository's files, and run what a change of them fires; told back by [`Feed::Watching`].
    WatchFiles {
        /// Only this workflow's file.
        workflow: Option<String>,
    },
    /// Watch them no more.
    StopWatching,
    /// Remove a run from this machine; told back by [`Feed::Removed`].
    Delete(RunId),
    /// Follow this run: send [`Feed::Opened`] and all its records, then new ones as they come. Asked again for each run that the
    /// user looks at; those followed before may stay followed.
    Watch(RunId),
}

/// Names the log of a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogKey {
    /// Of which run.
    pub run: RunId,
    /// Of which job.
    pub job: JobId,
    /// Of which attempt, from 1.
    pub attempt: u32,
    /// Of which step.
    pub step: StepNumber,
}

/// Lines that are wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageRequest {
    /// Of which log.
    pub key: LogKey,
    /// Which, counted from 0; in order and apart.
    pub lines: Vec<Range<u64>>,
}

/// Lines that were wanted, or why there are none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// What was asked for.
    pub request: PageRequest,
    /// The lines in order, fewer than asked for where the log has no more.
    pub lines: Result<Vec<RawLine>, String>,
}

/// Lines that were wanted, ready to be drawn. Very long ones take a while to read, and the screen does not wait for that.
#[derive(Clone, PartialEq, Debug)]
pub struct RenderedPage {
    /// What was asked for.
    pub request: PageRequest,
    /// The lines in order, or why there are none.
    pub lines: Result<Vec<RenderedLine>, String>,
}

/// A line that is ready to be drawn.
#[derive(Clone, PartialEq, Debug)]
pub struct RenderedLine {
    /// Its number, from 0.
    pub number: u64,
    /// What is drawn.
    pub line: Line,
    /// When it was written, as far as it was noted.
    pub time: Option<Timestamp>,
}

impl RenderedPage {
    /// Reads the lines of a page.
    #[must_use]
    pub fn new(page: Page, theme: Theme) -> Self {
        let read = |text: RawLine| RenderedLine {
            number: text.number,
            line: Line::parse(&text.bytes, theme),
            time: text.time,
        };
        Self { request: page.request, lines: page.lines.map(|lines| lines.into_iter().map(read).collect()) }
    }
}

/// A line of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawLine {
    /// Its number, from 0.
    pub number: u64,
    /// Its bytes, without the newline.
    pub bytes: Vec<u8>,
    /// When it was written, as far as it was noted.
    pub time: Option<Timestamp>,
}

/// What is looked for in a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogSearch {
    /// Tells it from every other, also from one for the same.
    pub id: u64,
    /// For which place on the screen.
    pub place: SearchSlot,
    /// In which log.
    pub key: LogKey,
    /// What.
    pub what: Query,
    /// Among which lines.
    pub lines: Range<u64>,
}

/// What lines are looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Query {
    /// Those that match, or do not.
    Matches(Pattern),
    /// Those that say best what went wrong.
    Errors,
}

/// For what lines are looked for. There is one search for each at a time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SearchSlot {
    /// To go to them.
    Search,
    /// To keep only them.
    Keep,
    /// They begin groups.
    Groups,
    /// They end groups.
    GroupEnds,
    /// They tell what went wrong.
    Errors,
    /// To list them, among those of all logs of the run.
    Run,
}

/// What was found since the last time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogSearchResult {
    /// What was asked for.
    pub scan: LogSearch,
    /// The numbers of the lines, in order.
    pub found: Result<Vec<u64>, String>,
    /// Whether that is all.
    pub done: bool,
}

/// What is looked for in the logs of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunSearch {
    /// Tells it from every other.
    pub id: u64,
    /// What.
    pub pattern: Pattern,
    /// Where, in this order, and how many lines of each are looked at.
    pub logs: Vec<(LogKey, u64)>,
}

/// What was found in the logs of a run since the last time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunSearchResult {
    /// Which search it is of.
    pub id: u64,
    /// The lines, each with the place of its log among those that were asked for.
    pub hits: Result<Vec<(usize, RawLine)>, String>,
    /// Whether that is all: as many as are told at the most, or as there are.
    pub done: bool,
}

/// So many lines are told of a search in the logs of a run.
pub const MAX_RUN_HITS: usize = 1000;
