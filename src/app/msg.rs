//! What comes in and what is asked for: the application touches the world through these values only.

use crossterm::event::{KeyEvent, MouseEvent};

use crate::model::{Command, JobId, Record, Reply, RunId, StepNumber, Timestamp};
use crate::store::history::Summary;
use crate::store::runs::RunHeader;

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
    Page(Page),
}

/// News of runs, from whoever follows them.
#[derive(Clone, Debug)]
pub enum Feed {
    /// Past and present runs at a glance, in any order.
    Listed(Vec<Summary>),
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
    Offers(Vec<Offer>),
    /// Something to be told.
    Notice(Notice),
}

/// A workflow that can be started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    /// Its file, relative to the repository.
    pub workflow: String,
    /// Its name.
    pub name: String,
    /// The events it reacts to, the likeliest first.
    pub events: Vec<String>,
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
    Order(Order),
    /// Read lines of a log; answered by [`Msg::Page`].
    LoadPage(PageRequest),
    /// Put this text on the user's clipboard.
    Copy(String),
    /// Let go of the mouse, or take it.
    CaptureMouse(bool),
    /// Draw the whole screen anew.
    Redraw,
    /// Give the terminal back to the shell until it says to go on.
    Suspend,
    /// Leave the screen.
    Quit,
}

/// An order, and what it is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// Ask this of the run's worker.
    Submit {
        /// Which run.
        run: RunId,
        /// What.
        command: Command,
    },
    /// Start a run; told back by [`Feed::Opened`].
    Start {
        /// The workflow's file.
        workflow: String,
        /// The event.
        event: String,
    },
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
    /// The first line, counted from 0.
    pub first: u64,
    /// How many.
    pub count: usize,
}

/// Lines that were wanted, or why there are none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// What was asked for.
    pub request: PageRequest,
    /// The lines without their newlines, fewer than asked for at the end of the log.
    pub lines: Result<Vec<Vec<u8>>, String>,
}
