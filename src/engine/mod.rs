//! Carries out a plan: decides what may start, runs the steps, and reports every fact to an [`outlet::Outlet`].

pub mod checkpoint;
pub mod outlet;
pub mod scheduler;
