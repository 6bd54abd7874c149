//! The workflow language: text → [`syntax::Workflow`] → [`plan::Plan`], all pure.
//!
//! [`yaml`] makes a tree that knows its places, [`schema`] says what may stand where, and [`parse()`] checks the one
//! against the other, compiles every expression once, and gives typed structures that keep the place of everything.

pub mod cron;
pub mod diagnostic;
pub mod display_names;
pub mod expr;
pub mod lint;
pub mod matrix;
pub mod pattern;
pub mod plan;
pub mod schema;
pub mod source;
pub mod syntax;
pub mod template;
pub mod triggers;
pub mod yaml;

mod elaborate;
mod hints;
mod intern;
mod needs;
mod parse;
mod validate;

pub use parse::{Parsed, parse, parse_action};
