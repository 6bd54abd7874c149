//! How things look: areas, borders, glyphs, colours, and text cut to columns.
//!
//! This module knows ratatui and the model's phases, and nothing of the application's state. Everything here is a
//! pure function of its arguments; nothing reads a file, a clock or the environment.

pub mod box_drawing;
pub mod export;
pub mod frame;
pub mod graph;
pub mod layout;
pub mod link;
pub mod log;
pub mod sgr;
pub mod terminal_text;
pub mod text;
pub mod theme;
