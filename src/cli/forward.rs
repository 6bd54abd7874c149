//! `forward`: forwards ports of `localhost` in a container to services. The helper container of a job calls it, not the
//! user.

use crate::engine::services::forward::{Route, serve};
use crate::report::style;

use super::{Exit, Failure, Outcome};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Route, such as `6379=redis:6379`
    #[arg(value_name = "PORT=HOST:PORT", value_parser = Route::parse)]
    routes: Vec<Route>,
}

pub(super) fn run(args: &Args) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(serve(&args.routes, || drop(style::line("ready"))));
    served.map_err(|error| Failure::new(Exit::Unavailable, format!("cannot listen: {error}")))?;
    Ok(Exit::Success)
}
