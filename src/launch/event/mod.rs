//! The payload of an event: `github.event`, and the file at `GITHUB_EVENT_PATH`.
//!
//! [`derived`] fills in the parts that git knows, as GitHub does. A file and single values ([`Payload`]) override them.
//! [`unknown`] finds the paths that a workflow reads and that this machine cannot fill in.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::files;
use crate::files::FileError;

pub(super) mod derived;
pub(super) mod unknown;

/// The given parts of a payload, each overriding the ones before it.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    /// A file with a JSON object.
    pub file: Option<PathBuf>,
    /// A JSON object, which overrides the file.
    pub given: Map<String, Value>,
    /// Single values, which override the file and the object.
    pub values: Vec<Assignment>,
}

/// A value and its path in a payload: `pull_request.number=12`.
///
/// A value that is valid JSON is parsed, so that numbers, booleans, lists and objects can be set; any other value is
/// text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Keys from the outermost object on.
    path: Vec<String>,
    /// The value.
    value: Value,
}

/// Why the payload of an event cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: FileError,
    },
    /// The file is not JSON.
    #[error("{}:{}:{}: the event's payload is not JSON: {source}", path.display(), source.line(), source.column())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// The error of the parser.
        source: serde_json::Error,
    },
    /// The file contains a JSON value that is not an object.
    #[error("{}: the event's payload is not a JSON object", .0.display())]
    NotObject(PathBuf),
}

/// Why a text is not an [`Assignment`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssignmentError {
    /// The text has no `=`.
    #[error("write KEY=VALUE, such as pull_request.number=12")]
    NoValue,
    /// A key is empty.
    #[error("a key is empty: write KEY=VALUE, such as pull_request.number=12")]
    EmptyKey,
}

impl FromStr for Assignment {
    type Err = AssignmentError;

    fn from_str(text: &str) -> Result<Self, AssignmentError> {
        let (path, value) = text.split_once('=').ok_or(AssignmentError::NoValue)?;
        // In expressions the path starts with `github.event.`, and users copy it from there.
        let path = path.trim().strip_prefix("github.event.").unwrap_or(path.trim());
        let path: Vec<_> = path.split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            return Err(AssignmentError::EmptyKey);
        }
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        Ok(Self { path, value })
    }
}

impl Payload {
    /// Reads the file, and merges it with the other given parts.
    ///
    /// # Errors
    /// The file cannot be read, or is not a JSON object.
    pub fn read(&self) -> Result<Map<String, Value>, PayloadError> {
        let mut payload = self.file.as_ref().map(|path| read_file(path)).transpose()?.unwrap_or_default();
        merge(&mut payload, self.given.clone());
        for assignment in &self.values {
            merge(&mut payload, assignment.object());
        }
        Ok(payload)
    }
}

impl Assignment {
    /// Returns an object that contains only this value.
    fn object(&self) -> Map<String, Value> {
        let (first, rest) = self.path.split_first().expect("a path has a key");
        let nest = |value, key: &String| Value::Object(Map::from_iter([(key.clone(), value)]));
        Map::from_iter([(first.clone(), rest.iter().rev().fold(self.value.clone(), nest))])
    }
}

fn read_file(path: &Path) -> Result<Map<String, Value>, PayloadError> {
    let text = files::read_named(path).map_err(|source| PayloadError::Unreadable { path: path.to_owned(), source })?;
    match serde_json::from_slice(&text) {
        Ok(Value::Object(payload)) => Ok(payload),
        Ok(_) => Err(PayloadError::NotObject(path.to_owned())),
        Err(source) => Err(PayloadError::NotJson { path: path.to_owned(), source }),
    }
}

/// Merges `over` into an object: objects are merged key by key, and any other value is replaced.
pub(super) fn merge(object: &mut Map<String, Value>, over: Map<String, Value>) {
    for (key, over) in over {
        match (object.get_mut(&key), over) {
            (Some(Value::Object(inner)), Value::Object(over)) => merge(inner, over),
            (_, over) => drop(object.insert(key, over)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use std::fs;

    use super::*;

    fn assignments(texts: &[&str]) -> Vec<Assignment> {
        texts.iter().map(|text| text.parse().expect(text)).collect()
    }

    #[test]
    fn values_are_json_or_text_and_lie_where_their_path_says() {
        let values = assignments(&[
            "number=12",
            "pull_request.title=fix: a=b",
            "github.event.pull_request.draft=true",
            "pull_request.labels=[{\"name\": \"ci\"}]",
            "ref=\"5\"",
            "empty=",
        ]);
        let payload = Payload { values, ..Payload::default() }.read().expect("read");
        let expected = json!({
            "number": 12,
            "pull_request": {"title": "fix: a=b", "draft": true, "labels": [{"name": "ci"}]},
            "ref": "5",
            "empty": "",
        });
        assert_eq!(Value::Object(payload), expected);
        assert_eq!("number".parse::<Assignment>(), Err(AssignmentError::NoValue));
        assert_eq!("a..b=1".parse::<Assignment>(), Err(AssignmentError::EmptyKey));
        assert_eq!("=1".parse::<Assignment>(), Err(AssignmentError::EmptyKey));
    }

    #[test]
    fn values_are_put_over_an_object_and_that_over_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("event.json");
        fs::write(&file, r#"{"a": {"x": 1, "y": 1, "z": 1}, "b": [1, 2]}"#).expect("written");
        let given = json!({"a": {"y": 2, "z": 2}, "b": [3]}).as_object().expect("an object").clone();
        let payload = Payload { file: Some(file.clone()), given, values: assignments(&["a.z=3", "b.c=4"]) };
        assert_eq!(Value::Object(payload.read().expect("read")), json!({"a": {"x": 1, "y": 2, "z": 3}, "b": {"c": 4}}));
        let broken = |text: &str| {
            fs::write(&file, text).expect("written");
            Payload { file: Some(file.clone()), ..Payload::default() }.read().expect_err("refused").to_string()
        };
        assert!(broken("[1]").ends_with("event.json: the event's payload is not a JSON object"));
        assert!(broken("{\n  \"a\": x}").contains("event.json:2:8: the event's payload is not JSON"));
        let missing = Payload { file: Some(folder.path().join("none")), ..Payload::default() };
        assert!(matches!(missing.read(), Err(PayloadError::Unreadable { .. })));
    }
}
