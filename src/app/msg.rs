//! What comes in and what is asked for: the application touches the world through these values only.

use crossterm::event::{KeyEvent, MouseEvent};

use crate::model::feed::{Feed, Request};
use crate::model::{JobId, RunId, Timestamp};
use crate::store::logs::query::{
    LogError, LogPage, LogSearch, LogSearchResult, PageRequest, RawLine, RunSearch, RunSearchResult, SearchSlot,
};
use crate::ui::log::Line;
use crate::ui::theme::Theme;

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
    Copied(LogPage),
    /// What was looked for in a log, as far as it was found.
    LogSearched(LogSearchResult),
    /// What was looked for in the logs of a run, as far as it was found.
    RunSearched(RunSearchResult),
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

/// Lines that were wanted, ready to be drawn. Very long ones take a while to read, and the screen does not wait for that.
#[derive(Clone, PartialEq, Debug)]
pub struct RenderedPage {
    /// What was asked for.
    pub request: PageRequest,
    /// The lines in order, or why there are none.
    pub lines: Result<Vec<RenderedLine>, LogError>,
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
    pub fn new(page: LogPage, theme: Theme) -> Self {
        let read = |text: RawLine| RenderedLine {
            number: text.number,
            line: Line::parse(&text.bytes, theme),
            time: text.time,
        };
        Self { request: page.request, lines: page.lines.map(|lines| lines.into_iter().map(read).collect()) }
    }
}
