//! 3 Jobs: the jobs of the selected run, and the steps of the selected job under it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::action::Action;
use crate::app::state::AppState;
use crate::model::{Conclusion, Gate, Job, JobId, Level, Phase, Run, Step, StepNumber, Timestamp};
use crate::ui::text;
use crate::ui::theme::{Hue, Theme};

use super::{Cx, ListRow, empty, keep_visible, motion};

/// What is selected: a job, or one of its steps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobSelection {
    /// Which job.
    pub job: JobId,
    /// Which step of it, when one is selected.
    pub step: Option<StepNumber>,
}

/// The list of jobs.
#[derive(Clone, Debug)]
pub struct Jobs {
    /// What is selected.
    pub selected: Option<JobSelection>,
    /// Whether the selection stays at what runs now. Moving it lets go.
    pub follow: bool,
    /// Words that a job must have to be listed.
    pub filter: String,
    offset: usize,
}

impl Default for Jobs {
    fn default() -> Self {
        Self { selected: None, follow: true, filter: String::new(), offset: 0 }
    }
}

/// A row of the list.
enum Row<'r> {
    Job(&'r Job),
    Step(&'r Job, &'r Step),
}

impl Row<'_> {
    fn place(&self) -> JobSelection {
        match self {
            Self::Job(job) => JobSelection { job: job.id.clone(), step: None },
            Self::Step(job, step) => JobSelection { job: job.id.clone(), step: Some(step.number) },
        }
    }
}

impl Jobs {
    /// Moves the selection, and lets go of what runs now.
    pub(in crate::app) fn act(&mut self, action: Action, run: &Run, height: usize) {
        let rows = self.rows(run);
        let at = self.at(&rows);
        let to = match action {
            Action::Left => self.selected.clone().map(|place| JobSelection { step: None, ..place }),
            Action::Right => match rows.get(at) {
                Some(Row::Job(_)) => rows.get(at + 1).map(Row::place).filter(|place| place.step.is_some()),
                _ => None,
            },
            Action::NextError => failed(run, self.selected.as_ref(), false),
            Action::PreviousError => failed(run, self.selected.as_ref(), true),
            _ => motion(action, at, rows.len(), height).and_then(|to| rows.get(to)).map(Row::place),
        };
        if let Some(to) = to {
            self.follow = false;
            self.selected = Some(to);
        }
    }

    /// Selects what is in a row of the pane.
    pub(in crate::app) fn click(&mut self, row: usize, run: &Run) {
        let place = self.rows(run).get(self.offset + row).map(Row::place);
        if let Some(place) = place {
            self.follow = false;
            self.selected = Some(place);
        }
    }

    /// Selects the next step of the selected job, or the one before.
    pub(in crate::app) fn step(&mut self, run: &Run, forward: bool) {
        let rows = self.rows(run);
        let to = if forward { self.at(&rows).checked_add(1) } else { self.at(&rows).checked_sub(1) };
        let place = to.and_then(|to| rows.get(to)).map(Row::place);
        if let Some(place) = place.filter(|place| place.step.is_some()) {
            self.follow = false;
            self.selected = Some(place);
        }
    }

    /// Selects a job or a step.
    pub(in crate::app) fn select(&mut self, place: JobSelection) {
        self.follow = false;
        self.selected = Some(place);
    }

    /// Brings the selection to what runs now if it is to stay there, and keeps it in sight.
    pub(in crate::app) fn settle(&mut self, run: Option<&Run>, height: usize) {
        let Some(run) = run else {
            *self = Self::default();
            return;
        };
        let gone = self.selected.as_ref().is_none_or(|place| !run.jobs.contains_key(&place.job));
        if self.follow || gone {
            self.selected = current(run, self.selected.as_ref());
        }
        let rows = self.rows(run);
        self.offset = keep_visible(self.offset, self.at(&rows), rows.len(), height);
    }

    /// How many jobs are how far.
    pub(in crate::app) fn remark(&self, run: &Run, theme: Theme) -> String {
        let count = |wanted: fn(&Phase) -> bool| run.jobs.values().filter(|job| wanted(&job.phase)).count();
        let failed = |phase: &Phase| {
            matches!(phase.conclusion(), Some(Conclusion::Failure | Conclusion::TimedOut | Conclusion::StartupFailure))
        };
        let good = |phase: &Phase| *phase == Phase::Done(Conclusion::Success);
        let counts = [
            (count(good), "ok"),
            (count(Phase::is_active), "running"),
            (count(failed), "failed"),
            (count(|phase| !phase.is_done() && !phase.is_active()), "waiting"),
        ];
        let told: Vec<String> =
            counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        let chip = super::chip(&self.filter);
        chip.into_iter().chain(told).collect::<Vec<_>>().join(theme.dot())
    }

    pub(in crate::app) fn draw(&self, cx: &Cx, run: Option<&Run>, area: Rect, buffer: &mut Buffer) {
        let Some(run) = run else {
            let none = cx.facts.summaries().next().is_none();
            empty(if none { super::runs::none(cx.facts) } else { "the run is being read" }, cx, area, buffer);
            return;
        };
        let rows = self.rows(run);
        if rows.is_empty() {
            let text = match &run.reason {
                _ if !run.jobs.is_empty() => "no job has all of these words",
                Some(reason) => reason.text(),
                None => "the run has not begun",
            };
            empty(text, cx, area, buffer);
        }
        let widest = run.jobs.values().map(|job| text::width(&job.name)).max().unwrap_or_default() as u16;
        let tab = (widest + 5).min(area.width / 2);
        for (y, row) in (area.y..area.bottom()).zip(rows.iter().skip(self.offset)) {
            let selected = self.selected.as_ref() == Some(&row.place());
            let line = Rect { y, height: 1, ..area };
            match row {
                Row::Job(job) => draw_job(job, run, tab, selected, cx, line, buffer),
                Row::Step(_, step) => draw_step(step, selected, cx, line, buffer),
            }
        }
    }

    fn rows<'r>(&self, run: &'r Run) -> Vec<Row<'r>> {
        let mut rows = Vec::new();
        let found =
            |job: &&Job| text::holds(&self.filter, &[&job.name, job.key.as_str(), job.phase.word(), place_of(job)]);
        for job in run.jobs.values().filter(found) {
            rows.push(Row::Job(job));
            if self.selected.as_ref().is_some_and(|place| place.job == job.id) {
                rows.extend(job.steps.iter().map(|step| Row::Step(job, step)));
            }
        }
        rows
    }

    fn at(&self, rows: &[Row]) -> usize {
        rows.iter().position(|row| self.selected.as_ref() == Some(&row.place())).unwrap_or_default()
    }
}

fn draw_job(job: &Job, run: &Run, tab: u16, selected: bool, cx: &Cx, area: Rect, buffer: &mut Buffer) {
    let (remark, remark_style) = remark(job, run, cx);
    let row = ListRow {
        indent: 0,
        glyph: cx.theme.lamp(&job.phase, cx.facts.now.0),
        style: cx.theme.phase(&job.phase),
        name: &job.name,
        tab,
        remark: &remark,
        remark_style,
        right: &took(job.started, job.finished, cx.facts),
        selected,
    };
    row.draw(cx, area, buffer);
}

fn draw_step(step: &Step, selected: bool, cx: &Cx, area: Rect, buffer: &mut Buffer) {
    let dim = cx.theme.style(Hue::Dim);
    let allowed = step.outcome.is_some() && step.outcome != step.phase.conclusion();
    let remark = match (&step.phase, &step.reason) {
        (Phase::Done(Conclusion::Success), _) if allowed => "failed, and is allowed to".to_owned(),
        (_, Some(reason)) => reason.clone(),
        (Phase::Done(Conclusion::Failure), None) => match (step.exit_code, step.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("ended by {}", signal.name()),
            (None, None) => String::new(),
        },
        _ => String::new(),
    };
    let row = ListRow {
        indent: 3,
        glyph: cx.theme.lamp(&step.phase, cx.facts.now.0),
        style: cx.theme.phase(&step.phase),
        name: &format!("{} {}", step.number, step.name),
        tab: 0,
        remark: &remark,
        remark_style: dim,
        right: &took(step.started, step.finished, cx.facts),
        selected,
    };
    row.draw(cx, area, buffer);
}

/// Where a job deploys to, for whoever looks for it.
fn place_of(job: &Job) -> &str {
    job.environment.as_deref().unwrap_or_default()
}

/// How long something took, or takes by now.
fn took(started: Option<Timestamp>, finished: Option<Timestamp>, facts: &AppState) -> String {
    match (started, finished) {
        (Some(started), finished) => text::duration(finished.unwrap_or(facts.now).since(started)),
        (None, _) => String::new(),
    }
}

/// What is to be said about a job besides its name and time.
fn remark(job: &Job, run: &Run, cx: &Cx) -> (String, Style) {
    let dim = cx.theme.style(Hue::Dim);
    let name = |id: &JobId| run.jobs.get(id).map_or_else(|| id.to_string(), |job| job.name.clone());
    let errors = job.steps.iter().flat_map(|step| &step.annotations).filter(|note| note.level == Level::Error);
    match &job.phase {
        Phase::Waiting(Gate::Needs) => {
            let open = |id: &&JobId| run.jobs.get(*id).is_none_or(|job| !job.phase.is_done());
            let names: Vec<String> = job.needs.iter().filter(open).map(name).collect();
            let needs =
                if names.is_empty() { "waits for its turn".to_owned() } else { format!("needs {}", names.join(", ")) };
            (needs, dim)
        }
        Phase::Waiting(gate @ Gate::Review(_)) => (gate.reason(), cx.theme.style(Hue::Review)),
        Phase::Waiting(gate) => (gate.reason(), dim),
        Phase::Running | Phase::Stopping => {
            let step = job.steps.iter().find(|step| step.phase.is_active());
            (step.map(|step| format!("{} {}", step.number, step.name)).unwrap_or_default(), dim)
        }
        Phase::Done(Conclusion::Success) | Phase::Queued => (String::new(), dim),
        Phase::Done(_) if job.allowed_failure => ("is allowed to fail".to_owned(), dim),
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

/// What a person wants to see now: what runs, else what went wrong, else what ended last.
fn current(run: &Run, previous: Option<&JobSelection>) -> Option<JobSelection> {
    let previous = previous.and_then(|place| run.jobs.get(&place.job));
    let bad = |job: &&Job| job.phase.conclusion().is_some_and(Conclusion::is_bad);
    // A job that calls a workflow goes on in those that it calls.
    let runs = |job: &&Job| job.phase.is_active() && !job.steps.is_empty();
    let job = previous
        .filter(|job| runs(job))
        .or_else(|| run.jobs.values().find(runs))
        .or_else(|| run.jobs.values().find(|job| job.phase.is_active()))
        .or_else(|| run.jobs.values().filter(|_| run.phase.is_done()).find(bad))
        .or(previous)
        .or_else(|| run.jobs.values().rev().find(|job| job.started.is_some()))
        .or_else(|| run.jobs.values().next())?;
    let step = interesting(job).filter(|_| job.phase.is_active() || bad(&job));
    Some(JobSelection { job: job.id.clone(), step: step.map(|step| step.number) })
}

/// The step of a job that a person wants to see: the one that runs, else the one that failed, else the last one that
/// wrote something.
pub(in crate::app) fn interesting(job: &Job) -> Option<&Step> {
    let steps = &job.steps;
    let bad = |step: &&Step| step.phase.conclusion().is_some_and(Conclusion::is_bad);
    steps
        .iter()
        .find(|step| step.phase.is_active())
        .or_else(|| steps.iter().find(bad))
        .or_else(|| steps.iter().rev().find(|step| step.lines > 0))
}

/// Whether something went wrong; what was cancelled did not.
pub(in crate::app) fn has_failed(phase: &Phase) -> bool {
    phase.conclusion().is_some_and(|conclusion| conclusion.is_bad() && conclusion != Conclusion::Cancelled)
}

/// Whether a job or a step of a run has failed.
pub(in crate::app) fn any_failed(run: &Run) -> bool {
    run.jobs.values().any(|job| has_failed(&job.phase) || job.steps.iter().any(|step| has_failed(&step.phase)))
}

/// The failed step (or job that failed without one) after or before a place, coming round at the end.
fn failed(run: &Run, from: Option<&JobSelection>, backwards: bool) -> Option<JobSelection> {
    let bad = has_failed;
    let mut places = Vec::new();
    let mut before = 0;
    for job in run.jobs.values() {
        let rows =
            std::iter::once((None, &job.phase)).chain(job.steps.iter().map(|step| (Some(step.number), &step.phase)));
        let in_step = job.steps.iter().any(|step| bad(&step.phase));
        for (step, phase) in rows {
            let place = JobSelection { job: job.id.clone(), step };
            if from == Some(&place) {
                before = places.len();
            }
            if bad(phase) && (step.is_some() || !in_step) {
                places.push(place);
            }
        }
    }
    let here = places.get(before).is_some_and(|place| from == Some(place));
    let count = places.len();
    let at = match (backwards, here) {
        _ if count == 0 => return None,
        (false, true) => before + 1,
        (false, false) => before,
        (true, _) => before + count - 1,
    };
    Some(places.swap_remove(at % count))
}
