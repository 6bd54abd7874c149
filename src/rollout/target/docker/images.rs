//! Builds images on the engine.

use std::collections::HashMap;
use std::path::Path;

use super::error::DockerFault;
use crate::engine::sandbox::docker::client::{DockerClient, DockerError};
use crate::engine::sandbox::provider::ImageBuild;
use crate::files::Folder;

/// Builds an image from a folder with a `Dockerfile`, unless there is an image of this name. `say` is called with each
/// line that the build prints.
///
/// # Errors
/// No engine answers, the folder cannot be read, or the build fails.
pub async fn ensure_built(folder: &Path, tag: &str, say: &mut (dyn FnMut(&str) + Send)) -> Result<(), DockerFault> {
    let client = DockerClient::find().await?;
    match client.image(tag).await {
        Err(DockerError::Missing { .. }) => {}
        other => return Ok(other.map(drop)?),
    }
    say(&format!("Building {tag}."));
    let failed = |error: std::io::Error| DockerError::Failed {
        doing: format!("cannot build {tag} of {}", folder.display()),
        answer: error.to_string(),
    };
    let context = Folder::open(folder).map_err(failed)?;
    let build = ImageBuild { context: &context, place: folder, dockerfile: "Dockerfile", tag };
    Ok(client.build(&build, HashMap::new(), say).await?)
}
