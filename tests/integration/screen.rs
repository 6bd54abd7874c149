//! The screen in a real terminal: keys, quitting, signals, panics. The terminal is always restored.
//!
//! The program in the terminal is this test binary, which shows a scripted run (see [`child`]).

use std::io::{Read, Write};
use std::num::NonZero;
use std::ops::{ControlFlow, Range};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use cuelight::app::App;
use cuelight::app::keymap::Keymap;
use cuelight::backend::Backend;
use cuelight::model::feed::{Feed, Request};
use cuelight::model::testing;
use cuelight::model::testing::{Script, outline};
use cuelight::model::{Command, Conclusion, Event, Record, RunId, Timestamp};
use cuelight::store::logs::query::{LogError, LogKey, LogSearch, Logs, RawLine, RunSearch};
use cuelight::tui::Options;
use cuelight::ui::theme::Theme;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc;

use crate::project::{Project, until};

/// Returns a hostile log line. Such lines clear, move, rename, copy, reset, query, reverse the direction, or are
/// extremely wide.
fn hostile(number: u64) -> Vec<u8> {
    let lines: [&[u8]; 16] = [
        b"\x1b[2J\x1b[Hcleared \x1b]0;renamed\x07\x1b]2;renamed\x1b\\",
        b"\x1b]52;c;c3RvbGVu\x07copied",
        b"\x1b[?1049l\x1b[?25h\x1b[?2026h\x1bcreset",
        b"\x1b[3;5r\x1b[5S\x1b[10A\x1b[99Dmoved \x08\x08\x08\x0b\x0c\x0e",
        b"\x1b[1;4;7;31;42mnever closed",
        b"\x1b[38;5m\x1b[38;2;1m\x1b[48;2;300;300;300mwrong colours",
        b"\x1bP+q544e\x1b\\\x1b_Gf=24;AAAA\x1b\\\x1b^private\x1b\\\x1b]8;;file:///etc/passwd\x1b\\link\x1b]8;;\x1b\\",
        "\u{9b}2J\u{9d}0;renamed\u{9c}\u{90}q\u{9c}of eight bits".as_bytes(),
        b"\x1b[6n\x1b[c\x1b[>q\x1b[?u\x1b]10;?\x07\x05asked",
        "日本語のとても長い行".as_bytes(),
        "👨\u{200d}👩\u{200d}👧 👍🏽 ❤\u{fe0f} 🇩🇪 1\u{fe0f}\u{20e3} ".as_bytes(),
        "e\u{301}\u{302}\u{303}\u{200b}\u{feff}\u{2060}x".as_bytes(),
        "\u{202e}drawkcab\u{202c} \u{2066}isolated\u{2069} \u{200f}שלום עולם".as_bytes(),
        b"\xff\xfe\xc0\x80\xf0\x9f broken \0\0\x7f",
        b"progress 10%\rprogress 100%\r",
        b"x",
    ];
    let line = lines[number as usize % lines.len()];
    // There are extremely wide lines, and lines of every width that may end at an edge.
    let times = if number.is_multiple_of(5) { 90_000 / line.len() } else { number as usize % 60 + 1 };
    line.repeat(times)
}

/// Environment variable that is set for the program in the terminal.
const CHILD: &str = "CUELIGHT_TEST_SCREEN";

/// Time limit for any step of a test.
const PATIENCE: Duration = Duration::from_mins(1);

/// A log of many lines, generated in memory.
struct Lines;

impl Logs for Lines {
    fn page(&self, _: &LogKey, lines: Range<u64>) -> Result<Vec<RawLine>, LogError> {
        let kind = std::env::var(CHILD).unwrap_or_default();
        let text = |number| {
            let bytes = match kind.as_str() {
                "hostile" => hostile(number),
                "wide" => vec![b'x'; 200],
                "panic" | "stuck" => format!("src/main.rs:{}:1: wrong", number + 1).into_bytes(),
                _ => format!("this is line {}", number + 1).into_bytes(),
            };
            RawLine { number, bytes, time: None }
        };
        Ok(lines.map(text).collect())
    }

    fn search(
        &self,
        _: &LogSearch,
        _: &dyn Fn() -> bool,
        _: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        Ok(())
    }

    fn search_run(
        &self,
        _: &RunSearch,
        _: &dyn Fn() -> bool,
        _: &mut dyn FnMut(usize, RawLine) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        Ok(())
    }

    /// Panics on the thread that draws, or blocks it, if the test wants that.
    fn file(&self, _: &RunId, name: &str) -> Option<PathBuf> {
        let kind = std::env::var(CHILD).unwrap_or_default();
        assert_ne!(kind, "panic", "{name} breaks the program");
        if kind == "stuck" {
            writeln!(std::io::stdout(), "{name} blocks the program").expect("written");
            std::thread::sleep(Duration::MAX);
        }
        std::env::current_exe().ok()
    }
}

/// A backend with a run that continues until it is cancelled. Any other command panics.
struct Scripted;

impl Backend for Scripted {
    fn logs(&self) -> Arc<dyn Logs> {
        Arc::new(Lines)
    }

    fn serve(self: Box<Self>, requests: Requests, feed: mpsc::Sender<Feed>) -> BoxFuture<'static, ()> {
        serve(requests, feed).boxed()
    }
}

type Requests = mpsc::Receiver<Request>;

async fn serve(mut requests: Requests, feed: mpsc::Sender<Feed>) {
    let run = RunId::new("20261124-021530-4f3a");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let now = Timestamp(now.as_millis() as u64);
    let info = testing::info(run.clone(), now);
    let records = records(now);
    let seq = records.len() as u64 + 1;
    for report in [Feed::Opened(info), Feed::Records { run: run.clone(), records }] {
        feed.send(report).await.expect("the screen listens");
    }
    while let Some(request) = requests.recv().await {
        match request {
            Request::Follow(_) => {}
            Request::Submit { command: Command::Cancel, .. } => {
                let event = Event::RunFinished { conclusion: Conclusion::Cancelled, reason: None };
                let records = vec![Record { seq, at: now, event }];
                let _ = feed.send(Feed::Records { run: run.clone(), records }).await;
            }
            other => panic!("this request breaks the program: {other:?}"),
        }
    }
}

fn records(now: Timestamp) -> Vec<Record> {
    let mut script = Script::new(now);
    script.start(vec![outline("build", "Build", &[])]).job("build", "Build", &["Compile"]);
    script.step("build", 1, "Compile", 5000);
    script.records
}

/// The program in the terminal: shows a run that continues until it is cancelled. Starting a workflow panics a task.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let app = App::new(Theme { motion: false, ..Theme::default() }, Keymap::default());
        let ending = Box::pin(cuelight::tui::run(app, Box::new(Scripted), Options::detect())).await;
        println!("ended: {ending:?}");
    });
}

/// A terminal with a running program.
pub(crate) struct Terminal {
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    /// All output so far.
    bytes: Vec<u8>,
    /// Settings of the terminal before the start.
    before: String,
}

impl Terminal {
    /// Starts the scripted run.
    fn open(rows: u16, columns: u16) -> Self {
        Self::with_log("plain", rows, columns)
    }

    /// Starts the scripted run with another kind of log.
    fn with_log(log: &str, rows: u16, columns: u16) -> Self {
        Self::start(scripted(log), rows, columns)
    }

    /// Starts a program in a terminal.
    pub(crate) fn start(mut command: CommandBuilder, rows: u16, columns: u16) -> Self {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pty = native_pty_system().openpty(size).expect("a terminal");
        let before = format!("{:?}", pty.master.get_termios());
        command.env("TERM", "xterm-256color");
        command.env("RUST_BACKTRACE", "0");
        command.env_remove("SSH_CONNECTION");
        let child = pty.slave.spawn_command(command).expect("started");
        let mut reader = pty.master.try_clone_reader().expect("a reader");
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut portion = [0; 8192];
            while let Ok(count @ 1..) = reader.read(&mut portion) {
                if sender.send(portion[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        let keys = pty.master.take_writer().expect("a writer");
        let size = |size| NonZero::new(size).expect("not zero");
        let screen = vt100::Parser::new(size(rows), size(columns), 0);
        Self { master: pty.master, child, keys, output, screen, bytes: Vec::new(), before }
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).and_then(|()| self.keys.flush()).expect("the terminal takes keys");
    }

    /// Waits until the screen satisfies a condition.
    fn wait(&mut self, what: &str, wanted: impl Fn(&vt100::Screen) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !wanted(self.screen.screen()) {
            match self.output.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.take(&bytes),
                Err(error) => panic!("{what} ({error}):\n{}", self.screen.screen().contents()),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.screen.process(bytes);
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn wait_for(&mut self, text: &str) {
        self.wait(text, |screen| screen.contents().contains(text));
    }

    /// Whether a text is on the screen now.
    pub(crate) fn shows(&mut self, text: &str) -> bool {
        while let Ok(bytes) = self.output.try_recv() {
            self.take(&bytes);
        }
        self.text().contains(text)
    }

    /// Waits for the program to end, and returns its exit code.
    pub(crate) fn exit_code(&mut self) -> u32 {
        end_of(&mut self.child)
    }

    /// Waits until a text is gone.
    pub(crate) fn wait_without(&mut self, text: &str) {
        self.wait(&format!("without {text}"), |screen| !screen.contents().contains(text));
    }

    /// Returns the text on the screen.
    pub(crate) fn text(&self) -> String {
        self.screen.screen().contents()
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.process_id().and_then(|pid| Pid::from_raw(pid.cast_signed())).expect("it runs");
        kill_process(pid, signal).expect("it runs");
    }

    /// Waits for the program to end, and asserts that the terminal is restored.
    pub(crate) fn ends_restored(mut self) -> String {
        let end = Instant::now() + PATIENCE;
        while self.child.try_wait().expect("a child").is_none() {
            assert!(Instant::now() < end, "it does not end:\n{}", self.screen.screen().contents());
            if let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(20)) {
                self.take(&bytes);
            }
        }
        // The output ends with the program, unless a process that it started has the terminal, too.
        while let Ok(bytes) = self.output.recv_timeout(Duration::from_secs(2)) {
            self.take(&bytes);
        }
        let screen = self.screen.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste());
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
        assert_eq!(format!("{:?}", self.master.get_termios()), self.before);
        screen.contents()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ = self.child.kill();
    }
}

/// Returns the command that shows the scripted run with a kind of log.
fn scripted(log: &str) -> CommandBuilder {
    let mut command = CommandBuilder::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "screen::child", "--nocapture"]);
    command.env(CHILD, log);
    command
}

/// Waits for a program to end, and returns its exit code.
fn end_of(child: &mut Box<dyn Child + Send + Sync>) -> u32 {
    until("the end of the program", || child.try_wait().expect("a child")).exit_code()
}

#[test]
fn keys_move_and_q_leaves_a_summary() {
    let mut terminal = Terminal::open(24, 80);
    terminal.wait_for("this is line 5000");
    assert!(terminal.screen.screen().alternate_screen());
    terminal.press("4ggj");
    terminal.wait_for("this is line 2");
    terminal.press("q");
    terminal.wait_for("Leave?");
    terminal.press("k");
    let left = terminal.ends_restored();
    assert!(left.contains("left: true") && left.contains("cuelight attach 20261124-021530-4f3a"), "{left}");
}

#[test]
fn a_command_is_shown_as_requested_and_then_as_done() {
    let mut terminal = Terminal::open(40, 120);
    terminal.wait_for("● running");
    terminal.press("s\r");
    terminal.wait_for("⊘ cancelled");
    terminal.press("q");
    terminal.ends_restored();
}

#[test]
fn an_idle_screen_writes_nothing() {
    let mut terminal = Terminal::open(24, 80);
    terminal.wait_for("● running");
    terminal.press("sy");
    terminal.wait_for("⊘ cancelled");
    // Pending output may still arrive, late on a busy machine.
    let end = Instant::now() + PATIENCE;
    while terminal.output.recv_timeout(Duration::from_secs(2)).is_ok() {
        assert!(Instant::now() < end, "it goes on writing");
    }
    // After that, a longer time must pass without a byte.
    assert_eq!(terminal.output.recv_timeout(Duration::from_secs(5)), Err(RecvTimeoutError::Timeout));
    terminal.press("q");
    terminal.ends_restored();
}

#[test]
fn a_signal_restores_the_terminal() {
    for signal in [Signal::TERM, Signal::HUP] {
        let mut terminal = Terminal::open(24, 80);
        terminal.wait_for("● running");
        terminal.signal(signal);
        assert!(terminal.ends_restored().contains("left: false"));
    }
}

/// A read of a terminal that is gone can block the event loop, which then sees no signal.
#[test]
fn a_blocked_program_ends_with_its_terminal() {
    let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
    let pty = native_pty_system().openpty(size).expect("a terminal");
    let mut command = scripted("stuck");
    command.env("TERM", "xterm-256color");
    let mut child = pty.slave.spawn_command(command).expect("started");
    drop(pty.slave);
    let mut reader = pty.master.try_clone_reader().expect("a reader");
    let mut keys = pty.master.take_writer().expect("a writer");
    let mut shown = Vec::new();
    let mut wait_for = |text: &str| {
        while !String::from_utf8_lossy(&shown).contains(text) {
            let mut portion = [0; 8192];
            let count = reader.read(&mut portion).expect("the screen is drawn");
            shown.extend_from_slice(&portion[..count]);
        }
    };
    wait_for("src/main.rs:5000:1: wrong");
    keys.write_all(b"4ggo").expect("the terminal takes keys");
    wait_for("src/main.rs blocks the program");
    drop((reader, keys, pty.master));
    end_of(&mut child);
}

#[test]
fn a_panic_of_the_backend_is_shown_and_the_screen_stays() {
    let mut terminal = Terminal::open(24, 80);
    terminal.wait_for("● running");
    // The script panics on a rerun.
    terminal.press("sy");
    terminal.wait_for("⊘ cancelled");
    terminal.press("r\r");
    terminal.wait_for("this request breaks the program");
    terminal.press("q");
    terminal.ends_restored();
}

#[test]
fn a_panic_of_the_thread_that_draws_restores_the_terminal_before_its_message() {
    let mut terminal = Terminal::with_log("panic", 24, 80);
    terminal.wait_for("src/main.rs:5000:1: wrong");
    // Once the log is not followed, the key applies to the line at the top.
    terminal.press("4ggo");
    let left = terminal.ends_restored();
    assert!(left.contains("src/main.rs breaks the program"), "{left}");
}

#[test]
fn a_stopped_screen_resumes() {
    let mut terminal = Terminal::open(24, 80);
    terminal.wait_for("this is line 5000");
    terminal.press("\x1a");
    terminal.wait("the terminal is given back", |screen| !screen.alternate_screen());
    // The terminal is restored shortly before the program stops. A signal that arrives too early would only delay the
    // stop, so the test waits for the redrawn screen.
    let end = Instant::now() + PATIENCE;
    let drawn = |screen: &vt100::Screen| screen.alternate_screen() && screen.contents().contains("this is line 5000");
    while !drawn(terminal.screen.screen()) {
        assert!(Instant::now() < end, "it does not come back");
        terminal.signal(Signal::CONT);
        if let Ok(bytes) = terminal.output.recv_timeout(Duration::from_millis(100)) {
            terminal.take(&bytes);
        }
    }
    terminal.signal(Signal::TERM);
    terminal.signal(Signal::CONT);
    terminal.ends_restored();
}

#[test]
fn a_screen_that_is_told_to_continue_although_it_was_not_stopped_takes_keys() {
    let mut terminal = Terminal::open(24, 80);
    terminal.wait_for("this is line 5000");
    let settings = format!("{:?}", terminal.master.get_termios());
    let taken = |terminal: &mut Terminal| {
        terminal.shows("");
        terminal.bytes.windows(8).filter(|bytes| *bytes == b"\x1b[?1049h").count()
    };
    assert_eq!(taken(&mut terminal), 1);
    terminal.signal(Signal::CONT);
    until("it takes the terminal again", || (taken(&mut terminal) == 2).then_some(()));
    assert_eq!(format!("{:?}", terminal.master.get_termios()), settings);
    terminal.press("q");
    terminal.wait_for("Leave?");
    terminal.press("k");
    terminal.ends_restored();
}

#[test]
fn any_size_in_any_order() {
    let mut terminal = Terminal::open(24, 80);
    terminal.wait_for("● running");
    for (rows, columns) in [(1, 1), (60, 200), (8, 30), (7, 29), (16, 60), (2, 300), (40, 120)] {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        terminal.master.resize(size).expect("resized");
        let size = |size| NonZero::new(size).expect("not zero");
        terminal.screen.screen_mut().set_size(size(rows), size(columns));
    }
    terminal.wait_for("6 Deploys");
    terminal.wait_for("this is line 5000");
    terminal.signal(Signal::TERM);
    terminal.ends_restored();
}

#[test]
fn changed_files_start_only_matching_workflows() {
    let project = Project::new(
        "name: CI\non: {push: {paths: ['src/**']}}\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      \
         - uses: actions/checkout@v4\n      - run: cat src/a; until [ -e \"$DOOR\" ]; do sleep 0.05; done\n",
    );
    project.write("src/a", "first\n");
    project.write("docs/a", "words\n");
    project.write(".gitignore", "*.log\n");
    project.commit();
    project.call(&["trust"]).expect(0, &[]);
    let door = project.state().join("door");
    let mut command = project.in_terminal(&[]);
    command.env("DOOR", &door);
    let mut screen = Terminal::start(command, 30, 120);
    screen.wait_for("W watch");
    screen.press("W\r");
    screen.wait_for("watch ci.yml");
    project.write("docs/a", "other words\n");
    screen.wait_for("docs/a changed: nothing runs");
    project.write("src/a", "second line of all\n");
    screen.wait_for("second line of all");
    // A change that triggers no workflow, or is ignored, does not affect the run.
    project.write("x.log", "noise\n");
    project.write("docs/b", "more words\n");
    screen.wait_for("docs/b changed: nothing runs");
    assert!(screen.screen.screen().contents().contains("running"), "{}", screen.screen.screen().contents());
    project.write("src/a", "third line of all\n");
    screen.wait_for("third line of all");
    std::fs::write(&door, "").expect("written");
    screen.wait_for("✓ success");
    screen.press("W");
    screen.wait("it is not watched any more", |screen| !screen.contents().contains("watch ci.yml"));
    screen.press("q");
    screen.ends_restored();
    let runs = project.call(&["runs"]).out();
    assert_eq!((runs.matches("success").count(), runs.matches("cancelled").count()), (1, 1), "{runs}");
}

/// Returns the screen outside the log pane. All digits are replaced, because clocks change.
fn around_the_log(screen: &vt100::Screen) -> Vec<String> {
    let (rows, columns) = screen.size();
    let title = (0..rows.get()).rev().find(|row| {
        let line: String =
            (0..columns.get()).filter_map(|column| screen.cell(*row, column)).map(vt100::Cell::contents).collect();
        line.contains("4 Log")
    });
    // A frame may be incomplete.
    let Some(top) = title else { return Vec::new() };
    let places = (0..rows.get()).flat_map(|row| (0..columns.get()).map(move |column| (row, column)));
    let inside =
        |(row, column): &(u16, u16)| *row > top && *row < rows.get() - 3 && *column > 0 && *column < columns.get() - 1;
    let outside = places
        .filter(|place| !inside(place))
        .filter_map(|(row, column)| Some(((row, column), screen.cell(row, column)?)));
    outside
        .map(|(place, cell)| {
            // An unwritten cell looks like a space.
            let contents = if cell.has_contents() { cell.contents() } else { " " };
            format!(
                "{place:?} {} {:?} {:?}",
                contents.replace(|c: char| c.is_ascii_digit(), "0"),
                cell.fgcolor(),
                cell.bgcolor()
            )
        })
        .collect()
}

#[test]
fn a_hostile_log_changes_nothing_outside_its_pane() {
    // The keys first leave the end of the log, so that both runs show the same state of the log. Then they go down,
    // sideways, wrap lines, and return to the end.
    const KEYS: [&str; 7] = ["4gg", "jjjjj", "\x04\x04", "llll", "hhhhw", "\x06\x06kkkk", "w\x15ggG"];
    for (rows, columns) in [(24, 80), (40, 120)] {
        let mut plain = Terminal::with_log("wide", rows, columns);
        let mut hostile = Terminal::with_log("hostile", rows, columns);
        for terminal in [&mut plain, &mut hostile] {
            terminal.wait_for("FOLLOW");
            // Once a notice has been readable, the next key dismisses it.
            while terminal.screen.screen().contents().contains("Build started") {
                terminal.press("4");
                if let Ok(bytes) = terminal.output.recv_timeout(Duration::from_millis(100)) {
                    terminal.take(&bytes);
                }
            }
        }
        for keys in KEYS {
            for terminal in [&mut plain, &mut hostile] {
                terminal.press(keys);
                while let Ok(bytes) = terminal.output.recv_timeout(Duration::from_millis(400)) {
                    terminal.take(&bytes);
                }
            }
            // A busy machine may need longer to draw everything.
            let end = Instant::now() + PATIENCE;
            loop {
                let (expected, shown) =
                    (around_the_log(plain.screen.screen()), around_the_log(hostile.screen.screen()));
                let differs: Vec<_> = expected.iter().zip(&shown).filter(|(one, other)| one != other).take(3).collect();
                if !expected.is_empty() && expected.len() == shown.len() && differs.is_empty() {
                    break;
                }
                assert!(Instant::now() < end, "{columns}x{rows} after {keys:?}: {differs:?}");
                for terminal in [&mut plain, &mut hostile] {
                    if let Ok(bytes) = terminal.output.recv_timeout(Duration::from_millis(200)) {
                        terminal.take(&bytes);
                    }
                    // On a busy machine the notice comes late.
                    if terminal.screen.screen().contents().contains("Build started") {
                        terminal.press("4");
                    }
                }
            }
        }
        let sent = String::from_utf8_lossy(&hostile.bytes).into_owned();
        for forbidden in [
            "\x1b]52",
            "]2;renamed",
            "\x1b]0;",
            "\x1bc",
            "\x1b[6n",
            "\x1b[c",
            "\x1bP",
            "\x1b_G",
            "\u{9b}",
            "\u{202e}",
            "\x1b[3;5r",
        ] {
            assert!(!sent.contains(forbidden), "{forbidden:?} was sent to the terminal");
        }
        for mut terminal in [plain, hostile] {
            terminal.press("q");
            terminal.wait_for("Leave?");
            terminal.press("k");
            terminal.ends_restored();
        }
    }
}

#[test]
fn an_untrusted_repository_must_be_confirmed_before_anything_starts() {
    let project = Project::of_jobs("  a: {runs-on: ubuntu-latest, steps: [{run: echo it ran}]}\n");
    let mut screen = Terminal::start(project.in_terminal(&[]), 30, 120);
    screen.wait_for("enter start");
    screen.press("S");
    screen.wait_for("Start ci.yml on push");
    screen.press("\r");
    screen.wait_for("Not trusted to run on this machine yet");
    screen.wait_for("$ echo it ran");
    project.call(&["runs"]).expect(0, &["There are no runs of local/repository yet"]);
    // The workflow runs as shown, even if the file has changed since.
    let workflow = project.root().join(".github/workflows/ci.yml");
    let text = std::fs::read_to_string(&workflow).expect("readable");
    std::fs::write(&workflow, text.replace("it ran", "something else")).expect("written");
    screen.press("y");
    screen.wait_for("✓ success");
    project.call(&["logs"]).expect(0, &["it ran"]);
    screen.press("q");
    screen.ends_restored();
}

#[test]
fn changes_by_other_processes_are_shown() {
    let project = Project::of_jobs("  a: {runs-on: ubuntu-latest, steps: [{run: echo it ran}]}\n");
    project.run(&[]).expect(0, &["it ran"]);
    let mut screen = Terminal::start(project.in_terminal(&[]), 30, 120);
    screen.wait_for("✓ success");
    project.call(&["rerun", "--trust"]).expect(0, &["it ran"]);
    screen.wait_for("attempt 2");
    screen.wait_for("✓ success");
    std::fs::remove_dir_all(project.run_folder()).expect("removed");
    screen.wait_for("no runs yet");
    screen.press("q");
    screen.ends_restored();
}
