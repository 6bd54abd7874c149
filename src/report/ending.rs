//! The summary after a run's last record: the table of jobs, the first error of each failed job, the annotations of
//! files, and what to do next.

use std::io;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use crate::model::legs::{self, alike, titled};
use crate::model::{Annotation, Conclusion, Job, Level, LineRange, Run, Step, Timestamp};
use crate::report::style::{Style, column};
use crate::store::first_error;
use crate::store::first_error::FirstError;
use crate::store::logs::source_file;
use crate::ui::terminal_text::TerminalText;
use crate::ui::terminal_text::text;
use crate::ui::text::{duration, width};
use crate::ui::theme::{Colours, Hue};

use super::next_steps::{is_failed, next_steps};
use super::{Logs, diagnosis};

/// Number of lines at the end of a failed step's log in which its first error is searched. The limit keeps the search
/// of a very long log fast.
const LOOK_BACK: u64 = 100_000;

/// Maximum number of legs of a matrix that succeeded and have a row each in the summary; more legs share one row.
const MAX_SUCCEEDED: usize = 10;

/// Maximum number of annotations that are listed; the others are counted.
const MAX_ANNOTATIONS: usize = 10;

/// Returns the summary at the end of a run.
pub(super) fn ending(run: &Run, style: Style, logs: &dyn Logs) -> io::Result<TerminalText> {
    let causes = causes(run, logs)?;
    let repository = logs.repository();
    let links = Links { style, repository: repository.as_deref() };
    let mut failures = failures(run, &causes, &links);
    if let Some(failed) = diagnosis::of(run, logs)? {
        failures.push(&text!("\n{}", failed.before_end(run, style)));
    }
    // The reason of a failed step stands below, with its error.
    let has_cause = |job: &Job| causes.values().flatten().any(|failed| failed.id == job.id);
    let table = rows(run, MAX_SUCCEEDED, &|job| !has_cause(job), style);
    Ok(style.spelled(text!("\n{}{}{}{}", table, failures, annotations(run, &causes, &links), closing(run, style))))
}

/// Returns a table of the jobs of a run, with their results and durations. Legs of a matrix that did not succeed for
/// the same reason share a row.
pub fn table(run: &Run, style: Style) -> TerminalText {
    rows(run, usize::MAX, &|_| true, style)
}

fn succeeded(job: &Job) -> bool {
    job.phase.conclusion() == Some(Conclusion::Success)
}

/// Groups the jobs of a run into rows: legs that did not succeed for the same reason, and legs that succeeded if a matrix
/// has more than `most` of them.
fn grouped(run: &Run, most: usize) -> Vec<Vec<&Job>> {
    // The URL of a deployment needs a row.
    let is_plain = |job: &Job| succeeded(job) && job.environment_url.is_none();
    let mut legs: IndexMap<&str, usize> = IndexMap::new();
    for job in run.jobs.values().filter(|job| is_plain(job)) {
        *legs.entry(&job.key).or_default() += 1;
    }
    let mut groups: Vec<Vec<&Job>> = Vec::new();
    let mut shared: IndexMap<&str, usize> = IndexMap::new();
    for jobs in alike(run.jobs.values()) {
        let key = jobs[0].key.as_str();
        if is_plain(jobs[0]) && legs[key] > most {
            let at = *shared.entry(key).or_insert(groups.len());
            if let Some(group) = groups.get_mut(at) {
                group.extend(jobs);
                continue;
            }
        }
        groups.push(jobs);
    }
    groups
}

/// Returns the title of a row, and what distinguishes its legs; only the number of legs that succeeded.
fn row_title(run: &Run, jobs: &[&Job]) -> (String, Option<String>) {
    let Some((title, values)) = titled(jobs) else { return (jobs[0].name.clone(), None) };
    if !succeeded(jobs[0]) {
        return (title, Some(values));
    }
    let matrix = title.rsplit_once(' ').map_or(title.as_str(), |(matrix, _)| matrix);
    let all = run.jobs.values().filter(|job| job.key == jobs[0].key).count();
    let of = if all > jobs.len() { format!("{} of ", jobs.len()) } else { String::new() };
    (format!("{matrix} ({of}{all} legs)"), None)
}

/// Returns the rows of the table, with at most `most` rows of legs of a matrix that succeeded. `has_reason` is whether
/// the row of a job shows why it ended as it did.
fn rows(run: &Run, most: usize, has_reason: &dyn Fn(&Job) -> bool, style: Style) -> TerminalText {
    let rows: Vec<_> = grouped(run, most)
        .into_iter()
        .map(|jobs| {
            let (title, values) = row_title(run, &jobs);
            (title, values, jobs)
        })
        .collect();
    let columns = column(rows.iter().map(|(title, ..)| width(title)));
    let mut table = TerminalText::default();
    for (title, values, jobs) in rows {
        let job = jobs[0];
        let word = format!("{}{}", style.word(&job.phase), if job.allowed_failure { " (allowed)" } else { "" });
        let time = jobs.iter().filter_map(|job| Some(job.finished?.since(job.started?))).max();
        let time = time.map(duration).unwrap_or_default();
        let reason = legs::reason(&jobs).filter(|_| !succeeded(job) && has_reason(job));
        let reason = reason.map(|reason| text!("  {}", first_line(&reason))).unwrap_or_default();
        let kept = run.kept_from(job).filter(|_| jobs.iter().all(|other| other.attempt == job.attempt));
        let kept = kept.map(|kept| style.paint(Hue::Dim, text!("  {}", kept))).unwrap_or_default();
        let url = job.environment_url.as_ref().map(|url| text!("  {}", url)).unwrap_or_default();
        let (glyph, reason) = (style.glyph(job.progress()), style.paint(Hue::Dim, reason));
        let row = text!("{} {:<columns$}  {:<18}{:>8}{}{}{}", glyph, title, word, time, reason, kept, url);
        table.push_line(&row.trim_end());
        if let Some(values) = values {
            table.push_line(&style.paint(Hue::Dim, text!("    {}", values)));
        }
    }
    table
}

/// Why a step failed: the keys of its job and the step, its reason, and the line that describes the failure best, with
/// its location.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Cause<'r> {
    job: &'r str,
    pub(super) step: &'r str,
    pub(super) reason: Option<&'r str>,
    pub(super) line: String,
    pub(super) place: Place,
}

#[cfg(test)]
impl<'r> Cause<'r> {
    /// Returns the cause of a failed step with this name, for tests.
    pub(super) fn new(step: &'r str, reason: &'r str, line: &str, place: &str) -> Self {
        let place = Place { file: None, text: place.to_owned() };
        Self { job: step, step, reason: Some(reason), line: line.to_owned(), place }
    }
}

/// Location of an error.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// The file that it names; `None` if it names a line of the log, or nothing.
    file: Option<String>,
    /// The location as it is printed.
    pub(super) text: String,
}

impl Place {
    /// Returns the location of an annotation: `file:line:column`, as far as known.
    fn of(found: &Annotation) -> Self {
        let number = |number: Option<u32>| number.map(|number| format!(":{number}")).unwrap_or_default();
        let column = number(found.column.filter(|_| found.line.is_some()));
        let text = format!("{}{}{column}", found.file.as_deref().unwrap_or_default(), number(found.line));
        Self { file: found.file.clone(), text }
    }
}

impl From<first_error::Place> for Place {
    fn from(place: first_error::Place) -> Self {
        Self { file: Some(place.file), text: place.text }
    }
}

/// How locations become links to their files.
struct Links<'l> {
    style: Style,
    /// Root of the run's repository on this machine.
    repository: Option<&'l Path>,
}

impl Links<'_> {
    fn file(&self, place: &Place) -> Option<PathBuf> {
        source_file(self.repository?, place.file.as_ref()?)
    }

    /// Returns a location as a link to its file, if the repository of the run is here and has that file.
    fn of(&self, place: &Place) -> TerminalText {
        self.file(place).map_or_else(|| text!("{}", place.text), |file| self.style.link(&file, &place.text))
    }
}

/// Returns the causes of the failed jobs, each with its jobs: legs of a matrix that failed in the same step with the
/// same line have one cause.
pub(super) fn causes<'r>(run: &'r Run, logs: &dyn Logs) -> io::Result<IndexMap<Cause<'r>, Vec<&'r Job>>> {
    let mut causes: IndexMap<_, Vec<&Job>> = IndexMap::new();
    for job in run.jobs.values().filter(|job| is_failed(&job.phase)) {
        let Some(step) = failed_step(job) else { continue };
        let (line, place) = first_error(run, job, step, logs)?;
        let cause = Cause { job: &job.key, step: &step.name, reason: step.reason.as_deref(), line, place };
        causes.entry(cause).or_default().push(job);
    }
    Ok(causes)
}

/// Whether a reason is part of the last line of a deployment, so that it is not printed right before that line.
pub(super) fn is_in_end(run: &Run, reason: &str) -> bool {
    run.info.is_deployment() && run.reason.as_ref().is_some_and(|end| end.text().contains(reason))
}

/// Returns the cause of each failure in a few lines.
fn failures(run: &Run, causes: &IndexMap<Cause<'_>, Vec<&Job>>, links: &Links<'_>) -> TerminalText {
    let style = links.style;
    let mut failures = TerminalText::default();
    for (cause, jobs) in causes {
        let (title, values) = named(jobs);
        let heading = style.bold(text!("{} › {}", title, cause.step));
        let reason = cause.reason.map(first_line).filter(|reason| !is_in_end(run, reason));
        let reason = reason.map(|reason| text!(" ({})", reason)).unwrap_or_default();
        let hue = if jobs[0].is_allowed_failure() { Hue::Busy } else { Hue::Bad };
        failures.push_line(&text!("\n{} {}{}", style.glyph(jobs[0].progress()), heading, reason));
        let line = first_line(&cause.line);
        let linked = links.of(&cause.place);
        // The line of a compiler contains its location.
        let (line, place) = match line.split_once(&cause.place.text) {
            Some((before, after)) if !cause.place.text.is_empty() => {
                let (before, after) = (style.paint(hue, before), style.paint(hue, after));
                (text!("{}{}{}", before, style.paint(hue, linked), after), text!(""))
            }
            _ => (style.paint(hue, line), linked),
        };
        failures.push_line(&text!("    {}", line));
        for detail in [place, text!("{}", values)].iter().filter(|detail| !detail.is_empty()) {
            failures.push_line(&text!("    {}", style.paint(Hue::Dim, detail)));
        }
    }
    failures
}

/// Returns the first failed step of a job; `None` if none failed.
pub(super) fn failed_step(job: &Job) -> Option<&Step> {
    job.steps.iter().find(|step| is_failed(&step.phase))
}

/// Returns the error of a failed step, and its location. The error is an annotation with a location, else a line that
/// looks like an error, else a warning with a location, else the last line with any text.
fn first_error(run: &Run, job: &Job, step: &Step, logs: &dyn Logs) -> io::Result<(String, Place)> {
    let placed = |level: Level| {
        let found = step.annotations.iter().find(|found| found.level == level && found.file.is_some())?;
        Some((found.message.clone(), Place::of(found)))
    };
    if let Some(found) = placed(Level::Error) {
        return Ok(found);
    }
    let finder = search(run, job, step, logs)?;
    let in_log = |(number, line): (u64, String)| {
        let of_log = || Place { file: None, text: format!("line {} of its log", number + 1) };
        let place = finder.place().map_or_else(of_log, Place::from);
        (line, place)
    };
    let found = finder.best().map(in_log).or_else(|| placed(Level::Warning)).or_else(|| finder.found().map(in_log));
    Ok(found.unwrap_or_else(|| ("no output".to_owned(), Place::default())))
}

/// Searches the end of a step's log for its first error.
///
/// # Errors
/// The logs cannot be read.
pub fn search(run: &Run, job: &Job, step: &Step, logs: &dyn Logs) -> io::Result<FirstError> {
    let mut finder = FirstError::default();
    let mut number = step.lines.saturating_sub(LOOK_BACK);
    logs.lines(run, &job.id, step.number, LineRange { first: number, count: LOOK_BACK }, &mut |line| {
        finder.look(number, TerminalText::log_line(line, Colours::None).as_str());
        number += 1;
        Ok(())
    })?;
    Ok(finder)
}

/// Returns the annotations of files that are not the cause of a failure, the worst first, at most [`MAX_ANNOTATIONS`],
/// and the number of the others.
fn annotations(run: &Run, causes: &IndexMap<Cause<'_>, Vec<&Job>>, links: &Links<'_>) -> TerminalText {
    let style = links.style;
    let steps = run.jobs.values().flat_map(|job| job.steps.iter().map(move |step| (job, step)));
    let all = steps.flat_map(|(job, step)| step.annotations.iter().map(move |found| (found, job, step)));
    let is_cause =
        |found: &Annotation| causes.keys().any(|cause| cause.line == found.message && cause.place == Place::of(found));
    let mut placed: Vec<_> = all.filter(|(found, ..)| found.file.is_some() && !is_cause(found)).collect();
    if placed.is_empty() {
        return TerminalText::default();
    }
    placed.sort_by_key(|(found, ..)| std::cmp::Reverse(found.level));
    let mut annotations = text!("\n");
    for (found, job, step) in placed.iter().take(MAX_ANNOTATIONS) {
        let level = style.level(found.level, format!("{:<8}", found.level.word()));
        let title = found.title.as_ref().map(|title| text!("{}: ", title)).unwrap_or_default();
        let heading = style.paint(Hue::Dim, text!("  {} › {}", job.name, step.name));
        let message = first_line(&found.message);
        annotations.push_line(&text!("{} {}: {}{}{}", level, links.of(&Place::of(found)), title, message, heading));
    }
    if placed.len() > MAX_ANNOTATIONS {
        let more = text!("and {} more: cuelight show {} --json", placed.len() - MAX_ANNOTATIONS, run.info.id);
        annotations.push_line(&style.paint(Hue::Dim, more));
    }
    annotations
}

/// Returns the result of the run, and what to do next.
fn closing(run: &Run, style: Style) -> TerminalText {
    let time = took(run.started, run.finished);
    let reason =
        run.reason.as_ref().map(|reason| text!(": {}", TerminalText::paragraph(&reason.text()))).unwrap_or_default();
    let word = style.bold(text!("{}{}", style.word(&run.phase), time));
    let jobs = if run.jobs.len() > 1 { text!("  {}", run.tally_in_words(" · ")) } else { TerminalText::default() };
    let mut closing = text!("\n{} {}{}{}\n", style.glyph(&run.phase), word, reason, style.paint(Hue::Dim, jobs));
    if let Some(edited) = run.edited() {
        closing.push_line(&style.paint(Hue::Busy, text!("  {}: {}", run.info.version(), edited)));
    }
    let next: Vec<String> = next_steps(run).into_iter().map(|next| next.command).collect();
    // Ids of runs are long: commands that all have one would not fit into a line of 80 columns.
    let next = if run.info.is_deployment() { vec![next.join(" · ")] } else { next };
    for next in next.iter().filter(|next| !next.is_empty()) {
        closing.push_line(&text!("  {}", style.paint(Hue::Dim, next)));
    }
    closing
}

/// Returns how long a run or a job took, as the end of a sentence: ` in 7.1s`. Empty unless it has started and ended.
pub(super) fn took(started: Option<Timestamp>, finished: Option<Timestamp>) -> TerminalText {
    let time = started.zip(finished).map(|(started, finished)| duration(finished.since(started)));
    time.map(|time| text!(" in {}", time)).unwrap_or_default()
}

/// Returns the title of the jobs with one cause, and what distinguishes them; that is empty for one job.
pub(super) fn named(jobs: &[&Job]) -> (String, String) {
    titled(jobs).unwrap_or_else(|| (jobs[0].name.clone(), String::new()))
}

/// Returns the first line of a text that may have several.
pub fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::{Script, annotation, info, job_finished, outline};
    use crate::model::{JobOutline, RunId};
    use crate::report::Lines;
    use crate::report::testing::Story;
    use crate::store::runs::RunStore;
    use crate::ui::theme::Glyphs;

    #[test]
    fn a_location_leads_to_its_file_whatever_the_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("odd:name.md");
        std::fs::write(&file, "").expect("written");
        let links = Links { style: Style::new(Glyphs::Unicode, false), repository: Some(folder.path()) };
        let place = Place::of(&annotation("odd:name.md", 3, "broken link"));
        assert_eq!((links.file(&place), place.text.as_str()), (Some(file), "odd:name.md:3"));
        let of_log = Place { file: None, text: "odd:name.md".to_owned() };
        assert_eq!(links.file(&of_log), None, "it names no file");
        assert_eq!(Links { repository: None, ..links }.file(&place), None);
    }

    #[test]
    fn many_legs_that_succeeded_share_a_row_and_those_that_failed_are_named() {
        let ids: Vec<String> = (1..=200).map(|leg| format!("t{leg}")).collect();
        let mut script = Script::new(Timestamp(0));
        let leg = |id: &String| JobOutline { key: "t".to_owned(), ..outline(id, &format!("t ({id})"), &[]) };
        script.start([outline("a", "a", &[])].into_iter().chain(ids.iter().map(leg)).collect());
        for id in std::iter::once("a").chain(ids.iter().map(String::as_str)) {
            let end = if matches!(id, "t7" | "t9") { Conclusion::Failure } else { Conclusion::Success };
            let reason = (end == Conclusion::Failure).then(|| format!("exit code {}", id.len()));
            script.job(id, id, &[]).event(job_finished(id, end, reason.as_deref()));
        }
        let mut store = RunStore::default();
        let info = info(RunId::new("20261124-000000-0001"), Timestamp(0));
        store.open(info.clone());
        script.records.iter().for_each(|record| store.apply(&info.id, record));
        let run = store.run(&info.id).expect("opened");
        let style = Style::new(Glyphs::Unicode, false);
        let rows = rows(run, MAX_SUCCEEDED, &|_| true, style);
        let rows: Vec<&str> = rows.as_str().lines().collect();
        assert!(rows.len() <= 5 && rows[1].contains("t (198 of 200 legs)"), "{rows:#?}");
        assert!(rows.iter().any(|row| row.contains("t7, t9")), "{rows:#?}");
        assert_eq!(table(run, style).as_str().lines().count(), 201, "two legs share a row, whose legs are below it");
    }

    #[test]
    fn each_failure_is_told_once_and_the_counts_add_up() {
        let mut story = Story::new(&["lint", "unit", "docs"]);
        story.step("lint", 2, "Lint", &["fine"], 0);
        story.finish("lint", Conclusion::Success);
        story.step("unit", 2, "Test", &["src/a.c:12:5: error: expected ';'"], 1);
        story.finish("unit", Conclusion::Failure);
        story.step("docs", 2, "Links", &["looking"], 3);
        story.annotate("docs", 2, annotation("README.md", 3, "broken link"));
        story.finish("docs", Conclusion::Failure);
        story.end(Conclusion::Failure);
        let printed = story.print(&mut Lines::new(Style::new(Glyphs::Unicode, false)));
        let (_, summary) = printed.split_once("\n\n").expect("a summary after a blank line");
        for told in ["exit code 1", "exit code 3", "src/a.c:12:5", "README.md:3", "broken link"] {
            assert_eq!(summary.matches(told).count(), 1, "{told} in {summary}");
        }
        assert!(summary.contains("1 ok · 2 failed"), "{summary}");
    }
}
