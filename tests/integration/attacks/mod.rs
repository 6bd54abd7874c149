//! Attacks by a repository that a person has just got from a stranger: one file for each kind.

mod git;
