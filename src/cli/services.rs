//! `logs --service` and `logs --compose`: logs of services.

use std::io;
use std::ops::ControlFlow;

use tokio::signal::unix::{SignalKind, signal};

use crate::launch::{FollowedLine, ProviderError, compose, shell};
use crate::model::{Job, Run};
use crate::report::style::{Out, Style};
use crate::report::{log_line, service_log, style};
use crate::store::folder::RunFolder;
use crate::ui::terminal_text::text;

use super::{Exit, Failure, Outcome, block_on};

/// Prints the log of a service of one of the jobs. Follows it while the job runs.
pub(super) fn print(folder: &RunFolder, run: &Run, jobs: &[&Job], service: &str) -> Outcome {
    let Some(job) = jobs.iter().find(|job| job.services.contains_key(service)) else {
        let known: Vec<&str> = jobs.iter().flat_map(|job| job.services.keys().map(String::as_str)).collect();
        let known = if known.is_empty() { "no service was started".to_owned() } else { known.join(", ") };
        return Err(Failure::new(Exit::NotFound, format!("no service `{service}` in {}: {known}", run.info.id)));
    };
    if !job.phase.is_done() {
        return follow(service, async |line| shell::follow_log(folder, job, service, line).await);
    }
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    let mut out = Out::new(&mut stdout);
    let is_kept = service_log(run, folder, (job, service), Style::of_output(), &mut out)?;
    out.flush()?;
    if is_kept {
        return Ok(Exit::Success);
    }
    Err(Failure::new(Exit::NotFound, format!("the log of service `{service}` of {} was not kept", job.name)))
}

/// Follows the log of a service of the Compose file of this repository.
pub(super) fn follow_compose(service: &str) -> Outcome {
    let here = std::env::current_dir()?;
    follow(service, async |line| compose::follow_log(&here, service, line).await)
}

/// Prints the lines of a log until its end or Ctrl-C, or until the output cannot be written.
fn follow<E: Into<Failure>>(service: &str, lines: impl AsyncFnOnce(&mut FollowedLine<'_>) -> Result<(), E>) -> Outcome {
    let style = Style::of_output();
    let mut written = Ok(());
    let mut print = |line: &[u8]| {
        written = style::line(&log_line(line, style));
        if written.is_ok() && !style::is_closed() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    style::notice(&text!("Log of service {}; Ctrl-C ends it.", service));
    block_on(async {
        let mut interrupted = signal(SignalKind::interrupt())?;
        tokio::select! {
            ended = lines(&mut print) => ended.map_err(Into::into),
            _ = interrupted.recv() => Ok(()),
        }
    })??;
    written?;
    Ok(Exit::Success)
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        let exit = match error {
            ProviderError::Refused(_) => Exit::Rejected,
            ProviderError::NotFound(_) => Exit::NotFound,
            ProviderError::Unavailable(_) | ProviderError::Failed(_) => Exit::Unavailable,
        };
        Self::new(exit, error.to_string())
    }
}
