//! A terminal whose other end is held here: what a program writes, and when. For measurements, where the processes that ask
//! [tmux](crate::tmux) would be most of what is measured.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// A program in a terminal. It is killed when this is dropped.
pub struct Pty {
    child: Child,
    keys: File,
    written: Receiver<(Instant, Vec<u8>)>,
}

impl Pty {
    /// Starts a program in a terminal of that size.
    ///
    /// # Panics
    /// When there is no terminal, or no such program.
    #[must_use]
    pub fn open(columns: u16, rows: u16, mut program: Command) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&ours).expect("a terminal that is ours");
        unlockpt(&ours).expect("a terminal that can be opened");
        tcsetwinsize(&ours, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).expect("its size");
        let name = ptsname(&ours, Vec::new()).expect("its name");
        let theirs = rustix::fs::open(&*name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
            .unwrap_or_else(|error| panic!("{}: {error}", std::ffi::OsStr::from_bytes(name.to_bytes()).display()));
        let end = || theirs.try_clone().expect("a descriptor");
        program.stdin(end()).stdout(end()).stderr(end()).env("TERM", "xterm-256color");
        let child = program.spawn().expect("the program");

        let keys = File::from(ours);
        let mut output = keys.try_clone().expect("a descriptor");
        let (sender, written) = channel();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            // An error is the end: nobody has the other side open any more.
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                if sender.send((Instant::now(), buffer[..length].to_vec())).is_err() {
                    return;
                }
            }
        });
        Self { child, keys, written }
    }

    /// The time at which the program had written all of these since this was called or it began.
    ///
    /// # Panics
    /// When it has not in time: with what it wrote.
    #[must_use]
    pub fn until(&self, texts: &[&str], limit: Duration) -> Instant {
        let begun = Instant::now();
        let mut all = Vec::new();
        loop {
            let wait = limit.saturating_sub(begun.elapsed());
            let Ok((at, bytes)) = self.written.recv_timeout(wait) else {
                panic!("not within {limit:?}: {texts:?}\n{}", String::from_utf8_lossy(&all).escape_debug())
            };
            all.extend(bytes);
            let text = String::from_utf8_lossy(&all);
            if texts.iter().all(|wanted| text.contains(wanted)) {
                return at;
            }
        }
    }

    /// Waits until the program has written nothing for so long.
    ///
    /// # Panics
    /// When it has ended, or goes on writing for a minute.
    pub fn settle(&self, quiet: Duration) {
        let begun = Instant::now();
        loop {
            match self.written.recv_timeout(quiet) {
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => panic!("the program has ended"),
                Ok(_) => assert!(begun.elapsed() < Duration::from_mins(1), "the program writes without an end"),
            }
        }
    }

    /// Presses a key, and tells how long it took until the program began to write. What it wrote before is forgotten.
    ///
    /// # Panics
    /// When it writes nothing in time.
    pub fn answer(&mut self, key: &[u8], limit: Duration) -> Duration {
        while self.written.try_recv().is_ok() {}
        let begun = Instant::now();
        self.keys.write_all(key).expect("a terminal that takes keys");
        let answer = self.written.recv_timeout(limit);
        let (at, _) = answer.unwrap_or_else(|error| panic!("{key:?}: nothing within {limit:?}: {error}"));
        at - begun
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
