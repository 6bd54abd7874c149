//! Appearance: layout, borders, glyphs, colours, and text measured in columns.
//!
//! This module uses ratatui and types of the model, but no state of the application. No function reads a file, the
//! clock or the environment.

pub mod box_drawing;
pub mod caret;
pub mod export;
pub mod frame;
pub mod graph;
#[cfg(test)]
pub(crate) mod hostile;
pub mod layout;
pub mod link;
pub mod log;
mod log_reader;
pub mod markdown;
pub mod run_columns;
pub mod sgr;
pub mod terminal_text;
pub mod text;
pub mod theme;
