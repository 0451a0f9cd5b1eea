//! Writing down news as they come: one JSON object a line, with its time.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::FeedEvent;

/// A line of a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// When it came.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub event: FeedEvent,
}

/// A recording that is being written.
#[derive(Debug)]
pub struct Recorder {
    file: BufWriter<File>,
}

impl Recorder {
    /// A new file; one that is there is not overwritten.
    ///
    /// # Errors
    /// If it cannot be made, or is there.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(Self { file: BufWriter::new(file) })
    }

    /// Writes news down. They are in the file when this returns: a recording is made to look at what went wrong.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(&mut self, at: Timestamp, events: &[FeedEvent]) -> io::Result<()> {
        for event in events {
            serde_json::to_writer(&mut self.file, &Recorded { at, event: event.clone() })?;
            self.file.write_all(b"\n")?;
        }
        self.file.flush()
    }
}
