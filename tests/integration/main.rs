//! Black-box tests of the program and of the shape of its source.

mod cli;
mod concurrency;
mod docs;
mod explain;
mod imports;
mod project;
mod run;
mod screen;
mod survival;
