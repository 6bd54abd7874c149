//! Signed links, with which clients read or write data without a token.

use super::token::Signer;

/// Target of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// An upload in progress, by its id.
    Upload(String),
    /// An artifact of the run, by its id.
    Artifact(u64),
    /// A file in an artifact, by the id of the artifact and the position of its entry there.
    File(u64, u64),
    /// An entry of the cache, by its id.
    Cache(String),
    /// An object of Git LFS in the user's repository, by its id.
    Object(String),
}

/// Whether a text is the id of an object of Git LFS: a SHA-256 digest, as Git LFS writes it.
pub(super) fn is_object_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl Target {
    /// Returns the path of the link. It has three parts, which Azure clients need to find the name of the blob.
    fn path(&self) -> String {
        match self {
            Self::Upload(id) => format!("/blobs/uploads/{id}"),
            Self::Artifact(id) => format!("/blobs/artifacts/{id}"),
            Self::File(id, at) => format!("/blobs/files/{id}-{at}"),
            Self::Cache(id) => format!("/blobs/cache/{id}"),
            Self::Object(id) => format!("/blobs/lfs/{id}"),
        }
    }

    /// Returns the target that a path leads to. `None` for any other path.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let (kind, id) = path.strip_prefix("/blobs/")?.split_once('/')?;
        match kind {
            "uploads" => Some(Self::Upload(id.to_owned())),
            "artifacts" => id.parse().ok().map(Self::Artifact),
            "files" => {
                let (id, at) = id.split_once('-')?;
                Some(Self::File(id.parse().ok()?, at.parse().ok()?))
            }
            "cache" if id.bytes().all(|byte| byte.is_ascii_hexdigit()) => Some(Self::Cache(id.to_owned())),
            "lfs" if is_object_id(id) => Some(Self::Object(id.to_owned())),
            _ => None,
        }
    }
}

/// Creator and verifier of links, which lead to the address that the client used.
pub(super) struct Links<'l> {
    signer: &'l Signer,
    /// `http://ADDRESS:PORT`.
    base: String,
}

impl<'l> Links<'l> {
    /// Returns links for a client that connected to the address `host`.
    pub(super) fn new(signer: &'l Signer, host: &str) -> Self {
        Self { signer, base: format!("http://{host}") }
    }

    /// Returns a link that allows a client to read the target.
    pub(super) fn read(&self, target: &Target) -> String {
        self.link("read", target)
    }

    /// Returns a link that allows a client to write the target.
    pub(super) fn write(&self, target: &Target) -> String {
        self.link("write", target)
    }

    fn link(&self, access: &str, target: &Target) -> String {
        let path = target.path();
        format!("{}{path}?sig={}", self.base, self.signer.sign(&format!("{access} {path}")))
    }

    /// Whether the signature of a link is valid for an access, `read` or `write`.
    pub(super) fn allow(&self, access: &str, path: &str, signature: &str) -> bool {
        self.signer.is_signed(&format!("{access} {path}"), signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_for_one_target_and_one_access() {
        let signer = Signer::new().expect("randomness");
        let links = Links::new(&signer, "127.0.0.1:80");
        let link = links.write(&Target::Upload("7".to_owned()));
        let (address, signature) = link.split_once("?sig=").expect("signed");
        assert_eq!(address, "http://127.0.0.1:80/blobs/uploads/7");
        assert!(links.allow("write", "/blobs/uploads/7", signature));
        assert!(!links.allow("read", "/blobs/uploads/7", signature));
        assert!(!links.allow("write", "/blobs/uploads/8", signature));
    }

    #[test]
    fn paths_are_read_back() {
        for target in [
            Target::Upload("7".to_owned()),
            Target::Artifact(3),
            Target::File(3, 0),
            Target::Cache("0af".to_owned()),
            Target::Object("0af1".repeat(16)),
        ] {
            assert_eq!(Target::parse(&target.path()), Some(target));
        }
        for path in [
            "/blobs/cache/../x",
            "/blobs/artifacts/x",
            "/blobs/files/1",
            "/blobs/lfs/0af1",
            "/blobs/other/1",
            "/blobs",
            "/",
        ] {
            assert_eq!(Target::parse(path), None, "{path}");
        }
    }
}
