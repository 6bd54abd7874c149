//! Parses `uses:`.

/// Reference to an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// `./path`: an action of the workspace.
    Local(String),
    /// `$/path`: an action in the repository of the workflow or action that refers to it, at the same commit.
    Own(String),
    /// `owner/name[/path]@ref`.
    Remote(Remote),
    /// `docker://image`.
    Image(String),
}

/// Reference to an action in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    /// `owner/name`.
    pub(crate) repository: String,
    /// Folder of the action in the repository; empty for the root.
    pub(crate) path: String,
    /// Tag, branch or commit.
    pub(crate) version: String,
}

impl Remote {
    /// Returns a reference to the action at `path` in the same repository, at the same version.
    pub(crate) fn beside(&self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self.clone() }
    }

    /// Whether this is `actions/checkout`, which cuelight handles itself for the run's repository.
    pub(crate) fn is_checkout(&self) -> bool {
        self.repository.eq_ignore_ascii_case("actions/checkout") && self.path.is_empty()
    }
}

impl std::fmt::Display for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let slash = if self.path.is_empty() { "" } else { "/" };
        write!(f, "{}{slash}{}@{}", self.repository, self.path, self.version)
    }
}

/// A text that is not a valid reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid action `{0}`: write owner/name@ref, ./path or docker://image")]
pub(crate) struct ReferenceError(String);

impl Reference {
    /// Parses a reference.
    ///
    /// # Errors
    /// The text has none of the forms of [`Reference`], its path contains `..`, or a name begins with `.` or `-`.
    pub(crate) fn parse(text: &str) -> Result<Self, ReferenceError> {
        let wrong = || ReferenceError(text.to_owned());
        if let Some(path) = text.strip_prefix("./").or_else(|| text.strip_prefix(".\\")) {
            return Ok(Self::Local(path.trim_end_matches('/').to_owned()));
        }
        if let Some(path) = text.strip_prefix("$/") {
            let path = path.trim_matches('/');
            let leads_out = path.split('/').any(|part| part == "..");
            return if leads_out || path.contains('@') { Err(wrong()) } else { Ok(Self::Own(path.to_owned())) };
        }
        if let Some(image) = text.strip_prefix("docker://") {
            return if image.is_empty() { Err(wrong()) } else { Ok(Self::Image(image.to_owned())) };
        }
        let (name, version) = text.split_once('@').filter(|(_, version)| !version.is_empty()).ok_or_else(wrong)?;
        let mut parts = name.splitn(3, '/');
        let (owner, repository) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let path = parts.next().unwrap_or_default().trim_matches('/');
        let plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.starts_with('-');
        // `..` could lead out of the cache.
        if !plain(owner) || !plain(repository) || path.split('/').any(|part| part == "..") {
            return Err(wrong());
        }
        Ok(Self::Remote(Remote {
            repository: format!("{owner}/{repository}"),
            path: path.to_owned(),
            version: version.to_owned(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_references_are_parsed() {
        assert_eq!(Reference::parse("$/a/b/"), Ok(Reference::Own("a/b".to_owned())));
        assert_eq!(Reference::parse("./a/b/"), Ok(Reference::Local("a/b".to_owned())));
        assert_eq!(Reference::parse("docker://alpine:3"), Ok(Reference::Image("alpine:3".to_owned())));
        let Ok(Reference::Remote(remote)) = Reference::parse("o/n/p/q@v1") else { panic!("remote") };
        assert_eq!((remote.repository.as_str(), remote.path.as_str(), remote.version.as_str()), ("o/n", "p/q", "v1"));
        assert_eq!(remote.to_string(), "o/n/p/q@v1");
        assert_eq!(Reference::parse("o/n//p/q/@v1"), Ok(Reference::Remote(remote.clone())));
        let Ok(Reference::Remote(checkout)) = Reference::parse("Actions/Checkout@v4") else { panic!("remote") };
        assert!(checkout.is_checkout() && !remote.is_checkout());
        for wrong in ["$/../x", "$/a@v1", "o/n", "o@v1", "o/n@", "docker://", "../n@v", "o/n/../../x@v1", "-o/n@v"] {
            assert!(Reference::parse(wrong).is_err(), "{wrong}");
        }
    }
}
