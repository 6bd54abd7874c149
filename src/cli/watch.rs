//! `watch`: all runs of a commit on a server, until the last has ended.

use std::time::Duration;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::backend::commit_watch::{Change, CommitWatch, Ending};
use crate::backend::runs::Runs;
use crate::model::{Job, Run, short_sha};
use crate::report::style;
use crate::report::style::Style;
use crate::report::{RunLines, RunTable, Watched};
use crate::store::clock::now;
use crate::ui::terminal_text::text;
use crate::ui::text::{counted, duration};

use super::{Exit, Failure, Outcome, block_on, runs_dir};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  git push && cuelight watch            the runs of the commit that was pushed
  cuelight watch main --fail-fast       those of the newest commit of a branch
  cuelight watch '#12' -R acme/shop --json

A run that was skipped, or replaced by a newer one of its concurrency group, counts as good. Ctrl-C leaves the runs
in progress.")]
pub(super) struct Args {
    /// Commit, branch, or pull request as `#12` or URL [default: the commit of this checkout]
    revision: Option<String>,
    /// Repository on a server [default: that of this checkout]
    #[arg(long, short = 'R', value_name = "[HOST/]OWNER/NAME", requires = "revision")]
    repository: Option<String>,
    /// End with the first job that fails; the runs continue
    #[arg(long)]
    fail_fast: bool,
    /// How long to wait for the first run, such as `90s` or `1h`
    #[arg(long, default_value = "10m", value_parser = length)]
    timeout: Duration,
    /// Print one JSON object per line for each change
    #[arg(long)]
    json: bool,
}

/// Error for a text that is not a length of time.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("not a length of time, such as `90s`, `30m`, `2h` or `1h30m`")]
pub(super) struct NotALength;

/// Parses a duration, such as `90s` or `1h`, that is not negative.
pub(super) fn length(text: &str) -> Result<Duration, NotALength> {
    crate::model::deployment::parsed(text).ok_or(NotALength)
}

pub(super) fn run(args: &Args) -> Outcome {
    let runs = Runs::new(runs_dir()?);
    block_on(async {
        let here = std::env::current_dir()?;
        let commit = runs.commit(args.repository.as_deref(), args.revision.as_deref(), &here).await?;
        let sha = short_sha(&commit.sha);
        let of = format!("{sha} of {}", commit.repository);
        follow(args, runs.watch(commit)?, &of).await
    })?
}

/// Follows the runs of a commit. `of` describes the commit in messages.
async fn follow(args: &Args, mut watch: CommitWatch, of: &str) -> Outcome {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let style = Style::of_output();
    let mut printer: Box<dyn Watched> = match style::columns().filter(|_| !args.json) {
        Some(_) => Box::new(RunTable::new(style)),
        None => Box::new(RunLines::new(style, args.json)),
    };
    let since = Instant::now();
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    if !args.json {
        style::notice(&text!("waiting for the runs of {}", of));
    }
    let mut is_answered = true;
    loop {
        tokio::select! {
            change = watch.next() => match change? {
                None => break,
                Some(Change::Records(..)) => {
                    is_answered = true;
                    printer.show(&mut watch.runs(), now())?;
                }
                Some(Change::Unanswered(error)) => {
                    if std::mem::take(&mut is_answered) {
                        printer.clear()?;
                        style::notice(&text!("note: {}; retrying", error.to_string()));
                    }
                }
            },
            _ = second.tick() => printer.tick(&mut watch.runs(), now())?,
            _ = interrupted.recv() => {
                printer.clear()?;
                return Err(Failure::note(Exit::Cancelled, format!("stopped watching the runs of {of}; they continue")));
            }
            () = sleep_until(since + args.timeout), if watch.runs().next().is_none() => {
                let waited = duration(args.timeout);
                return Err(Failure::new(Exit::TimedOut, format!("no run of {of} appeared in {waited}")));
            }
        }
        let has_failed = |run: &Run| run.jobs.values().any(Job::has_failed);
        if args.fail_fast && (watch.ending() == Ending::Failed || watch.runs().any(has_failed)) {
            printer.end(&mut watch.runs(), now())?;
            return Ok(Exit::Failed);
        }
    }
    printer.end(&mut watch.runs(), now())?;
    let count = counted(watch.runs().count() as u64, "run");
    let (exit, word) = match watch.ending() {
        Ending::Good => (Exit::Success, "success"),
        Ending::Failed => (Exit::Failed, "failure"),
        Ending::Cancelled => (Exit::Cancelled, "cancelled"),
    };
    let document = json!({"commit": of, "runs": watch.runs().count(), "conclusion": word});
    style::answer(args.json, &document, &text!("{} of {}: {}", count, of, word))?;
    Ok(exit)
}
