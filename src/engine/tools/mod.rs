//! The tool cache, and the languages on this machine that it offers to the `actions/setup-…` actions.
//!
//! These actions look into `RUNNER_TOOL_CACHE` before they download anything. Each job has a private [`cache`], which
//! links to the tools that earlier runs downloaded. Before a setup action starts, the versions that it may want are
//! added from this machine. [`find`] searches for installations, [`added`] stores those that the user added, [`setup`]
//! is the table of the actions, and [`venv`] copies Python environments. [`container`] does all of this for a job in a
//! container. No action writes to the user's installations.

pub mod added;
pub(super) mod cache;
pub(super) mod container;
pub mod find;
pub(super) mod setup;
mod venv;
mod version;

use std::path::PathBuf;

pub use version::Version;

/// A language that an `actions/setup-…` action installs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    /// `CPython`.
    Python,
    /// Node.js.
    Node,
    /// Go.
    Go,
    /// A Java development kit.
    Java,
}

impl Tool {
    /// All tools, in the order in which lists show them.
    pub const ALL: [Self; 4] = [Self::Python, Self::Node, Self::Go, Self::Java];

    /// Returns the name shown to users.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "Python",
            Self::Node => "Node.js",
            Self::Go => "Go",
            Self::Java => "Java",
        }
    }

    /// Returns the name of the program in the folder `bin` of an installation.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Python => "python3",
            Self::Node => "node",
            Self::Go => "go",
            Self::Java => "java",
        }
    }
}

/// An installation of a tool on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// The tool.
    pub tool: Tool,
    /// Version of the tool.
    pub version: Version,
    /// Folder that contains `bin`.
    pub home: PathBuf,
    /// The program itself, with links resolved.
    pub program: PathBuf,
    /// Where the installation was found: `PATH`, `pyenv`, `added`.
    pub source: &'static str,
}
