//! The files of a job: the copy of the repository that it works in, and what `hashFiles` reads of it.

pub mod checkout;
pub mod hash_files;
