//! Black-box tests of the program and of the shape of its source.

mod actions;
mod attacks;
mod aura;
mod background;
mod cli;
mod concurrency;
mod containers;
mod docker;
mod docs;
mod explain;
mod fake_github;
mod github;
mod imports;
mod mirror;
mod project;
mod results;
mod reviews;
mod run;
mod screen;
mod servers;
mod services;
mod source;
mod steer;
mod survival;
mod user;
