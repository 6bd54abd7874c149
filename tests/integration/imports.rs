//! Import rules: which modules and crates each room (top-level module) may use, and the maximum size of import cycles.

use std::collections::{BTreeSet, HashMap};

use crate::source;
use crate::source::Source;

/// Rooms that each room may import, besides itself. Lower rooms come first.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("files", &[]),
    ("visible", &[]),
    ("net", &[]),
    ("model", &[]),
    ("workflow", &["model"]),
    ("store", &["files", "visible", "model"]),
    ("ui", &["visible", "model"]),
    ("config", &["files", "model"]),
    ("repo", &["files", "model", "workflow"]),
    ("engine", &["files", "visible", "model", "workflow", "store", "config", "repo"]),
    ("rollout", &["files", "net", "model", "workflow", "store", "config", "repo", "engine"]),
    ("app", &["model", "store", "ui", "config"]),
    ("worker", &["files", "model", "workflow", "store", "config", "repo", "engine", "rollout"]),
    ("launch", &["files", "net", "model", "workflow", "store", "config", "repo", "engine", "rollout", "worker"]),
    (
        "backend",
        &["files", "net", "model", "workflow", "store", "config", "repo", "engine", "rollout", "worker", "launch"],
    ),
    ("tui", &["model", "store", "ui", "config", "app", "launch", "backend"]),
    ("report", &["model", "workflow", "store", "ui", "config", "repo", "app", "launch", "backend"]),
    (
        "cli",
        &["files", "model", "workflow", "store", "ui", "config", "repo", "app", "launch", "backend", "tui", "report"],
    ),
];

/// Entry points of processes that the program starts. They name the code of that process, which no other command needs.
const PROCESS_ENTRIES: &[(&str, &str)] = &[
    // The worker of a run.
    ("cli/worker.rs", "crate::worker"),
    // The forwarder of ports in a job's helper container.
    ("cli/forward.rs", "crate::engine::services::forward"),
];

/// Paths that only some folders may use.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("bollard", &["engine/sandbox/docker", "rollout/target/docker"]),
    // The providers, and the targets that share their connection.
    (
        "crate::engine::sandbox::docker",
        &["engine/sandbox", "rollout/target/compose", "rollout/target/docker", "launch/clean.rs"],
    ),
    ("kube", &["engine/sandbox/kubernetes", "rollout/target/kubernetes"]),
    ("octocrab", &["backend/github/client"]),
    ("tokio_tungstenite", &["backend/github/debugger"]),
    // The library of web sockets passes its request, with the token, to the `log` facade, so no logger may be
    // installed.
    ("tui_logger::init_logger", &[]),
    ("tracing_log", &[]),
    ("hyper", &["engine/results"]),
    ("miniz_oxide", &["engine/results/git.rs"]),
    ("ring", &["engine/results/oidc.rs", "rollout/notify/post.rs"]),
    (
        "hyper_util",
        &["net", "backend/github/client", "engine/results", "engine/sandbox/docker/dial.rs", "rollout/notify/post.rs"],
    ),
    ("serde_yaml", &["backend/github/auth/hosts_file.rs"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("notify", &["backend"]),
    ("vte", &["visible", "ui"]),
    ("pulldown_cmark", &["ui/markdown.rs"]),
    ("ratatui", &["ui", "app", "tui"]),
    ("crossterm", &["app", "tui", "report", "cli"]),
    ("tokio", &["net", "engine", "rollout", "worker", "launch", "backend", "tui", "cli"]),
    // Runs that lost their worker must be closed before anything lists runs. `launch::open` and the backend do that.
    ("crate::store::folder::locate", &["launch", "backend"]),
];

/// Paths that these rooms must not use, because their results may depend only on arguments.
const PURE: (&[&str], &[&str]) = (
    &["visible", "model", "workflow", "app", "ui"],
    &[
        "std::fs",
        "std::env",
        "std::process",
        "std::net",
        "std::io::stdin",
        "std::io::stdout",
        "std::time::Instant",
        "std::time::SystemTime",
        "jiff::Timestamp::now",
        "jiff::Zoned::now",
        "getrandom",
    ],
);

/// Maximum number of files in an import cycle.
const LARGEST_CIRCLE: usize = 5;

#[test]
fn imports_point_one_way() {
    let mut faults = Vec::new();
    for source in source::all().iter().filter(|source| !source.module.is_empty()) {
        let room = source.module[0].as_str();
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == room) else {
            panic!("{} is in a room that the table of imports does not have", source.file);
        };
        for name in &source.names {
            let path = name.path.join("::");
            let other = name.path.get(1).filter(|_| name.path[0] == "crate").map_or(room, String::as_str);
            let is_entry =
                PROCESS_ENTRIES.iter().any(|(file, entry)| *file == source.file && is_below(entry, &path, "::"));
            let is_room = other != room && !is_entry && MAY_IMPORT.iter().any(|(known, _)| *known == other);
            let named = if is_room && !allowed.contains(&other) { Some(other) } else { foreign(&source.file, &path) };
            if let Some(named) = named {
                faults.push(format!("{}:{}: {room} must not name {named} ({path})", source.file, name.line));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn is_below(folder: &str, path: &str, between: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with(between))
}

/// Returns the restricted path that this file must not use, if `path` is below one.
fn foreign(file: &str, path: &str) -> Option<&'static str> {
    let in_folder = |folders: &[&str]| folders.iter().any(|folder| is_below(folder, file, "/"));
    let (pure, impure) = PURE;
    let only = ONLY_IN.iter().filter(|(_, folders)| !in_folder(folders)).map(|(name, _)| *name);
    let unclean = impure.iter().copied().filter(|_| in_folder(pure));
    only.chain(unclean).find(|name| is_below(name, path, "::"))
}

#[test]
fn few_files_import_each_other_in_a_circle() {
    let sources = source::all();
    let edges = imports(&sources);
    let mut faults = Vec::new();
    for circle in source::circles(&edges) {
        let mut files: Vec<_> = circle.iter().map(|at| sources[*at].file.as_str()).collect();
        files.sort_unstable();
        if files.len() > LARGEST_CIRCLE {
            faults.push(format!("{} files import each other: {}", files.len(), files.join(" ")));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Returns the files that each file imports, by index. The references of a `mod.rs` to files of its folder do not
/// count, because it declares them.
fn imports(sources: &[Source]) -> Vec<Vec<usize>> {
    let places: HashMap<&[String], usize> =
        sources.iter().enumerate().map(|(at, source)| (source.module.as_slice(), at)).collect();
    let of_file = |source: &Source| {
        let ours = source.names.iter().filter(|name| name.path[0] == "crate").map(|name| &name.path[1..]);
        let file = |path: &[String]| (1..=path.len()).rev().find_map(|length| places.get(&path[..length]).copied());
        let others: BTreeSet<usize> = ours.filter_map(file).collect();
        others.into_iter().filter(|at| sources[*at].module != source.module).collect()
    };
    sources.iter().map(of_file).collect()
}
