//! Determines which image the pods of a release run. The functions are pure.

use super::objects::Pod;

/// What the runtime of a node may write before an image.
const RUNTIMES: [&str; 2] = ["docker-pullable://", "docker://"];

/// Returns the images that the ready containers of this name run, as their nodes report them, each with the number of pods:
/// the one that most pods run is the first. Pods whose node has not reported an image are left out.
pub(super) fn running(pods: &[Pod], container: &str) -> Vec<(String, usize)> {
    let mut counted: Vec<(String, usize)> = Vec::new();
    for status in pods.iter().flat_map(|pod| &pod.status.container_statuses) {
        let id = RUNTIMES.iter().find_map(|runtime| status.image_id.strip_prefix(runtime)).unwrap_or(&status.image_id);
        if status.name != container || !status.ready || id.is_empty() {
            continue;
        }
        match counted.iter_mut().find(|(known, _)| known == id) {
            Some((_, count)) => *count += 1,
            None => counted.push((id.to_owned(), 1)),
        }
    }
    counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counted
}
