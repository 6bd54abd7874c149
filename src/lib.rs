//! cuelight watches and controls pipelines from a terminal, and runs GitHub Actions workflows on this machine.
//!
//! # How it works
//!
//! A *worker* process carries out one run. It writes every event, as a [`model::Record`], into the run's folder. Any
//! number of readers (the screen, the headless printer, `show`, a test) follow that folder and fold the same records with
//! [`store::runs::RunStore`]. Commands go to the worker over a socket in the folder, and their outcome is a record again.
//! The run folder is the truth; everything else is derived from it.
//!
//! # Rooms
//!
//! - [`model`]: ids, events, records, commands, the state of runs, and the port between a backend and the screen
//! - [`workflow`]: text to workflow to plan, without side effects; expressions and lint
//! - [`store`]: the run folder: journal, logs, history index, concurrency groups
//! - [`ui`]: layout, theme, graph and log widgets, and the only way of text to a terminal ([`ui::terminal_text`])
//! - [`config`]: settings in layers, with the origin of each
//! - [`repo`]: the user's git repository, its changed files and workflows
//! - [`engine`]: carries out a plan; floors `attempt`, `job`, `step`, `sandbox`
//! - [`app`]: the screen as a value: messages in, effects out, a frame drawn
//! - [`worker`]: the process around the engine: outlet, journal, control socket, recovery
//! - [`launch`]: from a request to a started run, trust, secrets, triggers, commands
//! - [`backend`]: where the screen's runs come from: this machine, or a replay
//! - [`tui`]: the terminal: event loop, canvas, effects
//! - [`cli`]: arguments, printers, exit codes
//!
//! # Where to add
//!
//! | what | where |
//! |---|---|
//! | a GitHub backend | a folder in `backend/` that implements [`backend::Backend`]; `backend/mod.rs`, `backend/registry.rs`, the table of `tests/integration/imports.rs` |
//! | a pane | a file in `app/panes/`; a row of `PANELS` in `ui/layout.rs`; a line in each `match` of `app/panes/mod.rs` |
//! | a Kubernetes provider | a folder in `engine/sandbox/` that implements `Provider` and `Machine`; a line in `engine/sandbox/providers.rs` |
//! | a deploy engine | a room `rollout/` beside `engine/`; a `Work` in `worker/` (see `worker/work.rs`) and a kind of [`store::spec::WorkSpec`] |
//! | a layer of a step's environment | `engine/step/env.rs`: a field of `Layers` and a row of its table |
//! | a job field on the screen | `workflow/schema/job.rs` and `workflow/parse.rs`, `engine/attempt/outline.rs`, `model::JobOutline` and `model::Job`, `queued` in `store/runs.rs`, `app/panes/jobs.rs` |
//!
//! # Imports
//!
//! `model` <- `workflow`, `store`, `ui`, `config`, `repo` <- `engine`, `app` <- `worker` <- `launch` <- `backend` <- `tui`
//! <- `cli`. `repo` may also name `workflow`. `app` names only `model`, `store`, `ui` and `config`; `backend` never names
//! `app`. `tests/integration/imports.rs` holds this, the crates of each room, and that no more than five files import each
//! other in a circle.

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
