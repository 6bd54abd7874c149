//! The workflow language: parses text into a [`syntax::Workflow`] and plans it as a [`plan::Plan`], without side
//! effects.
//!
//! [`yaml`] parses text into a tree with positions, and [`schema`] is the grammar of workflows. [`parse()`] checks the
//! tree against the schema, compiles every expression once, and returns typed structures that keep their positions.

pub mod breakpoints;
pub mod cron;
pub mod diagnostic;
pub mod diagram;
pub mod display_names;
pub mod document;
pub mod expr;
pub mod inputs;
pub mod lint;
pub mod matrix;
pub mod outline;
pub mod pattern;
pub mod plan;
pub mod sarif;
pub mod schema;
pub mod source;
pub mod syntax;
pub mod template;
pub mod triggers;
pub mod yaml;

mod computed;
mod elaborate;
mod hints;
mod intern;
mod literals;
mod locked;
mod manifest;
mod needs;
mod parse;
mod planner;
mod validate;

pub use manifest::parse_action;
pub use parse::{Parsed, parse, parse_partial};
