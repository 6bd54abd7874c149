//! Removes what deployments of a service left on the engine.

use super::error::DockerFault;
use super::names::SERVICE;
use crate::engine::sandbox::docker::client::{DockerClient, NAME};
use crate::engine::sandbox::provider::{Holding, HoldingKind};

/// Removes the containers and networks of a service in all its environments, and these images. Returns what was removed.
///
/// # Errors
/// No engine answers, or it refuses to remove something.
pub async fn remove_service(service: &str, images: &[String]) -> Result<Vec<Holding>, DockerFault> {
    let client = DockerClient::find().await?;
    let mut left = client.labelled(vec![format!("{SERVICE}={service}")]).await?;
    for image in images {
        if client.image(image).await.is_ok() {
            let (id, name) = (image.clone(), image.clone());
            left.push(Holding { provider: NAME, kind: HoldingKind::Image, id, name, run: String::new() });
        }
    }
    client.remove_all(&left).await?;
    Ok(left)
}
