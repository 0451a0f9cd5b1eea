//! A recording, played at the speed at which it was made.

mod sessions;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::record::Recorded;
use super::{Closed, Feed, FeedEvent, Kind, Link, Outlet, Request, Source};
use crate::msg::{Done, Msg};
use sessions::{Clock, Shelf};

/// Why a recording cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is not one of a recording.
    #[error("{}:{line}: this is not a line of a recording: {source}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line's number.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// Nothing is in it.
    #[error("{} is empty: record one with --record", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// A recording that is played. Only its first line is read before there is a screen; a large one takes its time.
#[derive(Debug)]
pub struct ReplayFeed {
    began: Timestamp,
    speed: f64,
    /// When it was read and the first of it was told.
    started: Arc<OnceLock<Instant>>,
    wishes: mpsc::UnboundedSender<Request>,
    beginning: Mutex<Option<(Unread, mpsc::UnboundedReceiver<Request>)>>,
}

/// A recording whose first line is known.
#[derive(Debug)]
struct Unread {
    path: PathBuf,
    first: Recorded,
    /// What follows, with the numbers of its lines.
    rest: std::iter::Enumerate<Lines<BufReader<File>>>,
}

impl Unread {
    fn open(path: &Path) -> Result<Self, ReplayError> {
        let file = File::open(path).map_err(|source| ReplayError::Read { path: path.to_owned(), source })?;
        let mut rest = BufReader::new(file).lines().enumerate();
        let first = next(&mut rest, path)?.ok_or_else(|| ReplayError::Empty { path: path.to_owned() })?;
        Ok(Self { path: path.to_owned(), first, rest })
    }

    /// All of it, what is told and what is served.
    fn read(mut self) -> Result<(Vec<Recorded>, Shelf), ReplayError> {
        let mut lines = vec![self.first];
        while let Some(line) = next(&mut self.rest, &self.path)? {
            lines.push(line);
        }
        let served = Shelf::of(&mut lines);
        Ok((lines, served))
    }
}

fn next(
    lines: &mut impl Iterator<Item = (usize, std::io::Result<String>)>,
    path: &Path,
) -> Result<Option<Recorded>, ReplayError> {
    for (index, line) in lines {
        let line = line.map_err(|source| ReplayError::Read { path: path.to_owned(), source })?;
        if !line.trim().is_empty() {
            let recorded = serde_json::from_str(&line);
            let wrong = |source| ReplayError::Line { path: path.to_owned(), line: index + 1, source };
            return recorded.map(Some).map_err(wrong);
        }
    }
    Ok(None)
}

impl ReplayFeed {
    /// Opens a recording. `speed` 2 plays it twice as fast; 0 all at once. A line behind the first that is none of a
    /// recording ends the loop with [`Msg::Failed`].
    ///
    /// # Errors
    /// [`ReplayError`], about its first line.
    pub fn open(path: &Path, speed: f64) -> Result<Self, ReplayError> {
        let unread = Unread::open(path)?;
        let began = unread.first.at;
        let (wishes, asked) = mpsc::unbounded_channel();
        let beginning = Mutex::new(Some((unread, asked)));
        Ok(Self { began, speed, started: Arc::default(), wishes, beginning })
    }

    /// What time it is, for tasks. At no speed all has happened already.
    fn clock(&self) -> Clock {
        let (began, speed, started) = (self.began, self.speed, self.started.clone());
        Arc::new(move || {
            if speed <= 0.0 {
                return Timestamp::MAX;
            }
            played(began, speed, &started)
        })
    }
}

fn played(began: Timestamp, speed: f64, started: &OnceLock<Instant>) -> Timestamp {
    let played = started.get().map(Instant::elapsed).unwrap_or_default();
    began.saturating_add(played.mul_f64(speed)).unwrap_or(began)
}

impl Feed for ReplayFeed {
    fn start(&self, outlet: Outlet) {
        let beginning = self.beginning.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((unread, wishes)) = beginning else { return };
        let (began, speed, started, clock) = (self.began, self.speed, self.started.clone(), self.clock());
        tokio::spawn(async move {
            let read = tokio::task::spawn_blocking(|| unread.read().map_err(|error| error.to_string())).await;
            let (lines, served) = match read.unwrap_or_else(|error| Err(error.to_string())) {
                Ok(read) => read,
                Err(why) => return outlet.message(Msg::Failed(why)).await,
            };
            let start = *started.get_or_init(Instant::now);
            tokio::spawn(answer(wishes, Arc::new(served), clock, outlet.clone()));
            tell(lines, began, start, speed, &outlet).await
        });
    }

    fn ask(&self, request: Request) {
        // Who would answer ends with the loop that asks, or because the recording cannot be read, which is said.
        let _ = self.wishes.send(request);
    }

    fn now(&self) -> Timestamp {
        played(self.began, if self.speed > 0.0 { self.speed } else { 1.0 }, &self.started)
    }
}

/// Tells each line when its time has come.
async fn tell(
    lines: Vec<Recorded>,
    began: Timestamp,
    start: Instant,
    speed: f64,
    outlet: &Outlet,
) -> Result<(), Closed> {
    let mut batch: Vec<FeedEvent> = Vec::new();
    for line in lines {
        if speed > 0.0 {
            let after = Duration::try_from(line.at.duration_since(began)).unwrap_or_default();
            let due = start + after.div_f64(speed);
            if due > Instant::now() {
                outlet.send(std::mem::take(&mut batch)).await?;
                tokio::time::sleep_until(due).await;
            }
        }
        batch.push(line.event);
        if batch.len() >= 512 {
            outlet.send(std::mem::take(&mut batch)).await?;
        }
    }
    batch.extend(Kind::ALL.map(|kind| FeedEvent::Link { source: Source::Kind(kind), link: Link::Ended }));
    outlet.send(batch).await
}

/// Answers wishes in their order, those too that came while the recording was read.
async fn answer(
    mut wishes: mpsc::UnboundedReceiver<Request>,
    shelf: Arc<Shelf>,
    clock: Clock,
    outlet: Outlet,
) -> Result<(), Closed> {
    while let Some(request) = wishes.recv().await {
        if !shelf.ask(&request, &clock, &outlet)
            && let Request::Act(_) = request
        {
            outlet.done(Done::Bad("this is a recording: nothing can be changed".to_owned())).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::feed::record::Recorder;
    use crate::testing::{incident, now};

    #[tokio::test]
    async fn what_was_recorded_is_played() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.jsonl");
        let events = vec![
            FeedEvent::Listing { of: Kind::Incidents },
            FeedEvent::Applied { object: incident("inc-1", "tikv", &json!({"status": {"phase": "Running"}})) },
            FeedEvent::Link { source: Source::Kind(Kind::Subjects), link: Link::Lost { reason: "gone".to_owned() } },
        ];
        let mut recorder = Recorder::create(&path).unwrap();
        recorder.write(now(), &events).unwrap();
        assert!(Recorder::create(&path).is_err(), "what is there is not overwritten");
        let feed = ReplayFeed::open(&path, 0.0).unwrap();
        let (outlet, mut messages) = Outlet::new();
        feed.start(outlet);
        let Some(Msg::Feed(played)) = messages.recv().await else { panic!("nothing") };
        assert_eq!(played[..3], events);
        assert_eq!(played.len(), 6, "and it says that it is over");
        assert!(feed.now() >= now() && feed.now() < now() + jiff::SignedDuration::from_mins(1));
        feed.ask(Request::Act(crate::act::Act::Cancel { namespace: "a".into(), name: "b".into(), attempt: 1 }));
        assert!(matches!(messages.recv().await, Some(Msg::Done(Done::Bad(_)))));
    }

    #[tokio::test]
    async fn what_is_no_recording_is_said_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.jsonl");
        std::fs::write(
            &path,
            "{\"at\":\"2026-01-28T12:00:00Z\",\"event\":\"listed\",\"of\":\"incidents\"}\n\nnonsense\n",
        )
        .unwrap();
        let feed = ReplayFeed::open(&path, 1.0).unwrap();
        let (outlet, mut messages) = Outlet::new();
        feed.start(outlet);
        let Some(Msg::Failed(error)) = messages.recv().await else { panic!("nothing") };
        assert!(error.contains("r.jsonl:3: this is not a line of a recording"), "{error}");
        std::fs::write(&path, "\nnonsense\n").unwrap();
        let error = ReplayFeed::open(&path, 1.0).unwrap_err().to_string();
        assert!(error.contains("r.jsonl:2: this is not a line of a recording"), "{error}");
        std::fs::write(&path, "").unwrap();
        assert!(ReplayFeed::open(&path, 1.0).unwrap_err().to_string().contains("empty"));
    }
}
