//! The files of a job: its copy of the repository, later changes of it, the dependency folders of earlier runs, and
//! `hashFiles`.

pub mod checkout;
pub mod hash_files;
pub mod sync;
pub mod warm;
