//! Prints several runs at once: as a line for each change, or as a table that is redrawn.

use std::collections::HashMap;
use std::io;

use serde_json::json;

use crate::model::{Conclusion, Gate, Job, JobId, Phase, Run, RunId, Timestamp, first_names};
use crate::report::style;
use crate::report::style::{Out, Stdout, Style};
use crate::ui::terminal_text::TerminalText;
use crate::ui::terminal_text::text;
use crate::ui::text::{clip, counted, spent, width};
use crate::ui::theme::Hue;

use super::clauses;
use super::clauses::MAX_NAMES;
use super::ending::took;

/// Runs in the order in which they are shown.
pub(super) type Runs<'r> = dyn Iterator<Item = &'r Run> + 'r;

/// Prints several runs while they are in progress.
pub trait Watched {
    /// Shows the runs after a change.
    ///
    /// # Errors
    /// The output cannot be written.
    fn show(&mut self, runs: &mut Runs<'_>, now: Timestamp) -> io::Result<()>;

    /// Updates the times that are shown.
    ///
    /// # Errors
    /// The output cannot be written.
    fn tick(&mut self, _runs: &mut Runs<'_>, _now: Timestamp) -> io::Result<()> {
        Ok(())
    }

    /// Erases the rows that are redrawn, so that a message can be printed.
    ///
    /// # Errors
    /// The output cannot be written.
    fn clear(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Shows the runs for the last time.
    ///
    /// # Errors
    /// The output cannot be written.
    fn end(&mut self, runs: &mut Runs<'_>, now: Timestamp) -> io::Result<()> {
        self.show(runs, now)
    }
}

/// A line for each change of a run or a job.
pub struct RunLines {
    style: Style,
    json: bool,
    /// The last states that were printed.
    shown: HashMap<(RunId, Option<JobId>), (u32, Phase)>,
}

impl RunLines {
    /// Returns a printer with this style, or one that prints a JSON object per change.
    pub fn new(style: Style, json: bool) -> Self {
        Self { style, json, shown: HashMap::new() }
    }

    /// Whether a state is worth printing, and differs from the last one of the run or job. Stores the state.
    fn is_news(&mut self, run: &Run, job: Option<&JobId>, phase: &Phase) -> bool {
        let key = (run.info.id.clone(), job.cloned());
        let state = (run.attempt, phase.clone());
        let is_silent = matches!(phase, Phase::Queued | Phase::Waiting(Gate::Needs));
        let is_new = self.shown.get(&key) != Some(&state);
        self.shown.insert(key, state);
        is_new && !is_silent
    }

    /// Returns the lines of changed states. Several jobs that wait for the same gate share one line, which names the
    /// first of them; in JSON, each job has its own line.
    fn lines(&self, run: &Run, rows: &[(Option<&Job>, &Phase)]) -> io::Result<Vec<TerminalText>> {
        let mut waiting: HashMap<String, Vec<&Job>> = HashMap::new();
        for (job, phase) in rows.iter().filter(|_| !self.json) {
            if let (Some(job), Phase::Waiting(gate)) = (job, phase) {
                waiting.entry(gate.reason()).or_default().push(job);
            }
        }
        waiting.retain(|_, jobs| jobs.len() > 1);
        let mut lines = Vec::new();
        for (job, phase) in rows {
            let together = match phase {
                Phase::Waiting(gate) if job.is_some() => waiting.get_mut(&gate.reason()),
                _ => None,
            };
            match together {
                None => lines.push(self.line(run, *job, phase)?),
                Some(jobs) if jobs.is_empty() => {}
                Some(jobs) => {
                    let (glyph, word) = (self.style.glyph(phase), self.style.word(phase));
                    if self.style.is_linear() {
                        let names = clauses::first_names(jobs.iter().map(|job| job.name.as_str()));
                        let count = counted(jobs.len() as u64, "job");
                        let state = clauses::state(phase, &TerminalText::default(), None, self.style);
                        lines.push(self.style.spelled(text!("{}: {} {}: {}", run.title(), count, state, names)));
                        jobs.clear();
                        continue;
                    }
                    let reason = jobs[0].why().map(|reason| text!(": {}", super::first_line(&reason)));
                    let count = counted(jobs.len() as u64, "job");
                    let names = first_names(jobs.iter().map(|job| job.name.as_str()), MAX_NAMES);
                    let (title, reason) = (run.title(), reason.unwrap_or_default());
                    let line = text!("{} {} › {}  {}{} ({})", glyph, title, count, word, reason, names);
                    lines.push(self.style.spelled(line));
                    jobs.clear();
                }
            }
        }
        Ok(lines)
    }

    fn line(&self, run: &Run, job: Option<&Job>, phase: &Phase) -> io::Result<TerminalText> {
        let (name, reason) = match job {
            Some(job) => (text!("{} › {}", run.title(), job.name), job.why()),
            None => (text!("{}", run.title()), run.why()),
        };
        let (started, finished) = job.map_or((run.started, run.finished), |job| (job.started, job.finished));
        if self.json {
            return style::document(&json!({
                "run": run.info.id, "remote": run.info.remote, "workflow": run.info.workflow, "attempt": run.attempt,
                "job": job.map(|job| &job.name), "status": phase.word(), "reason": reason,
                "started": started, "finished": finished,
            }));
        }
        let time = took(started, finished);
        if self.style.is_linear() {
            let (of, state) = if let Some(job) = job {
                let state = clauses::state(phase, &time, reason.as_deref(), self.style);
                (text!("{}, {}", run.title(), job.name), state)
            } else {
                let state = clauses::of_run(phase, &run.reviews, &time, reason.as_deref(), self.style);
                (text!("{}", run.title()), state)
            };
            return Ok(self.style.spelled(text!("{}: {}", of, state)));
        }
        let reason = reason.map(|reason| text!(": {}", super::first_line(&reason))).unwrap_or_default();
        let (glyph, word) = (self.style.glyph(phase), self.style.word(phase));
        Ok(self.style.spelled(text!("{} {}  {}{}{}", glyph, name, word, time, reason)))
    }
}

impl Watched for RunLines {
    fn show(&mut self, runs: &mut Runs<'_>, _: Timestamp) -> io::Result<()> {
        for run in runs {
            let phase = run.progress();
            // The end of a run is printed below the ends of its jobs.
            let mut rows: Vec<(Option<&Job>, &Phase)> =
                run.jobs.values().filter(|job| job.attempt == run.attempt).map(|job| (Some(job), &job.phase)).collect();
            let at = if phase.is_done() { rows.len() } else { 0 };
            rows.insert(at, (None, &phase));
            rows.retain(|(job, phase)| self.is_news(run, job.map(|job| &job.id), phase));
            for line in self.lines(run, &rows)? {
                style::line(&line)?;
            }
        }
        Ok(())
    }
}

/// A table with a row for each run, redrawn on every change.
pub struct RunTable {
    style: Style,
    /// Number of rows that are on the terminal.
    rows: usize,
}

impl RunTable {
    /// Returns a table with this style.
    pub fn new(style: Style) -> Self {
        Self { style, rows: 0 }
    }

    /// Returns the row of a run: its state, its time, the number of its jobs that have ended, and its failed and
    /// running jobs or the reason of its state.
    fn row(&self, run: &Run, name: usize, columns: usize, now: Timestamp) -> TerminalText {
        let style = self.style;
        let phase = run.progress();
        let jobs = || run.jobs.values().filter(|job| job.attempt == run.attempt);
        let ended = jobs().filter(|job| job.phase.is_done()).count();
        let time = run.started.map(|started| spent(started, run.finished, now)).unwrap_or_default();
        let names = |wanted: fn(&Phase) -> bool| {
            jobs().filter(|job| wanted(&job.phase)).map(|job| job.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        let failed = names(|phase| phase.conclusion().is_some_and(Conclusion::is_bad));
        let going_on = if phase.is_done() {
            if failed.is_empty() { run.why().unwrap_or_default() } else { format!("failed: {failed}") }
        } else if matches!(phase, Phase::Waiting(_)) {
            run.why().unwrap_or_default()
        } else {
            [failed, names(Phase::is_active)]
                .into_iter()
                .filter(|names| !names.is_empty())
                .collect::<Vec<_>>()
                .join("; ")
        };
        let ellipsis = style.spelled(text!("…"));
        let title = clip(&run.title(), name, ellipsis.as_str()).into_owned();
        let head = text!(
            "{} {:<name$}  {:<12} {:>8}  {:>7}  ",
            style.glyph(&phase),
            title,
            style.word(&phase),
            time,
            format!("{ended}/{}", jobs().count())
        );
        let room = columns.saturating_sub(head.width() + 1);
        text!(
            "{}{}",
            head,
            style.paint(Hue::Dim, clip(super::first_line(&going_on), room, ellipsis.as_str()).into_owned())
        )
    }

    fn draw(&mut self, runs: &mut Runs<'_>, now: Timestamp, most: usize) -> io::Result<()> {
        let Some(columns) = style::columns() else { return Ok(()) };
        let runs: Vec<&Run> = runs.collect();
        let name = runs.iter().map(|run| width(&run.title())).max().unwrap_or_default().min(columns / 3);
        let mut stdout = io::BufWriter::new(Stdout::lock());
        let mut out = Out::new(&mut stdout);
        out.erase_rows(std::mem::take(&mut self.rows))?;
        for run in runs.iter().take(most) {
            out.line(self.row(run, name, columns, now))?;
            self.rows += 1;
        }
        if runs.len() > most {
            let more = counted((runs.len() - most) as u64, "other run");
            out.line(self.style.paint(Hue::Dim, text!("and {}", more)))?;
            self.rows += 1;
        }
        out.flush()
    }
}

impl Watched for RunTable {
    fn show(&mut self, runs: &mut Runs<'_>, now: Timestamp) -> io::Result<()> {
        let rows = style::rows().unwrap_or(24);
        self.draw(runs, now, rows.saturating_sub(3).max(1))
    }

    fn tick(&mut self, runs: &mut Runs<'_>, now: Timestamp) -> io::Result<()> {
        self.show(runs, now)
    }

    fn clear(&mut self) -> io::Result<()> {
        let mut stdout = Stdout::lock();
        let mut out = Out::new(&mut stdout);
        out.erase_rows(std::mem::take(&mut self.rows))?;
        out.flush()
    }

    fn end(&mut self, runs: &mut Runs<'_>, now: Timestamp) -> io::Result<()> {
        self.draw(runs, now, usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::Story;
    use crate::ui::theme::Glyphs;

    #[test]
    fn many_jobs_that_wait_for_the_same_have_one_line() {
        let names: Vec<String> = (1..=60).map(|number| format!("leg-{number}")).collect();
        let legs: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut run = Story::new(&legs).run();
        for (at, job) in run.jobs.values_mut().enumerate() {
            let gate = if at == 0 { Gate::Capacity } else { Gate::Runner(vec!["tpu".to_owned()]) };
            job.phase = Phase::Waiting(gate);
        }
        let rows: Vec<_> = run.jobs.values().map(|job| (Some(job), &job.phase)).collect();
        let style = Style::new(Glyphs::Unicode, false);
        let lines = RunLines::new(style, false).lines(&run, &rows).expect("memory");
        let lines: Vec<_> = lines.iter().map(TerminalText::as_str).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].ends_with("leg-1  waiting"), "{lines:?}");
        let together = "59 jobs  queued: waits for a runner with tpu (leg-2, leg-3, leg-4, …)";
        assert!(lines[1].ends_with(together), "{lines:?}");
        let json = RunLines::new(style, true).lines(&run, &rows).expect("memory");
        assert_eq!(json.len(), 60, "scripts get each job");
        let sentences = RunLines::new(Style::linear(), false).lines(&run, &rows).expect("memory");
        let sentences: Vec<_> = sentences.iter().map(TerminalText::as_str).collect();
        let together = "CI: 59 jobs queued for a runner with tpu: leg-2, leg-3, leg-4 and 56 more";
        assert_eq!(sentences, ["CI, leg-1: waiting for a free slot", together]);
    }
}
