//! A recording, played at the speed at which it was made.

mod sessions;

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::record::Recorded;
use super::{Feed, FeedEvent, Kind, Link, Outlet, Request, Source};
use crate::msg::Done;
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

/// A recording that is played.
#[derive(Debug)]
pub struct ReplayFeed {
    lines: Mutex<Vec<Recorded>>,
    sessions: Arc<Shelf>,
    began: Timestamp,
    started: Arc<Mutex<Option<Instant>>>,
    speed: f64,
    outlet: Mutex<Option<Outlet>>,
}

impl ReplayFeed {
    /// Reads a recording. `speed` 2 plays it twice as fast; 0 all at once.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub fn open(path: &Path, speed: f64) -> Result<Self, ReplayError> {
        let read = |source| ReplayError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(read)?;
        let mut lines = Vec::new();
        for (index, line) in BufReader::new(file).lines().enumerate() {
            let line = line.map_err(read)?;
            if line.trim().is_empty() {
                continue;
            }
            let recorded = serde_json::from_str(&line);
            lines.push(recorded.map_err(|source| ReplayError::Line {
                path: path.to_owned(),
                line: index + 1,
                source,
            })?);
        }
        let began = lines.first().map(|line: &Recorded| line.at);
        let began = began.ok_or_else(|| ReplayError::Empty { path: path.to_owned() })?;
        let sessions = Arc::new(Shelf::of(&mut lines));
        Ok(Self { lines: Mutex::new(lines), sessions, began, started: Arc::default(), speed, outlet: Mutex::default() })
    }
}

impl ReplayFeed {
    /// What time it is, for tasks. At no speed all has happened already.
    fn clock(&self) -> Clock {
        let (began, speed, started) = (self.began, self.speed, self.started.clone());
        Arc::new(move || {
            if speed <= 0.0 {
                return Timestamp::MAX;
            }
            let played = locked(&started).map(|started| started.elapsed()).unwrap_or_default();
            began.saturating_add(played.mul_f64(speed)).unwrap_or(began)
        })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Feed for ReplayFeed {
    fn start(&self, outlet: Outlet) {
        let lines = std::mem::take(&mut *locked(&self.lines));
        *locked(&self.outlet) = Some(outlet.clone());
        let started = Instant::now();
        *locked(&self.started) = Some(started);
        let (began, speed) = (self.began, self.speed);
        tokio::spawn(async move {
            let mut batch: Vec<FeedEvent> = Vec::new();
            for line in lines {
                if speed > 0.0 {
                    let after = Duration::try_from(line.at.duration_since(began)).unwrap_or_default();
                    let due = started + after.div_f64(speed);
                    if due > Instant::now() {
                        if outlet.send(std::mem::take(&mut batch)).await.is_err() {
                            return;
                        }
                        tokio::time::sleep_until(due).await;
                    }
                }
                batch.push(line.event);
                if batch.len() >= 512 && outlet.send(std::mem::take(&mut batch)).await.is_err() {
                    return;
                }
            }
            batch.extend(Kind::ALL.map(|kind| FeedEvent::Link { source: Source::Kind(kind), link: Link::Ended }));
            // The loop may be gone; then there is nobody to tell.
            let _ = outlet.send(batch).await;
        });
    }

    fn ask(&self, request: Request) {
        let Some(outlet) = locked(&self.outlet).clone() else { return };
        if self.sessions.ask(&request, &self.clock(), &outlet) {
            return;
        }
        if let Request::Act(_) = request {
            tokio::spawn(async move {
                outlet.done(Done::Bad("this is a recording: nothing can be changed".to_owned())).await
            });
        }
    }

    fn now(&self) -> Timestamp {
        let played = locked(&self.started).map(|started| started.elapsed()).unwrap_or_default();
        let speed = if self.speed > 0.0 { self.speed } else { 1.0 };
        self.began.saturating_add(played.mul_f64(speed)).unwrap_or(self.began)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::feed::record::Recorder;
    use crate::msg::Msg;
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

    #[test]
    fn what_is_no_recording_is_said_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.jsonl");
        std::fs::write(
            &path,
            "{\"at\":\"2026-01-28T12:00:00Z\",\"event\":\"listed\",\"of\":\"incidents\"}\n\nnonsense\n",
        )
        .unwrap();
        let error = ReplayFeed::open(&path, 1.0).unwrap_err().to_string();
        assert!(error.contains("r.jsonl:3: this is not a line of a recording"), "{error}");
        std::fs::write(&path, "").unwrap();
        assert!(ReplayFeed::open(&path, 1.0).unwrap_err().to_string().contains("empty"));
    }
}
