//! Ends the program when its terminal is gone.
//!
//! The event loop normally ends on the signal that comes with it. But crossterm 0.29 reads a terminal that is gone again
//! and again and never returns, which blocks the loop, and not every terminal sends the signal.

use std::io;
use std::process::exit;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

/// How long the event loop may take to end by itself.
const GRACE: Duration = Duration::from_secs(3);

/// Exit code of a program that ends because of the signal SIGHUP: 128 and its number.
const CODE: i32 = 129;

/// Starts a thread that ends the program soon after the terminal on standard input is gone.
///
/// # Errors
/// The thread cannot be started.
pub(super) fn watch() -> io::Result<()> {
    thread::Builder::new().name("hang-up".to_owned()).spawn(|| {
        if is_gone() {
            thread::sleep(GRACE);
            exit(CODE);
        }
    })?;
    Ok(())
}

/// Waits until the terminal is gone; returns `false` if this cannot be observed.
fn is_gone() -> bool {
    let terminal = io::stdin();
    loop {
        // Without any wanted event, only a hang-up or an error of the terminal ends the wait.
        let mut input = [PollFd::new(&terminal, PollFlags::empty())];
        match poll(&mut input, None) {
            Ok(_) => return input[0].revents().intersects(PollFlags::HUP | PollFlags::ERR),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
