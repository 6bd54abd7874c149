//! The port between the faces of the program and the backends: what a backend reports and what it is asked.
//!
//! [`Feed`] flows up and [`Request`] flows down, over two channels per backend (see `backend::Backend`). The screen folds
//! what it is fed and shows the result; it never reads a folder, a socket or a server itself.
//!
//! The list of runs comes in pages, newest first: the first one without being asked for, older ones by
//! [`Request::ListMore`]. So neither the first page nor its refresh depends on how many runs there are.

use std::time::Duration;

use super::{Command, Preview, Record, Reply, RunId, RunInfo, Summary, Timestamp};

/// A report of a backend.
#[derive(Clone, Debug)]
pub enum Feed {
    /// A page of the list of runs: the newest runs, a newer state of them, or the answer to [`Request::ListMore`].
    Listed {
        /// Runs at a glance, newest first, without gaps between them.
        runs: Vec<Summary>,
        /// Whether there are runs older than the last of these.
        more: bool,
    },
    /// A newer state of runs that may be outside of the pages that were listed.
    Updated(Vec<Summary>),
    /// A run was started by [`Request::Start`]. It was listed before.
    Started(RunId),
    /// A change of files started a run. It was listed before.
    Triggered(RunId),
    /// A run is followed from now on. Its records come next.
    Opened(RunInfo),
    /// Records of a followed run, in order. Records that were sent before may come again.
    Records {
        /// The run.
        run: RunId,
        /// The records.
        records: Vec<Record>,
    },
    /// A run is gone.
    Removed(RunId),
    /// Answer to [`Request::Submit`]. The effect of an accepted command comes as records.
    Replied {
        /// The run.
        run: RunId,
        /// The command that was submitted.
        command: Command,
        /// The answer.
        reply: Reply,
    },
    /// The workflows that can be started here.
    Startable(Vec<StartableWorkflow>),
    /// Nothing was started: the repository is not trusted to run on this machine.
    Untrusted {
        /// Number of the question, for [`Request::Trust`].
        question: u64,
        /// What starts once the repository is trusted.
        preview: Preview,
    },
    /// State of watch mode; `None` once it is off.
    Watching(Option<Watching>),
    /// State of the connection to the source of the runs. Before the first one, the connection is live.
    Connection(Connection),
    /// A message to the user.
    Notice(Notice),
}

/// State of the connection between a backend and the source of its runs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Connection {
    /// Reports come as things happen.
    #[default]
    Live,
    /// The reports are the records of a past run.
    Replay,
    /// No reports have come since a moment, so runs may have changed since.
    Stale {
        /// Time of the last report.
        since: Timestamp,
        /// One line for the user.
        reason: String,
    },
    /// The source was never reached.
    Offline {
        /// One line for the user.
        reason: String,
    },
}

impl Connection {
    /// Returns the age of what was reported last; `None` while nothing is missing, and when nothing was reported.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> Option<Duration> {
        match self {
            Self::Stale { since, .. } => Some(now.since(*since)),
            Self::Live | Self::Replay | Self::Offline { .. } => None,
        }
    }

    /// Returns why reports are missing.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Stale { reason, .. } | Self::Offline { reason } => Some(reason),
            Self::Live | Self::Replay => None,
        }
    }
}

/// State of watch mode.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Watching {
    /// File name of the only workflow that is run; `None` for every workflow that a push of the change would run.
    pub workflow: Option<String>,
    /// The first changed file and the number of changed files; `None` while no run is due.
    pub changed: Option<(String, usize)>,
    /// What a due run waits for.
    pub waits: Waits,
}

/// What a run of watch mode waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waits {
    /// That no file changes for this long.
    ForQuiet(Duration),
    /// The end of the run that it replaces.
    ForRun,
}

/// A workflow that can be started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StartableWorkflow {
    /// Path of its file, relative to the repository.
    pub workflow: String,
    /// Its name.
    pub name: String,
    /// Events in its `on`, in the order of the file.
    pub events: Vec<String>,
    /// Inputs of `workflow_dispatch`.
    pub inputs: Vec<Input>,
    /// Names of the secrets that it reads, each with whether the environment has a value for it.
    pub secrets: Vec<(String, bool)>,
}

/// An input of a workflow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Its description.
    pub about: String,
    /// Whether a value must be given.
    pub required: bool,
    /// Its type.
    pub kind: InputKind,
    /// Its default value; empty without one.
    pub default: String,
}

/// Type of an input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InputKind {
    /// Text, or the name of an environment.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// One of these.
    Choice(Vec<String>),
}

/// A message to the user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// Whether it reports a failure.
    pub bad: bool,
    /// One line.
    pub text: String,
}

impl Notice {
    /// A neutral message.
    pub fn news(text: impl Into<String>) -> Self {
        Self { bad: false, text: text.into() }
    }

    /// The report of a failure.
    pub fn bad(text: impl Into<String>) -> Self {
        Self { bad: true, text: text.into() }
    }
}

/// A request to a backend. Requests that cannot be carried out are answered by [`Feed::Notice`] if nothing else is named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// List older runs. Answered by [`Feed::Listed`].
    ListMore {
        /// The oldest run that was listed.
        before: RunId,
        /// Maximum number of runs to list.
        limit: usize,
    },
    /// Follow a run: send [`Feed::Opened`] and all its records, then new records as they come. Sent for each run that the
    /// user looks at; runs that were followed before may stay followed.
    Follow(RunId),
    /// Submit a command to a run. Answered by [`Feed::Replied`].
    Submit {
        /// The run.
        run: RunId,
        /// The command.
        command: Command,
    },
    /// Start a run. Answered by [`Feed::Started`] or [`Feed::Untrusted`].
    Start {
        /// File of the workflow.
        workflow: String,
        /// Name of the event.
        event: String,
        /// Inputs, by name.
        inputs: Vec<(String, String)>,
        /// Names of the secrets to pass on from the environment.
        secrets: Vec<String>,
        /// Where jobs without a container run; `None` for the setting.
        sandbox: Option<String>,
    },
    /// Trust the repository and start what a question was about. Answered as the request was that raised the question; a
    /// question that was not answered before the next one is void.
    Trust {
        /// Number of the question in [`Feed::Untrusted`].
        question: u64,
    },
    /// Remove a run. Answered by [`Feed::Removed`].
    Delete(RunId),
    /// Start watch mode: watch the files of the repository, and run the workflows that a push of a change would run.
    /// Answered by [`Feed::Watching`] or [`Feed::Untrusted`].
    WatchFiles {
        /// Path of the only workflow to run; `None` for all of them.
        workflow: Option<String>,
    },
    /// Stop watch mode. Answered by [`Feed::Watching`].
    StopWatching,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_stale_data_has_an_age() {
        let stale = Connection::Stale { since: Timestamp(1_000), reason: "no answer".to_owned() };
        assert_eq!(stale.age(Timestamp(4_000)), Some(Duration::from_secs(3)));
        assert_eq!(stale.age(Timestamp(500)), Some(Duration::ZERO), "a clock that was set back");
        assert_eq!(stale.reason(), Some("no answer"));
        let offline = Connection::Offline { reason: "no answer".to_owned() };
        assert_eq!((offline.age(Timestamp(4_000)), offline.reason()), (None, Some("no answer")));
        for current in [Connection::Live, Connection::Replay] {
            assert_eq!((current.age(Timestamp(4_000)), current.reason()), (None, None));
        }
    }
}
