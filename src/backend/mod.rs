//! Backends: sources of runs, which also carry out requests for them.
//!
//! A [`Backend`] serves one screen: it sends [`Feed`] reports and receives [`Request`]s, over two channels. Everything
//! about runs passes through them: the list of runs and its older pages, the records of followed runs, the workflows
//! that can be started, watch mode, commands and their replies, and the state of the connection. Log lines do not: the
//! screen reads the visible ones through [`Backend::logs`].
//!
//! - [`commit_watch`]: all runs of a commit on a server
//! - [`github`]: the runs of servers that speak the API of GitHub
//! - [`local`]: the runs of this machine, and the runs of servers that [`github`] mirrors
//! - [`remote_run`]: runs of the working tree on a server
//! - [`replay`]: a past run, which refuses every change
//! - [`registry`]: the list of all backends
//! - [`runs`]: single runs, here or on a server, for a process that performs one operation and ends
//!
//! # Runs on a server
//!
//! A remote run is mirrored into a run folder of the same layout as a local one (`run.json`, `events.jsonl`, `logs/`),
//! by a [poller](github::poller) that takes the role of the worker: it holds the run's lock while the run is watched,
//! appends the difference between two snapshots as events, and answers commands on `control.sock`, where it turns them
//! into requests to the server. So `show`, `logs`, the search in logs, `replay`, `screenshot`, the history and every
//! reader that follows a folder work on it unchanged, and the [`local`] backend lists and follows mirrors like any
//! other runs.
//!
//! A mirror differs from a local run in three ways, each handled in one place. The lock of a mirror is free while
//! nothing polls, which does not mean that a worker was lost: `worker::recovery` decides by the kind of the run
//! ([`WorkSpec`](crate::store::spec::WorkSpec)). Another attempt starts on the server: `launch::commands` sends the
//! command to the process that watches the run. Operations that the server does not support are [`Unavailable`].
//!
//! # Adding a backend
//!
//! Create a folder here and implement [`Backend`] in it. Apart from that, declare the module in this file, and add a
//! variant and a line to [`registry`]; `cli/screen/mod.rs` decides when to open it. Its runs are shown on a screen
//! of their own. A server that speaks GitHub's API, as Gitea does, needs no separate backend: it is a kind of server of
//! [`github`], its runs are listed beside those of this machine, and all commands know them. They are a
//! [`WorkSpec::Remote`](crate::store::spec::WorkSpec::Remote).

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::model::capabilities::Unavailable;
use crate::model::feed::{Feed, Request};
use crate::store::logs::query::Logs;

pub mod commit_watch;
pub mod github;
mod last_known;
pub mod local;
pub mod registry;
pub mod remote_run;
pub mod replay;
pub mod runs;

/// Maximum number of queued reports or requests in a channel. A screen receives them many times a second.
const CHANNEL_SIZE: usize = 64;

/// A source of runs that carries out requests.
pub trait Backend: Send {
    /// Returns why the backend refuses all operations; `None` if the state of a run decides (see
    /// [`Capabilities`](crate::model::capabilities::Capabilities)).
    fn refusal(&self) -> Option<Unavailable> {
        None
    }

    /// Returns access to the logs of the backend's runs.
    fn logs(&self) -> Arc<dyn Logs>;

    /// Reports and carries out requests until the sender of `requests` is dropped. After the receiver of `feed` is
    /// dropped, reports fail, but requests that were sent before are still carried out.
    fn serve(self: Box<Self>, requests: mpsc::Receiver<Request>, feed: mpsc::Sender<Feed>) -> BoxFuture<'static, ()>;
}

/// The screen's ends of the channels of a backend.
#[derive(Debug)]
pub struct Connected {
    /// Reports. The channel closes when the backend ends.
    pub feed: mpsc::Receiver<Feed>,
    /// Requests. The backend ends once this is dropped.
    pub requests: mpsc::Sender<Request>,
    /// Task of the backend.
    pub served: JoinHandle<()>,
}

/// Starts a backend in its own task.
///
/// # Panics
/// Outside a tokio runtime.
#[must_use]
pub fn connect(backend: Box<dyn Backend>) -> Connected {
    let (reports, feed) = mpsc::channel(CHANNEL_SIZE);
    let (requests, requested) = mpsc::channel(CHANNEL_SIZE);
    Connected { feed, requests, served: tokio::spawn(backend.serve(requested, reports)) }
}
