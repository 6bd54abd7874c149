//! Tokens and where they come from.

mod token;

pub use token::Token;
