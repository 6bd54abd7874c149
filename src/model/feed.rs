//! What a backend reports and what it is asked: the port between the faces of the program and the sources of runs.

use std::time::Duration;

use super::{Command, Record, Reply, RunId, RunInfo, Summary};

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
    Opened(RunInfo),
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
