//! Deployments to environments by this machine.
//!
//! A *deployment* puts a *release* into an *environment*: it is a run whose worker carries out a
//! [`Plan`](crate::model::deployment::Plan). A plan is a list of seven kinds of steps, and a pure function of the
//! environment's settings, of what its target reports, and of the release; see [`plan`].
//!
//! - [`plan`]: the plan of each strategy, and the rollback from any point of it
//! - [`gates`]: the rules that a deployment must pass before it begins
//! - [`ledger`]: the append-only file of what was requested, decided and done in the environments of a repository
//! - [`release`]: the release of a tag, branch or commit
//! - [`check`]: probes of health, with their timing
//! - [`target`]: the targets on which replicas run: containers of Docker, a service of Compose, a workload of
//!   Kubernetes, or commands
//! - [`notify`]: notifies people: Slack, a server, a command, terminals
//! - [`recording`]: records deployments on a server, too
//! - [`shell`]: the commands of settings; [`outlet`]: where records and logs go
//! - [`driver`]: carries out a plan, step by step, and returns to the former release when a step fails
//!
//! # Safety
//!
//! Every step that changes the target names a state, not a change. On the way forward, it is skipped if the target
//! already reports that state. The position in the plan is saved before each step. So a deployment whose worker was
//! killed continues or rolls back from there.

pub mod check;
pub mod driver;
pub mod gates;
pub mod ledger;
pub mod notify;
pub mod outlet;
pub mod plan;
pub mod recording;
pub mod release;
pub mod shell;
pub mod target;
#[cfg(test)]
pub(crate) mod testing;
