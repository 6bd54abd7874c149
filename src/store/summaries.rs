//! The job summaries of a run: what its steps wrote to `GITHUB_STEP_SUMMARY`.

use crate::files;
use crate::model::stored::JobSummary;
use crate::model::{Job, ServerKind};

use super::StoreError;
use super::folder::RunFolder;
use super::spec::RunSpec;

/// Maximum size of the summary of a step in bytes: what a step may write, with room for masks that are longer than the
/// secrets.
const MAX_SUMMARY: u64 = 4 << 20;

/// Returns the summaries of these jobs of a run, in the order of the jobs. A job without a summary is left out.
///
/// # Errors
/// A summary cannot be read.
pub fn list<'j>(folder: &RunFolder, jobs: impl IntoIterator<Item = &'j Job>) -> Result<Vec<JobSummary>, StoreError> {
    let mut summaries = Vec::new();
    for job in jobs {
        let mut markdown = String::new();
        for step in &job.steps {
            let path = folder.summary(&job.id, job.attempt, step.number);
            match files::read_own(&path, MAX_SUMMARY) {
                Ok(text) => {
                    markdown.push_str(&String::from_utf8_lossy(&text));
                    // GitHub starts the text of the next step on a new line.
                    markdown.push('\n');
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::io("read", &path)(error)),
            }
        }
        if !markdown.trim().is_empty() {
            summaries.push(JobSummary { job: job.name.clone(), markdown });
        }
    }
    Ok(summaries)
}

/// Returns why the summaries of a run are not here; `None` if they are, because the run is one of this machine.
///
/// # Errors
/// The document of the run cannot be read.
pub fn missing(folder: &RunFolder) -> Result<Option<String>, StoreError> {
    let spec = RunSpec::read(folder)?;
    Ok(spec.work.remote().map(|remote| match remote.server {
        ServerKind::GitHub => {
            format!("GitHub's API has no job summaries: they are only on the page of the run, {}", remote.url)
        }
        ServerKind::Gitea => "Gitea has no job summaries".to_owned(),
    }))
}
