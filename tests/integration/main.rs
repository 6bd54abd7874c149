//! Black-box tests of the program and of the shape of its source.

mod actions;
mod aura;
mod cli;
mod containers;
mod docker;
mod docs;
mod imports;
mod project;
mod run;
mod screen;
mod services;
mod survival;
