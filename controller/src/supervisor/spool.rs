//! Keeps outcomes and long output on disk, where commands cannot write.
//!
//! `SEQ.json` says that a command was started, later what came of it; it is replaced by a rename, so
//! it is never half there. Output that is longer than what a result keeps goes to `SEQ.stdout` and
//! `SEQ.stderr`, up to a limit. A thread of its own does the writing: it stands before the first
//! command, so that a container out of processes can still write, and a slow disk holds up neither
//! the stream nor the clock. Nothing here fails a command; what could not be kept is a note.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::protocol::Outcome;
use crate::sandbox::OutputStream;

/// A disk that takes longer than this for one write is given up on.
const PATIENCE: Duration = Duration::from_secs(2);

/// What `SEQ.json` holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(super) enum Record {
    /// Written before the process is made.
    Started { seq: i64 },
    /// Written when it ended.
    Finished { outcome: Box<Outcome> },
}

enum Job {
    Append { seq: i64, stream: OutputStream, data: Vec<u8> },
    Write { seq: i64, record: Record, done: oneshot::Sender<Result<(), String>> },
}

/// The way to the writing thread.
#[derive(Clone)]
pub(super) struct Spool {
    jobs: mpsc::Sender<Job>,
    dir: PathBuf,
}

impl Spool {
    /// Opens the directory and tells which commands stand in it, and whether they finished.
    pub(super) fn open(dir: &Path, total_limit: u64) -> io::Result<(Self, Vec<(i64, bool)>)> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        fs::set_permissions(dir, Permissions::from_mode(0o700))?;
        let found = read_all(dir)?;
        let (jobs, queue) = mpsc::channel(64);
        let writer = Writer { dir: dir.to_owned(), room: total_limit, files: HashMap::new(), errors: HashMap::new() };
        std::thread::Builder::new().name("spool".into()).spawn(move || writer.work(queue))?;
        Ok((Self { jobs, dir: dir.to_owned() }, found))
    }

    /// Adds to a stream's full text; waits for a slow disk only so long.
    pub(super) async fn append(&self, seq: i64, stream: OutputStream, data: Vec<u8>) {
        // What fails here is missing in the file, and the writer cannot know it: the note of the
        // outcome comes from the write that follows, which waits for the same disk.
        let _ = timeout(PATIENCE, self.jobs.send(Job::Append { seq, stream, data })).await;
    }

    /// Replaces the record of a command. `Err` says what of it, or of its output, was not kept.
    pub(super) async fn write(&self, seq: i64, record: Record) -> Result<(), String> {
        let (done, answer) = oneshot::channel();
        let work = async {
            self.jobs.send(Job::Write { seq, record, done }).await.map_err(|_| ())?;
            answer.await.map_err(|_| ())
        };
        match timeout(PATIENCE, work).await {
            Ok(Ok(result)) => result,
            Ok(Err(())) => Err("the spool's thread is gone".into()),
            Err(_) => Err("the disk of the spool does not answer".into()),
        }
    }

    /// The outcome of a command from disk.
    pub(super) fn read(&self, seq: i64) -> Option<Outcome> {
        match read_record(&self.dir.join(format!("{seq}.json")))? {
            Record::Finished { outcome } => Some(*outcome),
            Record::Started { .. } => None,
        }
    }
}

fn read_record(path: &Path) -> Option<Record> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn read_all(dir: &Path) -> io::Result<Vec<(i64, bool)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let Some(seq) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".json")?.parse().ok()) else {
            continue;
        };
        // A record that cannot be read is a command that was started: it is never started again.
        found.push((seq, matches!(read_record(&path), Some(Record::Finished { outcome }) if outcome.seq == seq)));
    }
    Ok(found)
}

struct Writer {
    dir: PathBuf,
    room: u64,
    files: HashMap<(i64, OutputStream), File>,
    errors: HashMap<i64, String>,
}

impl Writer {
    fn work(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(job) = queue.blocking_recv() {
            match job {
                Job::Append { seq, stream, data } => {
                    if let Err(error) = self.append(seq, stream, &data) {
                        self.errors.entry(seq).or_insert_with(|| format!("its full output was not kept: {error}"));
                    }
                }
                Job::Write { seq, record, done } => {
                    let ended = matches!(record, Record::Finished { .. });
                    let written = self.write(seq, &record);
                    let failed = written.as_ref().err().map(|error| format!("its outcome was not kept: {error}"));
                    let _ = done.send(self.errors.get(&seq).cloned().or(failed).map_or(Ok(()), Err));
                    // After the answer, for a process that dies needs no sync, only a machine does.
                    let closed = [OutputStream::Stdout, OutputStream::Stderr]
                        .map(|stream| if ended { self.files.remove(&(seq, stream)) } else { None });
                    for file in closed.into_iter().flatten().chain(written.ok()) {
                        let _ = file.sync_data();
                    }
                    if ended {
                        self.errors.remove(&seq);
                    }
                }
            }
        }
    }

    fn append(&mut self, seq: i64, stream: OutputStream, data: &[u8]) -> io::Result<()> {
        if self.errors.contains_key(&seq) {
            return Ok(());
        }
        self.room = self
            .room
            .checked_sub(data.len() as u64)
            .ok_or_else(|| io::Error::other("the session's room for full output is used up"))?;
        let file = match self.files.entry((seq, stream)) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let name = match stream {
                    OutputStream::Stdout => format!("{seq}.stdout"),
                    OutputStream::Stderr => format!("{seq}.stderr"),
                };
                entry.insert(create(&self.dir.join(name))?)
            }
        };
        file.write_all(data)
    }

    fn write(&self, seq: i64, record: &Record) -> io::Result<File> {
        let (new, path) = (self.dir.join(format!("{seq}.new")), self.dir.join(format!("{seq}.json")));
        let mut file = create(&new)?;
        let written = file.write_all(&serde_json::to_vec(record)?).and_then(|()| fs::rename(&new, &path));
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written.map(|()| file)
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_written_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let (spool, found) = Spool::open(dir.path(), 1 << 20).unwrap();
        assert!(found.is_empty());
        let outcome = Outcome::not_started(4, "no shell".into());
        spool.write(3, Record::Started { seq: 3 }).await.unwrap();
        spool.append(4, OutputStream::Stderr, b"text".to_vec()).await;
        spool.write(4, Record::Finished { outcome: Box::new(outcome.clone()) }).await.unwrap();
        assert_eq!(spool.read(4).as_ref(), Some(&outcome));
        assert_eq!(fs::read(dir.path().join("4.stderr")).unwrap(), b"text");
        fs::write(dir.path().join("5.json"), "{").unwrap();
        let (_, mut found) = Spool::open(dir.path(), 1 << 20).unwrap();
        found.sort_by_key(|(seq, _)| *seq);
        assert_eq!(found, [(3, false), (4, true), (5, false)]);
    }

    #[tokio::test]
    async fn no_room_is_a_note_and_no_failure() {
        let dir = tempfile::tempdir().unwrap();
        let (spool, _) = Spool::open(dir.path(), 3).unwrap();
        spool.append(1, OutputStream::Stdout, b"text".to_vec()).await;
        let outcome = Box::new(Outcome::not_started(1, String::new()));
        let note = spool.write(1, Record::Finished { outcome }).await.unwrap_err();
        assert!(note.contains("used up"), "{note}");
        assert!(spool.read(1).is_some());
    }
}
