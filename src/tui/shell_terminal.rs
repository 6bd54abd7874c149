//! The terminal, or the pipes, of a shell in a job's environment. Keys and changes of the size are passed on to the
//! shell unchanged.

use std::io::{self, IsTerminal, Read, Write};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::launch::shell::{Input, Terminal};

/// Maximum number of pending inputs.
const MAX_PENDING_INPUTS: usize = 64;

/// Standard input and output of this process.
#[derive(Default)]
pub struct Console {
    raw: Option<RawMode>,
    sizes: Option<JoinHandle<()>>,
}

impl Terminal for Console {
    fn is_terminal(&self) -> bool {
        io::stdin().is_terminal() && io::stdout().is_terminal()
    }

    fn attach(&mut self) -> io::Result<mpsc::Receiver<Input>> {
        let (sender, receiver) = mpsc::channel(MAX_PENDING_INPUTS);
        if self.is_terminal() {
            self.raw = Some(RawMode::enter()?);
            self.sizes = Some(tokio::spawn(watch_size(sender.clone())));
        }
        std::thread::spawn(move || read(&sender));
        Ok(receiver)
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut out = io::stdout();
        // If the terminal is gone, the end of its input ends the shell.
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        if let Some(sizes) = self.sizes.take() {
            sizes.abort();
        }
    }
}

/// Raw mode of the terminal, in which every key is passed on unchanged. Dropping it restores the mode.
struct RawMode;

impl RawMode {
    fn enter() -> io::Result<Self> {
        crossterm::terminal::enable_raw_mode().map(|()| Self)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = crossterm::terminal::disable_raw_mode();
    }
}

fn read(sender: &mpsc::Sender<Input>) {
    let mut bytes = [0; 4096];
    let mut stdin = io::stdin();
    loop {
        let input = match stdin.read(&mut bytes) {
            Ok(0) | Err(_) => Input::End,
            Ok(count) => Input::Bytes(bytes[..count].to_vec()),
        };
        let ended = matches!(input, Input::End);
        if sender.blocking_send(input).is_err() || ended {
            return;
        }
    }
}

async fn watch_size(sender: mpsc::Sender<Input>) {
    let Ok(mut changed) = signal(SignalKind::window_change()) else { return };
    loop {
        if let Ok((width, height)) = crossterm::terminal::size()
            && sender.send(Input::Resized(width, height)).await.is_err()
        {
            return;
        }
        if changed.recv().await.is_none() {
            return;
        }
    }
}
