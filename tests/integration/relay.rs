//! A relay between the program and Docker's socket. A test can cut or stall it, as an engine may do.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Socket of the engine.
const ENGINE: &str = "/var/run/docker.sock";

/// What a relay does with its connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Relaying {
    /// Passes everything on.
    Open,
    /// Keeps connections and passes nothing on.
    Stalled,
    /// Ends all connections, and each new one.
    Cut,
}

/// A relay that runs until the test ends.
pub(crate) struct Relay {
    address: String,
    shared: Arc<Shared>,
}

struct Shared {
    now: Mutex<Relaying>,
    changed: Condvar,
    /// Functions that close the connections made so far.
    closes: Mutex<Vec<Box<dyn Fn() + Send>>>,
}

/// A stream. Each of its two directions is copied by a thread.
trait Connection: Read + Write + Send + Sized + 'static {
    fn twin(&self) -> Self;
    fn end(&self, how: Shutdown);
}

impl Connection for UnixStream {
    fn twin(&self) -> Self {
        self.try_clone().expect("a socket")
    }

    fn end(&self, how: Shutdown) {
        let _ = self.shutdown(how);
    }
}

impl Connection for std::net::TcpStream {
    fn twin(&self) -> Self {
        self.try_clone().expect("a socket")
    }

    fn end(&self, how: Shutdown) {
        let _ = self.shutdown(how);
    }
}

impl Relay {
    /// Returns a relay on a port of this machine, which makes the engine look remote.
    pub(crate) fn remote() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("free");
        let address = format!("tcp://{}", listener.local_addr().expect("bound"));
        Self::of(address, move || listener.accept().map(|(near, _)| near))
    }

    /// Returns a relay on a socket in a folder.
    pub(crate) fn local(folder: &Path) -> Self {
        let socket = folder.join("relay.sock");
        let listener = UnixListener::bind(&socket).expect("bound");
        Self::of(format!("unix://{}", socket.display()), move || listener.accept().map(|(near, _)| near))
    }

    fn of<C: Connection>(address: String, accept: impl Fn() -> std::io::Result<C> + Send + 'static) -> Self {
        let shared =
            Arc::new(Shared { now: Mutex::new(Relaying::Open), changed: Condvar::new(), closes: Mutex::default() });
        let relay = Self { address, shared: Arc::clone(&shared) };
        std::thread::spawn(move || {
            while let Ok(near) = accept() {
                if shared.is(Relaying::Cut) {
                    continue;
                }
                let far = UnixStream::connect(ENGINE).expect("docker listens");
                let (near_end, far_end) = (near.twin(), far.twin());
                let close = move || {
                    near_end.end(Shutdown::Both);
                    far_end.end(Shutdown::Both);
                };
                shared.closes.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(close));
                pump(&shared, near.twin(), far.twin());
                pump(&shared, far, near);
            }
        });
        relay
    }

    /// Returns the value for `DOCKER_HOST`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn set(&self, now: Relaying) {
        *self.shared.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
        self.shared.changed.notify_all();
        if now == Relaying::Cut {
            let closes = std::mem::take(&mut *self.shared.closes.lock().unwrap_or_else(PoisonError::into_inner));
            for close in &closes {
                close();
            }
        }
    }
}

impl Shared {
    fn is(&self, what: Relaying) -> bool {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) == what
    }

    fn pass(&self) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        while *now == Relaying::Stalled {
            now = self.changed.wait(now).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn pump(shared: &Arc<Shared>, mut from: impl Connection, mut to: impl Connection) {
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        let mut part = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut part) {
            shared.pass();
            if to.write_all(&part[..count]).is_err() {
                break;
            }
        }
        shared.pass();
        to.end(Shutdown::Write);
    });
}
