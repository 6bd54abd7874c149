//! `auth`: shows the accounts at GitHub and other servers with the sources of their tokens, and logs in and out.

use crate::backend::github::address::{GITHUB, Host};
use crate::backend::github::auth::{DeviceLogin, forget, keep, status};
use crate::backend::github::{host, hosts};
use crate::config::Config;
use crate::report::lists;
use crate::report::style;
use crate::report::style::Style;
use crate::ui::terminal_text::text;

use super::{Exit, Failure, Outcome, block_on, config, runs_dir};

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// Print JSON: one object per host and line
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Show the account at each host, where its token comes from, and what is left of the request limit
    Status {
        /// Print JSON: one object per host and line
        #[arg(long)]
        json: bool,
    },
    /// Log in with a code that you enter on a page of the host
    Login(HostArg),
    /// Log out: remove the token of an earlier login
    Logout(HostArg),
}

#[derive(clap::Args)]
struct HostArg {
    /// The host
    #[arg(long, default_value = GITHUB)]
    hostname: String,
}

impl HostArg {
    fn find(&self, config: &Config) -> Result<Host, Failure> {
        Ok(host(&self.hostname, &config.github)?)
    }
}

pub(super) fn run(args: &Args) -> Outcome {
    let config = config::load(config::repository().as_deref())?;
    match &args.action {
        None => show(&config, args.json),
        Some(Action::Status { json }) => show(&config, *json),
        Some(Action::Login(named)) => login(&config, named.find(&config)?),
        Some(Action::Logout(named)) => logout(&named.find(&config)?),
    }
}

fn show(config: &Config, json: bool) -> Outcome {
    let state = runs_dir()?;
    let mut exit = Exit::Success;
    for host in hosts(&config.github)? {
        let settings = config.github.host(host.name());
        let found = block_on(status(&host, &settings, &state, &|name| std::env::var(name).ok()))?;
        if found.problem.is_some() {
            exit = Exit::Unavailable;
        }
        if json {
            style::json(&found)?;
        } else {
            lists::account(&found, Style::of_output()).iter().try_for_each(style::line)?;
        }
    }
    Ok(exit)
}

fn login(config: &Config, host: Host) -> Outcome {
    let state = runs_dir()?;
    let client_id = config.github.host(host.name()).client_id;
    let path = block_on(async {
        let login = DeviceLogin::start(host.clone(), client_id.as_deref()).await?;
        style::line(&text!("Open {} and enter the code {}", login.page(), login.code()))?;
        let token = login.wait().await?;
        Ok::<_, Failure>(keep(&host, &token, &state)?)
    })??;
    style::line(&text!("Logged in to {}. The token is in {}", host.name(), path.display().to_string()))?;
    Ok(Exit::Success)
}

fn logout(host: &Host) -> Outcome {
    if forget(host, &runs_dir()?)? {
        style::line(&text!("Logged out of {}.", host.name()))?;
        return Ok(Exit::Success);
    }
    Err(Failure::new(Exit::NotFound, format!("not logged in to {}", host.name())))
}
