//! The workflow language: text → [`syntax::Workflow`] → plan, all pure.

pub mod source;
