//! Attacks: what a repository, a step or a broken machine may do. Each kind has a file.

mod campaign;
mod checkout;
mod engine;
mod files;
mod full_disk;
mod git;
mod identity;
mod isolation;
mod limits;
mod matchers;
mod names;
mod question;
mod secrets;
mod settings;
mod state;
mod step_files;
mod trust;

use std::io::Read;
use std::process::Stdio;

use crate::project::{Project, Said, until};

/// Calls the program. It must end by itself within the time limit of [`until`].
#[track_caller]
fn bounded(project: &Project, args: &[&str]) -> Said {
    let mut child =
        project.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut pipes = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let read = |pipe: &mut dyn Read| {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).map(|_| bytes).unwrap_or_default()
    };
    let errors = std::thread::spawn(move || read(&mut pipes.1));
    let output = std::thread::spawn(move || read(&mut pipes.0));
    let status = until("the program ends", || child.try_wait().expect("a child"));
    let (stdout, stderr) = (output.join().expect("read"), errors.join().expect("read"));
    Said(std::process::Output { status, stdout, stderr })
}
