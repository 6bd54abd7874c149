//! Handles the reports of a backend.

use crate::model::feed::{Connection, Feed, Notice, Watching};
use crate::model::lane::Lane;
use crate::model::{Reply, RunId};
use crate::ui::layout::Panel;

use super::App;
use super::batch::Batch;
use super::keyed::keyed;
use super::msg::Effect;
use super::overlay::Overlay;
use super::overlay::order::OrderBox;
use super::overlay::picker::LaterRows;
use super::overlay::rollback::RollbackBox;
use super::overlay::trust::TrustQuestion;
use super::state::failed;

impl App {
    /// Applies a report to the state and to the open overlay. Returns an alert if a run fails, if a run or one of its
    /// jobs starts to wait, or if a deployment notifies terminals.
    pub(super) fn take_feed(&mut self, feed: Feed) -> Vec<Effect> {
        let watch = self.watch_for_alerts(&feed);
        let brings_lanes = matches!(feed, Feed::Lanes(_));
        self.apply_feed(feed);
        if let Some(Overlay::Review(review)) = &mut self.overlay {
            review.refresh(&self.state);
        }
        let outdated = if brings_lanes { self.outdated_details() } else { None };
        self.alert(watch).into_iter().chain(outdated).collect()
    }

    /// Shows the workflows if the first list of runs is empty, and the jobs once there is a run. Does nothing once a
    /// key was pressed.
    fn greet(&mut self, is_first: bool) {
        let is_empty = self.state.listed().next().is_none() && self.selection.run_id().is_none();
        if !self.is_untouched || self.state.connection == Connection::Replay {
            return;
        }
        if is_first && is_empty {
            self.focus(Panel::Workflows);
        } else if self.view.focus == Panel::Workflows && !is_empty {
            self.focus(Panel::Jobs);
        }
    }

    fn apply_feed(&mut self, feed: Feed) {
        match feed {
            Feed::Listed { runs, more, of } => {
                let is_first = !self.state.is_listed;
                self.state.list(runs, more, of.as_ref());
                self.greet(is_first);
            }
            Feed::Updated(runs) => {
                self.state.update(runs);
                self.greet(false);
            }
            Feed::Started(run) => {
                self.state.started(run.clone());
                // An open overlay keeps the keyboard, and the selection behind it does not change.
                if self.overlay.is_none() {
                    self.selection.select_run(Some(run));
                    self.focus(Panel::Jobs);
                }
            }
            // With an open overlay the selection stays, because the user may be reading. The run is only added to the
            // list.
            Feed::Triggered(run) => {
                self.state.started(run.clone());
                if self.overlay.is_none() {
                    self.selection.select_run(Some(run));
                    if self.view.focus == Panel::Workflows {
                        self.focus(Panel::Jobs);
                    }
                }
            }
            Feed::Opened(info) if self.state.connection == Connection::Replay => self.start_replay(info),
            Feed::Opened(info) => self.state.open(info),
            Feed::Expected { run, expected } => self.state.expect(run, expected),
            Feed::Records { records, .. } if self.replay.is_some() => self.extend_replay(records),
            Feed::Records { run, records } => {
                let notice = self.state.apply(&run, &records);
                self.toast = notice.or(self.toast.take());
            }
            Feed::Removed(run) => {
                let name = self.state.summary(&run).map(|run| run.name.clone()).unwrap_or_default();
                self.state.remove(&run);
                let shown = self.toast.take();
                self.notify(Notice::news(format!("removed {name} {run}")));
                // While a batch of deletions runs, keep its progress on the screen instead of this notice.
                if self.batch.as_ref().is_some_and(|batch| batch.deletes(&run)) {
                    self.toast = shown;
                }
            }
            Feed::Replied { run, command, reply } => {
                if let Some(notice) = failed(&command, &reply) {
                    self.state.confirm(&run, &command);
                    self.notify(notice);
                }
                self.count(&run, &reply);
            }
            Feed::Startable(workflows) => self.state.startable = workflows,
            Feed::Dispatchable(workflows) => {
                self.state.dispatchable = workflows;
                let rows = self.start_rows();
                if let Some(Overlay::Picker(picker)) = &mut self.overlay {
                    picker.refill(LaterRows::Starts, rows);
                }
            }
            Feed::Compose(services) => self.state.compose = services,
            Feed::Stored { run, files } => {
                let rows = self.stored_rows(&run, files);
                if let Some(Overlay::Picker(picker)) = &mut self.overlay
                    && self.selection.run_id() == Some(&run)
                {
                    picker.refill(LaterRows::Stored, rows);
                }
            }
            Feed::Summaries { run, summaries, missing } => {
                if let Some(Overlay::Summaries(shown)) = &mut self.overlay {
                    shown.take(&run, &summaries, missing);
                }
            }
            Feed::StoredUnreadable { run, reason } => {
                if let Some(Overlay::Picker(picker)) = &self.overlay
                    && picker.awaits(LaterRows::Stored)
                    && self.selection.run_id() == Some(&run)
                {
                    self.overlay = None;
                }
                self.notify(Notice::bad(reason));
            }
            Feed::Rights(rights) => self.state.rights = rights,
            Feed::Watched(repositories) => {
                self.state.watched = repositories;
                self.greet(false);
            }
            Feed::Broken(workflows) => {
                if let Some(Overlay::Faults(faults)) = &mut self.overlay {
                    faults.refresh(&workflows);
                }
                self.state.broken = workflows;
            }
            Feed::Untrusted { .. } if self.overlay.is_some() => {
                self.notify(Notice::bad("not started: the repository is not trusted; start it again to decide"));
            }
            Feed::Untrusted { question, preview } => {
                self.pressed.clear();
                self.overlay = Some(Overlay::Trust(TrustQuestion::new(question, preview)));
            }
            Feed::Environments { repository, environments } => self.state.environments.set(repository, environments),
            Feed::Lanes(lanes) => self.take_lanes(lanes),
            Feed::LanesUnreadable(reason) => {
                let kept =
                    if self.state.lanes.is_empty() { "" } else { "; the environments are shown as they were before" };
                self.notify(Notice::bad(format!("{reason}{kept}")));
                self.state.lanes_unreadable = Some(reason);
            }
            Feed::LaneDetails(mut details) => {
                for closed in details.next.iter_mut().flat_map(|next| &mut next.closed) {
                    *closed = keyed(closed, &details.environment, &self.keymap);
                }
                self.state.details.insert(details.environment.clone(), Ok(details));
                self.refresh_releases();
            }
            Feed::LaneDetailsUnreadable { environment, reason } => self.take_unreadable_details(environment, reason),
            Feed::UnknownRelease { environment, reason } => self.take_unknown_release(&environment, reason),
            Feed::DeploymentPlanned { preview, .. } if self.overlay.is_some() => {
                self.notify(Notice::news(format!(
                    "nothing was done to {}: close this dialog and try again",
                    preview.environment
                )));
            }
            Feed::DeploymentPlanned { question, preview } => {
                self.pressed.clear();
                self.toast = None;
                self.overlay = Some(Overlay::Order(OrderBox::start(question, &preview)));
            }
            Feed::RollbackPlanned { rollback, .. } if self.overlay.is_some() => {
                self.notify(Notice::news(format!(
                    "not rolled back: {}; close this dialog and try again",
                    rollback.title()
                )));
            }
            Feed::RollbackPlanned { repository, rollback } => {
                self.pressed.clear();
                self.overlay = Some(Overlay::Rollback(RollbackBox::new(repository, rollback)));
            }
            Feed::Head(head) => self.state.head = Some(head),
            Feed::Watching(watching) => {
                let text = match (&self.state.watching, &watching) {
                    (None, Some(Watching { workflow: Some(one), .. })) => {
                        Some(format!("watch mode is on: {one} runs when files of its paths change"))
                    }
                    (None, Some(_)) => {
                        Some("watch mode is on: when files change, what a push of them triggers runs".to_owned())
                    }
                    (Some(_), None) => Some("watch mode is off".to_owned()),
                    _ => None,
                };
                self.state.watching = watching;
                if let Some(text) = text {
                    self.notify(Notice::news(text));
                }
            }
            // With an open overlay the user is busy, and the offer can also be taken from the command line.
            Feed::DemoSucceeded if self.overlay.is_some() => {
                self.notify(Notice::news("the demo is green; `cuelight demo --break` breaks a test of it"));
            }
            Feed::DemoSucceeded => {
                self.pressed.clear();
                self.overlay = Some(Self::break_question());
            }
            Feed::Polling(polling) => self.state.polling = polling,
            Feed::Connection(connection) => self.connected(connection),
            Feed::Notice(notice) => {
                let text = match self.lane() {
                    Some(lane) => keyed(&notice.text, lane.name(), &self.keymap),
                    None => notice.text,
                };
                self.notify(Notice { text, ..notice });
            }
        }
    }

    /// Stores the environments of this machine, and announces releases that have gone live. Closes a dialog about a
    /// deployment that is no longer what the dialog shows.
    fn take_lanes(&mut self, lanes: Vec<Lane>) {
        let before = std::mem::replace(&mut self.state.lanes, lanes);
        (self.state.lanes_unreadable, self.state.has_read_lanes) = (None, true);
        let known = |lane: &Lane| before.iter().find(|known| known.name() == lane.name());
        // While a later deployment is interrupted, what is live is unknown, but the success of this one is no news.
        let had_succeeded = |lane: &Lane, run: &RunId| {
            lane.environment.deployments.iter().any(|one| one.succeeded && one.local.as_ref() == Some(run))
        };
        let went_live = |lane: &&Lane| {
            let run = lane.environment.live().filter(|_| lane.serves.is_none()).and_then(|live| live.local.as_ref());
            run.is_some_and(|run| known(lane).is_some_and(|known| !had_succeeded(known, run)))
        };
        let notices = self.state.lanes.iter().filter(went_live).filter_map(|lane| {
            let live = lane.environment.live()?;
            Some(Notice::news(format!("{} is live in {}", live.release.name(), lane.name())))
        });
        let notices: Vec<Notice> = notices.collect();
        let stage = |lane: &Lane| lane.open.as_ref().map(|open| (open.run.clone(), open.has_succeeded));
        let orders = self.overlay.as_ref().and_then(Overlay::ordered).map(str::to_owned);
        let changed = self.state.lanes.iter().find(|lane| {
            orders.as_deref() == Some(lane.name()) && known(lane).is_some_and(|known| stage(known) != stage(lane))
        });
        let closed = changed.map(|lane| {
            let name = lane.name();
            Notice::bad(format!("nothing was done to {name}: its deployment went on meanwhile; look at it again"))
        });
        if closed.is_some() {
            self.overlay = None;
        }
        self.refresh_releases();
        notices.into_iter().chain(closed).for_each(|notice| self.notify(notice));
    }

    /// Counts the reply of a run to a command that was sent to several runs, and shows the progress.
    fn count(&mut self, run: &RunId, reply: &Reply) {
        let name = self.state.summary(run).map(|run| run.name.clone()).unwrap_or_default();
        let Some(notice) = self.batch.as_mut().and_then(|batch| batch.replied(run, &name, reply)) else { return };
        if self.batch.as_ref().is_some_and(Batch::has_ended) {
            self.notify(notice);
        } else {
            self.toast = Some(notice);
        }
    }

    /// Stores the state of the connection. If the reason for missing reports has changed, shows it, or shows that the
    /// connection is live again.
    fn connected(&mut self, connection: Connection) {
        let before = self.state.connection.reason();
        let notice = match connection.reason() {
            // The reason is the same; only the age of the data changed.
            reason if reason == before => None,
            Some(reason) => Some(Notice::bad(reason)),
            None => Some(Notice::news("connected again: the screen is up to date")),
        };
        self.state.connection = connection;
        if let Some(notice) = notice {
            self.notify(notice);
        }
    }
}
