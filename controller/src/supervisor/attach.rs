//! The bridge from an exec stream to the socket of a supervisor or a gateway.
//!
//! It copies bytes and knows nothing of frames. When either side ends, it ends, so that a controller
//! that is gone leaves nothing behind.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// A supervisor that was just started has this long to make its socket.
const PATIENCE: Duration = Duration::from_secs(10);

/// What `operator SEAT --attach` does. Blocks the calling thread, for a container that is out of processes has hardly
/// one to give.
#[must_use]
pub fn attach(seat: &str, socket: &Path) -> ExitCode {
    match bridge(socket) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("operator {seat} --attach: {}: {error}", socket.display());
            ExitCode::FAILURE
        }
    }
}

/// Copies until one side ends. Blocks.
fn bridge(socket: &Path) -> io::Result<()> {
    let stream = connect(socket)?;
    let mut to_supervisor = stream.try_clone()?;
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    std::thread::Builder::new().name("input".into()).spawn(move || {
        let _ = copy(&mut input, &mut to_supervisor);
        // The other direction sees this as the end, too.
        let _ = to_supervisor.shutdown(Shutdown::Both);
    })?;
    let mut from_supervisor = stream;
    copy(&mut from_supervisor, &mut output)
}

fn connect(socket: &Path) -> io::Result<UnixStream> {
    let until = Instant::now() + PATIENCE;
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => return Ok(stream),
            Err(error) if Instant::now() > until => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => to.write_all(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
