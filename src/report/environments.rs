//! Environments of a repository, their deployments, and rollbacks.

use crate::model::environment::{
    DeploymentSource, DeploymentState, Drift, Environment, EnvironmentDeployment, Outcome, Protection, title_of,
};
use crate::model::lane_details::{DeployedCommits, LaneDetails};
use crate::model::rollback::Rollback;
use crate::model::{Conclusion, Phase, Timestamp, short_sha};
use crate::ui::terminal_text::{TerminalText, ToTerminal, text};
use crate::ui::text::{ago, clip, duration, past_in_words, width};
use crate::ui::theme::Hue;

use super::quoted;
use super::style;
use super::style::Style;

/// Maximum number of commits that are listed; the others are counted.
pub const LISTED: usize = 10;

/// Maximum number of commits that are listed for each deployment.
const LISTED_OF_EACH: usize = 3;

/// Context of a page about environments.
pub struct Page {
    /// Style of the text.
    pub style: Style,
    /// Repository of the environments, as commands name it.
    pub repository: String,
    /// Time of the page.
    pub now: Timestamp,
}

impl Page {
    /// Returns a table with a row for each environment. The lines below a row name the lock, the deployments that are not
    /// live, and the reason if deployments are unknown. A screen reader gets sentences.
    pub fn table(&self, environments: &[Environment]) -> TerminalText {
        if self.style.is_linear() {
            return self.sentences(environments);
        }
        let cells: Vec<[String; 4]> = environments.iter().map(|one| self.cells(one)).collect();
        let widest = |column: usize| cells.iter().map(|row| width(&row[column])).max().unwrap_or_default();
        let names = environments.iter().map(|one| width(&one.name)).max().unwrap_or_default().min(30);
        let (releases, ages, people, drifts) = (widest(0), widest(1), widest(2), widest(3));
        let mut table = TerminalText::default();
        for (one, [release, age, by, drift]) in environments.iter().zip(&cells) {
            let name = clip(&one.name, names, "…").into_owned();
            let row = text!(
                "{} {:<names$}  {:<releases$}  {:>ages$}  {:<people$}  {:<drifts$}",
                self.glyph(one),
                name,
                release,
                age,
                by,
                drift
            );
            let rules = one.protection.as_ref().map(Protection::short).unwrap_or_default();
            let taken = 2 + names + 2 + releases + 2 + ages + 2 + people + 2 + drifts + 2;
            let room = style::columns().map(|columns| columns.saturating_sub(taken));
            let rules = room.map_or(rules.clone(), |room| clip(&rules, room, "…").into_owned());
            table.push_line(&text!("{}  {}", row, self.style.paint(Hue::Dim, rules)).trim_end());
            for line in self.remarks(one) {
                table.push_line(&text!("    {}", line));
            }
        }
        table
    }

    /// Returns the cells for the live release of an environment: the release, its age, who deployed it, and the drift with
    /// the health.
    fn cells(&self, environment: &Environment) -> [String; 4] {
        let Some(live) = environment.live() else {
            let nothing =
                if environment.knows_live() { "nothing live" } else { halfway(environment).unwrap_or("unknown") };
            let health = environment.health.clone().unwrap_or_default();
            return [nothing.to_owned(), String::new(), String::new(), health];
        };
        if let Some(serves) = &environment.serves {
            // The age, the person and the difference are those of the recorded release.
            let release = format!("{} serves", serves.title());
            return [release, String::new(), String::new(), environment.health.clone().unwrap_or_default()];
        }
        let drift = environment.drift.as_ref().map(Drift::named);
        let state = drift.into_iter().chain(environment.health.clone()).collect::<Vec<_>>().join(", ");
        let release = format!("{} {}", live.release.title(), environment.live_word());
        [release, ago(self.now.since(live.at())), live.creator.clone(), state]
    }

    /// Returns a sentence about each environment, and one about each of its remarks.
    fn sentences(&self, environments: &[Environment]) -> TerminalText {
        let mut all = TerminalText::default();
        for one in environments {
            let rules = one.protection.as_ref().map(Protection::short).filter(|rules| !rules.is_empty());
            let rules = rules.map(|rules| format!("; rules: {rules}")).unwrap_or_default();
            all.push_line(&text!("{}: {}{}", one.name, self.state_of(one), rules));
            for remark in self.remarks(one) {
                all.push_line(&text!("{}: {}", one.name, remark));
            }
        }
        all
    }

    /// Returns what is live in an environment, for a sentence: `v1 dd447a6 is live, 43 seconds ago, by root`.
    fn state_of(&self, environment: &Environment) -> String {
        let Some(live) = environment.live() else {
            let unknown =
                || halfway(environment).map_or("what is live is unknown", |_| "a deployment was left halfway");
            let state = if environment.knows_live() { "nothing is live" } else { unknown() };
            let health = environment.health.as_ref().map(|health| format!(", {health}")).unwrap_or_default();
            return format!("{state}{health}");
        };
        if let Some(serves) = &environment.serves {
            let health = environment.health.as_ref().map(|health| format!(", {health}")).unwrap_or_default();
            return format!("{} serves{health}", serves.title());
        }
        let drift = environment.drift.as_ref().map(Drift::text);
        let parts = [Some(self.sentence(live)), drift, environment.health.clone()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// Returns a deployment for a sentence: its release, its state, when it was made, and by whom.
    fn sentence(&self, deployment: &EnvironmentDeployment) -> String {
        let by = if deployment.creator.is_empty() { String::new() } else { format!(", by {}", deployment.creator) };
        let when = self.when(deployment.at());
        format!("{} {}, {when}{by}", deployment.release.title(), deployment.state_clause())
    }

    /// Returns a line that is indented by this many columns, except for a screen reader.
    fn indented(&self, columns: usize, line: &TerminalText) -> TerminalText {
        if self.style.is_linear() {
            text!("{}", line.as_str().trim_start())
        } else {
            text!("{}{}", " ".repeat(columns), *line)
        }
    }

    /// Returns how long ago a time was, in words.
    fn when(&self, at: Timestamp) -> String {
        if self.style.is_linear() {
            return past_in_words(self.now.since(at));
        }
        match ago(self.now.since(at)).as_str() {
            "now" => "just now".to_owned(),
            age => format!("{age} ago"),
        }
    }

    fn glyph(&self, environment: &Environment) -> TerminalText {
        environment.phase().map_or_else(|| text!(" "), |phase| self.style.glyph(&phase))
    }

    /// Returns the lines below an environment: why its target reports nothing, its lock, the deployment that was left halfway,
    /// the former release that still runs, the deployments that are open, the newest one if it is not live, the command for
    /// which a deployment waits, and the reason if its deployments are unknown. A deployment that was withdrawn before it
    /// began does not count.
    fn remarks(&self, environment: &Environment) -> Vec<TerminalText> {
        let open = environment.open();
        let ended = |one: &&EnvironmentDeployment| one.state != DeploymentState::Success && !open.contains(one);
        let is_left = |one: &EnvironmentDeployment| {
            environment.left.is_some()
                && one.began
                && matches!(one.outcome, Some(Outcome::Interrupted | Outcome::Failed))
        };
        let newest = environment.deployments.iter().find(|one| one.outcome != Some(Outcome::Cancelled));
        let newest = newest.filter(ended).filter(|one| !is_left(one));
        let left = environment.left.as_ref().map(|left| {
            let glyph = self.style.glyph(&Phase::Done(Conclusion::Failure));
            if self.style.is_linear() { text!("{}", left) } else { text!("{} {}", glyph, left) }
        });
        let pending = open.iter().copied().chain(newest).map(|one| self.pending(environment, one));
        let unknown = environment.unknown.as_ref().map(|why| self.style.paint(Hue::Dim, text!("{}", why)));
        let locked = environment.locked.as_ref().map(|lock| self.style.paint(Hue::Review, text!("{}", lock)));
        let promote = format!("cuelight promote {}", quoted(&environment.name));
        let command = || self.style.paint(Hue::Dim, promote.clone());
        let next = if self.style.is_linear() { "; go on with " } else { "  " };
        // Why it waits may name the commands.
        let waits = environment.promotable.as_ref().map(|why| {
            if why.contains(&promote) {
                text!("{}", why)
            } else {
                text!("{}{}{}", why, next, self.as_command(command()))
            }
        });
        let kept = environment.kept.as_ref().map(|kept| text!("{}", kept));
        let no_report = environment.no_report.as_ref().map(|why| self.style.paint(Hue::Bad, text!("{}", why)));
        no_report.into_iter().chain(locked).chain(left).chain(kept).chain(pending).chain(waits).chain(unknown).collect()
    }

    /// Returns a line about a deployment that is not live: its state, and the command that approves or shows it.
    fn pending(&self, environment: &Environment, deployment: &EnvironmentDeployment) -> TerminalText {
        let state = deployment.state_words();
        let when = self.when(deployment.at());
        let release = deployment.release.title();
        let has_reviewers = environment.protection.as_ref().is_some_and(|rules| !rules.reviewers.is_empty());
        let waits = matches!(deployment.state, DeploymentState::Pending | DeploymentState::Waiting);
        let command = match deployment.address(&self.repository) {
            Some(run) if waits && !deployment.began && has_reviewers => {
                let name = quoted(&environment.name);
                format!("cuelight approve {name} --run {run}")
            }
            Some(run) if deployment.outcome == Some(Outcome::Interrupted) => format!("cuelight resume {run}"),
            Some(run) => format!("cuelight show {run}"),
            None => String::new(),
        };
        if self.style.is_linear() {
            let next = if command.is_empty() { text!("") } else { text!("; next: {}", self.as_command(command)) };
            return text!("{}{}", self.sentence(deployment), next);
        }
        let glyph = self.style.glyph(&deployment.state.phase(&environment.name));
        text!("{} {} {}, {}  {}", glyph, release, state, when, self.style.paint(Hue::Dim, command)).trim_end()
    }

    /// Returns a command in backquotes in a sentence, and as it is elsewhere.
    fn as_command(&self, command: impl ToTerminal) -> TerminalText {
        if self.style.is_linear() { text!("`{}`", command) } else { text!("{}", command) }
    }

    /// Returns the page of one environment, for an environment of this machine with its details.
    pub fn one(&self, environment: &Environment, details: Option<&LaneDetails>) -> TerminalText {
        let mut all = TerminalText::default();
        if self.style.is_linear() {
            all.push_line(&text!("environment {} of {}", environment.name, self.repository));
        } else {
            let of = text!("  {}", self.repository);
            all.push_line(&text!("{}{}", self.style.bold(&environment.name), self.style.paint(Hue::Dim, of)));
        }
        match environment.live() {
            Some(live) => {
                let drift = environment.drift.as_ref().map(|drift| format!(", {}", drift.text())).unwrap_or_default();
                let when = self.when(live.at());
                let title = self.style.bold(live.release.title());
                if let Some(serves) = &environment.serves {
                    all.push_line(&text!("serves: {}", self.style.bold(serves.title())));
                }
                all.push_line(&text!("{}: {}, {} {}{}", environment.live_word(), title, when, live.by(), drift));
                if !live.origin.reason.is_empty() {
                    all.push_line(&self.indented(6, &text!("{}", live.origin.reason)));
                }
                if let Some(url) = &live.url {
                    all.push_line(&self.indented(6, &text!("{}", url)));
                }
            }
            None => all.push_line(&text!("live: {}", title_of(None, environment.knows_live()))),
        }
        if let Some(health) = &environment.health {
            let hue = environment.impairment.map_or(Hue::Plain, |_| Hue::Bad);
            all.push_line(&self.indented(6, &self.style.paint(hue, health)));
        }
        for remark in self.remarks(environment) {
            all.push_line(&self.indented(6, &remark));
        }
        if let DeploymentSource::Runs { workflow } = &environment.source {
            all.push_line(&text!("deployments are taken from the runs of {}, as configured", workflow));
        }
        match environment.protection.as_ref().map(Protection::sentences) {
            None => all.push_line(&text!("rules: not shown by the server")),
            Some(rules) if rules.is_empty() => all.push_line(&text!("rules: none")),
            Some(rules) => rules.iter().for_each(|rule| all.push_line(&text!("rule: {}", rule))),
        }
        if let Some(details) = details {
            self.push_details(&mut all, details);
        }
        if environment.deployments.is_empty() {
            return all;
        }
        let releases = environment.deployments.iter().map(|one| width(&one.release.title())).max().unwrap_or_default();
        if !self.style.is_linear() {
            all.push(&text!("\n"));
        }
        all.push_line(&text!("deployments, newest first:"));
        for one in &environment.deployments {
            all.push_line(&self.deployment(environment, one, releases));
            let end = Some(&one.description).filter(|end| one.local.is_some() && !end.is_empty()).cloned();
            for line in [one.origin.text(), end].into_iter().flatten() {
                all.push_line(&self.indented(4, &text!("{}", line)));
            }
            let run = one.local.as_ref();
            let commits = details.zip(run).and_then(|(details, run)| details.commits_of(run, &one.release.sha));
            if let Some(commits) = commits {
                self.push_commits(&mut all, commits);
            }
        }
        all
    }

    /// Adds what would be deployed next, and the variables that the commands need, without their values.
    fn push_details(&self, all: &mut TerminalText, details: &LaneDetails) {
        if details.next.is_none() {
            all.push_line(&text!("next: nothing, because the repository has no commits"));
        }
        if let Some(next) = &details.next {
            all.push_line(&text!("next: {}", next.text()));
            for line in next.changes.lines(LISTED) {
                all.push_line(&self.indented(4, &text!("{}", line)));
            }
            for closed in next.closed.iter().filter(|_| !next.is_live) {
                all.push_line(&self.indented(6, &self.style.paint(Hue::Review, closed)));
            }
        }
        for one in &details.needed {
            let (hue, state) = if one.is_set { (Hue::Good, "set") } else { (Hue::Bad, "missing") };
            all.push_line(&text!("{}: {} is {}", one.kind(), one.name, self.style.paint(hue, state)));
        }
    }

    /// Adds the commits of a deployment.
    fn push_commits(&self, all: &mut TerminalText, commits: &DeployedCommits) {
        for line in commits.lines(LISTED_OF_EACH) {
            all.push_line(&self.style.paint(Hue::Dim, self.indented(4, &text!("{}", line))));
        }
    }

    fn deployment(&self, environment: &Environment, one: &EnvironmentDeployment, releases: usize) -> TerminalText {
        if self.style.is_linear() {
            let took = one.took().map(|took| format!(", took {}", duration(took))).unwrap_or_default();
            let run = one.address(&self.repository).map(|run| format!(", run {run}")).unwrap_or_default();
            return text!("{}{}{}", self.sentence(one), took, run);
        }
        let state = one.state_words();
        let (release, age) = (one.release.title(), ago(self.now.since(one.at())));
        let took = one.took().map(duration).unwrap_or_default();
        let run = one.address(&self.repository).unwrap_or_default();
        let glyph = self.style.glyph(&one.state.phase(&environment.name));
        let run = self.style.paint(Hue::Dim, run);
        let who = if one.origin.is_found { "(found)" } else { one.creator.as_str() };
        text!("{} {:<releases$}  {:<11}  {:>4}  {:<12}  {:>7}  {}", glyph, release, state, age, who, took, run)
            .trim_end()
    }
}

/// Returns how the deployment ended that was left halfway, in the place of a live release: `interrupted`. `None` without one.
fn halfway(environment: &Environment) -> Option<&'static str> {
    environment.left.as_ref()?;
    let mut left = environment.deployments.iter().filter(|one| one.began).filter_map(|one| one.outcome);
    left.find_map(|outcome| match outcome {
        Outcome::Interrupted => Some("interrupted"),
        Outcome::Failed => Some("failed halfway"),
        _ => None,
    })
}

/// Returns the result of a rollback. `is_live` is whether the wanted release is live.
pub fn rolled_back(environment: &Environment, is_live: bool) -> TerminalText {
    let name = &environment.name;
    match (environment.live(), environment.current()) {
        (Some(live), _) if is_live => text!("{}: {} is live", name, live.release.title()),
        (_, Some(current)) => {
            text!("{}: not rolled back: {} ({})", name, current.release.title(), current.state_words())
        }
        (_, None) => text!("{}: not rolled back: no deployment is live", name),
    }
}

/// Returns a description of what a rollback would do.
pub fn rollback(rollback: &Rollback, style: Style) -> TerminalText {
    let mut shown = TerminalText::default();
    shown.push_line(&style.bold(rollback.title()));
    shown.push_line(&text!("{}:", rollback.summary()));
    let (commits, more) = rollback.changes.newest(LISTED);
    for commit in commits {
        let author = style.paint(Hue::Dim, text!("({})", commit.author));
        shown.push_line(&text!("  {} {} {}", short_sha(&commit.sha), commit.subject, author));
    }
    if more > 0 {
        shown.push_line(&text!("  and {} more", more));
    }
    shown.push_line(&text!("this {}", rollback.method.text()));
    if let Some(why) = rollback.why() {
        shown.push_line(&style.paint(Hue::Dim, text!("  {}", why)));
    }
    shown.trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::environment::Impairment;
    use crate::model::testing::deployment_of;
    use crate::ui::theme::Glyphs;

    fn page(style: Style) -> Page {
        Page { style, repository: "octo/app".to_owned(), now: Timestamp(43_000) }
    }

    fn environment() -> Environment {
        let newest = deployment_of("v2", DeploymentState::Waiting, Timestamp(30_000));
        let live = deployment_of("v1", DeploymentState::Success, Timestamp(0));
        let failed = deployment_of("v0", DeploymentState::Failure, Timestamp(0));
        Environment { deployments: vec![newest, live, failed], ..Environment::named("dev") }
    }

    #[test]
    fn a_screen_reader_gets_the_state_of_an_environment_in_words() {
        let (environment, page) = (environment(), page(Style::linear()));
        let [newest, live, failed] = environment.deployments.as_slice() else { panic!("three deployments") };
        let waits = format!("{} is waiting, 13 seconds ago, by ines", newest.release.title());
        let is_live = format!("{} is live, 43 seconds ago, by ines", live.release.title());
        let nothing = Environment::named("prod");
        let listed = page.table(&[environment.clone(), nothing]);
        let lines: Vec<&str> = listed.as_str().lines().collect();
        let next = "next: `cuelight show octo/app/30000`";
        assert_eq!(
            lines,
            [format!("dev: {is_live}"), format!("dev: {waits}; {next}"), "prod: nothing is live".to_owned()]
        );
        let one = page.one(&environment, None);
        let text = one.as_str();
        assert!(text.starts_with("environment dev of octo/app\n"), "{text}");
        let failed = format!("{} failed, 43 seconds ago, by ines", failed.release.title());
        for line in [&waits, &is_live, &failed] {
            assert!(text.lines().any(|said| said.starts_with(line.as_str())), "{line}: {text}");
        }
        assert!(text.lines().all(|line| !line.is_empty() && !line.starts_with(' ') && !line.contains("  ")), "{text}");
    }

    #[test]
    fn what_runs_is_shown_also_while_it_is_unknown_what_is_live() {
        let table = Style::new(Glyphs::Unicode, false);
        let health = Some("2/2 healthy".to_owned());
        let adopted = Environment { live_unknown: true, health: health.clone(), ..Environment::named("dev") };
        let failed = Environment { unknown: Some("r2 failed".to_owned()), health, ..Environment::named("dev") };
        for environment in [adopted, failed] {
            for (style, word) in [(table, "unknown"), (Style::linear(), "what is live is unknown")] {
                let listed = page(style).table(std::slice::from_ref(&environment)).plain().into_owned();
                assert!(listed.contains(word) && listed.contains("2/2 healthy"), "{listed}");
                let one = page(style).one(&environment, None).plain().into_owned();
                assert!(one.contains("live: unknown") && one.contains("2/2 healthy"), "{one}");
                assert!(!listed.contains("nothing") && !one.contains("nothing"), "{listed}{one}");
            }
        }
        let no_report = Some("its target reports nothing: exit code 1".to_owned());
        let environment = Environment { no_report: no_report.clone(), ..environment() };
        for text in [page(table).table(std::slice::from_ref(&environment)), page(table).one(&environment, None)] {
            assert!(text.plain().contains("its target reports nothing: exit code 1"), "{}", text.plain());
        }
        let document = environment.document();
        assert_eq!(document["no_report"].as_str(), no_report.as_deref());
        assert!(document["health"].is_null());
    }

    #[test]
    fn the_first_words_about_an_environment_are_about_what_runs() {
        let table = page(Style::new(Glyphs::Unicode, false));
        let row = |environment: &Environment| table.table(std::slice::from_ref(environment)).plain().into_owned();
        let one = |environment: &Environment| table.one(environment, None).plain().into_owned();
        let live = deployment_of("v1", DeploymentState::Success, Timestamp(0));
        let title = live.release.title();
        let recorded = Environment { deployments: vec![live], ..Environment::named("dev") };
        let down = Environment { impairment: Some(Impairment::Down), ..recorded.clone() };
        assert!(row(&down).contains(&format!("{title} down")), "{}", row(&down));
        assert!(one(&down).contains(&format!("down: {title}")), "{}", one(&down));
        let serves = deployment_of("v4", DeploymentState::Success, Timestamp(0)).release;
        let instead = format!("{} serves", serves.title());
        let other = Environment { serves: Some(serves), ..recorded.clone() };
        assert!(row(&other).contains(&instead) && !row(&other).contains(&title), "{}", row(&other));
        assert!(one(&other).contains(&format!("recorded as live: {title}")), "{}", one(&other));
        let silent = Environment { no_report: Some("its target does not answer".to_owned()), ..recorded };
        assert!(row(&silent).contains(&format!("{title} recorded as live")), "{}", row(&silent));
        let mut interrupted = deployment_of("v3", DeploymentState::Error, Timestamp(0));
        interrupted.outcome = Some(Outcome::Interrupted);
        let left = Environment {
            deployments: vec![interrupted],
            unknown: Some("v3 was interrupted".to_owned()),
            left: Some("v3 was interrupted at step 4/9: `cuelight resume r` or `cuelight abort dev`".to_owned()),
            ..Environment::named("dev")
        };
        assert!(row(&left).lines().next().is_some_and(|first| first.contains("interrupted")), "{}", row(&left));
    }

    #[test]
    fn the_row_of_an_environment_has_a_word_for_its_state() {
        let environment = environment();
        let live = environment.live().expect("live").release.title();
        let table = page(Style::new(Glyphs::Unicode, false)).table(std::slice::from_ref(&environment));
        assert!(table.as_str().contains(&format!("{live} live  ")), "{}", table.as_str());
    }
}
