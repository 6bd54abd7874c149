//! `artifacts`: the files that a run uploaded, their download and their removal.

use std::path::PathBuf;

use crate::backend::runs::Runs;
use crate::launch::artifacts::{DeleteError, DownloadError};
use crate::launch::upload::artifact::{self, ArtifactUpload, ArtifactUploadError};
use crate::report::lists;
use crate::report::style;
use crate::report::style::Style;
use crate::ui::terminal_text::{reveal, text};

use super::{Exit, Failure, Outcome, RunArg, block_on, runs_dir, servers};

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArg,
    /// Download these artifacts; without a name, all of them
    #[arg(long, num_args = 0.., value_name = "NAME")]
    download: Option<Vec<String>>,
    /// Folder for the downloads
    #[arg(long, requires = "download", default_value = ".")]
    dir: PathBuf,
    /// Delete these artifacts
    #[arg(long, num_args = 1.., value_name = "NAME", conflicts_with = "download")]
    delete: Vec<String>,
    /// Print one JSON object per line
    #[arg(long, conflicts_with = "download")]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Add an artifact to a run of this machine that has ended, or whose step is held
    #[command(
        after_help = "The artifact is a zip archive of the files below the deepest folder that contains all paths, as
actions/upload-artifact makes it, but not compressed. Later jobs and attempts of the run can download it."
    )]
    Upload {
        /// The run's id, its beginning or end, or `latest`
        run: String,
        /// Name of the artifact
        name: String,
        /// Files and folders
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Replace the artifact of this name
        #[arg(long)]
        overwrite: bool,
        /// Include files and folders whose names start with a dot
        #[arg(long)]
        include_hidden_files: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(args: &Args) -> Outcome {
    if let Some(Command::Upload { run, name, paths, overwrite, include_hidden_files, json }) = &args.command {
        let here = std::env::current_dir().ok();
        let folder = servers::locate(&runs_dir()?, run, here.as_deref())?;
        let (overwrites, with_hidden) = (*overwrite, *include_hidden_files);
        let added = artifact::add(&folder, &ArtifactUpload { name, paths, overwrites, with_hidden })?;
        if let [first, more @ ..] = &added.circles[..] {
            let others = if more.is_empty() { String::new() } else { format!(" (and {} more)", more.len()) };
            let path = first.display().to_string();
            style::notice(&text!("note: {}{} leads back to a folder above it, and is left out", path, others));
        }
        if *json {
            style::json(&added.artifact)?;
        } else {
            style::print(&lists::artifacts(&[added.artifact], Style::of_output()))?;
        }
        return Ok(Exit::Success);
    }
    let folder = args.run.locate()?;
    let runs = Runs::new(folder.runs());
    if let Some(names) = &args.download {
        let files = block_on(runs.download(&folder, names, &args.dir))??;
        if names.is_empty() && files.is_empty() {
            style::notice(&format!("{} has no artifacts", folder.id()));
        }
        for file in files {
            style::line(&reveal(&file.display().to_string()))?;
        }
        return Ok(Exit::Success);
    }
    if !args.delete.is_empty() {
        for deleted in block_on(runs.delete_artifacts(&folder, &args.delete))?? {
            style::line(&reveal(&deleted.name))?;
        }
        return Ok(Exit::Success);
    }
    let artifacts = block_on(runs.artifacts(&folder))??;
    if args.json {
        artifacts.iter().try_for_each(style::json)?;
    } else if artifacts.is_empty() {
        style::notice(&format!("{} has no artifacts", folder.id()));
    } else {
        style::print(&lists::artifacts(&artifacts, Style::of_output()))?;
    }
    Ok(Exit::Success)
}

impl From<ArtifactUploadError> for Failure {
    fn from(error: ArtifactUploadError) -> Self {
        let exit = match error {
            ArtifactUploadError::Store(error) => return error.into(),
            ArtifactUploadError::Archive(_) => Exit::Unavailable,
            ArtifactUploadError::NotHere(_) | ArtifactUploadError::InProgress(_) | ArtifactUploadError::Busy => {
                Exit::Rejected
            }
            _ => Exit::Usage,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<DeleteError> for Failure {
    fn from(error: DeleteError) -> Self {
        match error {
            DeleteError::Unknown(error) => error.into(),
            DeleteError::InProgress => Self::new(Exit::Rejected, error.to_string()),
            DeleteError::Store(error) => error.into(),
        }
    }
}

impl From<DownloadError> for Failure {
    fn from(error: DownloadError) -> Self {
        match error {
            DownloadError::Store(error) => error.into(),
            DownloadError::Unknown { .. } => Self::new(Exit::NotFound, error.to_string()),
            DownloadError::Name(_) => Self::new(Exit::Rejected, error.to_string()),
            DownloadError::Exists(_) => Self::new(Exit::Usage, error.to_string()),
        }
    }
}
