//! Black-box tests of the program and of the shape of its source.

mod imports;
mod screen;
