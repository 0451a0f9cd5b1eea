//! A session into a file: all of it, part by part, so that its length does not matter.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use audit_client::render::{json, markdown};
use audit_client::{SessionRecord, StoredEntry};
use jiff::Timestamp;

use super::Format;
use super::audit::Audit;
use crate::msg::Done;
use crate::text;

/// Entries that are read at once.
const PAGE: i64 = 500;

/// A file that is being written. It goes again if it is not finished.
pub struct Export {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    format: Format,
    record: SessionRecord,
    entries: u64,
    summaries: bool,
}

impl Export {
    /// A new file; what is there is not overwritten.
    ///
    /// # Errors
    /// A sentence.
    pub fn create(path: &str, format: Format, record: SessionRecord, now: Timestamp) -> Result<Self, String> {
        let path = Path::new(path).to_owned();
        let made = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = made.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                format!("{} is there already and is not overwritten: name another file", path.display())
            }
            _ => format!("{} cannot be written: {error}", path.display()),
        })?;
        let head = if format == Format::Markdown { markdown::head(&record, now) } else { String::new() };
        let file = Some(BufWriter::new(file));
        let mut export = Self { path, file, format, record, entries: 0, summaries: false };
        export.write(&head)?;
        Ok(export)
    }

    /// One more entry.
    ///
    /// # Errors
    /// A sentence.
    pub fn push(&mut self, entry: &StoredEntry) -> Result<(), String> {
        self.entries += 1;
        self.summaries |= entry.summary.as_deref().is_some_and(|summary| !summary.trim().is_empty());
        let part = match self.format {
            Format::Markdown => markdown::step(&self.record, entry, true),
            Format::JsonLines => json::entry(entry),
        };
        self.write(&part)
    }

    /// All of it is there.
    ///
    /// # Errors
    /// A sentence.
    pub fn finish(mut self) -> Result<String, String> {
        if self.format == Format::Markdown {
            self.write(markdown::foot(self.summaries))?;
        }
        let mut file = self.file.take();
        if let Err(error) = file.as_mut().map_or(Ok(()), io::Write::flush) {
            self.file = file;
            return Err(format!("{} cannot be written: {error}", self.path.display()));
        }
        let entries = if self.entries == 1 { "entry" } else { "entries" };
        Ok(format!("wrote {} ({} {entries})", self.path.display(), text::number(self.entries)))
    }

    fn write(&mut self, part: &str) -> Result<(), String> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let written = file.write_all(part.as_bytes());
        written.map_err(|error| format!("{} cannot be written: {error}", self.path.display()))
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        // Half of a session passes for all of it: it goes. If it cannot be removed there is nothing else to do.
        if self.file.take().is_some() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A session that the audit API has.
pub(super) async fn remote(audit: &Audit, session: &str, path: &str, format: Format) -> Done {
    match written(audit, session, path, format).await {
        Ok(said) => Done::Good(said),
        Err(why) => Done::Bad(why),
    }
}

async fn written(audit: &Audit, session: &str, path: &str, format: Format) -> Result<String, String> {
    let record = audit.record(session).await?;
    let mut export = Export::create(path, format, record, Timestamp::now())?;
    let mut after = 0;
    loop {
        let page = audit.after(session, after, PAGE).await?;
        let Some(last) = page.last() else { return export.finish() };
        after = last.seq;
        page.iter().try_for_each(|entry| export.push(entry))?;
    }
}

#[cfg(test)]
mod tests {
    use audit_client::story;

    use super::*;

    fn entry(seq: i64) -> StoredEntry {
        let (_, body) = story::bodies().swap_remove(3);
        let mut value = serde_json::to_value(&body).unwrap();
        let record = story::record();
        StoredEntry {
            session: record.new.id,
            seq,
            at: record.new.started_at,
            kind: body.kind().as_str().to_owned(),
            data: value["data"].take(),
            summary: None,
        }
    }

    #[test]
    fn a_whole_session_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let now = story::record().new.started_at;
        let create = |name: &str, format| Export::create(&path(name), format, story::record(), now);

        let mut export = create("a.jsonl", Format::JsonLines).unwrap();
        export.push(&entry(1)).unwrap();
        export.push(&entry(2)).unwrap();
        assert!(export.finish().unwrap().ends_with("a.jsonl (2 entries)"));
        let text = std::fs::read_to_string(path("a.jsonl")).unwrap();
        let second: StoredEntry = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
        assert_eq!((text.lines().count(), second), (2, entry(2)));

        let again = create("a.jsonl", Format::Markdown).err().unwrap();
        assert!(again.contains("is not overwritten"), "{again}");
        assert_eq!(std::fs::read_to_string(path("a.jsonl")).unwrap(), text);

        let mut export = create("a.md", Format::Markdown).unwrap();
        export.push(&entry(1)).unwrap();
        export.finish().unwrap();
        assert!(std::fs::read_to_string(path("a.md")).unwrap().starts_with("# Every check fails"));

        let mut broken = create("b.md", Format::Markdown).unwrap();
        broken.push(&entry(1)).unwrap();
        drop(broken);
        assert!(!Path::new(&path("b.md")).exists());
        assert!(create("no/such/folder.md", Format::Markdown).is_err());
    }
}
