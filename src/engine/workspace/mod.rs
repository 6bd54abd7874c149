//! The files of a job: its copy of the repository, and `hashFiles`.

pub mod checkout;
pub mod hash_files;
