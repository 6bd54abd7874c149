//! `env`: the environments of a repository on a server.

use crate::backend::github::client::Priority;
use crate::backend::github::environments::Environments;
use crate::model::environment::Environment;
use crate::report::environments::Page;
use crate::report::style;
use crate::report::style::Style;
use crate::store::clock::now;
use crate::ui::terminal_text::text;

use super::dispatch::RepositoryArg;
use super::{Exit, Outcome, servers};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  cuelight env                              of the repository around this folder
  cuelight env production -R aura/platform  its rules, what is live, its deployments

Exit codes: 0 shown; 3 no such repository or environment; 5 the server gives no answer.")]
pub(super) struct Args {
    /// Name of an environment: show its rules and its deployments
    #[arg(value_name = "NAME")]
    environment: Option<String>,
    #[command(flatten)]
    repository: RepositoryArg,
    /// Maximum number of deployments to show
    #[arg(long, short = 'n', default_value_t = 10, requires = "environment", value_parser = clap::value_parser!(u8).range(1..))]
    limit: u8,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows the environments, or one of them.
pub(super) fn run(args: &Args) -> Outcome {
    let (repository, environments) = servers::ask(args.repository.name.as_deref(), async |poller, repository| {
        let environments = Environments::of(poller, repository.clone(), Priority::User).await?;
        match &args.environment {
            Some(name) => environments.one(name, args.limit.into()).await.map(|one| vec![one]),
            None => environments.all(false).await,
        }
    })?;
    if args.json {
        let documents: Vec<_> = environments.iter().map(Environment::document).collect();
        match (documents.as_slice(), &args.environment) {
            ([one], Some(_)) => style::json(one)?,
            (all, _) => style::json(&all)?,
        }
        return Ok(Exit::Success);
    }
    let shown = Page { style: Style::of_output(), repository: repository.to_string(), now: now() };
    let printed = match (environments.as_slice(), &args.environment) {
        ([], _) => text!("{} has no environments\n", repository.to_string()),
        ([one], Some(_)) => shown.one(one),
        (all, _) => shown.table(all),
    };
    style::print(&shown.style.spelled(printed))?;
    Ok(Exit::Success)
}
