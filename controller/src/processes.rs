//! The processes of this machine (or container), as `/proc` shows them; and those that carry marks in their environment.
//!
//! What a command starts inherits its environment, also what leaves its process group (`setsid`). So whoever runs a
//! command marks it, and finds by the marks what it left behind.

use std::{fs, io};

use rustix::process::{Pid, Signal, kill_process};

/// What a look at all processes came to.
pub(crate) struct Seen {
    /// Something was found and killed.
    pub(crate) any: bool,
    /// There are processes that this one may not look at.
    pub(crate) hidden: bool,
}

/// Kills every process that has all of these marks (`NAME=value`) in its environment.
pub(crate) fn kill_marked(marks: &[String]) -> Seen {
    let mut seen = Seen { any: false, hidden: false };
    for pid in all() {
        match fs::read(format!("/proc/{pid}/environ")) {
            // A zombie has no environment left, so it is not found again and again.
            Ok(all) if marks.iter().all(|mark| all.split(|byte| *byte == 0).any(|one| one == mark.as_bytes())) => {
                seen.any |= Pid::from_raw(pid).is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok());
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => seen.hidden = true,
            _ => {}
        }
    }
    seen
}

/// The numbers of all processes.
pub(crate) fn all() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
