//! Images: inspecting, pulling and building.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::models::ImageInspect;
use bollard::query_parameters::{BuildImageOptionsBuilder, CreateImageOptionsBuilder, RemoveImageOptions};
use futures_util::StreamExt;
use tokio::time::{sleep, timeout};

use super::archive;
use super::client::{DockerClient, DockerError, reason};
use super::ignored::Ignored;
use crate::engine::sandbox::provider::{ImageBuild, Progress};

/// Maximum number of attempts to pull an image. GitHub's runner tries three times as well, and waits one to ten seconds
/// in between.
const MAX_PULLS: u32 = 3;
const PULL_PAUSE: Duration = Duration::from_secs(4);

/// Maximum time for a registry to return the image that a name stands for.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of skipped files of a build context that are named in the log.
const MAX_SKIPPED: usize = 10;

/// Returns the digest of an image in the repository of a name, as `repository@sha256:…`. `None` for an image that is not
/// from there.
fn digest_in(image: &ImageInspect, name: &str) -> Option<String> {
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    // A `:` before the last `/` is that of a port.
    let repository = match name.rsplit_once(':') {
        Some((before, tag)) if !tag.contains('/') => before,
        _ => name,
    };
    let digests = image.repo_digests.iter().flatten();
    digests.clone().find(|digest| digest.split_once('@').is_some_and(|(of, _)| of == repository)).cloned()
}

impl DockerClient {
    /// Returns the description of an image that exists on this engine.
    ///
    /// # Errors
    /// The image does not exist ([`DockerError::Missing`]), or Docker does not answer.
    pub async fn image(&self, image: &str) -> Result<ImageInspect, DockerError> {
        self.api.inspect_image(image).await.map_err(|error| DockerError::of(format!("image {image}"), error))
    }

    /// Pulls an image unless it exists. `progress` is called while it downloads.
    ///
    /// # Errors
    /// The image cannot be pulled. Broken connections are retried; refusals of the registry are not.
    pub async fn ensure_image(
        &self,
        image: &str,
        credentials: Option<&(String, String)>,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<ImageInspect, DockerError> {
        match self.image(image).await {
            Err(DockerError::Missing { .. }) => {}
            other => return other,
        }
        let mut tries = 1;
        loop {
            match self.pull(image, credentials, progress).await {
                Ok(()) => return self.image(image).await,
                Err(error) if tries < MAX_PULLS && is_transient(&error) => {
                    tries += 1;
                    sleep(PULL_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Pulls an image unless it is here as its registry has it, because its tag may have moved there. Returns the image
    /// and what identifies it: `repository@sha256:…` if it is from a registry, else its id. `say` is called with the
    /// reason if the registry returns none, and the image that is here is used.
    ///
    /// # Errors
    /// The image is not here and cannot be pulled, or Docker does not answer.
    pub async fn newest_image(&self, name: &str, say: &(dyn Fn(&str) + Sync)) -> Result<String, DockerError> {
        let mut found = self.ensure_image(name, None, &|_| {}).await?;
        if let Some(local) = digest_in(&found, name) {
            match timeout(REGISTRY_TIMEOUT, self.api.inspect_registry_image(name, None)).await {
                Ok(Ok(there)) if there.descriptor.digest.as_deref().is_none_or(|digest| local.ends_with(digest)) => {}
                Ok(Ok(_)) => {
                    self.pull(name, None, &|_| {}).await?;
                    found = self.image(name).await?;
                }
                Ok(Err(error)) => {
                    say(&format!("its registry does not tell whether {name} has moved: {}", reason(&error)));
                }
                Err(_) => say(&format!("its registry does not tell whether {name} has moved: no answer")),
            }
        }
        Ok(digest_in(&found, name).or(found.id).unwrap_or_else(|| name.to_owned()))
    }

    /// Removes a name or a digest of an image, and the image if it has no other. Returns `false` if a container uses it,
    /// or if it is not here.
    ///
    /// # Errors
    /// Docker does not answer.
    pub async fn remove_image(&self, name: &str) -> Result<bool, DockerError> {
        use bollard::errors::Error;
        match self.api.remove_image(name, None::<RemoveImageOptions>, None).await {
            Ok(_) => Ok(true),
            Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(false),
            Err(error) => Err(DockerError::of(format!("cannot remove the image {name}"), error)),
        }
    }

    async fn pull(
        &self,
        image: &str,
        credentials: Option<&(String, String)>,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<(), DockerError> {
        // Without a tag, Docker would pull all tags of the repository.
        let last = image.rsplit('/').next().unwrap_or(image);
        let named = if last.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") };
        let options = CreateImageOptionsBuilder::default().from_image(&named).build();
        let credentials = credentials.map(|(username, password)| DockerCredentials {
            username: Some(username.clone()),
            password: Some(password.clone()),
            serveraddress: registry(image).map(str::to_owned),
            ..DockerCredentials::default()
        });
        let mut layers: HashMap<String, Progress> = HashMap::new();
        let mut messages = self.api.create_image(Some(options), None, credentials);
        while let Some(message) = messages.next().await {
            let message = message.map_err(|error| DockerError::of(format!("cannot pull {image}"), error))?;
            if let Some(answer) = message.error_detail.and_then(|error| error.message) {
                return Err(DockerError::Failed { doing: format!("cannot pull {image}"), answer });
            }
            if let (Some(layer), Some(detail)) = (message.id, message.progress_detail)
                && message.status.as_deref() == Some("Downloading")
            {
                let bytes = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
                layers.insert(layer, Progress { done: bytes(detail.current), total: bytes(detail.total) });
                progress(layers.values().fold(Progress::default(), |sum, layer| Progress {
                    done: sum.done + layer.done,
                    total: sum.total + layer.total,
                }));
            }
        }
        Ok(())
    }

    /// Builds an image from a folder with the classic builder. `say` is called with each line of its output that is not
    /// blank, and with a warning for each skipped file, up to [`MAX_SKIPPED`].
    ///
    /// # Errors
    /// The folder or its `.dockerignore` cannot be read, the folder is too large, or the build failed.
    pub async fn build(
        &self,
        build: &ImageBuild<'_>,
        labels: HashMap<String, String>,
        say: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), DockerError> {
        let ImageBuild { context, place, dockerfile, tag } = build;
        let doing = || format!("cannot build {dockerfile} of {}", place.display());
        let failed = |answer: String| DockerError::Failed { doing: doing(), answer };
        let ignored = Ignored::of_context(context, dockerfile).map_err(|error| failed(error.to_string()))?;
        let context = context.folder(Path::new(".")).map_err(|error| failed(error.to_string()))?;
        let (parts, packing) = archive::pack_folder(context, ignored);
        let options = BuildImageOptionsBuilder::default()
            .dockerfile(dockerfile)
            .t(tag)
            .rm(true)
            .forcerm(true)
            .labels(&labels)
            .build();
        let mut packing = Some(packing);
        let mut messages = std::pin::pin!(self.api.build_image(options, None, Some(bollard::body_try_stream(parts))));
        while let Some(message) = messages.next().await {
            if let Some(packing) = packing.take() {
                // The engine answers once it has the context.
                for skipped in packing.end().await.map_err(|error| failed(error.to_string()))?.iter().take(MAX_SKIPPED)
                {
                    say(&format!("##[warning]{} is not in the context: it is not a regular file", skipped.display()));
                }
            }
            let message = message.map_err(|error| DockerError::of(doing(), error))?;
            if let Some(answer) = message.error_detail.and_then(|error| error.message) {
                return Err(DockerError::Failed { doing: doing(), answer });
            }
            for line in message.stream.iter().flat_map(|text| text.lines()).filter(|line| !line.trim().is_empty()) {
                say(line);
            }
        }
        Ok(())
    }
}

/// Whether another attempt may succeed. An unknown host, a refusal and a missing image are permanent.
fn is_transient(error: &DockerError) -> bool {
    let (DockerError::Failed { answer, .. } | DockerError::NoAnswer { reason: answer, .. }) = error else {
        return false;
    };
    let answer = answer.to_lowercase();
    let permanent = ["no such host", "not found", "denied", "unauthorized", "manifest unknown", "invalid reference"];
    !permanent.iter().any(|words| answer.contains(words))
}

/// Returns the registry in the name of an image: the part before the first slash, if it looks like a host.
fn registry(image: &str) -> Option<&str> {
    image.split_once('/').map(|(host, _)| host).filter(|host| host.contains(['.', ':']) || *host == "localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_looks_like_a_host_and_an_owner_does_not() {
        assert_eq!(registry("redis:7"), None);
        assert_eq!(registry("library/redis"), None);
        assert_eq!(registry("ghcr.io/a/b:1"), Some("ghcr.io"));
        assert_eq!(registry("localhost/a"), Some("localhost"));
        assert_eq!(registry("localhost:5000/a"), Some("localhost:5000"));
    }

    #[test]
    fn only_transient_errors_are_retried() {
        let transient =
            |answer: &str| is_transient(&DockerError::Failed { doing: String::new(), answer: answer.to_owned() });
        assert!(transient("connection reset by peer") && transient("i/o timeout"));
        assert!(is_transient(&DockerError::NoAnswer { doing: String::new(), reason: "connection closed".to_owned() }));
        assert!(!transient("dial tcp: lookup registry.example: no such host") && !transient("manifest unknown"));
        assert!(!transient("pull access denied for nosuch/image"));
    }
}
