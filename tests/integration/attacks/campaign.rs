//! Campaigns of random cases: workers killed at many moments, run folders damaged in many ways, and disks that fill up.
//! The number of a case is its seed, and is part of the message if the case fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::bounded;
use super::full_disk::{limited, nothing_left, on_small_disk, text};
use crate::project::{Project, Said, copy, until};
use crate::survival::{kill_workers_of, until_none, workers_of};

/// Number of killed workers.
const KILLS: u64 = 30;

/// Number of damaged run folders.
const DAMAGES: u64 = 290;

/// Number of disks that fill up.
const FULL_DISKS: u64 = 15;

/// Number of threads that share the cases of a campaign.
const THREADS: u64 = 2;

/// A random number generator with a seed (`SplitMix64`).
struct Chance(u64);

impl Chance {
    /// Returns a random number below `limit`, which must not be zero.
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).expect("below a usize")
    }
}

/// Carries out the cases of a campaign on a few threads.
fn campaign(cases: u64, case: impl Fn(u64) + Sync) {
    std::thread::scope(|scope| {
        for first in 0..THREADS {
            let case = &case;
            scope.spawn(move || (first..cases).step_by(THREADS as usize).for_each(case));
        }
    });
}

/// Four steps, the second of which leaves a process in another session.
const JOB: &str = r#"
  a:
    runs-on: ubuntu-latest
    steps:
      - {id: one, run: 'echo first; echo x=1 >> $GITHUB_OUTPUT; echo here > file'}
      - {run: '(setsid bash -c "exec -a $MARK/sleeper sleep 1234" > /dev/null 2>&1 &); echo second'}
      - {run: 'echo third; sleep 0.05'}
      - {run: 'test "$(cat file)${{ steps.one.outputs.x }}" = here1'}
"#;

/// Approximate number of records of a run of [`JOB`]. A worker is killed after one of them.
const RECORDS: usize = 28;

#[test]
fn a_worker_killed_at_any_moment_leaves_nothing_and_its_run_is_closed_and_carried_on() {
    let killed = AtomicU64::new(0);
    campaign(KILLS, |case| {
        let project = Project::of_jobs(JOB);
        let mark = project.home().join("mark");
        let call = |args: &[&str]| {
            let said = project.command(args).env("MARK", &mark).output().expect("the program starts");
            Said(said)
        };
        call(&["run", "--trust", "--detach"]).expect(0, &[]);
        let folder = project.run_folder();
        let records = 1 + Chance(case).below(RECORDS);
        let ended = until("the moment comes or the run ends", || {
            let written = fs::read(folder.join("events.jsonl")).unwrap_or_default();
            let reached = memchr::memchr_iter(b'\n', &written).count() >= records;
            // For a moment, a process that has just been started has no command line. So it is not enough that no
            // worker is found.
            let finished = memchr::memmem::find(&written, b"\"run_finished\"").is_some();
            if reached {
                Some(false)
            } else {
                (finished && workers_of(&folder.to_string_lossy()).is_empty()).then_some(true)
            }
        });
        // The run may have ended by itself at this very moment.
        if !ended && kill_workers_of(&folder.to_string_lossy()) {
            killed.fetch_add(1, Ordering::Relaxed);
        }
        // A process that the worker has just forked has a copy of its lock until its `exec`.
        let listed = until("the run is not running", || {
            let listed = call(&["runs"]);
            (!listed.text().contains("running")).then_some(listed)
        });
        let shown = format!("case {case}, after {records} records: {}", listed.text());
        assert_eq!(listed.code(), 0, "{shown}");
        let gone = || {
            nothing_left(&project);
            let sleeper = mark.display().to_string();
            until_none(|command| command.starts_with(&sleeper));
        };
        let status = project.show()["status"].clone();
        assert!(status == "failure" || status == "success", "{shown}: {status}");
        if status == "success" {
            // A worker that is killed after the end of its run leaves a socket that no process answers.
            let _ = fs::remove_file(folder.join("control.sock"));
        }
        gone();
        let resumed = call(&["resume", "--trust"]);
        let again = if resumed.code() == 4 { call(&["rerun", "--trust"]) } else { resumed };
        assert_eq!(again.code(), 0, "{shown}\n{}", again.text());
        gone();
        assert_eq!(project.show()["status"], "success", "{shown}");
    });
    let killed = killed.into_inner();
    assert!(killed >= KILLS / 2, "only {killed} workers were killed in time");
}

/// Returns the regular files below a folder in a fixed order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).expect("read").flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries.into_iter().flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Damages a file in one of six ways. Returns a description of the way.
fn damage(path: &Path, chance: &mut Chance) -> &'static str {
    let mut bytes = fs::read(path).expect("read");
    let at = chance.below(bytes.len() + 1);
    let lines: Vec<Vec<u8>> = bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let what = match chance.below(6) {
        0 => {
            bytes.truncate(at);
            "truncated"
        }
        1 => {
            for _ in 0..=chance.below(8) {
                let (at, bit) = (chance.below(bytes.len().max(1)), chance.below(8));
                bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << bit);
            }
            "with flipped bits"
        }
        2 => {
            fs::remove_file(path).expect("removed");
            return "removed";
        }
        3 => {
            let repeat = lines.get(chance.below(lines.len().max(1))).cloned().unwrap_or_default();
            bytes = lines.concat();
            (0..=chance.below(40)).for_each(|_| bytes.extend(&repeat));
            "with repeated lines"
        }
        4 => {
            let mut lines = lines;
            let (one, other) = (chance.below(lines.len().max(1)), chance.below(lines.len().max(1)));
            if !lines.is_empty() {
                lines.swap(one, other);
            }
            bytes = lines.concat();
            "with swapped lines"
        }
        _ => {
            // The next number in the file becomes larger than any integer.
            let digit = bytes[at..].iter().position(u8::is_ascii_digit).map_or(at, |found| at + found);
            bytes.splice(digit..digit, b"99999999999999999999".iter().copied());
            "with a huge number"
        }
    };
    fs::write(path, bytes).expect("written");
    what
}

#[test]
fn a_damaged_run_folder_is_shown_or_refused_in_words() {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/screens");
    let id = fs::read_dir(whole.join("runs")).expect("runs").flatten().next().expect("a run").file_name();
    let id = id.to_str().expect("text");
    let all: Vec<PathBuf> =
        files(&whole).iter().map(|path| path.strip_prefix(&whole).expect("below").to_owned()).collect();
    let (logs, others): (Vec<&PathBuf>, Vec<&PathBuf>) =
        all.iter().partition(|path| path.extension().is_some_and(|extension| extension == "log"));
    let commands = [&["runs", "--all"][..], &["show", id], &["logs", id], &["explain", id]];
    let projects: Vec<Project> = (0..THREADS).map(|_| Project::of_jobs("\n  a: {runs-on: x, steps: []}")).collect();
    copy(&whole, &projects[0].state());
    for command in commands {
        bounded(&projects[0], command).expect(0, &[]);
    }
    campaign(DAMAGES, |case| {
        let project = &projects[(case % THREADS) as usize];
        let _ = fs::remove_dir_all(project.state());
        copy(&whole, &project.state());
        let mut chance = Chance(case);
        // The few files that every command reads are damaged as often as all the logs together.
        let kind = if chance.below(2) == 0 { &logs } else { &others };
        let file = kind[chance.below(kind.len())];
        let what = damage(&project.state().join(file), &mut chance);
        for command in commands {
            let said = bounded(project, command);
            let shown = format!("case {case}, {} {what}, {command:?}: {}", file.display(), said.text());
            assert!(matches!(said.0.status.code(), Some(0..=9)) && !said.text().contains("panicked"), "{shown}");
            // The list skips a damaged run.
            assert!(command[0] != "runs" || said.code() == 0, "{shown}");
        }
    });
}

/// Steps that write files, outputs and summaries, and then print until the disk is full.
const FILLING: &str = r##"
  a:
    runs-on: ubuntu-latest
    steps:
      - run: echo kept
      - {id: one, run: 'echo x=1 >> $GITHUB_OUTPUT; echo "# One" >> $GITHUB_STEP_SUMMARY; echo here > file'}
      - run: 'for n in $(seq 20); do echo ${{ steps.one.outputs.x }} $n; cp file file$n || true; sleep 0.02; done'
      - run: 'echo more; yes'
"##;

/// Approximate number of records of a run of [`FILLING`] before its last step prints.
const RECORDS_UNTIL_FULL: usize = 40;

#[test]
fn a_disk_that_fills_up_at_any_moment_is_the_reason_and_nothing_is_left() {
    let started = AtomicU64::new(0);
    campaign(FULL_DISKS, |case| {
        let mut chance = Chance(case);
        let project = Project::of_jobs(FILLING);
        let (megabytes, records) = (2 + chance.below(4), chance.below(RECORDS_UNTIL_FULL));
        let script = format!(
            "cuelight run --trust > ../printed 2>&1 & run=$!
             while kill -0 $run 2>/dev/null; do
               [ \"$(cat $DISK/state/runs/*/events.jsonl 2>/dev/null | wc -l)\" -ge {records} ] && break
             done
             cat /dev/zero > $DISK/big 2>/dev/null
             wait $run; echo code $?; cat ../printed
             cuelight runs > ../listed 2>&1; echo runs $?; cat ../listed
             if [ -e $DISK/state/runs/*/run.json ]; then cuelight show > ../shown 2>&1; echo show $?; cat ../shown; fi
             rm $DISK/big
             if [ -e $DISK/state/runs/*/run.json ]; then cuelight show --json; cuelight logs | head -n 3; fi
             echo left $(ls -d $DISK/state/runs/*/{{ballast,control.sock,work/a/_temp}} 2>/dev/null)
             echo processes $(pgrep -f \"worker $DISK\")"
        );
        let Some(said) = on_small_disk(&project, u32::try_from(megabytes).expect("small"), &script) else {
            let kilobytes = u32::try_from(64 * megabytes + chance.below(512)).expect("small");
            let said = text(&limited(&project, kilobytes, "run --trust"));
            assert!(said.contains("cannot write") && said.contains("ulimit -f"), "case {case}: {said}");
            project.call(&["logs"]).expect(0, &["kept"]);
            started.fetch_add(1, Ordering::Relaxed);
            return nothing_left(&project);
        };
        let shown = format!("case {case}, {megabytes} MB after {records} records:\n{said}");
        for word in ["runs 0\n", "left\n", "processes\n"] {
            assert!(said.contains(word), "`{word}` is not in {shown}");
        }
        for word in ["panicked", "worker lost", "in progress"] {
            assert!(!said.contains(word), "`{word}` is in {shown}");
        }
        if said.contains("code 5\n") {
            return assert!(said.contains("No space left"), "{shown}");
        }
        started.fetch_add(1, Ordering::Relaxed);
        for word in ["code 1\n", "show 0\n", "\"status\":\"failure\""] {
            assert!(said.contains(word), "`{word}` is not in {shown}");
        }
        // This is the reason of the run, or of the job whose step could not be prepared.
        assert!(said.contains("the disk is full") || said.contains("No space left on device"), "{shown}");
    });
    let started = started.into_inner();
    assert!(started >= FULL_DISKS / 2, "only {started} runs had started");
}
