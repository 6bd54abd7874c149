//! Deployments by this machine: plans, lists of deployments, and the ledger as a table.

use indexmap::IndexSet;
use serde_json::{Value, json};

use crate::model::deployment::{
    Action, Actor, DeploymentPlan, DeploymentRecord, Entry, EnvironmentSettings, HostStep, Needed,
};
use crate::model::environment::{DeploymentState, Environment, Release, title_of};
use crate::model::rollback::Changes;
use crate::model::{Phase, Timestamp};
use crate::ui::terminal_text::{TerminalText, text};
use crate::ui::text::{ago, counted, past_in_words, width};
use crate::ui::theme::Hue;

use super::style::Style;

/// A deployment before it begins.
pub struct Preview<'p> {
    /// The environment.
    pub settings: &'p EnvironmentSettings,
    /// The release.
    pub release: &'p Release,
    /// The release that is live according to the ledger; `None` if none is, or if that is not known.
    pub live: Option<&'p Release>,
    /// Whether the ledger knows what is live.
    pub is_live_known: bool,
    /// One sentence for each closed gate, with the reason why the deployment waits before it begins.
    pub gates: Vec<&'p str>,
    /// What else a person should know before the deployment, in sentences.
    pub notes: Vec<String>,
}

impl Preview<'_> {
    /// Returns the old and the new release, and the strategy: `production: v1 9093b37 → v2 d92af2e, rolling`. The
    /// old release is that of the plan or, without one, of the ledger.
    #[must_use]
    pub fn title(&self, plan: Option<&DeploymentPlan>, style: Style) -> TerminalText {
        let (live, is_known) = self.live_in(plan);
        let from = title_of(live, is_known);
        let strategy = self.settings.strategy.name();
        let title = if style.is_linear() {
            text!("{}: from {} to {}", self.settings.name, from, self.release.title())
        } else {
            text!("{}: {} → {}", self.settings.name, from, self.release.title())
        };
        style.spelled(text!("{}, {}", style.bold(title), strategy))
    }

    fn live_in<'r>(&'r self, plan: Option<&'r DeploymentPlan>) -> (Option<&'r Release>, bool) {
        DeploymentPlan::replaced(plan, self.settings.target.reports(), (self.live, self.is_live_known))
    }

    /// Returns the plan for people. `plan` is `None` while another deployment changes what the target runs, so that the
    /// steps are not known yet.
    #[must_use]
    pub fn plan(&self, plan: Option<&DeploymentPlan>, style: Style) -> TerminalText {
        let mut all = TerminalText::default();
        all.push_line(&self.title(plan, style));
        match plan {
            Some(plan) => push_steps(&mut all, plan, style),
            None if style.is_linear() => {
                all.push_line(&text!("the steps are planned once the deployment in progress has ended"));
            }
            None => all.push_line(&text!("  the steps are planned once the deployment in progress has ended")),
        }
        for gate in &self.gates {
            all.push_line(&style.paint(Hue::Dim, text!("first: {}", gate)));
        }
        for note in &self.notes {
            all.push_line(&text!("note: {}", note));
        }
        all
    }

    /// Returns the plan as a JSON document. The steps are null while they are not known; see [`Self::plan`].
    #[must_use]
    pub fn document(&self, plan: Option<&DeploymentPlan>) -> Value {
        let document = |plan: &DeploymentPlan, step: &HostStep| {
            let mut document = serde_json::to_value(&step.step).unwrap_or_default();
            document["text"] = plan.words(step).into();
            if let Some(host) = &plan.of(step.host).host {
                document["host"] = host.as_str().into();
            }
            document
        };
        let steps =
            |plan: &DeploymentPlan| -> Vec<Value> { plan.steps().iter().map(|step| document(plan, step)).collect() };
        let found = plan.into_iter().flat_map(DeploymentPlan::notes);
        let notes: Vec<&str> = self.notes.iter().map(String::as_str).chain(found).collect();
        let (steps, (live, is_known)) = (plan.map(steps), self.live_in(plan));
        json!({
            "environment": self.settings.name, "from": live, "from_unknown": !is_known, "to": self.release,
            "strategy": self.settings.strategy.name(), "gates": self.gates, "notes": notes, "steps": steps,
        })
    }
}

/// Maximum number of commits that a question lists; further ones are only counted.
const MAX_COMMITS: usize = 4;

/// Describes what a rollback undoes and how, for the question before it.
#[must_use]
pub fn way_back(plan: &DeploymentPlan, undone: &Changes, style: Style) -> TerminalText {
    let mut all = TerminalText::default();
    if let Some(count) = undone.count {
        all.push_line(&text!("Undone: {}", counted(count, "commit")));
    }
    for line in undone.lines(MAX_COMMITS) {
        all.push_line(&text!("{}", line));
    }
    all.push_line(&if plan.is_instant() {
        style.paint(Hue::Good, text!("The release still runs, so this only moves the traffic:"))
    } else {
        text!("Steps:")
    });
    push_steps(&mut all, plan, style);
    all
}

/// Adds the steps of a plan, one per line. If there are several hosts, the steps of those that are changed at the same time
/// follow a line with their names.
fn push_steps(all: &mut TerminalText, plan: &DeploymentPlan, style: Style) {
    let steps: Vec<(usize, HostStep)> = (1..).zip(plan.steps()).collect();
    for group in steps.chunk_by(|(_, one), (_, next)| plan.is_same_group(one, next)) {
        let hosts: IndexSet<usize> = group.iter().map(|(_, step)| step.host).collect();
        let is_several = hosts.len() > 1;
        if let Some(names) = plan.names(hosts) {
            let together = if is_several { ", at the same time" } else { "" };
            all.push_line(&text!("{}{}:", names, together));
        }
        for (number, step) in group {
            let words = if is_several { plan.describe(step) } else { plan.words(step) };
            all.push_line(&if style.is_linear() {
                text!("step {}: {}", number, words)
            } else {
                text!("{:>3}  {}", number, words)
            });
        }
    }
    for note in plan.notes() {
        all.push_line(&text!("note: {}", note));
    }
}

/// Returns a deployment as a JSON document. Its `reason` is why it ended, which scripts show with an alert; what the person
/// gave as the reason is `request_reason`.
#[must_use]
pub fn document(record: &DeploymentRecord, is_live: bool, position: Option<&str>) -> Value {
    json!({
        "run": record.run, "environment": record.environment, "release": record.release, "from": record.from,
        "from_unknown": record.from_unknown,
        "cause": record.cause, "creator": record.creator.name(), "created": record.created, "ended": record.ended,
        "state": record.state(is_live).word(), "outcome": record.outcome, "live": is_live,
        "reason": record.end_reason, "request_reason": record.reason,
        "approved_by": record.approved.as_ref().map(Actor::name),
        "overridden": record.overridden, "position": position, "recorded": record.recorded,
        "not_recorded": record.not_recorded,
    })
}

/// A row of the list of deployments.
pub struct Row<'r> {
    /// The deployment.
    pub record: &'r DeploymentRecord,
    /// Whether the release of the deployment is live.
    pub is_live: bool,
    /// Whether the release was live last, and it is not known what is live since a later deployment was left halfway.
    pub was_last: bool,
    /// Position of the deployment in its plan, while it is in progress or after an interruption; `None` otherwise.
    pub position: Option<String>,
    /// The environment with the report of its target, if the release is live; `None` if the target was not asked.
    pub environment: Option<&'r Environment>,
}

impl Row<'_> {
    /// Returns the phase whose sign stands for the deployment: if its release is live, the health of what runs decides.
    fn phase(&self) -> Phase {
        let impairment = self.environment.and_then(|environment| environment.impairment);
        let recorded = || self.record.state(self.is_live).phase(&self.record.environment);
        impairment.map_or_else(recorded, |impairment| Phase::Done(impairment.conclusion()))
    }

    /// Returns the state in words: `live`, `was live`. The release that was live before an interruption may still serve.
    fn words(&self) -> String {
        if self.was_last { "last live".to_owned() } else { state_words(self.record, self.is_live, self.environment) }
    }

    /// Returns the state as the end of a sentence.
    fn clause(&self) -> String {
        match live_word(self.record, self.is_live, self.environment) {
            _ if self.was_last => "was the last live release".to_owned(),
            Some(word) => format!("is {word}"),
            None => self.record.state_clause(self.is_live),
        }
    }

    /// Returns what is wrong with the live release according to the target: `0/2 healthy`. `None` if nothing is known to be.
    fn fault(&self) -> Option<String> {
        self.environment?.fault()
    }

    /// Returns how the deployment came about, and its position or why it ended, as far as these are known.
    fn remarks(&self) -> impl Iterator<Item = String> {
        let record = self.record;
        let position = self.position.clone().filter(|_| record.outcome.is_none());
        let end = Some(record.end_reason.clone()).filter(|reason| !reason.is_empty());
        [record.origin().text(), position.or(end)].into_iter().flatten()
    }
}

/// Returns the state of a deployment in words: `was live`. If its release is recorded as live and the target was asked, its
/// report decides: `live`, `down`, `recorded as live`.
pub(super) fn state_words(record: &DeploymentRecord, is_live: bool, environment: Option<&Environment>) -> String {
    live_word(record, is_live, environment).map_or_else(|| record.state_words(is_live), str::to_owned)
}

/// Returns the word for a release that is recorded as live, according to the report of its target. `None` for any other
/// release, and if the target was not asked.
fn live_word(record: &DeploymentRecord, is_live: bool, environment: Option<&Environment>) -> Option<&'static str> {
    environment.filter(|_| record.state(is_live) == DeploymentState::Success).map(Environment::live_word)
}

/// Returns the list of deployments: a table, or a sentence about each for a screen reader.
#[must_use]
pub fn table(rows: &[Row<'_>], style: Style, now: Timestamp) -> TerminalText {
    if style.is_linear() {
        return rows.iter().map(|row| text!("{}\n", sentence(row, now))).collect();
    }
    let widest = |of: &dyn Fn(&Row<'_>) -> usize| rows.iter().map(of).max().unwrap_or_default();
    let environments = widest(&|row| width(&row.record.environment));
    let releases = widest(&|row| width(&row.record.release.title()));
    let people = widest(&|row| width(&row.record.creator.user));
    let states = widest(&|row| width(&row.words()));
    let mut table = TerminalText::default();
    for row in rows {
        let record = row.record;
        let glyph = style.glyph(&row.phase());
        let age = ago(now.since(record.ended.unwrap_or(record.created)));
        let line = text!(
            "{} {:<environments$}  {:<releases$}  {:<states$}  {:>4}  {:<people$}  {}",
            glyph,
            record.environment,
            record.release.title(),
            row.words(),
            age,
            record.creator.user,
            style.paint(Hue::Dim, record.run.to_string())
        );
        table.push_line(&line.trim_end());
        if let Some(fault) = row.fault() {
            table.push_line(&style.paint(Hue::Bad, text!("    {}", fault)));
        }
        for line in row.remarks() {
            table.push_line(&style.paint(Hue::Dim, text!("    {}", line)));
        }
    }
    table
}

/// Returns the sentence about a deployment: `dev: v1 dd447a6 is live, 43 seconds ago, by root, run 20261124-000000-0001`.
fn sentence(row: &Row<'_>, now: Timestamp) -> TerminalText {
    let record = row.record;
    let (release, state) = (record.release.title(), row.clause());
    let when = past_in_words(now.since(record.ended.unwrap_or(record.created)));
    let more = row.fault().into_iter().chain(row.remarks());
    let more = more.map(|more| format!("; {more}")).collect::<Vec<_>>().concat();
    let by = &record.creator.user;
    text!("{}: {} {}, {}, by {}, run {}{}", record.environment, release, state, when, by, record.run, more)
}

/// Returns the secrets and variables that an environment needs, one per line, each with whether it is set.
#[must_use]
pub fn needed(all: &[Needed], style: Style) -> TerminalText {
    if style.is_linear() {
        let state = |one: &Needed| if one.is_set { "set" } else { "missing" };
        return all.iter().map(|one| text!("{}: {} is {}\n", one.kind(), one.name, state(one))).collect();
    }
    let widest = all.iter().map(|one| width(&one.name)).max().unwrap_or_default();
    let mut table = TerminalText::default();
    for one in all {
        let (hue, state) = if one.is_set { (Hue::Good, "set") } else { (Hue::Bad, "missing") };
        table.push_line(&text!("{:<widest$}  {:<8}  {}", one.name, one.kind(), style.paint(hue, state)));
    }
    table
}

/// Returns the entries of the ledger as a table, oldest first.
#[must_use]
pub fn audit<'e>(entries: impl Iterator<Item = &'e Entry>, style: Style) -> TerminalText {
    let mut table = TerminalText::default();
    for entry in entries {
        let run = entry.deployment.as_ref().map(ToString::to_string).unwrap_or_default();
        let reason = if entry.reason.is_empty() { String::new() } else { format!(": {}", entry.reason) };
        let release = requested(entry).map(|(from, to)| match from {
            None => format!(" {to}"),
            Some(from) if style.is_linear() => format!(" from {from} to {to}"),
            Some(from) => format!(" {from} → {to}"),
        });
        let what = text!("{} {}{}{}", entry.environment, entry.action.word(), release.unwrap_or_default(), reason);
        if style.is_linear() {
            let run = if run.is_empty() { run } else { format!(", run {run}") };
            table.push_line(&text!("{}, {}: {}{}", entry.at.clock(), entry.by.name(), what, run));
            continue;
        }
        let row = text!("{}  {:<24}  {}  {}", entry.at.clock(), entry.by.name(), what, style.paint(Hue::Dim, run));
        table.push_line(&style.spelled(row).trim_end());
    }
    table
}

/// Returns the old and the new release of an entry that requests a deployment; `None` for other entries. Without an old
/// one, either nothing was live at that time or it was not known what was: the entry by itself does not tell.
fn requested(entry: &Entry) -> Option<(Option<String>, String)> {
    let Action::Requested { release, from, .. } = &entry.action else { return None };
    Some((from.as_ref().map(Release::title), release.title()))
}

/// Heading of [`csv`].
pub const CSV_HEADING: &str = "time,user,email,environment,action,from,to,run,reason";

/// Returns an entry as a line of CSV, without a newline. The column `from` is empty if the entry names no old release.
#[must_use]
pub fn csv(entry: &Entry) -> String {
    let (from, to) = requested(entry).unwrap_or_default();
    let run = entry.deployment.as_ref().map(ToString::to_string).unwrap_or_default();
    let fields = [
        entry.at.instant().to_string(),
        entry.by.name(),
        entry.by.email.clone(),
        entry.environment.clone(),
        entry.action.word().to_owned(),
        from.unwrap_or_default(),
        to,
        run,
        entry.reason.clone(),
    ];
    fields.map(|field| csv_field(&field)).join(",")
}

/// Quotes a field. A field that a spreadsheet would take for a formula gets an apostrophe in front.
fn csv_field(field: &str) -> String {
    let field =
        if field.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{field}") } else { field.to_owned() };
    if field.contains([',', '"', '\n', '\r']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::deployment::{Cause, Observed, Plan, Slot, Versioned};
    use crate::model::environment::{Impairment, Outcome};
    use crate::model::{Conclusion, RunId};
    use crate::ui::theme::Glyphs;

    #[test]
    fn what_is_live_is_unknown_rather_than_nothing_until_the_target_was_asked() {
        let release =
            |tag: &str| Release { sha: format!("{tag}-sha"), tag: Some(tag.to_owned()), ..Release::default() };
        let plan = |old: Option<&str>| {
            let of = |slot, tag: &str| Versioned { slot, release: release(tag), replicas: 1 };
            DeploymentPlan::from(Plan {
                host: None,
                address: None,
                new: of(Slot::Green, "v2"),
                old: old.map(|tag| of(Slot::Blue, tag)),
                steps: Vec::new(),
                found: Observed::default(),
                images: BTreeMap::new(),
            })
        };
        let v1 = release("v1");
        let from = |reports, ledger: (Option<&Release>, bool), plan: Option<&DeploymentPlan>| {
            let (live, is_known) = DeploymentPlan::replaced(plan, reports, ledger);
            title_of(live, is_known)
        };
        for reports in [false, true] {
            assert_eq!(from(reports, (None, false), None), "unknown");
            assert_eq!(from(reports, (None, true), None), "nothing");
            assert_eq!(from(reports, (Some(&v1), true), None), "v1 v1-sha");
            // What the target runs counts more than what the ledger has.
            assert_eq!(from(reports, (Some(&v1), true), Some(&plan(Some("v3")))), "v3 v3-sha");
            assert_eq!(from(reports, (None, false), Some(&plan(Some("v3")))), "v3 v3-sha");
        }
        assert_eq!(from(true, (None, false), Some(&plan(None))), "nothing", "the target was asked");
        assert_eq!(from(true, (Some(&v1), true), Some(&plan(None))), "nothing", "v1 was removed meanwhile");
        assert_eq!(from(false, (None, false), Some(&plan(None))), "unknown", "the target cannot be asked");
        assert_eq!(from(false, (None, true), Some(&plan(None))), "nothing");
        assert_eq!(from(false, (Some(&v1), true), Some(&plan(None))), "v1 v1-sha");
    }

    #[test]
    fn the_audit_names_the_old_release_only_if_the_entry_does() {
        let release =
            |tag: &str| Release { sha: format!("{tag}-sha"), tag: Some(tag.to_owned()), ..Release::default() };
        let requested = |from| Entry {
            at: Timestamp(1),
            by: Actor::default(),
            environment: "production".to_owned(),
            deployment: None,
            job: None,
            action: Action::Requested { release: release("v2"), from, cause: Cause::Manual },
            reason: "fix".to_owned(),
        };
        let row = |from, style| audit(std::iter::once(&requested(from)), style).plain().into_owned();
        let (table, linear) = (Style::new(Glyphs::Unicode, false), Style::linear());
        for (from, style, expected) in [
            (None, table, "requested v2 v2-sha: fix"),
            (None, linear, "requested v2 v2-sha: fix"),
            (Some(release("v1")), table, "requested v1 v1-sha → v2 v2-sha: fix"),
            (Some(release("v1")), linear, "requested from v1 v1-sha to v2 v2-sha: fix"),
        ] {
            let row = row(from, style);
            assert!(row.contains(expected), "{row}");
        }
        assert!(csv(&requested(None)).contains(",requested,,v2 v2-sha,"), "{}", csv(&requested(None)));
        let from_v1 = csv(&requested(Some(release("v1"))));
        assert!(from_v1.contains(",requested,v1 v1-sha,v2 v2-sha,"), "{from_v1}");
    }

    #[test]
    fn a_screen_reader_gets_a_sentence_about_each_deployment() {
        let record = DeploymentRecord {
            run: RunId::new("20261124-000000-0001"),
            environment: "dev".to_owned(),
            release: Release { sha: "dd447a6".to_owned(), reference: "v1".to_owned(), tag: Some("v1".to_owned()) },
            from: None,
            from_unknown: false,
            job: None,
            cause: Cause::Manual,
            creator: Actor { user: "root".to_owned(), ..Actor::default() },
            created: Timestamp(0),
            began: true,
            approved: None,
            rejected: None,
            has_changes: false,
            image: None,
            recorded: None,
            not_recorded: None,
            overridden: false,
            paused: false,
            outcome: Some(Outcome::Succeeded),
            ended: Some(Timestamp(2_000)),
            reason: "a hotfix".to_owned(),
            end_reason: String::new(),
        };
        let table = |is_live| {
            let rows = [Row { record: &record, is_live, was_last: false, position: None, environment: None }];
            super::table(&rows, Style::linear(), Timestamp(45_000)).as_str().to_owned()
        };
        let end = "43 seconds ago, by root, run 20261124-000000-0001; a hotfix\n";
        assert_eq!(table(true), format!("dev: v1 dd447a6 is live, {end}"));
        assert_eq!(table(false), format!("dev: v1 dd447a6 was live, {end}"));
        let between = [Row { record: &record, is_live: false, was_last: true, position: None, environment: None }];
        let said = super::table(&between, Style::linear(), Timestamp(45_000)).as_str().to_owned();
        assert_eq!(said, format!("dev: v1 dd447a6 was the last live release, {end}"), "it may still serve");
        let health = Some("0/2 healthy".to_owned());
        let down = Environment { health, impairment: Some(Impairment::Down), ..Environment::named("dev") };
        let row = Row { record: &record, is_live: true, was_last: false, position: None, environment: Some(&down) };
        assert_eq!(row.phase(), Phase::Done(Conclusion::Failure), "a release that is down has no sign of success");
        let (rows, now) = ([row], Timestamp(45_000));
        let sentence = super::table(&rows, Style::linear(), now).plain().into_owned();
        assert!(sentence.ends_with("; 0/2 healthy; a hotfix\n"), "{sentence}");
        let listed = super::table(&rows, Style::new(Glyphs::Unicode, false), now).plain().into_owned();
        assert!(listed.lines().nth(1).is_some_and(|line| line.trim() == "0/2 healthy"), "{listed}");
        assert!(sentence.starts_with("dev: v1 dd447a6 is down, "), "{sentence}");
        let serves = Some(Release { sha: "0b3c5f1".to_owned(), ..Release::default() });
        let elsewhere = Environment { serves, impairment: Some(Impairment::Partial), ..Environment::named("dev") };
        let silent = Environment { no_report: Some("no answer".to_owned()), ..Environment::named("dev") };
        for environment in [&elsewhere, &silent] {
            let environment = Some(environment);
            let rows = [Row { record: &record, is_live: true, was_last: false, position: None, environment }];
            let sentence = super::table(&rows, Style::linear(), now).plain().into_owned();
            assert!(sentence.starts_with("dev: v1 dd447a6 is recorded as live, "), "{sentence}");
            let listed = super::table(&rows, Style::new(Glyphs::Unicode, false), now).plain().into_owned();
            assert!(listed.contains("v1 dd447a6  recorded as live  "), "{listed}");
        }
        let failed = DeploymentRecord { end_reason: "the check failed".to_owned(), ..record };
        let document = document(&failed, false, None);
        let reasons = (&document["reason"], &document["request_reason"], document.get("end_reason"));
        assert_eq!(reasons, (&"the check failed".into(), &"a hotfix".into(), None));
    }

    #[test]
    fn fields_are_quoted_and_no_formulas() {
        for (field, expected) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=1+1", "'=1+1"),
            ("a\nb", "\"a\nb\""),
        ] {
            assert_eq!(csv_field(field), expected);
        }
    }
}
