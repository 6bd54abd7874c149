//! Panel 3, Jobs: the jobs of the selected run, and the steps of the selected job below it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::action::Action;
use crate::app::msg::Effect;
use crate::app::selection::{JobSelection, Selection, relevant_step};
use crate::app::state::{AppState, has_failed};
use crate::model::legs::{self, alike, titled};
use crate::model::{
    Conclusion, EndReason, Expected, Gate, Job, JobId, JobState, Level, PendingReview, Phase, Run, RunId, Step,
    Timestamp,
};
use crate::ui::frame::Scroll;
use crate::ui::text;
use crate::ui::theme::Hue;

use super::job_filter::JobFilter;
use super::list::{ListRow, filter_chip};
use super::runs::no_runs;
use super::{Cx, Pane, empty, motion, waits};

/// The list of jobs.
#[derive(Clone, Debug, Default)]
pub(in crate::app) struct Jobs {
    /// The run that the filter and the scroll position are for.
    run: Option<RunId>,
    filter: String,
    offset: usize,
}

/// Indent in columns of a leg below its heading, and of a step below its job.
const LEG: u16 = 2;
const STEP: u16 = 3;

/// A row of the list.
enum Row<'r> {
    Job(&'r Job),
    /// Legs of a matrix with the same result, which share this row.
    Legs(Vec<&'r Job>),
    /// The heading of such legs while one of them is selected. The rows of the legs follow.
    Heading(Vec<&'r Job>),
    /// One of the legs below a heading.
    Leg(&'r Job),
    /// A step of a job, and the indent of its row in columns.
    Step(&'r Job, &'r Step, u16),
}

impl Row<'_> {
    /// Returns the selection of this row. For a row of several legs, it is the first leg.
    fn selection(&self) -> JobSelection {
        match self {
            Self::Job(job) | Self::Leg(job) => JobSelection::whole(job.id.clone()),
            Self::Legs(jobs) | Self::Heading(jobs) => JobSelection::whole(jobs[0].id.clone()),
            Self::Step(job, step, _) => JobSelection { job: job.id.clone(), step: Some(step.number) },
        }
    }

    fn is_heading(&self) -> bool {
        matches!(self, Self::Heading(_))
    }

    fn is_selected(&self, selection: &Selection) -> bool {
        !self.is_heading() && selection.job_selection() == Some(&self.selection())
    }
}

impl Pane for Jobs {
    fn sync(&mut self, cx: &Cx, selection: &mut Selection) -> Vec<Effect> {
        let run = selection.run(cx.state);
        if self.run.as_ref() != run.map(|run| &run.info.id) {
            *self = Self { run: run.map(|run| run.info.id.clone()), ..Self::default() };
        }
        let Some(run) = run else {
            selection.move_to(None);
            selection.follow();
            return Vec::new();
        };
        let gone = selection.job_id().is_none_or(|job| !run.jobs.contains_key(job));
        if selection.follows() || gone {
            selection.move_to(current(run, selection.job_id()));
            if let Some(first) = self.first_if_hidden(run, selection, cx.state) {
                selection.move_to(Some(first));
            }
        }
        let rows = self.rows(run, selection, cx.state);
        let at = at(&rows, selection);
        let heading = at.saturating_sub(usize::from(at > 0 && rows[at - 1].is_heading()));
        for row in [heading, at] {
            self.offset = cx.scrolled(self.offset, row, rows.len());
        }
        // The row of the job, which stays on the screen, takes the place of the step above the selected one.
        if self.offset == at && cx.size.0 > 0 && cx.rows() > 1 && job_above(&rows, at).is_some() {
            self.offset -= 1;
        }
        Vec::new()
    }

    fn act(&mut self, action: Action, cx: &Cx, selection: &mut Selection) {
        let Some(run) = selection.run(cx.state) else { return };
        let rows = self.rows(run, selection, cx.state);
        let at = at(&rows, selection);
        let to = match action {
            Action::Left => selection.job_id().cloned().map(JobSelection::whole),
            Action::Right => match rows.get(at) {
                Some(Row::Job(_) | Row::Leg(_)) => {
                    rows.get(at + 1).map(Row::selection).filter(|next| next.step.is_some())
                }
                _ => None,
            },
            _ => motion(action, at, rows.len(), cx.rows())
                // A heading cannot be selected: when moving up, continue to the row above it.
                .map(|to| if to > 0 && to < at && rows[to].is_heading() { to - 1 } else { to })
                .and_then(|to| rows.get(to))
                .map(Row::selection),
        };
        if let Some(to) = to {
            selection.select(to);
        }
    }

    fn click(&mut self, _: usize, row: usize, cx: &Cx, selection: &mut Selection) {
        let Some(run) = selection.run(cx.state) else { return };
        let rows = self.rows(run, selection, cx.state);
        if let Some(clicked) = self.visible(&rows, cx.rows()).nth(row).map(|at| rows[at].selection()) {
            selection.select(clicked);
        }
    }

    fn filter(&mut self) -> Option<&mut String> {
        Some(&mut self.filter)
    }

    /// Selects the first job of the list if the filter hides the selected one. A job that leaves the list later, or is
    /// selected elsewhere, stays selected.
    fn filtered(&mut self, cx: &Cx, selection: &mut Selection) {
        let Some(run) = selection.run(cx.state) else { return };
        if let Some(first) = self.first_if_hidden(run, selection, cx.state) {
            selection.select(first);
        }
    }

    /// Returns the filter with the number of jobs that match it and of all jobs; without a filter, the number of jobs in
    /// each state.
    fn title_suffix(&self, cx: &Cx, selection: &Selection) -> String {
        let Some(run) = selection.run(cx.state) else { return self.counted(String::new(), cx) };
        if !self.filter.is_empty() {
            return self.counted(format!("{}/{}", self.matching(run, cx.state).len(), run.jobs.len()), cx);
        }
        self.counted(run.tally_in_words(cx.theme.dot()), cx)
    }

    /// Returns the number of jobs in each state with its glyph; empty for a filtered list, whose suffix is short.
    fn short_suffix(&self, cx: &Cx, selection: &Selection) -> String {
        if !self.filter.is_empty() {
            return String::new();
        }
        let count = |(state, count): (JobState, usize)| format!("{count}{}", cx.theme.look(&state.phase()).glyph);
        let counts: Vec<String> = selection.run(cx.state).into_iter().flat_map(Run::tally).map(count).collect();
        self.counted(counts.join(" "), cx)
    }

    fn scroll(&self, cx: &Cx, selection: &Selection) -> Option<Scroll> {
        let all = self.rows(selection.run(cx.state)?, selection, cx.state).len();
        Some(Scroll { first: self.offset, shown: cx.rows(), all })
    }

    fn draw(&self, cx: &Cx, selection: &Selection, area: Rect, buffer: &mut Buffer) {
        let Some(run) = selection.run(cx.state) else {
            let has_runs = cx.state.listed().next().is_some();
            empty(if has_runs { "loading the run" } else { no_runs(cx.state) }, cx, area, buffer);
            return;
        };
        let rows = self.rows(run, selection, cx.state);
        if rows.is_empty() {
            let reason = run.reason.as_ref().map(EndReason::text);
            let text = match &reason {
                _ if !run.jobs.is_empty() => "no job matches the filter",
                Some(reason) => reason,
                None => "the run has not started",
            };
            empty(text, cx, area, buffer);
        }
        let widest = run.jobs.values().map(|job| text::columns(&job.name)).max().unwrap_or_default();
        let tab = (widest + 5).min(area.width / 2);
        let expected = cx.state.expected(&run.info.id);
        let visible = self.visible(&rows, usize::from(area.height));
        for (y, row) in (area.y..area.bottom()).zip(visible.map(|at| &rows[at])) {
            let selected = row.is_selected(selection);
            let line = Rect { y, height: 1, ..area };
            match row {
                Row::Job(job) => {
                    let (remark, hue) = remark(job, run, cx.state);
                    let style = cx.theme.style(hue);
                    draw_job((job, &job.name, expected), (&remark, style), (0, tab), selected, cx, line, buffer);
                }
                Row::Legs(jobs) | Row::Heading(jobs) => {
                    let (why, hue) = remark(jobs[0], run, cx.state);
                    let why = legs::reason(jobs).filter(|_| !jobs[0].allowed_failure).unwrap_or(why);
                    let (title, values) = titled(jobs).unwrap_or_default();
                    let title = title.replace('×', cx.theme.pick("×", "x"));
                    let (remark, style) = (format!("{why}{}{values}", cx.theme.dot()), cx.theme.style(hue));
                    let took = |job: &&&Job| job.started.zip(job.finished).map(|(start, end)| end.since(start));
                    let longest = jobs.iter().max_by_key(took).unwrap_or(&jobs[0]);
                    draw_job((longest, &title, expected), (&remark, style), (0, tab), selected, cx, line, buffer);
                }
                // The heading already shows the reason.
                Row::Leg(job) => {
                    draw_job((job, &job.name, expected), ("", Style::new()), (LEG, tab), selected, cx, line, buffer);
                }
                Row::Step(_, step, indent) => draw_step(step, *indent, selected, cx, line, buffer),
            }
        }
    }
}

impl Jobs {
    /// Returns the filter and the counts of jobs, for the border.
    fn counted(&self, counts: String, cx: &Cx) -> String {
        let counts = Some(counts).filter(|counts| !counts.is_empty());
        filter_chip(&self.filter).into_iter().chain(counts).collect::<Vec<_>>().join(cx.theme.dot())
    }

    /// Returns the indices of the visible rows. If the first of `height` rows is a step, the row of its job takes its
    /// place, so that steps are never shown without their job.
    fn visible(&self, rows: &[Row], height: usize) -> impl Iterator<Item = usize> + use<> {
        let first = self.offset.min(rows.len());
        let job = job_above(rows, first).filter(|_| height > 1);
        let below = if job.is_some() { first + 1 } else { first };
        job.into_iter().chain(below..rows.len()).take(height)
    }

    /// Removes the filter, so that all jobs are shown.
    pub(in crate::app) fn clear_filter(&mut self) {
        self.filter.clear();
    }

    /// Selects the next or previous step of the selected job, if there is one.
    pub(in crate::app) fn select_neighbour(&self, forward: bool, state: &AppState, selection: &mut Selection) {
        let Some(run) = selection.run(state) else { return };
        let rows = self.rows(run, selection, state);
        let at = at(&rows, selection);
        let to = if forward { at.checked_add(1) } else { at.checked_sub(1) };
        if let Some(step) = to.and_then(|to| rows.get(to)).map(Row::selection).filter(|row| row.step.is_some()) {
            selection.select(step);
        }
    }

    /// Returns the first job of the list if the filter hides the selected one; `None` if it does not, or hides all.
    fn first_if_hidden(&self, run: &Run, selection: &Selection, state: &AppState) -> Option<JobSelection> {
        if self.filter.is_empty() {
            return None;
        }
        let shown = self.matching(run, state);
        let is_hidden = !shown.iter().any(|job| selection.job_id() == Some(&job.id));
        shown.first().filter(|_| is_hidden).map(|first| JobSelection::whole(first.id.clone()))
    }

    /// Returns the jobs that match the filter.
    fn matching<'r>(&self, run: &'r Run, state: &AppState) -> Vec<&'r Job> {
        let filter = JobFilter::parse(&self.filter);
        let matches = |job: &&Job| {
            filter.matches(job, || {
                let steps = job.steps.iter().map(|step| step_remark(step, state));
                steps.chain([remark(job, run, state).0]).collect()
            })
        };
        run.jobs.values().filter(matches).collect()
    }

    /// Returns the jobs that match the filter, and the steps of the selected job below it. Legs of a matrix with the
    /// same result share a row.
    fn rows<'r>(&self, run: &'r Run, selection: &Selection, state: &AppState) -> Vec<Row<'r>> {
        let mut rows = Vec::new();
        for jobs in alike(self.matching(run, state)) {
            let is_selected = |job: &Job| selection.job_id() == Some(&job.id);
            let (several, open) = (jobs.len() > 1, jobs.iter().any(|job| is_selected(job)));
            if several && !open {
                rows.push(Row::Legs(jobs));
                continue;
            }
            if several {
                rows.push(Row::Heading(jobs.clone()));
            }
            let indent = STEP + if several { LEG } else { 0 };
            for job in jobs {
                rows.push(if several { Row::Leg(job) } else { Row::Job(job) });
                if is_selected(job) {
                    rows.extend(job.steps.iter().map(|step| Row::Step(job, step, indent)));
                }
            }
        }
        rows
    }
}

/// Returns the index of the selected row; the first row if none is selected.
fn at(rows: &[Row], selection: &Selection) -> usize {
    rows.iter().position(|row| row.is_selected(selection)).unwrap_or_default()
}

/// Returns the index of the row of a step's job; `None` if the row at `at` is not a step.
fn job_above(rows: &[Row], at: usize) -> Option<usize> {
    let is_step = |row: &Row| matches!(row, Row::Step(..));
    rows.get(at).filter(|row| is_step(row))?;
    rows[..at].iter().rposition(|row| !is_step(row))
}

/// Draws a row with the state of a job, its time, and its expected total duration.
fn draw_job(
    (job, name, expected): (&Job, &str, Option<&Expected>),
    (remark, remark_style): (&str, Style),
    (indent, tab): (u16, u16),
    selected: bool,
    cx: &Cx,
    area: Rect,
    buffer: &mut Buffer,
) {
    let time = took(job.started, job.finished, cx.state);
    let row = ListRow {
        indent,
        glyph: cx.theme.lamp(job.progress(), cx.state.now.0),
        style: cx.theme.phase(job.progress()),
        name,
        tab,
        remark,
        remark_style,
        right: &match expected.and_then(|expected| expected.of_job(job, cx.state.now)) {
            Some(whole) => format!("{time} of ~{}", text::duration(whole)),
            None => time,
        },
        selected,
    };
    row.draw(cx, area, buffer);
}

fn draw_step(step: &Step, indent: u16, selected: bool, cx: &Cx, area: Rect, buffer: &mut Buffer) {
    let style = cx.theme.style(if step.phase.is_held() { Hue::Review } else { Hue::Dim });
    let remark = step_remark(step, cx.state);
    let row = ListRow {
        indent,
        glyph: cx.theme.lamp(&step.phase, cx.state.now.0),
        style: cx.theme.phase(&step.phase),
        name: &format!("{} {}", step.number, step.name),
        tab: 0,
        remark: &remark,
        remark_style: style,
        right: &took(step.started, step.finished, cx.state),
        selected,
    };
    row.draw(cx, area, buffer);
}

/// Returns the remark of a step's row: why it waits, or why it ended as it did.
fn step_remark(step: &Step, state: &AppState) -> String {
    let allowed = step.outcome.is_some() && step.outcome != step.phase.conclusion();
    match (&step.phase, &step.reason) {
        (Phase::Waiting(gate @ Gate::Held { .. }), _) => waits(gate, state),
        (Phase::Done(Conclusion::Success), _) if allowed => "failed (allowed to fail)".to_owned(),
        (_, Some(reason)) => reason.clone(),
        (Phase::Done(Conclusion::Failure), None) => match (step.exit_code, step.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("ended by {}", signal.name()),
            (None, None) => String::new(),
        },
        _ => String::new(),
    }
}

/// Returns the time from start to end, or from start to now if there is no end yet. Empty if there is no start.
fn took(started: Option<Timestamp>, finished: Option<Timestamp>, state: &AppState) -> String {
    started.map(|started| text::spent(started, finished, state.now)).unwrap_or_default()
}

/// Returns the remark of a job's row: why it waits, which steps run, why it ended, or that an earlier attempt ran it.
fn remark(job: &Job, run: &Run, state: &AppState) -> (String, Hue) {
    let (reason, hue) = reason(job, run, state);
    let parts = [Some(reason), run.kept_from(job)].into_iter().flatten().filter(|part| !part.is_empty());
    (parts.collect::<Vec<_>>().join(", "), hue)
}

/// Returns why a job waits, which of its steps run, or why it ended.
fn reason(job: &Job, run: &Run, state: &AppState) -> (String, Hue) {
    let dim = Hue::Dim;
    let name = |id: &JobId| run.jobs.get(id).map_or_else(|| id.to_string(), |job| job.name.clone());
    let errors = job.steps.iter().flat_map(|step| &step.annotations).filter(|note| note.level == Level::Error);
    match job.progress() {
        Phase::Waiting(Gate::Needs) => {
            let open = |id: &&JobId| run.jobs.get(*id).is_none_or(|job| !job.phase.is_done());
            let names: Vec<String> = job.needs.iter().filter(open).map(name).collect();
            let needs =
                if names.is_empty() { "waits for its turn".to_owned() } else { format!("needs {}", names.join(", ")) };
            (needs, dim)
        }
        Phase::Waiting(gate @ Gate::Review(_)) => {
            let reason = run.review_of(job).map_or_else(|| gate.reason(), PendingReview::reason);
            (reason, Hue::Review)
        }
        Phase::Waiting(gate @ Gate::Held { .. }) => (waits(gate, state), Hue::Review),
        Phase::Waiting(gate) => (gate.reason(), dim),
        Phase::Running | Phase::Stopping => {
            let steps = job.steps.iter().filter(|step| step.phase.is_active());
            let steps: Vec<_> = steps.map(|step| format!("{} {}", step.number, step.name)).collect();
            (steps.join(", "), dim)
        }
        Phase::Done(Conclusion::Success) | Phase::Queued => (String::new(), dim),
        Phase::Done(_) if job.allowed_failure => ("allowed to fail".to_owned(), dim),
        Phase::Done(_) => {
            let count = errors.clone().count() as u64;
            let place = errors.clone().find_map(|note| Some(format!(" at {}:{}", note.file.as_ref()?, note.line?)));
            match (&job.reason, count) {
                (Some(reason), _) => (reason.clone(), dim),
                (None, 0) => (String::new(), dim),
                (None, _) => (format!("! {}{}", text::counted(count, "error"), place.unwrap_or_default()), dim),
            }
        }
    }
}

/// Returns the job to select, and its most relevant step if the job is active or has failed. This is a running job,
/// preferably the previous one; else, in a completed run, a job that made it fail, or else one that was cancelled or
/// may fail; else the previous job; else, in a run in progress, the last job of the workflow that has started; else the
/// first job. `None` for a run without jobs.
fn current(run: &Run, previous: Option<&JobId>) -> Option<JobSelection> {
    let previous = previous.and_then(|job| run.jobs.get(job));
    let bad = |job: &&Job| job.phase.conclusion().is_some_and(Conclusion::is_bad);
    // A job that calls a workflow has no steps, because the called jobs do the work.
    let runs = |job: &&Job| job.phase.is_active() && !job.steps.is_empty();
    let job = previous
        .filter(|job| runs(job))
        .or_else(|| run.jobs.values().find(runs))
        .or_else(|| run.jobs.values().find(|job| job.phase.is_active()))
        // A failure cancels the other legs of its matrix, which may come before it.
        .or_else(|| run.jobs.values().filter(|_| run.phase.is_done()).find(|job| job.has_failed()))
        .or_else(|| run.jobs.values().filter(|_| run.phase.is_done()).find(bad))
        .or(previous)
        .or_else(|| run.jobs.values().rev().filter(|_| !run.phase.is_done()).find(|job| job.started.is_some()))
        .or_else(|| run.jobs.values().next())?;
    let step = relevant_step(job).filter(|_| job.phase.is_active() || bad(&job));
    Some(JobSelection { job: job.id.clone(), step: step.map(|step| step.number) })
}

/// Whether a job or a step of the run has failed.
pub(in crate::app) fn any_failed(run: &Run) -> bool {
    run.jobs.values().any(|job| has_failed(&job.phase) || job.steps.iter().any(|step| has_failed(&step.phase)))
}

/// Returns the failed step after or before the selection, or a job that failed without a failed step. Jobs whose failure
/// is allowed come after all others. Wraps around. `None` if nothing has failed.
pub(in crate::app) fn next_failed(run: &Run, from: Option<&JobSelection>, forward: bool) -> Option<JobSelection> {
    let mut failed = Vec::new();
    let mut before = 0;
    let (allowed, others): (Vec<&Job>, Vec<&Job>) = run.jobs.values().partition(|job| job.allowed_failure);
    for job in others.into_iter().chain(allowed) {
        let rows =
            std::iter::once((None, &job.phase)).chain(job.steps.iter().map(|step| (Some(step.number), &step.phase)));
        let in_step = job.steps.iter().any(|step| has_failed(&step.phase));
        for (step, phase) in rows {
            let row = JobSelection { job: job.id.clone(), step };
            if from == Some(&row) {
                before = failed.len();
            }
            if has_failed(phase) && (step.is_some() || !in_step) {
                failed.push(row);
            }
        }
    }
    let here = failed.get(before).is_some_and(|row| from == Some(row));
    let count = failed.len();
    let at = match (forward, here) {
        _ if count == 0 => return None,
        (true, true) => before + 1,
        (true, false) => before,
        (false, _) => before + count - 1,
    };
    Some(failed.swap_remove(at % count))
}
