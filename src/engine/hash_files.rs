//! `hashFiles`: one hash over the files of a workspace that patterns select.
//!
//! The result is the SHA-256 over the concatenated SHA-256 digests of the files, in the order of the patterns and, for
//! one pattern, of the paths; empty when no file is selected. As @actions/glob does it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use regex::Regex;
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use crate::workflow::expr::Host;

/// The files of a job.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The files below a folder.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }
}

impl Host for Workspace {
    fn hash_files(&self, patterns: &[String]) -> Result<String, String> {
        let (follow, patterns) = match patterns {
            [option, rest @ ..] if option == "--follow-symbolic-links" => (true, rest),
            _ => (false, patterns),
        };
        let lines = patterns.iter().flat_map(|pattern| pattern.lines()).map(str::trim);
        let lines: Vec<_> = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        let patterns: Vec<_> = lines.iter().map(|line| Pattern::new(line, &self.root)).collect::<Result<_, _>>()?;
        if patterns.iter().all(|pattern| pattern.excludes) {
            return Ok(String::new());
        }
        let mut whole = Sha256::new();
        let mut found = false;
        for file in self.files(&patterns, follow)? {
            let digest =
                digest(&file).map_err(|error| format!("hashFiles: cannot read {}: {error}", file.display()))?;
            whole.update(digest);
            found = true;
        }
        Ok(if found { hex(&whole.finalize()) } else { String::new() })
    }
}

impl Workspace {
    fn files(&self, patterns: &[Pattern], follow: bool) -> Result<Vec<PathBuf>, String> {
        let mut files = Vec::new();
        for entry in WalkDir::new(&self.root).follow_links(follow).sort_by_file_name() {
            let entry = match entry {
                Ok(entry) => entry,
                // A file that vanished or a link that leads nowhere selects nothing.
                Err(error) if error.depth() > 0 => continue,
                Err(error) => return Err(format!("hashFiles: {error}")),
            };
            let path = entry.path();
            let is_file = entry.file_type().is_file() || (entry.path_is_symlink() && path.is_file());
            if is_file && selected(patterns, path) {
                files.push(path.to_owned());
            }
        }
        Ok(files)
    }
}

/// The last pattern that matches decides.
fn selected(patterns: &[Pattern], path: &Path) -> bool {
    let text = path.to_string_lossy();
    let last = patterns.iter().rev().find(|pattern| pattern.regex.is_match(&text));
    last.is_some_and(|pattern| !pattern.excludes)
}

struct Pattern {
    regex: Regex,
    excludes: bool,
}

impl Pattern {
    fn new(line: &str, root: &Path) -> Result<Self, String> {
        let excludes = line.starts_with('!');
        let glob = line.trim_start_matches('!').trim();
        let glob = glob.strip_prefix("./").unwrap_or(glob);
        let full = if glob.starts_with('/') { glob.to_owned() } else { format!("{}/{glob}", escaped(root)) };
        let regex = Regex::new(&translate(&full)).map_err(|error| format!("hashFiles: pattern `{line}`: {error}"))?;
        Ok(Self { regex, excludes })
    }
}

/// A path in which no character is a wildcard.
fn escaped(path: &Path) -> String {
    let special = |c: char| matches!(c, '*' | '?' | '[' | '\\');
    path.to_string_lossy().chars().fold(String::new(), |mut escaped, c| {
        if special(c) {
            escaped.push('\\');
        }
        escaped.push(c);
        escaped
    })
}

/// A glob as a regular expression: `**` any folders, `*` and `?` within a name, `[…]` one of. A pattern that names a
/// folder selects what is below it.
fn translate(glob: &str) -> String {
    let glob = glob.trim_end_matches('/');
    let mut regex = String::from("^");
    let mut rest = glob;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("**/") {
            regex.push_str("(?:[^/]+/)*");
            rest = after;
            continue;
        }
        if let Some(after) = rest.strip_prefix("**") {
            regex.push_str(".*");
            rest = after;
            continue;
        }
        let mut width = c.len_utf8();
        match c {
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '[' => match rest[1..].find(']').filter(|end| *end > 0) {
                Some(end) => {
                    let set = rest[1..=end].replace('\\', "\\\\").replace('[', "\\[");
                    let set = set.strip_prefix('!').map_or(set.clone(), |set| format!("^{set}"));
                    regex.push_str(&format!("[{set}]"));
                    width = end + 2;
                }
                None => regex.push_str("\\["),
            },
            '\\' if rest.len() > 1 => {
                let next = rest[1..].chars().next().unwrap_or_default();
                regex.push_str(&regex::escape(&next.to_string()));
                width += next.len_utf8();
            }
            other => regex.push_str(&regex::escape(&other.to_string())),
        }
        rest = &rest[width..];
    }
    regex.push_str("(?:/.*)?$");
    regex
}

fn digest(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path)?;
    let mut portion = vec![0; 64 * 1024];
    loop {
        let count = file.read(&mut portion)?;
        if count == 0 {
            return Ok(hasher.finalize().to_vec());
        }
        hasher.update(&portion[..count]);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(patterns: &[&str]) -> String {
        let root = tempfile::tempdir().expect("a folder");
        for (path, text) in [("a.txt", "a"), ("sub/b.txt", "b"), ("sub/deep/c.lock", "c")] {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        let patterns: Vec<_> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        Workspace::at(root.path()).hash_files(&patterns).expect("hashes")
    }

    fn of(texts: &[&str]) -> String {
        let mut whole = Sha256::new();
        texts.iter().for_each(|text| whole.update(Sha256::digest(text.as_bytes())));
        hex(&whole.finalize())
    }

    #[test]
    fn patterns_select_files_and_their_digests_are_hashed_in_order() {
        assert_eq!(hash(&["a.txt"]), of(&["a"]));
        assert_eq!(hash(&["**/*.txt"]), of(&["a", "b"]));
        assert_eq!(hash(&["**/*.txt", "!a.txt"]), of(&["b"]));
        assert_eq!(hash(&["sub"]), of(&["b", "c"]));
        assert_eq!(hash(&["**/[c-d].lock"]), of(&["c"]));
        assert_eq!(hash(&["*.none"]), "");
        assert_eq!(hash(&["!a.txt"]), "");
    }
}
