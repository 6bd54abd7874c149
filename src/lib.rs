//! cuelight watches and controls pipelines from a terminal, and runs GitHub Actions workflows on this machine.
//!
//! # How it works
//!
//! A *worker* process carries out one run. It writes every event, as a [`model::Record`], into the run's folder. Any
//! number of readers (the screen, the headless printer, `show`, a test) follow that folder and fold the same records
//! with [`store::runs::RunStore`]. Commands go to the worker over a socket in the folder, and their outcome is recorded
//! too. The run folder is authoritative; everything else is derived from it.
//!
//! # Rooms
//!
//! The top-level modules are called *rooms*, and the modules inside a room *floors*.
//!
//! - [`files`]: reads and writes files that untrusted code can replace: only regular files, without blocking, up to a
//!   maximum size
//! - [`visible`]: the visible part of untrusted text: which characters never reach a terminal, and which remain
//! - [`net`]: connections to servers, through the proxy of the environment
//! - [`model`]: ids, events, records, commands, the state of runs, and the interface between a backend and the screen
//! - [`workflow`]: parses the text of a workflow and plans its jobs, without side effects; expressions and lint
//! - [`store`]: the run folder: journal, logs, history index, concurrency groups
//! - [`ui`]: layout, theme, graph and log widgets, and the only way in which text reaches a terminal
//!   ([`ui::terminal_text`])
//! - [`report`]: what commands print: runs, lists and diagnostics, as lines, tables, JSON or GitHub's commands
//! - [`config`]: settings in layers, with the origin of each
//! - [`repo`]: the user's git repository, its changed files and workflows
//! - [`engine`]: carries out a plan. Floors, from the top: `attempt`, `job`, `step`, `sandbox`; beside them `actions`,
//!   `services`, `workspace`, `results` (artifacts, caches, tokens), `tools` (the tool cache) and `mask` (secrets)
//! - [`rollout`]: deployments to environments: plans, gates, checks, targets
//! - [`app`]: the state of the screen: takes messages, returns effects, draws a frame
//! - [`worker`]: the process around the engine: outlet, journal, control socket, recovery
//! - [`launch`]: turns a request into a started run; trust, secrets, triggers, commands, shells, cleaning, diagnosis
//! - [`backend`]: where the screen's runs come from: this machine, servers that speak GitHub's API, or a replay
//! - [`tui`]: the terminal: event loop, canvas, effects
//! - [`cli`]: command-line arguments, confirmations, exit codes
//!
//! # Where to add
//!
//! The first file of each row is the place to begin. A new room or crate also needs a row in the tables of
//! `tests/integration/imports.rs`.
//!
//! | what | where |
//! |---|---|
//! | runs from another source | `backend/mod.rs`: a folder beside it that implements [`backend::Backend`]; `backend/registry.rs`; the command line that opens it, `cli/screen/mod.rs` |
//! | another kind of server with GitHub's API, as Gitea is | `model/run.rs`: `ServerKind`, and every comparison with one of its kinds; `backend/github/wire/`: a file that translates requests and answers, as `backend/github/wire/gitea.rs` does; `config/github.rs`: `SERVER_KINDS`. The poller mirrors its runs like those of GitHub |
//! | a pane | `app/panes/mod.rs`: a file beside it, and lines in it; a panel and its area in `ui/layout.rs`; the table in `assets/keys.md`, which the test `the_keys_page_matches_the_screen` prints; for data that no pane shows yet, `model/feed/mod.rs`, `app/feed.rs` and `app/state.rs` |
//! | a Kubernetes provider | `engine/sandbox/provider.rs`: a folder beside it that implements `Provider`, `Machine`, `Sandbox` and `Shell`, declared in `engine/sandbox/mod.rs`; a line in `engine/sandbox/providers.rs`; its name in `SANDBOXES` of `config/mod.rs`, which has the same order; the help of `--sandbox` in `cli/run/mod.rs`; the crate in `Cargo.toml` |
//! | a target of deployments | `rollout/target/mod.rs`: a folder beside it that implements `Target`, and a line in `of`; its settings in `model/deployment/target.rs`, `config/environments/target.rs` and `config/environments/mod.rs`, with an example in `config/environments/example.rs` |
//! | a strategy of deployments | `rollout/plan/strategies.rs`: its steps; `model/deployment/settings.rs`: `Strategy`; the way back in `rollout/plan/back.rs`; its settings in `config/environments/mod.rs` |
//! | what is known about an action | `engine/actions/advice.rs`: a row of its table |
//! | a layer of a step's environment | `engine/step/env.rs`: a field of `Layers` and a row of its table; its value in `engine/job/steps/execute.rs` |
//! | a job field on the screen | `model/run.rs`: `Job`, which may have it already; then only `app/panes/jobs.rs`. See below for a new one |
//!
//! A new field of a job goes this way:
//!
//! 1. For a new key of workflow files: `workflow/schema/job.rs`, `workflow/syntax.rs` and `workflow/parse.rs`.
//! 2. `model/event.rs`: a field of `JobOutline`, filled in `workflow/outline.rs`. For a value that is known only when the
//!    job starts, a field of `Event::JobStarted` instead, filled in `engine/job/task.rs` and `engine/attempt/calls.rs`.
//! 3. For runs on servers: `backend/github/mirror/graph.rs`, `backend/github/mirror/jobs.rs` (with `differs`) and
//!    `backend/github/mirror/scope.rs`. For deployments: `rollout/driver/mod.rs`.
//! 4. `engine/mask/mod.rs`: `Masker::mask_event`, which alone keeps secrets out of text.
//! 5. `model/run.rs`: a field of `Job`, filled in `store/runs/jobs.rs` or `store/runs/steps.rs`; `model/document.rs` for
//!    JSON.
//! 6. `app/panes/jobs.rs`.
//!
//! # Imports
//!
//! `files`, `visible`, `net`, `model` <- `workflow`, `store`, `ui`, `config`, `repo` <- `engine`, `rollout`, `app`
//! <- `worker` <- `launch` <- `backend` <- `tui` <- `cli`. An arrow points from the importing rooms to the imported
//! ones. `repo` may also import `workflow`, `rollout` also `engine`; `report` imports what it prints, and only `cli`
//! imports it.
//! `app` imports only `model`, `store`, `ui` and `config`; `backend` never imports `app`.
//! `tests/integration/imports.rs` checks this, which rooms may use certain crates, such as `bollard`, and that no import
//! cycle has more than five files.

pub mod app;
pub mod backend;
pub mod cli;
pub mod config;
pub mod engine;
pub mod files;
pub mod launch;
pub mod model;
pub mod net;
pub mod repo;
pub mod report;
pub mod rollout;
pub mod store;
pub mod tui;
pub mod ui;
pub mod visible;
pub mod worker;
pub mod workflow;
