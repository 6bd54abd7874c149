//! Hosts an engine run in its own process, so that a run outlives the terminal that started it.

pub mod control;
pub mod outlet;
