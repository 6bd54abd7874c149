//! `keys`: the keys of the screen, including the user's bindings.

use serde_json::json;

use crate::app::action::{ACTIONS, Context};
use crate::report::keys as report;
use crate::report::style;
use crate::report::style::Style;

use super::{Exit, Outcome, config};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Print one JSON object per action
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let keymap = config::keymap(&config::load(config::repository().as_deref())?)?;
    if args.json {
        for entry in ACTIONS.iter() {
            let panel = report::panel(entry).map(Context::name);
            style::json(&json!({
                "action": entry.name, "keys": report::keys(&keymap, entry), "panel": panel, "description": entry.doc,
            }))?;
        }
    } else {
        style::print(&report::table(&keymap, Style::of_output()))?;
    }
    Ok(Exit::Success)
}
