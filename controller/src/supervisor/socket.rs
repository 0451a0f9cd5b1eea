//! A socket of ours, which is nobody else's from its first moment.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use rustix::fs::Mode;
use tokio::net::UnixListener;

/// Makes a socket with these mode bits, in place of one that was left behind, and its directory if need be.
pub fn listen(socket: &Path, mode: u32) -> io::Result<UnixListener> {
    if let Some(dir) = socket.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
    }
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // A mode set afterwards would come late.
    let before = rustix::process::umask(Mode::from_raw_mode(0o777 & !mode));
    let listener = UnixListener::bind(socket);
    rustix::process::umask(before);
    listener
}
