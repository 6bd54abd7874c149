//! `dispatch` and `workflow`: start workflows on a server, and list, enable and disable them.

use serde_json::json;

use crate::backend::github::address::Repository;
use crate::backend::github::poller::Poller;
use crate::backend::github::workflows::dispatch::Dispatch;
use crate::report::lists;
use crate::report::style;
use crate::report::style::Style;
use crate::ui::terminal_text::text;

use super::run::Watch;
use super::{Exit, Failure, Outcome, run, servers};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  cuelight dispatch deploy --input environment=staging
  cuelight dispatch deploy.yml -R OWNER/REPO --ref v1.4.2 --detach

Exit codes: those of the run; 2 an input is unknown or invalid; 3 no such workflow, branch or tag; 4 it cannot
be dispatched, or the server refused; 5 the server does not respond. Ctrl-C only stops following.")]
pub(super) struct Args {
    /// The workflow: its file with or without extension, its path, name or id
    workflow: String,
    /// The branch or tag to run on [default: the default branch]
    #[arg(long = "ref", value_name = "REF")]
    git_ref: Option<String>,
    /// An input of the workflow
    #[arg(long = "input", short, value_name = "NAME=VALUE")]
    inputs: Vec<String>,
    #[command(flatten)]
    repository: RepositoryArg,
    /// Print the run's id and leave it running
    #[arg(long, short)]
    detach: bool,
    /// Print the records of the run, one JSON object per line; with --detach, the run
    #[arg(long)]
    json: bool,
}

/// The repository that a command is about.
#[derive(clap::Args)]
pub(super) struct RepositoryArg {
    /// The repository [default: `GH_REPO`, or that of the current folder's remotes]
    #[arg(long = "repository", short = 'R', value_name = "[HOST/]OWNER/NAME")]
    pub(super) name: Option<String>,
}

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct WorkflowArgs {
    #[command(subcommand)]
    command: Option<WorkflowCommand>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(clap::Args)]
struct ListArgs {
    #[command(flatten)]
    repository: RepositoryArg,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum WorkflowCommand {
    /// List the workflows of a repository on a server, with their states
    List(ListArgs),
    /// Enable a workflow
    Enable(ChangeArgs),
    /// Disable a workflow: it does not run until it is enabled
    Disable(ChangeArgs),
}

#[derive(clap::Args)]
struct ChangeArgs {
    /// The workflow: its file with or without extension, its path, name or id
    workflow: String,
    #[command(flatten)]
    repository: RepositoryArg,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Starts a workflow on a server, and follows its run.
pub(super) fn dispatch(args: &Args) -> Outcome {
    let wanted = Dispatch {
        workflow: args.workflow.clone(),
        git_ref: args.git_ref.clone(),
        inputs: run::pairs(&args.inputs, "--input")?,
    };
    let asked = servers::ask(args.repository.name.as_deref(), async |poller, repository| {
        poller.dispatch(repository, &wanted).await
    });
    let (repository, (folder, dispatched)) = asked?;
    let number = format!("{repository}/{}", dispatched.run);
    style::notice(&text!("Started {} on {}: {}", dispatched.workflow.file(), dispatched.git_ref, number));
    if !args.detach {
        return Watch::of(&folder).attempt(1).print(&mut *run::printer(args.json));
    }
    let document = json!({
        "id": folder.id(), "run": number, "workflow": dispatched.workflow.path, "ref": dispatched.git_ref,
        "inputs": dispatched.inputs,
    });
    style::answer(args.json, &document, folder.id().as_str())?;
    Ok(Exit::Success)
}

/// Lists, enables or disables workflows on a server.
pub(super) fn workflow(args: &WorkflowArgs) -> Outcome {
    match &args.command {
        None => list(&args.list),
        Some(WorkflowCommand::List(args)) => list(args),
        Some(WorkflowCommand::Enable(args)) => enable(args, true),
        Some(WorkflowCommand::Disable(args)) => enable(args, false),
    }
}

fn list(ListArgs { repository, json }: &ListArgs) -> Outcome {
    let list = async |poller: &Poller, repository: &Repository| poller.workflows(repository).await;
    let asked = servers::ask(repository.name.as_deref(), list);
    let (_, workflows) = asked.map_err(|failure| {
        if !servers::lacks_repository(repository.name.as_deref()) {
            return failure;
        }
        let here = "`cuelight plan` lists the workflows in this folder";
        Failure::new(failure.exit, format!("{}; {here}", failure.message))
    })?;
    if !*json {
        if workflows.is_empty() {
            style::notice("the repository has no workflows on its server");
        }
        style::print(&lists::workflows(&workflows, Style::of_output()))?;
        return Ok(Exit::Success);
    }
    for workflow in &workflows {
        let (name, id, path) = (&workflow.name, workflow.id, &workflow.path);
        style::json(&json!({"id": id, "name": name, "path": path, "state": workflow.state.word()}))?;
    }
    Ok(Exit::Success)
}

fn enable(args: &ChangeArgs, enable: bool) -> Outcome {
    let asked = servers::ask(args.repository.name.as_deref(), async |poller, repository| {
        poller.enable(repository, &args.workflow, enable).await
    });
    let (repository, workflow) = asked?;
    let document = json!({"repository": repository.to_string(), "path": workflow.path, "enabled": enable});
    let done = if enable { "enabled" } else { "disabled" };
    style::answer(args.json, &document, &text!("{} of {} is {}", workflow.file(), repository.to_string(), done))?;
    Ok(Exit::Success)
}
