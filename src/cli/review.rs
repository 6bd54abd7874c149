//! `approve` and `reject`: reviews of waiting deployments, and approval of runs of forks.

use std::io;
use std::io::IsTerminal;

use serde_json::json;

use crate::launch;
use crate::launch::LATEST;
use crate::model::capabilities::{Capabilities, Operation, RunState, Unavailable};
use crate::model::{Command, DeploymentOrder, PendingReview, Run};
use crate::report::style;
use crate::store::folder::RunFolder;
use crate::store::history;
use crate::ui::terminal_text::text;

use super::{Exit, Failure, Outcome, runs_dir, servers};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  cuelight approve staging                              in the newest run here that waits for a review
  cuelight approve --all --run 4f3a --comment 'ship it'
  cuelight reject production --yes=production --json
  cuelight approve --run OWNER/REPO/NUMBER                the run of a fork, which waits for an approval

Exit codes: 0 accepted; 3 no such run, or no such environment waits for a review; 4 you may not review it, or the server
refused; 5 the server does not respond.")]
pub(super) struct Args {
    /// Names of the environments
    #[arg(value_name = "ENV")]
    environments: Vec<String>,
    /// All environments of the run that you may review
    #[arg(long, conflicts_with = "environments")]
    all: bool,
    /// The run's id, its beginning or end, `latest`: the newest run of this repository that waits for a review,
    /// or the URL of a run on a server
    #[arg(long, default_value = LATEST)]
    run: String,
    /// Comment for the other reviewers
    #[arg(long, short, value_name = "TEXT", default_value = "", hide_default_value = true)]
    comment: String,
    /// Skip the question for this production environment
    #[arg(long, value_name = "ENV")]
    yes: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Approves or rejects deployments of a run.
pub(super) fn run(args: &Args, approve: bool) -> Outcome {
    let folder = args.find()?;
    let run = history::read(&folder)?;
    if args.environments.is_empty() && !args.all {
        return if approve { args.approve_fork(&folder, &run) } else { Err(no_environment(&run)) };
    }
    let reviews = args.reviews(&run);
    if reviews.is_err() && run.reviews.is_empty() && !run.phase.is_done() {
        // The server may know of a review that this machine does not. If it does not respond, this is reported as the
        // error.
        servers::reach(&folder)?;
    }
    let reviews = reviews?;
    let verb = if approve { "approve it" } else { "reject it" };
    let mut dangerous = reviews.iter().filter(|review| review.is_production());
    dangerous
        .try_for_each(|review| confirm(&review.environment, "a production environment by its name", verb, &args.yes))?;
    let comment = args.comment.clone();
    let command = if let Some(by) = launch::deploy::actor_of(&folder)? {
        Command::Deployment { order: DeploymentOrder::Review { approve, comment }, by: Some(by) }
    } else {
        let environments = reviews.iter().map(|review| review.id).collect();
        Command::Review { environments, approve, comment }
    };
    let answer = servers::submit(&folder, &command);
    let names: Vec<&str> = reviews.iter().map(|review| review.environment.as_str()).collect();
    if args.json {
        let reason = answer.as_ref().err().map(|failure| failure.message.clone());
        style::json(&json!({
            "run": run.info.id, "environments": names, "approve": approve, "comment": args.comment,
            "accepted": reason.is_none(), "reason": reason,
        }))?;
    }
    answer?;
    if !args.json {
        let done = if approve { "approved" } else { "rejected" };
        style::line(&text!("{} {}: {} {}", done, names.join(", "), run.name, run.info.id))?;
    }
    Ok(Exit::Success)
}

/// Returns the failure of a command that names no environments.
fn no_environment(run: &Run) -> Failure {
    let message = format!("{}: name the environments, or give --all for every one that you may review", run.info.id);
    Failure::new(Exit::Usage, message)
}

impl Args {
    /// Approves the run of a fork that waits for approval.
    fn approve_fork(&self, folder: &RunFolder, run: &Run) -> Outcome {
        let Some(remote) = run.info.remote.as_ref().filter(|_| RunState::from(run).waits_for_approval()) else {
            return Err(no_environment(run));
        };
        let answer = servers::submit(folder, &Command::ApproveFork);
        let from = remote.fork.as_deref().unwrap_or("a fork");
        if self.json {
            let reason = answer.as_ref().err().map(|failure| failure.message.clone());
            let (id, by) = (&run.info.id, &remote.actor);
            style::json(&json!({"run": id, "fork": from, "by": by, "accepted": reason.is_none(), "reason": reason}))?;
        }
        answer?;
        if !self.json {
            style::line(&text!("approved the run of {} by {}: {} {}", from, remote.actor, run.name, run.info.id))?;
        }
        Ok(Exit::Success)
    }

    /// Finds and updates the run: the named one, or the newest run of this repository that waits for a review.
    fn find(&self) -> Result<RunFolder, Failure> {
        let runs = runs_dir()?;
        let here = std::env::current_dir().ok();
        if self.run != LATEST {
            return servers::find(&runs, &self.run, here.as_deref());
        }
        let home = here.as_deref().and_then(launch::home);
        let waits = |folder: &RunFolder| {
            history::read(folder).is_ok_and(|run| {
                let is_here = home.as_ref().is_none_or(|home| home.has(&run.info));
                is_here && !run.reviews.is_empty()
            })
        };
        let mut unfinished = history::unfinished(&runs)?.into_iter().rev().map(|id| runs.folder(id));
        let found = unfinished.find(waits).ok_or_else(|| {
            let of = home.map(|home| format!(" of {}", home.name)).unwrap_or_default();
            Failure::new(Exit::NotFound, format!("no run{of} waits for a review"))
        })?;
        servers::refresh(&found)?;
        Ok(found)
    }

    /// Returns the pending reviews of the named environments, or with `--all` those that the user may review.
    fn reviews<'r>(&self, run: &'r Run) -> Result<Vec<&'r PendingReview>, Failure> {
        let unavailable = |reason: Unavailable| {
            let exit = if matches!(reason, Unavailable::MayNotReview(_)) { Exit::Rejected } else { Exit::NotFound };
            Failure::new(exit, format!("{}: {reason}", run.info.id))
        };
        let possible = Capabilities::of_run(run).check(Operation::Review);
        if self.all {
            possible.map_err(unavailable)?;
            return Ok(run.reviews.iter().filter(|review| review.may_review()).collect());
        }
        if let Err(reason @ (Unavailable::NothingToReview | Unavailable::Ended)) = possible {
            return Err(unavailable(reason));
        }
        let mut reviews: Vec<&PendingReview> = Vec::new();
        for name in &self.environments {
            let review = run.review_named(name)?;
            if let Some(refusal) = review.refusal {
                return Err(Failure::new(Exit::Rejected, format!("{name}: {refusal}")));
            }
            if !reviews.contains(&review) {
                reviews.push(review);
            }
        }
        Ok(reviews)
    }
}

/// Asks the user to type the name of an environment, unless `--yes` names it. `what` is the reason for the question,
/// and `verb` the phrase for what happens then.
pub(super) fn confirm(name: &str, what: &str, verb: &str, yes: &[String]) -> Result<(), Failure> {
    if yes.iter().any(|given| given == name) {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::new(Exit::Usage, format!("{name} is {what}: confirm it with --yes={name}")));
    }
    style::notice(&text!("Type `{}` to {}:", name, verb));
    let mut typed = String::new();
    io::stdin().read_line(&mut typed)?;
    if typed.trim() == name {
        return Ok(());
    }
    Err(Failure::new(Exit::Rejected, format!("`{}` is not `{name}`: nothing was sent", typed.trim())))
}
