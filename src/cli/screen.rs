//! The screen, fed with the runs of this machine.
//!
//! The screen asks and shows; this carries its orders to workers and brings back records. Runs that others start, and
//! runs that end, are noticed by a watch on the state folder, so nothing is polled.

use std::collections::{BTreeSet, HashSet};
use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::app::App;
use crate::app::msg::{Feed, Input, InputKind, Notice, Offer, Order};
use crate::config::{Config, Glyphs as Signs};
use crate::engine::git::Repository;
use crate::model::{Command, Reply, RunId};
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::journal::JournalReader;
use crate::store::{StoreError, history, lock};
use crate::tui::{self, LogFiles, Options, TuiError};
use crate::ui::theme::{Colours, Glyphs, Theme};
use crate::worker::attach::Follower;
use crate::worker::launch::launch;
use crate::worker::{Mode, control};
use crate::workflow;
use crate::workflow::source::Source;
use crate::workflow::syntax::{InputDefinition, InputKind as Kind};

use super::{Exit, Failure, Outcome, config, run, style};

/// News and orders that may wait; a screen takes them many times a second.
const WAITING: usize = 64;

/// Files appear in bursts; the list is read once for all of them.
const SETTLE: Duration = Duration::from_millis(50);

/// Whether there is a terminal to show a screen on.
pub(super) fn is_possible() -> bool {
    std::io::stdout().is_terminal()
        && std::io::stdin().is_terminal()
        && std::env::var("TERM").is_ok_and(|term| term != "dumb")
}

/// Shows the screen until the user leaves it. Runs go on.
pub(super) fn open(showing: Option<RunId>, read_only: bool) -> Outcome {
    let runs = RunsDir::locate()?;
    run::close_lost(&runs)?;
    let (mut app, options) = app()?;
    if let Some(run) = showing {
        app = app.showing(run);
    }
    if read_only {
        app = app.read_only();
    }
    show(app, options, runs.clone(), |news, ordered| {
        tokio::spawn(Local { runs, news, followed: HashSet::new(), tasks: JoinSet::new() }.serve(ordered))
    })
}

/// Shows a past run from its beginning on, until the user leaves it.
pub(super) fn replay(folder: &RunFolder) -> Outcome {
    let (header, records) = (history::header(folder)?, JournalReader::new(folder.journal()).poll()?);
    let (app, options) = app()?;
    // What is asked for is shown by the application itself.
    show(app.replaying(header, records), options, RunsDir::locate()?, |_, mut ordered| {
        tokio::spawn(async move { while ordered.recv().await.is_some() {} })
    })
}

fn app() -> Result<(App, Options), Failure> {
    tracing_subscriber::registry().with(tui::diagnostics()).init();
    let config = config::load(None)?;
    let app = App::new(theme(&config), config::keymap(&config)?);
    Ok((app, Options { bell: config.bell, on_failure: config.on_failure, ..Options::detect() }))
}

/// Runs the screen with its counterpart, which sends news and takes orders.
fn show(
    app: App,
    options: Options,
    runs: RunsDir,
    counterpart: impl FnOnce(mpsc::Sender<Feed>, mpsc::Receiver<Order>) -> JoinHandle<()>,
) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ending = runtime.block_on(async {
        let (news, feed) = mpsc::channel(WAITING);
        let (orders, ordered) = mpsc::channel(WAITING);
        let counterpart = counterpart(news, ordered);
        let ending = tui::run(app, feed, orders, LogFiles::new(runs), options).await;
        // The last orders were given right before the screen went.
        let _ = tokio::time::timeout(Duration::from_secs(1), counterpart).await;
        ending
    });
    runtime.shutdown_background();
    match ending {
        Ok(ending) => {
            for line in ending.farewell {
                style::line(&line)?;
            }
            Ok(Exit::Success)
        }
        Err(error @ TuiError::Unsupported { .. }) => Err(Failure::new(Exit::Usage, error.to_string())),
        Err(error @ TuiError::Terminal(_)) => Err(Failure::new(Exit::Unavailable, error.to_string())),
    }
}

fn theme(config: &Config) -> Theme {
    let style = style::Style::of_output();
    let ascii = match config.glyphs {
        Signs::Auto => style.ascii,
        Signs::Unicode => false,
        Signs::Ascii => true,
    };
    Theme {
        glyphs: if ascii { Glyphs::Ascii } else { Glyphs::Unicode },
        colours: if style.colour { Colours::Terminal } else { Colours::None },
        motion: config.motion,
    }
}

/// The runs of this machine, as the screen's counterpart.
struct Local {
    runs: RunsDir,
    news: mpsc::Sender<Feed>,
    followed: HashSet<RunId>,
    tasks: JoinSet<RunId>,
}

impl Local {
    /// Carries out orders until the screen is gone.
    async fn serve(mut self, mut orders: mpsc::Receiver<Order>) {
        self.list().await;
        self.tell(Feed::Offers(offers())).await;
        let mut changed = watch(self.runs.state());
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.carry_out(order).await,
                    None => return,
                },
                Some(ended) = self.tasks.join_next() => {
                    if let Ok(run) = ended {
                        self.followed.remove(&run);
                    }
                    self.list().await;
                }
                Some(()) = changed.recv() => self.list().await,
            }
        }
    }

    async fn tell(&self, news: Feed) {
        // A screen that is gone needs no news.
        let _ = self.news.send(news).await;
    }

    async fn list(&self) {
        match history::list(&self.runs) {
            Ok(summaries) => self.tell(Feed::Listed(summaries)).await,
            Err(error) => self.tell(Feed::Notice(Notice::bad(error.to_string()))).await,
        }
    }

    async fn carry_out(&mut self, order: Order) {
        match order {
            Order::Watch(run) => self.follow(run),
            Order::Submit { run, command } => {
                let reply = self.submit(&run, &command).await;
                if matches!(command, Command::Rerun { .. } | Command::Resume) {
                    self.follow(run.clone());
                }
                self.tell(Feed::Replied { run, command, reply }).await;
            }
            Order::Delete(run) => match delete(&self.runs, &run) {
                Ok(()) => self.tell(Feed::Removed(run)).await,
                Err(failure) => self.tell(Feed::Notice(Notice::bad(failure.message))).await,
            },
            Order::Start { workflow, event, inputs, secrets, sandbox } => {
                let inputs = inputs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
                let args =
                    run::Args { workflow: Some(workflow), event, inputs, secrets, sandbox, ..run::Args::default() };
                match run::begin(&self.runs, &args) {
                    Ok(folder) => {
                        self.list().await;
                        self.follow(folder.id().clone());
                        self.tell(Feed::Started(folder.id().clone())).await;
                    }
                    Err(failure) => {
                        let first = failure.message.lines().next().unwrap_or_default().to_owned();
                        self.tell(Feed::Notice(Notice::bad(first))).await;
                    }
                }
            }
        }
    }

    async fn submit(&self, run: &RunId, command: &Command) -> Reply {
        let folder = self.runs.folder(run.clone());
        if lock::is_held(&folder.lock()) {
            let answered = control::order(&folder.socket(), command).await;
            return answered.unwrap_or_else(|error| Reply::Rejected { reason: error.to_string() });
        }
        let mode = match command {
            Command::Rerun { what } => Mode::Rerun(what.clone()),
            Command::Resume => Mode::Resume,
            Command::Cancel | Command::ForceCancel | Command::Yield { .. } | Command::Watch => {
                return Reply::Rejected { reason: "the run has ended".to_owned() };
            }
        };
        let launched = super::orders::secrets(&folder, &[]).and_then(|secrets| Ok(launch(&folder, &mode, &secrets)?));
        match launched {
            Ok(()) => Reply::Accepted,
            Err(failure) => Reply::Rejected { reason: failure.message },
        }
    }

    /// Sends all records of a run, and new ones until it has ended.
    fn follow(&mut self, run: RunId) {
        if !self.followed.insert(run.clone()) {
            return;
        }
        let (folder, news) = (self.runs.folder(run.clone()), self.news.clone());
        self.tasks.spawn(async move {
            let header = match history::header(&folder) {
                Ok(header) => header,
                Err(error) => {
                    let _ = news.send(Feed::Notice(Notice::bad(error.to_string()))).await;
                    return run;
                }
            };
            if news.send(Feed::Opened(header)).await.is_err() {
                return run;
            }
            let mut follower = Follower::new(folder);
            loop {
                let news_of_run = match follower.next().await {
                    Ok(Some(records)) => Feed::Records { run: run.clone(), records },
                    Ok(None) => return run,
                    Err(error) => Feed::Notice(Notice::bad(error.to_string())),
                };
                let over = matches!(news_of_run, Feed::Notice(_));
                if news.send(news_of_run).await.is_err() || over {
                    return run;
                }
            }
        });
    }
}

/// Removes a run. The lock is held until the folder is gone, so that no worker starts in it meanwhile.
fn delete(runs: &RunsDir, run: &RunId) -> Result<(), Failure> {
    let folder = runs.folder(run.clone());
    let Some(_held) = lock::take(&folder.lock())? else {
        return Err(Failure::new(Exit::Rejected, format!("{run} is in progress")));
    };
    std::fs::remove_dir_all(folder.path()).map_err(StoreError::io("remove", folder.path()))?;
    Ok(history::forget(runs)?)
}

/// The workflows of the repository that we are in; none outside one.
fn offers() -> Vec<Offer> {
    let Ok(folder) = std::env::current_dir() else { return Vec::new() };
    let Ok(repository) = Repository::discover(&folder) else { return Vec::new() };
    let files = run::workflows(&repository.root);
    let offers = files.iter().filter_map(|path| {
        let text = std::fs::read_to_string(path).ok()?;
        let secrets = secrets(&text);
        let workflow = workflow::parse(&Source::new("", text)).value?;
        let file = path.strip_prefix(&repository.root).unwrap_or(path).to_string_lossy().into_owned();
        let name = workflow.name.map_or_else(|| file.clone(), |name| name.value);
        let by_hand = workflow.triggers.iter().filter(|trigger| trigger.event.value == "workflow_dispatch");
        let inputs = by_hand.flat_map(|trigger| trigger.inputs.iter().map(input)).collect();
        let events = workflow.triggers.into_iter().map(|trigger| trigger.event.value);
        let events = events.filter(|event| event != "workflow_call").collect();
        Some(Offer { workflow: file, name, events, inputs, secrets })
    });
    offers.filter(|offer| !offer.events.is_empty()).collect()
}

/// An input as a person is asked for it.
fn input(input: &InputDefinition) -> Input {
    Input {
        name: input.name.value.clone(),
        about: input.description.clone().unwrap_or_default(),
        required: input.required,
        kind: match &input.kind {
            Kind::Boolean => InputKind::Boolean,
            Kind::Number => InputKind::Number,
            Kind::Choice(choices) => InputKind::Choice(choices.clone()),
            Kind::String | Kind::Environment => InputKind::Text,
        },
        default: input.default.as_ref().and_then(|default| default.literal()).unwrap_or_default().to_owned(),
    }
}

/// The secrets that a workflow names, and whether the environment has them. The token of GitHub is ours to give.
fn secrets(workflow: &str) -> Vec<(String, bool)> {
    let named = workflow.split("secrets.").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        rest[..end].to_owned()
    });
    let names: BTreeSet<String> = named.filter(|name| !name.is_empty() && name != "GITHUB_TOKEN").collect();
    let is_set = |name: &String| std::env::var(name).is_ok_and(|value| !value.is_empty());
    names.into_iter().map(|name| (is_set(&name), name)).map(|(set, name)| (name, set)).collect()
}

/// Tells when something appears or ends in the state folder; never where the system has no watch.
///
/// A thread of its own waits in the kernel: nothing wakes up while nothing happens. It goes with the process.
fn watch(state: &Path) -> mpsc::Receiver<()> {
    let (tell, told) = mpsc::channel(1);
    let watched = (|| {
        // The folder may not be there before the first run.
        std::fs::create_dir_all(state.join("runs")).ok()?;
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC).ok()?;
        let made = inotify::WatchFlags::CREATE | inotify::WatchFlags::DELETE;
        inotify::add_watch(&watch, state.join("runs"), made).ok()?;
        inotify::add_watch(&watch, state, made | inotify::WatchFlags::CLOSE_WRITE).ok()?;
        Some(watch)
    })();
    if let Some(watch) = watched {
        std::thread::spawn(move || {
            let mut events = [0; 4096];
            while rustix::io::read(&watch, &mut events).is_ok() {
                // One that was not taken yet stands for this one too.
                if matches!(tell.try_send(()), Err(mpsc::error::TrySendError::Closed(()))) {
                    return;
                }
                std::thread::sleep(SETTLE);
            }
        });
    }
    told
}
