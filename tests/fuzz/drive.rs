//! Mutates seeds and runs the cases for some time. A watchdog reports hangs.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Maximum length of a mutated case, in bytes.
const MAX_LENGTH: usize = 64 * 1024;

/// Time after which a case counts as a hang. The largest seeds take milliseconds.
const CASE_TIMEOUT: Duration = Duration::from_secs(30);

/// Fragments that mutations insert.
const WORDS: &[&str] = &[
    "${{",
    "}}",
    "${{ github.sha }}",
    "on:",
    "jobs:",
    "steps:",
    "runs-on: x",
    "uses: a/b@v1",
    "run: x",
    "needs: [a, b]",
    "if: always()",
    "strategy: {matrix: {a: [1, 2]}}",
    "matrix:",
    "include:",
    "exclude:",
    "env:",
    "with:",
    "- ",
    "  ",
    "\t",
    "\n",
    "\r\n",
    ": ",
    "#",
    "&a ",
    "*a",
    "<<: *a",
    "|",
    ">-",
    "'",
    "\"",
    "[",
    "]",
    "{",
    "}",
    ",",
    "!!str ",
    "!x ",
    "? ",
    "---\n",
    "~",
    "null",
    "true",
    "0x1F",
    "1e309",
    "-0",
    ".inf",
    "\u{feff}",
    "\u{2028}",
    "é",
    "😀",
    "\0",
    "(",
    ")",
    "&&",
    "||",
    "!",
    "==",
    "<=",
    ".*",
    "[0]",
    "format('{0}', ",
    "fromJSON('",
    "toJSON(",
    "contains(",
    "join(",
    "case(",
    "hashFiles(",
    "success()",
    "**",
    "*",
    "?",
    "+",
    "[a-z]",
    "\\",
    "/",
    "push",
    "pull_request",
    "workflow_call",
    "cron: '*/5 * * * *'",
    "inputs: {a: {type: choice}}",
    "permissions: write-all",
    "__run",
    "99999999999999999999",
];

/// A fuzz target with its seeds.
pub(crate) struct Target {
    name: &'static str,
    seeds: Vec<String>,
    /// Generates a case without a seed.
    generate: Option<fn(&mut Dice) -> String>,
}

/// A deterministic random number generator (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    /// Returns a random number below `below`, or 0 if `below` is 0.
    pub(crate) fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(number).unwrap_or_default() % below.max(1)
    }
}

impl Target {
    pub(crate) fn new(name: &'static str, seeds: Vec<String>) -> Self {
        assert!(!seeds.is_empty(), "{name} has no seeds");
        Self { name, seeds, generate: None }
    }

    /// Creates a target whose cases are generated.
    pub(crate) fn generated(name: &'static str, generate: fn(&mut Dice) -> String) -> Self {
        Self { name, seeds: Vec::new(), generate: Some(generate) }
    }

    /// Runs every seed, then mutations of them until the time is up.
    pub(crate) fn run(self, act: impl Fn(&str)) {
        let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
        let budget = Duration::from_secs(number("CUELIGHT_FUZZ_SECONDS").unwrap_or(1));
        let seed = number("CUELIGHT_FUZZ_SEED").unwrap_or(0x9E37_79B9_7F4A_7C15).max(1);
        let watched = Arc::new(Mutex::new(None::<(Instant, String)>));
        let dog = watch(self.name, &watched);
        let note = |now: Option<(Instant, String)>| *watched.lock().unwrap_or_else(PoisonError::into_inner) = now;
        let mut dice = Dice(seed);
        let started = Instant::now();
        let mut cases = 0_usize;
        while cases < self.seeds.len() || started.elapsed() < budget {
            let text = match (self.seeds.get(cases), self.generate) {
                (Some(seed), _) => seed.clone(),
                (None, Some(generate)) => generate(&mut dice),
                (None, None) => self.mutated(&mut dice),
            };
            cases += 1;
            note(Some((Instant::now(), text.clone())));
            let survived = catch_unwind(AssertUnwindSafe(|| act(&text))).is_ok();
            assert!(survived, "{} panics on the text in {}", self.name, keep(self.name, &text).display());
        }
        note(None);
        drop(watched);
        dog.join().expect("the watchdog thread");
        report(&format!("{}: {cases} cases in {:.0?} from {} seeds", self.name, started.elapsed(), self.seeds.len()));
    }

    fn mutated(&self, dice: &mut Dice) -> String {
        let mut text = self.seeds[dice.roll(self.seeds.len())].clone();
        for _ in 0..=dice.roll(4) {
            let at = boundary(&text, dice.roll(text.len() + 1));
            let reach = 1 << dice.roll(9);
            let to = boundary(&text, (at + dice.roll(reach)).min(text.len()));
            match dice.roll(8) {
                0 => text.replace_range(at..to, ""),
                1 => text.replace_range(at..to, WORDS[dice.roll(WORDS.len())]),
                2 | 3 => text.insert_str(at, WORDS[dice.roll(WORDS.len())]),
                4 => {
                    let piece = text[at..to].repeat(1 + dice.roll(8));
                    text.insert_str(at, &piece);
                }
                5 => {
                    let other = &self.seeds[dice.roll(self.seeds.len())];
                    let from = boundary(other, dice.roll(other.len() + 1));
                    let end = boundary(other, (from + dice.roll(400)).min(other.len()));
                    text.insert_str(at, &other[from..end]);
                }
                6 => {
                    // Move a line.
                    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
                    if !lines.is_empty() {
                        let line = lines.remove(dice.roll(lines.len()));
                        lines.insert(dice.roll(lines.len() + 1), line);
                        text = lines.concat();
                    }
                }
                _ => {
                    let c = char::from_u32(dice.roll(0x250) as u32).unwrap_or('x');
                    text.insert(at, c);
                }
            }
            if text.len() > MAX_LENGTH {
                text.truncate(boundary(&text, MAX_LENGTH));
            }
        }
        text
    }
}

/// Returns the last character boundary at or before a byte offset.
fn boundary(text: &str, byte: usize) -> usize {
    text.floor_char_boundary(byte)
}

/// Exits the process if a case hangs. A thread cannot be stopped.
fn watch(name: &'static str, watched: &Arc<Mutex<Option<(Instant, String)>>>) -> std::thread::JoinHandle<()> {
    let watched = Arc::downgrade(watched);
    std::thread::spawn(move || {
        while let Some(watched) = watched.upgrade() {
            let now = watched.lock().unwrap_or_else(PoisonError::into_inner).clone();
            drop(watched);
            if let Some((_, text)) = now.filter(|(started, _)| started.elapsed() > CASE_TIMEOUT) {
                report(&format!("{name} hangs on the text in {}", keep(name, &text).display()));
                std::process::exit(101);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    })
}

/// Writes a failing case to a file and returns its path.
fn keep(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}-{}.txt", std::process::id()));
    fs::write(&path, text).expect("the temporary folder is writable");
    path
}

#[expect(clippy::print_stderr, reason = "reports the number of cases and failing cases")]
fn report(text: &str) {
    eprintln!("{text}");
}

fn seeds() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds")
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance")
}

/// Returns the names and texts of the seeds in a folder.
pub(crate) fn own(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    gather(&seeds().join(folder), "yml", &mut found);
    found.into_iter().map(|(path, text)| (path.display().to_string(), text)).collect()
}

/// Returns the seeds in a folder, and the files of some groups of the conformance corpus.
pub(crate) fn files(folder: &str, groups: &[&str], ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    gather(&seeds().join(folder), ending, &mut found);
    for group in groups {
        gather(&corpus().join(group), ending, &mut found);
    }
    found.into_iter().map(|(_, text)| text).collect()
}

/// Returns the lines of a seed file, and the expressions of a group of the conformance corpus.
pub(crate) fn lines(file: &str, group: &str) -> Vec<String> {
    let own = fs::read_to_string(seeds().join(file)).expect("the seeds are in the repository");
    let mut found: Vec<String> = own.lines().map(str::to_owned).collect();
    let cases = fs::read_to_string(corpus().join(group).join("cases.jsonl")).unwrap_or_default();
    let cases = cases.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    found.extend(cases.filter_map(|case| case["expr"].as_str().map(str::to_owned)));
    found
}

fn gather(folder: &Path, ending: &str, found: &mut Vec<(PathBuf, String)>) {
    let mut entries: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            gather(&path, ending, found);
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.extend(fs::read(&path).ok().map(|bytes| (path, String::from_utf8_lossy(&bytes).into_owned())));
        }
    }
}
