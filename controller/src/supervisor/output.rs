//! What commands printed, as files that later commands can read: `N` and `N.err` of command `N`.
//!
//! The conversation with the model forgets old output to save room; here it stays, for `grep`. It is the
//! container's own output and stands in its memory, on a file system with a size, so it is bounded
//! twice: a stream keeps its beginning, and the oldest commands make room for new ones. Root writes
//! the files and others read them. Nothing here fails a command: it is a copy, the spool and the result
//! have their own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sandbox::OutputStream;

/// The files of all commands. Writing goes to memory and waits for nothing.
pub(super) struct Outputs {
    state: Mutex<State>,
}

struct State {
    dir: PathBuf,
    /// Bytes of one stream, and of all.
    limits: (u64, u64),
    used: u64,
    /// Bytes by command.
    kept: BTreeMap<i64, u64>,
    /// Files of commands that run; `None` for one that could not be made.
    open: HashMap<(i64, OutputStream), Option<Writing>>,
    /// Commands that ended: what a pipe still gives is not theirs.
    ended: BTreeSet<i64>,
}

struct Writing {
    file: File,
    bytes: u64,
    /// Something is missing behind what was kept.
    cut: bool,
}

impl Outputs {
    /// Opens the directory; what an earlier supervisor left there counts.
    pub(super) fn open(dir: &Path, each: u64, total: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
        fs::set_permissions(dir, Permissions::from_mode(0o755))?;
        let mut kept = BTreeMap::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let seq = name.to_str().and_then(|name| name.strip_suffix(".err").unwrap_or(name).parse().ok());
            if let Some(seq) = seq {
                *kept.entry(seq).or_default() += entry.metadata()?.len();
            }
        }
        let used = kept.values().sum();
        let state = State {
            dir: dir.to_owned(),
            limits: (each, total),
            used,
            kept,
            open: HashMap::new(),
            ended: BTreeSet::new(),
        };
        Ok(Self { state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds to a stream.
    pub(super) fn append(&self, seq: i64, stream: OutputStream, data: &[u8]) {
        self.state().append(seq, stream, data);
    }

    /// The command ended: its files are whole.
    pub(super) fn finish(&self, seq: i64) {
        let mut state = self.state();
        state.ended.insert(seq);
        for stream in [OutputStream::Stdout, OutputStream::Stderr] {
            if let Some(Some(mut writing)) = state.open.remove(&(seq, stream))
                && writing.cut
            {
                // A file system that is full takes not even this; the result has the size.
                let _ = writeln!(writing.file, "\n[only the first {} bytes were kept]", writing.bytes);
            }
        }
    }
}

impl State {
    fn append(&mut self, seq: i64, stream: OutputStream, data: &[u8]) {
        if self.ended.contains(&seq) {
            return;
        }
        let (each, total) = self.limits;
        let path = path(&self.dir, seq, stream);
        let written = match self.open.entry((seq, stream)).or_insert_with(|| create(&path).ok()) {
            None => return,
            Some(writing) => writing.bytes,
        };
        let room = each.saturating_sub(written).min(total);
        let kept = data.get(..usize::try_from(room).unwrap_or(usize::MAX).min(data.len())).unwrap_or_default();
        let fits = self.make_room(kept.len() as u64);
        let Some(Some(writing)) = self.open.get_mut(&(seq, stream)) else { return };
        writing.cut |= kept.len() < data.len() || !fits;
        if writing.cut && kept.is_empty() || !fits {
            return;
        }
        if writing.file.write_all(kept).is_err() {
            writing.cut = true;
            return;
        }
        writing.bytes += kept.len() as u64;
        self.used += kept.len() as u64;
        *self.kept.entry(seq).or_default() += kept.len() as u64;
    }

    /// Removes the files of the oldest commands that do not run any more, until there is room.
    fn make_room(&mut self, bytes: u64) -> bool {
        while self.used + bytes > self.limits.1 {
            let runs = |seq: i64| self.open.keys().any(|(open, _)| *open == seq);
            let Some(oldest) = self.kept.keys().copied().find(|seq| !runs(*seq)) else { return false };
            for stream in [OutputStream::Stdout, OutputStream::Stderr] {
                // One of the two may never have been there.
                let _ = fs::remove_file(path(&self.dir, oldest, stream));
            }
            self.used = self.used.saturating_sub(self.kept.remove(&oldest).unwrap_or_default());
        }
        true
    }
}

fn path(dir: &Path, seq: i64, stream: OutputStream) -> PathBuf {
    match stream {
        OutputStream::Stdout => dir.join(seq.to_string()),
        OutputStream::Stderr => dir.join(format!("{seq}.err")),
    }
}

fn create(path: &Path) -> io::Result<Writing> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(path)?;
    Ok(Writing { file, bytes: 0, cut: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_command_has_its_output_and_the_oldest_makes_room() {
        let dir = tempfile::tempdir().unwrap();
        let outputs = Outputs::open(dir.path(), 60, 100).unwrap();
        for seq in [3, 5] {
            outputs.append(seq, OutputStream::Stdout, &[b'o'; 30]);
            outputs.append(seq, OutputStream::Stderr, b"err");
            outputs.finish(seq);
        }
        assert_eq!(names(dir.path()), ["3", "3.err", "5", "5.err"]);
        outputs.append(7, OutputStream::Stdout, &[b'o'; 50]);
        assert_eq!(names(dir.path()), ["5", "5.err", "7"]);
        assert_eq!(fs::read(dir.path().join("5.err")).unwrap(), b"err");
        assert_eq!(fs::metadata(dir.path().join("5")).unwrap().permissions().mode() & 0o777, 0o644);
        // Found again, and counted.
        let outputs = Outputs::open(dir.path(), 60, 100).unwrap();
        outputs.append(9, OutputStream::Stdout, &[b'o'; 20]);
        assert_eq!(names(dir.path()), ["7", "9"]);
    }

    #[test]
    fn a_stream_keeps_its_beginning_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let outputs = Outputs::open(dir.path(), 10, 100).unwrap();
        for _ in 0..5 {
            outputs.append(1, OutputStream::Stdout, b"0123");
        }
        outputs.finish(1);
        let text = fs::read_to_string(dir.path().join("1")).unwrap();
        assert_eq!(text, "0123012301\n[only the first 10 bytes were kept]\n");
    }

    #[test]
    fn more_at_once_than_there_is_room_for_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let outputs = Outputs::open(dir.path(), 80, 100).unwrap();
        outputs.append(1, OutputStream::Stdout, &[b'a'; 80]);
        outputs.append(2, OutputStream::Stdout, &[b'b'; 80]);
        outputs.finish(2);
        outputs.append(2, OutputStream::Stdout, b"late");
        assert_eq!(fs::metadata(dir.path().join("1")).unwrap().len(), 80);
        assert!(fs::read_to_string(dir.path().join("2")).unwrap().contains("first 0 bytes"));
    }
}
