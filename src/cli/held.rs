//! `held`: lists held steps, and decides how their jobs go on.

use serde_json::json;

use crate::model::{Command, HeldOrder, Job};
use crate::report::held as report;
use crate::report::style;
use crate::store::history;

use super::{Exit, Failure, Outcome, RunArg, servers};

#[derive(clap::Args)]
#[command(
    after_help = "A run with `--on-failure hold` keeps the job of a failed step as it is: its machine, services and \
files. Look around with `cuelight shell`, mend what is wrong there, and say how the job goes on."
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Subcommand,
}

#[derive(clap::Subcommand)]
enum Subcommand {
    /// List the steps that are held
    List(Of),
    /// Run the step again
    Retry(Of),
    /// Count the step as a success, and run the steps after it
    Skip(Of),
    /// Let the step fail, as without a hold
    Continue(Of),
    /// Hold steps of the run that fail from now on
    On(RunArg),
    /// Let steps of the run fail from now on; those that are held stay held
    Off(RunArg),
}

#[derive(clap::Args)]
struct Of {
    #[command(flatten)]
    run: RunArg,
    /// The job: its id, key or name [default: all jobs with a held step]
    #[arg(long, short)]
    job: Option<String>,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

/// Switches whether steps of a run that fail are held.
fn turn(run: &RunArg, on: bool) -> Outcome {
    let folder = run.find()?;
    servers::submit(&folder, &Command::Hold { on })?;
    style::line(&report::turned(folder.id(), on))?;
    Ok(Exit::Success)
}

pub(super) fn run(args: &Args) -> Outcome {
    let (of, order) = match &args.command {
        Subcommand::On(run) => return turn(run, true),
        Subcommand::Off(run) => return turn(run, false),
        Subcommand::List(of) => (of, None),
        Subcommand::Retry(of) => (of, Some(HeldOrder::Retry)),
        Subcommand::Skip(of) => (of, Some(HeldOrder::Skip)),
        Subcommand::Continue(of) => (of, Some(HeldOrder::Continue)),
    };
    let folder = of.run.find()?;
    let run = history::read(&folder)?;
    let wanted = of.job.as_deref().map(|job| run.job_named(job)).transpose()?;
    let is_wanted = |job: &&Job| wanted.is_none_or(|wanted| wanted.id == job.id);
    let held: Vec<_> =
        run.jobs.values().filter(is_wanted).flat_map(|job| job.held().map(move |step| (job, step))).collect();
    if held.is_empty() {
        let which = wanted.map_or_else(|| run.info.id.to_string(), |job| job.name.clone());
        return Err(Failure::new(Exit::NotFound, format!("no step of {which} is held")));
    }
    for (job, step) in held {
        if let Some(order) = order {
            servers::submit(&folder, &Command::Held { job: job.id.clone(), step: step.number, order })?;
        }
        let document = json!({
            "run": run.info.id, "job": job.id, "step": step.number, "name": step.name, "order": order,
            "reason": report::reason(step),
        });
        style::answer(of.json, &document, &report::line(job, step, order))?;
    }
    Ok(Exit::Success)
}
