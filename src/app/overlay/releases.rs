//! Lists of the releases of an environment of this machine: those that can be deployed to it, and those that it can go
//! back to.

use std::time::Duration;

use crate::app::App;
use crate::app::msg::Effect;
use crate::model::Timestamp;
use crate::model::environment::{EnvironmentDeployment, Release};
use crate::model::feed::{Notice, Request};
use crate::model::lane::{Lane, LaneRequest};
use crate::model::lane_details::{CommitResult, Deployable, Distance, LaneDetails};
use crate::model::rollback::{RollbackRequest, TargetError};
use crate::ui::text;

use super::Overlay;
use super::picker::{Pick, PickRow, Picker, ReleasesOf};

/// Maximum number of branches that are named at a release.
const MAX_BRANCHES: usize = 2;

/// Minimum width of a screen in columns for long descriptions.
const WIDE: u16 = 70;

/// Length of time below which a release was live only briefly.
const BRIEF: Duration = Duration::from_mins(1);

impl App {
    /// Opens the list of releases to deploy to the selected environment, and requests those of the repository.
    pub(in crate::app) fn deploy_here(&mut self) -> Vec<Effect> {
        let Some(lane) = self.lane() else { return Vec::new() };
        let name = lane.name().to_owned();
        let picker = Picker::new("", Vec::<PickRow>::new());
        self.overlay = Some(Overlay::Picker(picker.of_releases(ReleasesOf::Deploy(name.clone()))));
        self.refresh_releases();
        vec![Effect::Request(Request::DescribeLane { environment: name })]
    }

    /// Opens the list of releases that an environment can go back to. Requests their commits, and what still runs.
    pub(super) fn open_rollback(&mut self, lane: &str) -> Vec<Effect> {
        let picker = Picker::new("", Vec::<PickRow>::new());
        let releases = ReleasesOf::RollBack(lane.to_owned(), self.state.now);
        self.overlay = Some(Overlay::Picker(picker.of_releases(releases)));
        self.refresh_releases();
        let details = Request::DescribeLane { environment: lane.to_owned() };
        vec![Effect::Request(Request::ListLanes), Effect::Request(details)]
    }

    /// Shows the newest state of the environment in the open list of releases.
    pub(in crate::app) fn refresh_releases(&mut self) {
        let Some((lane, opened)) = self.lane_of_releases() else { return };
        let (deploys, details) = (opened.is_none(), self.state.details(lane.name()));
        let mut note = match details {
            Err(missing) => missing.text().to_owned(),
            Ok(details) if deploys && details.releases.is_empty() => {
                "the repository has no commits: commit something first".to_owned()
            }
            Ok(_) => String::new(),
        };
        let (rows, preferred) = match (opened, details) {
            (Some(opened), _) => {
                let missing = lane.as_served().rollback(&RollbackRequest::default()).err();
                let lacks_usual = lane.on_its_way().is_none() && matches!(missing, Some(TargetError::NoEarlier { .. }));
                if lacks_usual && note.is_empty() {
                    "no earlier release is known to have succeeded: select one that was replaced".clone_into(&mut note);
                }
                (self.rollback_rows(lane, opened), (!lacks_usual).then_some(0))
            }
            (None, Ok(details)) => {
                let rows = details.releases.iter().map(|one| self.deployable_row(lane, details, one)).collect();
                let offered = offered(lane, details);
                if let (Err(reason), true) = (&offered, note.is_empty()) {
                    note.clone_from(reason);
                }
                (rows, offered.ok())
            }
            (None, Err(_)) => (offered_row(lane).into_iter().collect(), Some(0)),
        };
        let title = if deploys {
            let live = lane.live_title();
            format!("Deploy to {}, {live} is live", lane.name())
        } else {
            rollback_title(lane)
        };
        if let Some(Overlay::Picker(picker)) = &mut self.overlay {
            picker.title = title;
            picker.replace(rows, preferred, note);
        }
    }

    /// Returns the environment whose releases are listed in the open dialog and, unless one of them is to be deployed, the
    /// time at which the list was opened.
    fn lane_of_releases(&self) -> Option<(&Lane, Option<Timestamp>)> {
        let Some(Overlay::Picker(picker)) = &self.overlay else { return None };
        let (name, opened) = match picker.releases()? {
            ReleasesOf::Deploy(name) => (name, None),
            ReleasesOf::RollBack(name, opened) => (name, Some(*opened)),
        };
        Some((self.state.lane(name)?, opened))
    }

    /// Returns the request for the details of the environment whose releases are listed, if a deployment has changed
    /// what the details refer to.
    pub(in crate::app) fn outdated_details(&self) -> Option<Effect> {
        let (lane, _) = self.lane_of_releases()?;
        let details = self.state.details(lane.name()).ok()?;
        let current = lane.environment.current().map(|current| &current.release.sha);
        let is_outdated = !details.is_current(lane) || details.current.as_ref() != current;
        is_outdated.then(|| Effect::Request(Request::DescribeLane { environment: lane.name().to_owned() }))
    }

    /// Stores why the details of an environment cannot be read, and announces it if a list of releases is open.
    pub(in crate::app) fn take_unreadable_details(&mut self, environment: String, reason: String) {
        if matches!(&self.overlay, Some(Overlay::Picker(picker)) if picker.releases().is_some()) {
            self.notify(Notice::bad(format!("{environment}: {reason}")));
        }
        self.state.details.insert(environment, Err(reason));
        self.refresh_releases();
    }

    /// Opens the list again in which a release was picked that does not exist, with what was typed and the reason.
    pub(in crate::app) fn take_unknown_release(&mut self, environment: &str, reason: String) {
        let is_its = |list: &Picker| matches!(list.releases(), Some(ReleasesOf::Deploy(name)) if name == environment);
        match self.picked_from.take().filter(|list| self.overlay.is_none() && is_its(list)) {
            Some(mut list) => {
                list.refuse(reason);
                self.toast = None;
                self.overlay = Some(Overlay::Picker(list));
                self.refresh_releases();
            }
            None => self.notify(Notice::bad(reason)),
        }
    }

    fn deployable_row(&self, lane: &Lane, details: &LaneDetails, one: &Deployable) -> PickRow {
        // The details may be older than the last deployment to another environment.
        let is_live = |lane: &&Lane| lane.live().is_some_and(|live| live.sha == one.release.sha);
        let live_in: Vec<&str> = self.state.lanes.iter().filter(is_live).map(Lane::name).collect();
        let here = live_in.contains(&lane.name()).then(|| "live here".to_owned());
        let elsewhere: Vec<&str> = live_in.into_iter().filter(|name| *name != lane.name()).collect();
        let replaced = lane.has_replaced(&one.release).then(|| "was live here".to_owned());
        let refused = (!one.refused.is_empty()).then(|| "refused".to_owned());
        let passed: Vec<&str> =
            one.passed.iter().map(String::as_str).filter(|name| !elsewhere.contains(name)).collect();
        let passed = (!passed.is_empty()).then(|| format!("passed {}", passed.join(", ")));
        let elsewhere = (!elsewhere.is_empty()).then(|| format!("live in {}", elsewhere.join(", ")));
        let result = one.result.as_ref().map(|result| self.result_text(result));
        let head = one.is_checked_out.then(|| "checked out".to_owned());
        let branches = match &one.branches[..one.branches.len().min(MAX_BRANCHES)] {
            [] => None,
            [one] => Some(format!("branch {one}")),
            several => Some(format!("branches {}", several.join(", "))),
        };
        let marks = refused.into_iter().chain(here).chain(elsewhere).chain(passed).chain(replaced);
        let marks: Vec<String> = marks.chain(result).chain(head).chain(branches).collect();
        let about =
            if marks.is_empty() { one.subject.clone() } else { format!("({}) {}", marks.join(", "), one.subject) };
        let age = text::ago(self.state.now.since(one.committed));
        let note = match one.refused.as_slice() {
            [] => distance_text(lane, one, details.distance(lane, one)),
            refused => format!("refused: {}", refused.join("; ")),
        };
        PickRow::new(one.release.title(), about, plan(lane, &one.release)).with_key(age).with_note(note)
    }

    /// Describes the result of the workflows at a commit: `ci.yml passed here 2h ago`.
    fn result_text(&self, result: &CommitResult) -> String {
        let verb = if result.has_passed { "passed" } else { "failed" };
        let here = if result.is_local { " here" } else { "" };
        format!("{} {verb}{here} {}", result.workflow, text::past(self.state.now.since(result.at)))
    }

    /// Returns the releases that an environment can go back to: first the usual one, then those that still run, then
    /// the newest. While a deployment is carrying out its steps, the only choice is to abort it. Only a target that was asked
    /// since `opened` tells what still runs.
    fn rollback_rows(&self, lane: &Lane, opened: Timestamp) -> Vec<PickRow> {
        let environment = lane.name().to_owned();
        if let Some(open) = lane.on_its_way().filter(|open| open.is_running && open.step.is_some()) {
            let back = open.former();
            let label = format!("{back}  by aborting {}, which is in progress", open.release.title());
            return vec![(label, Pick::Lane(LaneRequest::PlanRollback { environment, to: None })).into()];
        }
        let is_reported = lane.current_report().is_some_and(|report| report.at >= opened);
        let is_running = |release: &Release| is_reported && lane.is_running(release);
        let unreported = if is_reported { None } else { unreported(lane) };
        let served = lane.as_served();
        let current = served.current().map(|current| current.release.sha.as_str());
        let mut known: Vec<&EnvironmentDeployment> = Vec::new();
        for one in served.deployments.iter().filter(|one| one.succeeded) {
            let sha = one.release.sha.as_str();
            if current != Some(sha) && known.iter().all(|known| known.release.sha != sha) {
                known.push(one);
            }
        }
        // The release that a rollback goes to unless another one is named: never one that was left as bad.
        let usual = served.rollback(&RollbackRequest::default()).ok().map(|(_, to)| &to.release.sha);
        known.sort_by_key(|one| (usual != Some(&one.release.sha), !is_running(&one.release)));
        // Commits are counted from the release that was current when they were read.
        let details = self.state.details(&environment).ok().filter(|details| details.current.as_deref() == current);
        let cells = |one: &&EnvironmentDeployment| {
            let instant = match (is_running(&one.release), self.area.width < WIDE) {
                (true, true) => "instant",
                (true, false) => "still running, instant",
                (false, _) => "",
            };
            let earlier = details.and_then(|details| details.earlier.iter().find(|it| it.sha == one.release.sha));
            let undone = earlier.and_then(|earlier| earlier.undone).map(|count| format!("{count} undone"));
            let subject = earlier.map(|earlier| earlier.subject.clone());
            [instant.to_owned(), undone.unwrap_or_default(), subject.unwrap_or_default()]
        };
        let cells: Vec<[String; 3]> = known.iter().map(cells).collect();
        let widest = |column: usize| cells.iter().map(|row| text::width(&row[column])).max().unwrap_or_default();
        let (instants, counts) = (widest(0), widest(1));
        let row = |(one, [instant, undone, subject]): (&&EnvironmentDeployment, &[String; 3])| {
            let instant = if instants == 0 { String::new() } else { format!("{instant:<instants$}  ") };
            let undone = if counts == 0 { String::new() } else { format!("{undone:>counts$}  ") };
            let about = format!("{instant}{undone}{subject}").trim_end().to_owned();
            let to = Some(one.release.sha.clone());
            let pick = Pick::Lane(LaneRequest::PlanRollback { environment: environment.clone(), to });
            let note = unreported.iter().cloned().chain([self.was_live(lane, one)]).collect::<Vec<_>>().join("; ");
            PickRow::new(one.release.title(), about, pick).with_note(note)
        };
        known.iter().zip(&cells).map(row).collect()
    }

    /// Describes how long a release was live after a deployment, who deployed it, and why.
    fn was_live(&self, lane: &Lane, one: &EnvironmentDeployment) -> String {
        if lane.serves.is_some() && lane.environment.live() == Some(one) {
            let length = text::ago(self.state.now.since(one.at()));
            return format!("recorded as live for {length}, {}", one.by_and_why());
        }
        // The deployments are sorted, the newest first.
        let later = lane.environment.deployments.iter().take_while(|later| *later != one).filter(|it| it.succeeded);
        let until = later.last().map_or(self.state.now, EnvironmentDeployment::at);
        if one.origin.is_found {
            return format!("live until {}, {}", text::past(self.state.now.since(until)), one.by());
        }
        let length = match until.since(one.at()) {
            length if length < BRIEF => "briefly".to_owned(),
            length => text::ago(length),
        };
        format!("live {length}, until {}, {}", text::past(self.state.now.since(until)), one.by_and_why())
    }
}

/// Returns the title of the list of releases to go back to, with the release that would be left.
fn rollback_title(lane: &Lane) -> String {
    let served = lane.as_served();
    let live = served.live().filter(|_| lane.on_its_way().is_none());
    let live = live.map(|live| format!(", {} is live", live.release.title())).unwrap_or_default();
    format!("Roll back {}{live}", lane.name())
}

/// Returns why it is not known what still runs in an environment whose target has not reported it since the list was opened.
/// `None` if it is not asked.
fn unreported(lane: &Lane) -> Option<String> {
    match &lane.no_report {
        Some(why) => Some(format!("{}, so what still runs is not known", why.short())),
        None => lane.is_asked.then(|| "asking what still runs".to_owned()),
    }
}

/// Returns the pick that shows the plan of a deployment.
fn plan(lane: &Lane, release: &Release) -> Pick {
    let release = release.tag.clone().unwrap_or_else(|| release.sha.clone());
    Pick::Lane(LaneRequest::Plan { environment: lane.name().to_owned(), release })
}

/// Returns the row of the release to offer, which is the only one that is known before the details are read.
fn offered_row(lane: &Lane) -> Option<PickRow> {
    let offered = &lane.offered;
    let is_safe = !offered.sha.is_empty() && !offered.is_image() && !lane.has_replaced(offered);
    is_safe.then(|| PickRow::from((offered.title(), plan(lane, offered))))
}

/// Returns the index of the release to offer for an environment: what is live in the environment before it, or what is
/// checked out. No other release is offered in its place, because the user has not asked for it.
///
/// # Errors
/// Returns why no release is offered.
fn offered(lane: &Lane, details: &LaneDetails) -> Result<usize, String> {
    let offered = &lane.offered;
    let listed = || details.releases.iter().position(|one| one.release.sha == offered.sha);
    let why = match offered.title() {
        _ if offered.sha.is_empty() => "no commit is checked out".to_owned(),
        title if lane.has_replaced(offered) => format!("{title} was live here and was replaced"),
        _ if offered.is_image() => format!("{} is an image whose commit is not known", offered.short()),
        title => match listed() {
            Some(at) => return Ok(at),
            None => format!("the repository does not have {title}"),
        },
    };
    Err(format!("{why}: select a release"))
}

/// Describes what a deployment of a release would change: `from v1.4.1 to v1.4.3: 3 commits are new`.
fn distance_text(lane: &Lane, one: &Deployable, distance: Distance) -> String {
    let (from, to) = (lane.live_title(), one.release.title());
    match distance {
        Distance::Live => format!("{to} is live already: deploys it again"),
        Distance::New(count) => {
            let are = if count == 1 { "is" } else { "are" };
            format!("from {from} to {to}: {} {are} new", text::counted(count, "commit"))
        }
        Distance::Older => format!("from {from} back to {to}, which is older"),
        Distance::Unknown => format!("from {from} to {to}"),
    }
}
