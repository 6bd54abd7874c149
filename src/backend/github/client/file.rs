//! Reads files of a repository.

use super::{ApiError, Client, Form, Freshness, Priority};
use crate::backend::github::address::escaped;
use crate::backend::github::wire::gitea;
use crate::model::ServerKind;

impl Client {
    /// Returns the text of a file at a commit, a branch or a tag. `repository` is the repository's path in the API,
    /// `/repos/o/r`. `None` if the file does not exist, or if the path, which may come from a workflow, is invalid. On
    /// a Gitea server, `.github/workflows` is tried for a workflow that does not exist in `.gitea/workflows`.
    ///
    /// # Errors
    /// The server gives no answer, or refuses.
    pub async fn file(
        &self,
        repository: &str,
        path: &str,
        git_ref: &str,
        freshness: Freshness,
        priority: Priority,
    ) -> Result<Option<String>, ApiError> {
        let read = async |path: &str| {
            let address = format!("{repository}/contents/{}?ref={}", escaped(path), escaped(git_ref));
            match self.get_as(Form::Raw, &address, freshness, priority).await {
                Ok(answer) => Ok(Some(String::from_utf8_lossy(&answer.body).into_owned())),
                Err(ApiError::Path(_)) => Ok(None),
                Err(error) if error.status() == Some(404) => Ok(None),
                Err(error) => Err(error),
            }
        };
        match (read(path).await?, self.host().kind()) {
            (None, ServerKind::Gitea) => match gitea::other_path(path) {
                Some(path) => read(&path).await,
                None => Ok(None),
            },
            (found, _) => Ok(found),
        }
    }
}
