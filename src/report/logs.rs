//! Logs of a run: complete, or only the parts that show what failed.

use std::io;

use crate::model::service::{STOP_STEP, log_title};
use crate::model::{Conclusion, Job, LineRange, Phase, Run, Step};
use crate::store::first_error;
use crate::ui::terminal_text::text;
use crate::ui::text::counted;
use crate::ui::theme::Hue;

use super::style::{Out, Style};
use super::{Logs, ends_group, log_line, runs, search};

/// Which logs of a run are printed.
pub struct LogSelection<'r> {
    /// The jobs whose logs are printed.
    pub jobs: Vec<&'r Job>,
    /// Whether these are all jobs of the run. The run's own reason is then printed, too.
    pub is_whole_run: bool,
    /// The only step to print, by its number or name; `None` for all steps.
    pub step: Option<&'r str>,
    /// Whether to print only the lines around the first error of each failed step, and why jobs did not start.
    pub failed: bool,
    /// With `failed`, whether to print all lines of each failed step.
    pub all_lines: bool,
}

/// Result of printing logs.
#[derive(Clone, Copy, Default, Debug)]
pub struct Printed {
    /// Whether a step was selected.
    pub found: bool,
    /// Whether anything was printed.
    pub any: bool,
    /// Whether lines were left out.
    pub cut: bool,
}

/// Prints the log of a service that was removed with its job. Returns whether the log was kept.
///
/// # Errors
/// The logs cannot be read, or the output cannot be written.
pub fn service_log(
    run: &Run,
    logs: &dyn Logs,
    (job, service): (&Job, &str),
    style: Style,
    out: &mut Out<'_>,
) -> io::Result<bool> {
    let Some(step) = job.steps.iter().find(|step| step.name == STOP_STEP) else { return Ok(false) };
    let heading = format!("##[group]{}", log_title(service));
    let (mut found, mut is_inside) = (false, false);
    let all = LineRange { first: 0, count: u64::MAX };
    logs.lines(run, &job.id, step.number, all, &mut |line| {
        if line == heading.as_bytes() {
            (found, is_inside) = (true, true);
            return Ok(());
        }
        is_inside &= !ends_group(line);
        if is_inside { out.line(log_line(line, style)) } else { Ok(()) }
    })?;
    Ok(found)
}

/// Whether a run, a job or a step ended badly.
pub fn is_bad(phase: &Phase) -> bool {
    phase.conclusion().is_some_and(Conclusion::is_bad)
}

impl LogSelection<'_> {
    /// Prints the logs.
    ///
    /// # Errors
    /// The logs cannot be read, or the output cannot be written.
    pub fn print(&self, run: &Run, logs: &dyn Logs, style: Style, out: &mut Out<'_>) -> io::Result<Printed> {
        let wanted_step = |step: &&Step| {
            self.step.is_none_or(|wanted| step.is_named(wanted))
                && (!self.failed || step.outcome == Some(Conclusion::Failure) || is_bad(&step.phase))
        };
        let mut done = Printed::default();
        for job in &self.jobs {
            let mut has_lines = false;
            for step in job.steps.iter().filter(wanted_step) {
                done.found = true;
                // One step alone is printed without a heading, so that it can be piped.
                if self.step.is_none() && step.lines > 0 {
                    out.line(runs::heading(job, step, style))?;
                }
                let ranges = if self.failed && !self.all_lines {
                    first_error::excerpt(search(run, job, step, logs)?.best().map(|(at, _)| at), step.lines)
                } else {
                    vec![LineRange { first: 0, count: u64::MAX }]
                };
                let mut next = 0;
                for range in ranges {
                    if range.first > next {
                        done.cut = true;
                        let gap = style.spelled(text!("⋮ {}", counted(range.first - next, "line")));
                        out.line(style.paint(Hue::Dim, gap))?;
                    }
                    next = range.first.saturating_add(range.count);
                    logs.lines(run, &job.id, step.number, range, &mut |line| {
                        has_lines = true;
                        if ends_group(line) { Ok(()) } else { out.line(log_line(line, style)) }
                    })?;
                }
            }
            // A job without output may never have started, so its reason is printed.
            let reason =
                job.why().filter(|_| self.step.is_none() && !has_lines && (!self.failed || is_bad(&job.phase)));
            if let Some(reason) = reason {
                out.line(style.bold(&job.name))?;
                out.line(runs::because(&job.phase, &reason, style))?;
                has_lines = true;
            }
            done.any |= has_lines;
        }
        if let (true, Some(reason)) =
            (self.is_whole_run && self.step.is_none() && (!done.any || is_bad(&run.phase)), run.why())
        {
            out.line(runs::because(&run.phase, &reason, style))?;
            done.any = true;
        }
        Ok(done)
    }
}
