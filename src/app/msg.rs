//! Messages to the screen and its effects: the only connection to the outside.

use crossterm::event::{KeyEvent, MouseEvent};

use crate::model::feed::{Feed, Request};
use crate::model::{JobId, RunId, Timestamp};
use crate::store::logs::query::{
    LogError, LogPage, LogSearch, LogSearchResult, PageRequest, RawLine, RunSearch, RunSearchResult, SearchSlot,
};
use crate::ui::log::Line;
use crate::ui::theme::Theme;

/// A message to the screen.
#[derive(Clone, Debug)]
pub enum Msg {
    /// The current time.
    Tick(Timestamp),
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted.
    Paste(String),
    /// The mouse was used.
    Mouse(MouseEvent),
    /// New size of the terminal in columns and rows.
    Resize(u16, u16),
    /// The terminal window gained or lost the focus.
    Focus(bool),
    /// A backend reported something.
    Feed(Feed),
    /// Lines of a log to show, in answer to [`Effect::LoadPage`].
    Page(RenderedPage),
    /// Lines of a log to copy, in answer to [`Effect::CopyLines`].
    Copied(LogPage),
    /// A part of the result of [`Effect::SearchLog`].
    LogSearched(LogSearchResult),
    /// A part of the result of [`Effect::SearchRun`].
    RunSearched(RunSearchResult),
}

/// An action outside of the screen. Its outcome, if it has one, comes back as a [`Msg`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Send a request to the backend.
    Request(Request),
    /// Read lines of a log; answered by [`Msg::Page`].
    LoadPage(PageRequest),
    /// Search a log, after cancelling the previous search in the same slot; answered by any number of
    /// [`Msg::LogSearched`].
    SearchLog(LogSearch),
    /// Cancel the search in a slot.
    CancelSearch(SearchSlot),
    /// Search the logs of a run, after cancelling the previous search in [`SearchSlot::Run`]; answered by any number of
    /// [`Msg::RunSearched`].
    SearchRun(RunSearch),
    /// Copy text to the clipboard.
    Copy(String),
    /// Read lines of a log for the clipboard; answered by [`Msg::Copied`].
    CopyLines(PageRequest),
    /// Open a file of a repository in an editor, which takes over the terminal.
    Edit {
        /// The run whose repository has the file; `None` for the repository of the working directory.
        run: Option<RunId>,
        /// The file, relative to the repository or to the job's workspace.
        file: String,
        /// Number of a line, from 1; `None` for the start of the file.
        line: Option<u32>,
    },
    /// Open a shell in the environment of a job, or in one of its services. The shell takes over the terminal.
    Shell {
        /// The run.
        run: RunId,
        /// The job.
        job: JobId,
        /// Name of the service; `None` for the environment of the job.
        service: Option<String>,
    },
    /// Follow the log of a running service. It takes over the terminal until Ctrl-C.
    FollowService {
        /// The run and the job of the service; `None` for a service of the Compose file.
        of: Option<(RunId, JobId)>,
        /// Name of the service.
        service: String,
    },
    /// Run a command of this program. It takes over the terminal, and what it prints stays until Enter is pressed.
    Program {
        /// The command with its arguments.
        arguments: Vec<String>,
        /// Whether the command shows a screen itself, which ends when the user quits it.
        has_screen: bool,
    },
    /// Alert a user who is looking at something else.
    Alert {
        /// The run.
        run: RunId,
        /// The reason.
        why: AlertReason,
        /// Message in one line.
        text: String,
    },
    /// Set the title of the terminal's window.
    Title(String),
    /// Capture the mouse, or release it.
    CaptureMouse(bool),
    /// Draw every cell of the screen again.
    Redraw,
    /// Suspend the program until the shell continues it.
    Suspend,
    /// Quit.
    Quit,
}

/// Reason of an alert.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AlertReason {
    /// A run failed.
    Failed,
    /// A run or one of its jobs started to wait.
    Waits,
    /// A deployment notifies terminals of another event, as its environment is configured.
    Notified,
}

/// Lines of a log, parsed and ready to draw. Parsing very long lines is slow, so it happens outside of the screen.
#[derive(Clone, PartialEq, Debug)]
pub struct RenderedPage {
    /// The request that the page answers.
    pub request: PageRequest,
    /// The lines in order, or why they cannot be shown.
    pub lines: Result<Vec<RenderedLine>, LogError>,
}

/// A line that is ready to draw.
#[derive(Clone, PartialEq, Debug)]
pub struct RenderedLine {
    /// Number of the line, from 0.
    pub number: u64,
    /// Text and styles of the line.
    pub line: Line,
    /// Time at which the line was written, if known.
    pub time: Option<Timestamp>,
}

impl RenderedPage {
    /// Parses the lines of a page.
    #[must_use]
    pub fn new(page: LogPage, theme: Theme) -> Self {
        let render =
            |raw: RawLine| RenderedLine { number: raw.number, line: Line::parse(&raw.bytes, theme), time: raw.time };
        Self { request: page.request, lines: page.lines.map(|lines| lines.into_iter().map(render).collect()) }
    }
}
