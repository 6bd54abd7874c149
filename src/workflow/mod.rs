//! The workflow language: text → [`syntax::Workflow`] → plan, all pure.

pub mod expr;
pub mod source;
pub mod template;
