//! cuelight watches and controls pipelines from a terminal, and runs GitHub Actions workflows on this machine.
//!
//! # How it is put together
//!
//! Facts flow up, orders flow down. A *worker* process carries out one run and writes every fact, as a
//! [`model::Record`], into the run's folder. Any number of readers (the screen, the headless printer, `show`, a test)
//! follow that folder and fold the same records with [`store::runs::RunStore`]. Orders go to the worker over a socket in the
//! folder, and what came of them is a record again. The run folder is the truth; everything else is derived.
//!
//! # Who may import whom
//!
//! `model` ← `workflow`, `store`, `ui`, `config` ← `engine` ← `worker` ← `backend` ← `tui`, `cli`; `app` imports only
//! `model`, `store`, `ui` and `config`. A test reads the `use` lines and holds us to it.

pub mod app;
pub mod backend;
pub mod cli;
pub mod config;
pub mod engine;
pub mod launch;
pub mod model;
pub mod repo;
pub mod store;
pub mod tui;
pub mod ui;
pub mod worker;
pub mod workflow;
