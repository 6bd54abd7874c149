//! How a deployment by this machine stands or has ended: why, with the evidence in its record, and what to do next.

use serde_json::{Value, json};

use crate::model::deployment::{DeploymentRecord, EnvironmentState, Outcome};
use crate::model::environment::Environment;
use crate::model::rollback::RollbackRequest;
use crate::model::{Phase, Run};
use crate::ui::terminal_text::{TerminalText, text};
use crate::ui::theme::Hue;

use super::ending::failed_step;
use super::style::Style;
use super::{deployments, quoted};

/// A deployment, according to the ledger.
pub struct Standing<'s> {
    record: &'s DeploymentRecord,
    is_live: bool,
    /// The environment with the report of its target, if the release is live and the target was asked.
    environment: Option<Environment>,
    /// Position in its plan, if it is in progress or was left halfway.
    position: Option<String>,
    next: Option<String>,
}

impl<'s> Standing<'s> {
    /// Returns how the deployment of a run stands in its environment. `position` is its position in its plan, in words.
    /// `None` if the ledger does not have the deployment.
    #[must_use]
    pub fn of(run: &Run, state: &'s EnvironmentState, position: Option<String>) -> Option<Self> {
        let record = state.deployment(&run.info.id)?;
        let has_failed_step = run.jobs.values().any(|job| failed_step(job).is_some());
        let is_open = matches!(record.outcome, None | Some(Outcome::Interrupted | Outcome::Failed));
        Some(Self {
            record,
            is_live: state.is_live(record),
            environment: None,
            position: position.filter(|_| is_open && record.began),
            next: next(record, state, has_failed_step),
        })
    }

    /// Adds what the target of the environment reports about the live release.
    #[must_use]
    pub fn with_report(self, environment: Option<Environment>) -> Self {
        Self { environment, ..self }
    }

    /// Returns the state, what is wrong with the live release now, why the deployment ended as it did, and the next command, as
    /// lines. `has_cause` is whether a likely cause follows, which has a next command, too.
    #[must_use]
    pub fn text(&self, has_cause: bool, style: Style) -> TerminalText {
        let Self { record, is_live, .. } = self;
        let mut lines = TerminalText::default();
        let (environment, release) = (&record.environment, record.release.title());
        let words = deployments::state_words(record, *is_live, self.environment.as_ref());
        let state = style.bold(text!("{} {}", release, words));
        let impairment = self.environment.as_ref().and_then(|environment| environment.impairment);
        let phase = impairment.map(|impairment| Phase::Done(impairment.conclusion()));
        let glyph = style.glyph(&phase.unwrap_or_else(|| record.state(*is_live).phase(environment)));
        lines.push_line(&text!("{} {}: {}", glyph, environment, state));
        if let Some(fault) = self.environment.as_ref().and_then(Environment::fault) {
            lines.push_line(&style.paint(Hue::Bad, text!("    now: {}", fault)));
        }
        for line in record.end_reason.lines() {
            lines.push_line(&text!("    {}", style.paint(Hue::Dim, line)));
        }
        if let Some(position) = self.position.as_ref().filter(|position| !record.end_reason.contains(*position)) {
            lines.push_line(&text!("    at {}", position));
        }
        let is_left = matches!(record.outcome, Some(Outcome::Interrupted | Outcome::Failed));
        let next = self.next.as_ref().filter(|next| !record.end_reason.contains(*next) && (is_left || !has_cause));
        if let Some(next) = next {
            lines.push_line(&text!("    next: {}", next));
        }
        style.spelled(lines)
    }

    /// Returns the deployment with the next command as a JSON document.
    #[must_use]
    pub fn document(&self) -> Value {
        let mut document = deployments::document(self.record, self.is_live, self.position.as_deref());
        document["next"] = json!(self.next);
        document["fault"] = json!(self.environment.as_ref().and_then(Environment::fault));
        json!({ "deployment": document })
    }
}

/// Returns what a person can do next. `None` if nothing is to be done, or if rules hold the deployment, whose remedies
/// are listed by themselves.
fn next(record: &DeploymentRecord, state: &EnvironmentState, has_failed_step: bool) -> Option<String> {
    let (run, environment) = (&record.run, quoted(&record.environment));
    let logs = format!("`cuelight logs {run} --failed` prints the log of what failed");
    let again = format!("`cuelight deploy {environment} {}` deploys it again", quoted(record.release.name()));
    match record.outcome {
        None if record.began && record.paused => Some(format!(
            "`cuelight promote {environment}` ends the pause, `cuelight attach {run}` follows it, `cuelight abort {environment}` \
             undoes it"
        )),
        None if record.began => {
            Some(format!("`cuelight attach {run}` follows it, `cuelight abort {environment}` undoes it"))
        }
        None => None,
        Some(Outcome::Interrupted | Outcome::Failed) if record.began && state.superseded_by(run).is_some() => None,
        Some(Outcome::Interrupted | Outcome::Failed) => Some(record.ways_out().unwrap_or(again)),
        Some(Outcome::RolledBack) if has_failed_step => Some(logs),
        Some(Outcome::RolledBack | Outcome::Cancelled) => Some(again),
        Some(Outcome::Succeeded) if state.is_live(record) => {
            let shown = state.shown(record.created);
            if shown.rollback(&RollbackRequest::default()).is_ok() {
                return Some(format!("`cuelight rollback {environment}` goes back"));
            }
            // A release that this one has replaced must be named.
            let other = shown.others().next()?;
            let to = quoted(other.name());
            Some(format!("`cuelight rollback {environment} --to {to}` goes to {}", other.title()))
        }
        Some(Outcome::Succeeded) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::deployment::{Action, Actor, Cause, Entry, Ledger};
    use crate::model::environment::{Impairment, Release};
    use crate::model::{RunId, RunInfo, Timestamp};
    use crate::store::runs::RunStore;
    use crate::ui::theme::Glyphs;

    fn entry(run: &str, action: Action, reason: &str) -> Entry {
        Entry {
            at: Timestamp(1),
            by: Actor { user: "ada".to_owned(), host: "web".to_owned(), email: String::new() },
            environment: "production".to_owned(),
            deployment: Some(RunId::new(run)),
            job: None,
            action,
            reason: reason.to_owned(),
        }
    }

    /// Returns what is explained about the deployment `r1` of v2 that ended like this; `None` if it has not ended.
    fn explained(began: bool, end: Option<(Outcome, &str)>) -> String {
        explained_with(began, end, None)
    }

    /// Returns the same, with the report of the target.
    fn explained_with(began: bool, end: Option<(Outcome, &str)>, environment: Option<Environment>) -> String {
        let release = Release { sha: "d92af2e0".to_owned(), reference: "v2".to_owned(), tag: Some("v2".to_owned()) };
        let mut entries = vec![entry("r1", Action::Requested { release, from: None, cause: Cause::Manual }, "")];
        entries.extend(began.then(|| entry("r1", Action::Began, "")));
        entries.extend(end.map(|(outcome, reason)| entry("r1", Action::Ended { outcome }, reason)));
        let state = Ledger::new(entries).of("production");
        let mut store = RunStore::default();
        store.open(RunInfo { id: RunId::new("r1"), ..RunInfo::default() });
        let run = store.run(&RunId::new("r1")).expect("open");
        let position = Some("step 4/9, Watch green".to_owned());
        let standing = Standing::of(run, &state, position).expect("in the ledger").with_report(environment);
        standing.text(false, Style::new(Glyphs::Unicode, false)).plain().into_owned()
    }

    #[test]
    fn a_live_release_that_does_not_serve_has_no_sign_of_success() {
        let health = "0/2 healthy, started again and again: shop-1 (7 restarts)".to_owned();
        let down = Environment {
            health: Some(health.clone()),
            impairment: Some(Impairment::Down),
            ..Environment::named("production")
        };
        let text = explained_with(true, Some((Outcome::Succeeded, "")), Some(down));
        assert!(text.starts_with("✗ production: v2 d92af2e") && text.contains(&format!("    now: {health}")), "{text}");
        let silent = Environment {
            no_report: Some("its target does not answer".to_owned()),
            impairment: Some(Impairment::Partial),
            ..Environment::named("production")
        };
        let text = explained_with(true, Some((Outcome::Succeeded, "")), Some(silent));
        assert!(text.contains("v2 d92af2e recorded as live\n") && !text.starts_with('✓'), "{text}");
        let well = Environment { health: Some("2/2 healthy".to_owned()), ..Environment::named("production") };
        let text = explained_with(true, Some((Outcome::Succeeded, "")), Some(well));
        assert!(text.starts_with("✓ production") && !text.contains("now: "), "{text}");
    }

    #[test]
    fn the_way_back_of_a_live_release_is_named_only_where_the_command_takes_it() {
        let deployed = |run: &str, tag: &str| {
            let release =
                Release { sha: format!("d92af2e{tag}"), reference: tag.to_owned(), tag: Some(tag.to_owned()) };
            let requested = Action::Requested { release, from: None, cause: Cause::Manual };
            let actions = [requested, Action::Began, Action::Ended { outcome: Outcome::Succeeded }];
            actions.map(|action| entry(run, action, ""))
        };
        let after = |all: &[[Entry; 3]], run: &str| {
            let state = Ledger::new(all.concat()).of("production");
            next(state.deployment(&RunId::new(run)).expect("in the ledger"), &state, false)
        };
        let all = [deployed("r1", "v1"), deployed("r2", "v2"), deployed("r3", "v1")];
        assert_eq!(after(&all[..1], "r1"), None, "there is nothing to go back to");
        assert_eq!(after(&all[..2], "r2").as_deref(), Some("`cuelight rollback production` goes back"));
        assert_eq!(after(&all[..2], "r1"), None, "it is not live");
        let named = after(&all, "r3").expect("a command");
        assert!(named.starts_with("`cuelight rollback production --to v2` goes to v2 "), "{named}");
    }

    #[test]
    fn a_deployment_with_a_requested_pause_names_the_command_that_ends_it() {
        let release = Release { sha: "d92af2e0".to_owned(), reference: "v2".to_owned(), tag: Some("v2".to_owned()) };
        let requested = Action::Requested { release, from: None, cause: Cause::Manual };
        let entries = [requested, Action::Began, Action::Paused].map(|action| entry("r1", action, ""));
        let state = Ledger::new(entries.to_vec()).of("production");
        let record = state.deployment(&RunId::new("r1")).expect("in the ledger");
        let next = next(record, &state, false).expect("a command");
        assert!(next.starts_with("`cuelight promote production` ends the pause, "), "{next}");
    }

    #[test]
    fn every_end_of_a_deployment_is_explained_with_the_next_command() {
        let ways = "`cuelight resume r1` or `cuelight abort production`";
        let interrupted = format!("interrupted at step 4/9, Watch green: {ways}");
        let analysis = "step 4/9 (Watch green) failed: the new release failed its analysis twice; v1 serves again";
        let deploy = "next: `cuelight deploy production v2` deploys it again";
        for (began, end, expected) in [
            (true, Some((Outcome::RolledBack, analysis)), vec!["v2 d92af2e rolled back", analysis, deploy]),
            (true, Some((Outcome::Interrupted, interrupted.as_str())), vec!["v2 d92af2e interrupted", &interrupted]),
            (
                true,
                Some((Outcome::Failed, "a; b")),
                vec!["failed", "    a; b", "at step 4/9", "next: `cuelight abort production`"],
            ),
            (
                false,
                Some((Outcome::Cancelled, "rejected by olu@web: no")),
                vec!["cancelled", "rejected by olu", deploy],
            ),
            (false, Some((Outcome::Failed, "refused")), vec!["failed", "refused", deploy]),
            (false, None, vec!["production: v2 d92af2e waiting"]),
            (true, None, vec!["in progress", "at step 4/9, Watch green", "next: `cuelight attach r1` follows it"]),
            (true, Some((Outcome::Succeeded, "")), vec!["live"]),
        ] {
            let text = explained(began, end);
            for part in expected {
                assert!(text.contains(part), "{part}: {text}");
            }
            assert!(text.matches(ways).count() <= 1, "{text}");
        }
    }
}
