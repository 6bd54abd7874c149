//! Builds images on the engine.

use std::collections::HashMap;
use std::path::Path;

use super::error::DockerFault;
use crate::engine::sandbox::docker::client::{DockerClient, DockerError};
use crate::engine::sandbox::provider::ImageBuild;
use crate::files::Folder;
use crate::model::deployment::ReleaseImage;
use crate::rollout::outlet::Progress;

/// Makes sure that the image of a release is here, and returns its name or id. `former` is the image with which the
/// release succeeded earlier, which is preferred to the one that the name stands for now. The name counts only if that image
/// is known to be gone, and not if the engine cannot tell.
pub(in crate::rollout::target) async fn ensure(
    client: &DockerClient,
    name: &str,
    former: Option<&String>,
    progress: &Progress,
) -> Result<String, DockerError> {
    if let Some(id) = former {
        let found = match client.image(id).await {
            // A registry has an image by its digest, but not by its id.
            Err(DockerError::Missing { .. }) if id.contains('@') => client.ensure_image(id, None, &|_| {}).await,
            Err(error @ DockerError::Missing { .. }) => Err(error),
            found => Ok(found?),
        };
        match found {
            Ok(_) => {
                progress.say(&format!("{id} is the image of the earlier deployment"));
                return Ok(id.clone());
            }
            Err(error) => progress.say(&format!("the image of the earlier deployment is not here: {error}")),
        }
    }
    let fetched = client.ensure_image(name, None, &|_| {}).await?;
    // Otherwise, the first step has said so when it fetched the image.
    if former.is_some() {
        progress.say(&format!("{name} is {}", fetched.id.unwrap_or_default()));
    }
    Ok(name.to_owned())
}

/// Returns the image that a name stands for, fetching it unless it is here as its registry has it.
pub(in crate::rollout::target) async fn newest(
    client: &DockerClient,
    name: String,
    progress: &Progress,
) -> Result<ReleaseImage, DockerError> {
    let id = client.newest_image(&name, &|line| progress.say(line)).await?;
    Ok(ReleaseImage::new(name, id))
}

/// Removes the names of images, and the images that have no other name and that no container uses. Returns what was
/// removed. An image that cannot be removed stays, with a warning.
pub(in crate::rollout::target) async fn remove(client: &DockerClient, images: &[ReleaseImage]) -> Vec<String> {
    let mut removed = Vec::new();
    for image in images {
        match remove_one(client, image).await {
            Ok(true) => removed.push(format!("{} ({})", image.name, image.id)),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the image of an earlier release is not removed"),
        }
    }
    removed
}

/// Removes the name of an image, and the image if it has no other. Returns whether anything was removed.
async fn remove_one(client: &DockerClient, image: &ReleaseImage) -> Result<bool, DockerError> {
    let ReleaseImage { name, id, .. } = image;
    // The name may stand for another image by now.
    let is_named = client.image(name).await.is_ok_and(|found| {
        found.id.as_ref() == Some(id) || found.repo_digests.iter().flatten().any(|digest| digest == id)
    });
    let by_name = is_named && client.remove_image(name).await?;
    // By its id, Docker would also remove the other names of the image, which another program may have given it.
    let is_nameless = client.image(id).await.is_ok_and(|found| found.repo_tags.iter().flatten().next().is_none());
    let by_id = is_nameless && client.remove_image(id).await?;
    Ok(by_name || by_id)
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::target::docker::testing::engine;
    use crate::rollout::testing::Said;

    #[tokio::test]
    async fn an_image_is_gone_only_if_the_engine_says_so() {
        // The engine answers with this status when it is asked for an image by its id, and has the others.
        let with = |status: &'static str| {
            engine(move |request| match () {
                () if request.contains("/images/sha256") => Some((status, r#"{"message":"no"}"#.to_owned())),
                () if request.contains("/images/") => Some(("200 OK", r#"{"Id":"sha256:2"}"#.to_owned())),
                () => None,
            })
        };
        let progress = Said::default().progress();
        let former = "sha256:1".to_owned();
        let gone = ensure(&with("404 Not Found").await, "shop:v1", Some(&former), &progress).await;
        assert_eq!(gone.expect("the image of the name"), "shop:v1");
        let busy = ensure(&with("500 Internal Server Error").await, "shop:v1", Some(&former), &progress).await;
        assert!(busy.is_err(), "another image must not be started in its place: {busy:?}");
    }
}
