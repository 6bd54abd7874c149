//! Translates the description of a container to Docker's API.

use std::ffi::OsString;

use bollard::models::{ContainerCreateBody, EndpointSettings, Mount, MountType, NetworkingConfig};
use indexmap::IndexMap;

use super::labels::Labels;
use super::options;
use crate::engine::sandbox::container::ContainerSpec;
use crate::engine::sandbox::provider::ProviderError;
use crate::engine::sandbox::shared::SharedFolder;

/// Default search path if the image sets none, the same as the engine's.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Returns the environment of processes from `NAME=VALUE` entries. If a name occurs more than once, the last entry
/// wins. `HOME` is the home folder that GitHub's runner uses in containers, whose files exist as long as the job.
pub(super) fn environment<'e>(entries: impl IntoIterator<Item = &'e String>) -> Vec<(OsString, OsString)> {
    let pairs = entries.into_iter().filter_map(|entry| entry.split_once('='));
    let mut environment: IndexMap<&str, &str> = pairs.collect();
    environment.entry("PATH").or_insert(DEFAULT_PATH);
    environment.insert("HOME", "/github/home");
    environment.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// Returns the API's description of a container: image, options, environment, volumes.
///
/// # Errors
/// An option or volume is invalid; the message starts with its position in the file.
pub(super) fn body(container: &ContainerSpec, labels: &Labels) -> Result<ContainerCreateBody, ProviderError> {
    let mut body = ContainerCreateBody { image: Some(container.image.clone()), ..ContainerCreateBody::default() };
    options::apply(&container.options, &mut body).map_err(|error| {
        let place = container.place_of(&error.word);
        ProviderError::Refused(format!("{place}: `options` of {}: {}", container.name, error.fault))
    })?;
    let env = body.env.get_or_insert_default();
    env.splice(0..0, container.env.iter().map(|(name, value)| format!("{name}={value}")));
    let mut binds = body.host_config.get_or_insert_default().binds.take().unwrap_or_default();
    for volume in &container.volumes {
        // An anonymous volume is removed with its container.
        if volume.contains(':') {
            binds.push(volume.clone());
        } else {
            body.volumes.get_or_insert_default().push(volume.clone());
        }
    }
    for bind in &mut binds {
        let (source, rest) = bind.split_once(':').unwrap_or((bind, ""));
        if source.is_empty() || source.starts_with('.') || source.contains('/') && !source.starts_with('/') {
            return Err(ProviderError::Refused(format!(
                "{}: the volume `{bind}` of {}: write an absolute path, such as `${{{{ github.workspace }}}}/…`, or a name",
                container.place, container.name
            )));
        }
        if !source.starts_with('/') {
            // A named volume belongs to the job: its name contains the id of the run, and it is removed with the job.
            *bind = format!("{}:{rest}", labels.of(source).name());
        }
    }
    body.host_config.get_or_insert_default().binds = Some(binds);
    body.labels.get_or_insert_default().extend(labels.all());
    Ok(body)
}

/// Returns the names of the volumes that are created for the job and removed with it.
///
/// # Errors
/// The same as in [`body`].
pub(super) fn volumes(container: &ContainerSpec, labels: &Labels) -> Result<Vec<String>, ProviderError> {
    let binds = body(container, labels)?.host_config.and_then(|host| host.binds).unwrap_or_default();
    let sources = binds.iter().filter_map(|bind| bind.split_once(':')).map(|(source, _)| source);
    Ok(sources.filter(|source| !source.starts_with('/')).map(str::to_owned).collect())
}

/// Connects a container that is about to be created to a network, where it is reachable under the name `alias`.
pub(super) fn join(body: &mut ContainerCreateBody, network: &str, alias: &str) {
    body.host_config.get_or_insert_default().network_mode = Some(network.to_owned());
    let endpoint = EndpointSettings { aliases: Some(vec![alias.to_owned()]), ..EndpointSettings::default() };
    let endpoints = [(network.to_owned(), endpoint)].into();
    body.networking_config = Some(NetworkingConfig { endpoints_config: Some(endpoints) });
}

/// Returns a folder as a bind mount. Unlike the short form, it allows a colon in the path.
pub(super) fn mount(shared: &SharedFolder) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(shared.outside.to_string_lossy().into_owned()),
        target: Some(shared.inside.to_string_lossy().into_owned()),
        read_only: Some(!shared.writable),
        ..Mount::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn named_volumes_belong_to_the_job() {
        let volumes = ["data:/data:ro", "/host:/x", "/anonymous"].map(str::to_owned).into();
        let mut container = ContainerSpec::plain("db", "x");
        container.volumes = volumes;
        let labels = Labels::new(Path::new("/s"), "1", "a");
        let body = body(&container, &labels).expect("fits");
        let binds = body.host_config.and_then(|host| host.binds).expect("some");
        assert_eq!(binds, ["cuelight-1-a.data:/data:ro", "/host:/x"]);
        assert_eq!(body.volumes, Some(vec!["/anonymous".to_owned()]));
        assert_eq!(super::volumes(&container, &labels), Ok(vec!["cuelight-1-a.data".to_owned()]));
        for wrong in ["./x:/y", ":/y", "a/b:/y"] {
            container.volumes = vec![wrong.to_owned()];
            assert!(super::body(&container, &labels).expect_err(wrong).to_string().contains("write an absolute path"));
        }
    }

    #[test]
    fn an_image_without_a_path_has_that_of_the_engine() {
        let environment = |entries: &[&str]| {
            let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
            let pairs = environment(&entries).into_iter();
            pairs.map(|(name, value)| format!("{}={}", name.display(), value.display())).collect::<Vec<_>>()
        };
        let (default, home) = (format!("PATH={DEFAULT_PATH}"), "HOME=/github/home");
        assert_eq!(environment(&[]), [&default, home]);
        assert_eq!(environment(&["HOME=/root", "A=1=2", "A=3"]), [home, "A=3", &default]);
        assert_eq!(environment(&["PATH=/usr/bin", "PATH=/own"]), ["PATH=/own", home]);
        assert_eq!(environment(&["PATH="]), ["PATH=", home], "an empty one comes from the image");
    }
}
