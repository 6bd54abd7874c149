//! Imports point one way: this reads the `use` lines and paths of every source file.

use std::fs;
use std::path::{Path, PathBuf};

/// What each part may name of ours, besides itself.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("workflow", &["model"]),
    ("store", &["model"]),
    ("ui", &["model"]),
    ("config", &["model"]),
    ("app", &["model", "store", "ui", "config"]),
    ("engine", &["model", "workflow", "store", "config"]),
    ("rollout", &["model", "workflow", "store", "config"]),
    ("worker", &["model", "workflow", "store", "config", "engine", "rollout"]),
    ("backend", &["model", "workflow", "store", "config", "engine", "rollout", "worker"]),
    ("hub", &["model", "workflow", "store", "config", "engine", "rollout", "worker", "backend"]),
    ("tui", &["model", "workflow", "store", "ui", "config", "app", "engine", "rollout", "worker", "backend", "hub"]),
    (
        "cli",
        &["model", "workflow", "store", "ui", "config", "app", "engine", "rollout", "worker", "backend", "hub", "tui"],
    ),
];

/// Crates that only some parts may name.
const CRATES: &[(&str, &[&str])] = &[
    ("tokio::", &["engine", "rollout", "worker", "backend", "hub", "tui", "cli"]),
    ("ratatui::", &["ui", "app", "tui", "cli"]),
    ("std::fs", &["store", "config", "engine", "rollout", "worker", "backend", "hub", "tui", "cli"]),
    ("std::env", &["store", "config", "engine", "rollout", "worker", "backend", "hub", "tui", "cli"]),
    ("SystemTime::now", &["store", "config", "engine", "rollout", "worker", "backend", "hub", "tui", "cli"]),
    ("Instant::now", &["store", "config", "engine", "rollout", "worker", "backend", "hub", "tui", "cli"]),
];

#[test]
fn imports_point_one_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut faults = Vec::new();
    for file in rust_files(&src) {
        let inside = file.strip_prefix(&src).expect("below src");
        let part = inside.components().next().expect("a path").as_os_str().to_string_lossy().into_owned();
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == part) else {
            assert!(file.parent() == Some(&src), "{part} is a part that the table of imports does not know");
            continue;
        };
        let text = fs::read_to_string(&file).expect("source is text");
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            let line = line.split("//").next().unwrap_or_default();
            let named = line.match_indices("crate::").map(|(at, _)| {
                line[at + 7..].split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
            });
            for name in named.filter(|name| *name != part && MAY_IMPORT.iter().any(|(known, _)| known == name)) {
                if !allowed.contains(&name) {
                    faults.push(format!("{}:{}: {part} names {name}", inside.display(), number + 1));
                }
            }
            for (text, _) in
                CRATES.iter().filter(|(text, parts)| line.contains(text) && !parts.contains(&part.as_str()))
            {
                faults.push(format!("{}:{}: {part} names {text}", inside.display(), number + 1));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("readable folder") {
        let path = entry.expect("readable entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
