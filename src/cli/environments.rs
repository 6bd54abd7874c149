//! `env`: the environments of a repository, on a server and of this machine.

use std::sync::Arc;

use crate::backend::github::client::Priority;
use crate::backend::github::environments::Environments;
use crate::launch::deploy::{Deployments, LaneMemory};
use crate::model::deployment::Needed;
use crate::model::environment::{DeploymentState, Environment};
use crate::model::lane_details::LaneDetails;
use crate::report::deployments;
use crate::report::environments::Page;
use crate::report::style;
use crate::report::style::Style;
use crate::store::clock::now;
use crate::ui::terminal_text::text;

use super::dispatch::RepositoryArg;
use super::{Exit, Failure, Outcome, block_on, demo, deploy, servers};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  cuelight env                              environments of the current repository
  cuelight env production -R aura/platform  its rules, what is live, its deployments
  cuelight env production --check           what its commands need, before a deployment

Exit codes: 0 shown; 1 a secret or a variable is missing; 3 no such repository or environment; 5 the server does not respond.")]
pub(super) struct Args {
    /// Name of an environment: show its rules and its deployments
    #[arg(value_name = "NAME")]
    environment: Option<String>,
    #[command(flatten)]
    repository: RepositoryArg,
    /// Show which secrets and variables of the environment are set here, and which are missing
    #[arg(long, requires = "environment", conflicts_with = "name")]
    check: bool,
    /// Maximum number of deployments to show
    #[arg(
        long,
        short = 'n',
        default_value_t = 10,
        requires = "environment",
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(u8).range(1..)
    )]
    limit: u8,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows the environments, or one of them.
pub(super) fn run(args: &Args) -> Outcome {
    if let (true, Some(name)) = (args.check, &args.environment) {
        let deployments = deploy::local()?;
        for note in deploy::unrecorded(&deployments, deployments.settings(name)?, true)? {
            style::notice(&text!("note: {}", note));
        }
        return check(args, &deployments.needed(name)?);
    }
    let local = if args.repository.name.is_some() { None } else { deploy::local_if_any()?.map(Arc::new) };
    let own = local.as_ref().map_or_else(|| Ok(Vec::new()), |deployments| of_this_machine(args, deployments))?;
    let here = || local.as_ref().map(|deployments| deployments.repository().slug.clone()).unwrap_or_default();
    if let (Some(local), Some(name), [_]) = (&local, &args.environment, own.as_slice()) {
        // What the ledger has is shown even if git fails.
        let details = local.details(name);
        if let Err(error) = &details {
            style::notice(&text!("note: the commits of the deployments are not shown: {}", error.to_string()));
        }
        return show(args, &here(), &own, details.ok().as_ref());
    }
    let asked = servers::ask(args.repository.name.as_deref(), async |poller, repository| {
        let environments = Environments::of(poller, repository.clone(), Priority::User).await?;
        match &args.environment {
            Some(name) => environments.one(name, args.limit.into()).await.map(|one| vec![one]),
            None => environments.all(false).await,
        }
    });
    let (repository, of_server) = match asked {
        Ok((repository, environments)) => (repository.to_string(), environments),
        Err(failure) if !own.is_empty() => {
            style::notice(&text!("note: only the environments of this machine: {}", failure.message));
            (here(), Vec::new())
        }
        // Without a name of a repository, the user may have meant the environments of this machine.
        Err(failure) if local.is_some() && args.repository.name.is_none() => {
            let has_others = local.as_ref().is_some_and(|local| local.all_settings().is_ok_and(|all| !all.is_empty()));
            let which = match &args.environment {
                Some(name) if has_others => return Err(deploy::unknown_here(name, failure)),
                Some(name) => format!("is no environment `{name}`"),
                None => "are no environments".to_owned(),
            };
            let is_none = failure.exit == Exit::NotFound || servers::lacks_repository(None);
            let of_server = if is_none { "none of a server" } else { "those of the server are unknown" };
            let message = format!(
                "there {which} in .cuelight.toml (`cuelight config --example` shows some), and {of_server}: {}",
                failure.message
            );
            return Err(Failure::new(failure.exit, message));
        }
        Err(failure) => return Err(failure),
    };
    let others = of_server.into_iter().filter(|one| !own.iter().any(|local| local.name == one.name));
    let all: Vec<Environment> = own.iter().cloned().chain(others).collect();
    let shown = show(args, &repository, &all, None);
    if let (Some(local), false) = (&local, args.json) {
        demo::note_leftovers(&local.repository().root);
    }
    shown
}

/// Returns all environments of .cuelight.toml, or the requested one, with what their targets report. Warns about
/// unreadable lines of the ledger and, for the requested one, about a server that cannot record the deployments.
fn of_this_machine(args: &Args, deployments: &Arc<Deployments>) -> Result<Vec<Environment>, Failure> {
    let (mut memory, only) = (LaneMemory::default(), args.environment.as_deref());
    // Without their settings, nothing can be shown.
    deployments.all_settings()?;
    if let Err(error) = block_on(deployments.ask_targets(&mut memory, only))? {
        style::notice(&text!("note: the targets were not asked what they run: {}", error.to_string()));
    }
    // A deployment may have ended while the targets were asked.
    let ledger = deployments.ledger()?;
    let mut environments = deployments.shown(&ledger, only, &mut memory)?;
    if !environments.is_empty() {
        deploy::unreadable(ledger.unreadable());
    }
    if args.environment.is_some() {
        for environment in &mut environments {
            for note in deploy::unrecorded(deployments, deployments.settings(&environment.name)?, false)? {
                style::notice(&text!("note: {}", note));
            }
            // What is live or open is shown, however old its request is.
            let mut newer = 0..usize::from(args.limit);
            let matters = |state: &DeploymentState| state.is_open() || *state == DeploymentState::Success;
            environment.deployments.retain(|one| newer.next().is_some() || matters(&one.state));
        }
    }
    Ok(environments)
}

/// Shows which secrets and variables an environment needs, and which of them are set. Fails if one is missing.
fn check(args: &Args, needed: &[Needed]) -> Outcome {
    if args.json {
        style::json(&needed)?;
    } else if needed.is_empty() {
        style::notice("the environment names no secrets or variables: see `cuelight config --example`");
    } else {
        style::print(&deployments::needed(needed, Style::of_output()))?;
    }
    Ok(if needed.iter().all(|one| one.is_set) { Exit::Success } else { Exit::Failed })
}

/// Shows environments: with a name in the arguments the page of one, otherwise a table.
fn show(args: &Args, repository: &str, environments: &[Environment], details: Option<&LaneDetails>) -> Outcome {
    if args.json {
        let mut documents: Vec<_> = environments.iter().map(Environment::document).collect();
        if let (Some(details), [document]) = (details, documents.as_mut_slice()) {
            details.add_to(document);
        }
        match (documents.as_slice(), &args.environment) {
            ([one], Some(_)) => style::json(one)?,
            (all, _) => style::json(&all)?,
        }
        return Ok(Exit::Success);
    }
    let shown = Page { style: Style::of_output(), repository: repository.to_owned(), now: now() };
    let printed = match (environments, &args.environment) {
        ([], _) => text!("{} has no environments\n", repository),
        ([one], Some(_)) => shown.one(one, details),
        (all, _) => shown.table(all),
    };
    style::print(&shown.style.spelled(printed))?;
    Ok(Exit::Success)
}
