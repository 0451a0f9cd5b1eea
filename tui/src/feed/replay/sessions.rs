//! The sessions of a recording: who opens one gets what was on record at that time, whenever it was opened when the
//! recording was made.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use audit_client::SessionRecord;
use jiff::Timestamp;
use serde_json::Value;
use tokio::task::AbortHandle;

use crate::feed::export::Export;
use crate::feed::record::Recorded;
use crate::feed::{Entry, FeedEvent, Format, Link, Outlet, Place, Request, Source};
use crate::msg::Done;
use crate::screen::session::digest::stored;

/// How often a follower looks for what is due.
const LOOK: Duration = Duration::from_millis(50);

/// What time it is in the recording.
pub(super) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What a recording has of sessions.
#[derive(Default)]
pub(super) struct Shelf {
    sessions: HashMap<String, Kept>,
    /// The sessions of an Incident, by namespace and name.
    attempts: HashMap<(String, String), Vec<Value>>,
    following: Mutex<HashMap<String, AbortHandle>>,
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shelf").field("sessions", &self.sessions.len()).finish_non_exhaustive()
    }
}

/// One of them.
#[derive(Default)]
struct Kept {
    /// By number, each with the time from which it is there.
    entries: BTreeMap<i64, (Timestamp, Entry)>,
    /// The record as it was at these times.
    records: Vec<(Timestamp, Value)>,
}

impl Shelf {
    /// Takes from a recording what is served when somebody asks for it.
    pub(super) fn of(lines: &mut Vec<Recorded>) -> Self {
        let mut shelf = Self::default();
        lines.retain(|line| !shelf.takes(line));
        shelf
    }

    fn takes(&mut self, line: &Recorded) -> bool {
        match &line.event {
            FeedEvent::Entries { session, entries, .. } => {
                let kept = self.sessions.entry(session.clone()).or_default();
                for entry in entries {
                    // A page has what was written long before; two clocks need not agree.
                    let due = entry.at.min(line.at);
                    kept.entries.entry(entry.seq).or_insert_with(|| (due, entry.clone()));
                }
            }
            FeedEvent::Session { session, record } => {
                self.sessions.entry(session.clone()).or_default().records.push((line.at, record.clone()));
            }
            FeedEvent::Sessions { namespace, name, records } => {
                self.attempts.insert((namespace.clone(), name.clone()), records.clone());
            }
            FeedEvent::Link { source: Source::Session(_), .. } => {}
            _ => return false,
        }
        true
    }

    /// Fulfils a wish, if it is about sessions; whether it is.
    pub(super) fn ask(self: &Arc<Self>, request: &Request, clock: &Clock, outlet: &Outlet) -> bool {
        let now = clock();
        let news = match request {
            Request::Session { session } => self.record(session, now).map_or_else(
                || vec![missing(session)],
                |record| vec![FeedEvent::Session { session: session.clone(), record }],
            ),
            Request::Sessions { namespace, name } => {
                let records = self.attempts.get(&(namespace.clone(), name.clone())).cloned();
                let (namespace, name) = (namespace.clone(), name.clone());
                records.map(|records| FeedEvent::Sessions { namespace, name, records }).into_iter().collect()
            }
            Request::Page { session, place, limit } => match self.sessions.get(session) {
                Some(kept) => {
                    let (session, entries) = (session.clone(), kept.page(*place, *limit, now));
                    vec![FeedEvent::Entries { session, entries, answers: Some(*place) }]
                }
                None => vec![missing(session)],
            },
            Request::Follow { session, after } => {
                let task = follow(self.clone(), session.clone(), *after, clock.clone(), outlet.clone());
                self.follows(session, Some(tokio::spawn(task).abort_handle()));
                Vec::new()
            }
            Request::Unfollow { session } => {
                self.follows(session, None);
                Vec::new()
            }
            Request::Export { session, path, format } => {
                let done = match self.export(session, path, *format, now) {
                    Ok(said) => Done::Good(said),
                    Err(why) => Done::Bad(why),
                };
                let outlet = outlet.clone();
                tokio::spawn(async move { outlet.done(done).await });
                return true;
            }
            _ => return false,
        };
        let outlet = outlet.clone();
        tokio::spawn(async move { outlet.send(news).await });
        true
    }

    fn follows(&self, session: &str, task: Option<AbortHandle>) {
        let mut following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match task {
            Some(task) => following.insert(session.to_owned(), task),
            None => following.remove(session),
        };
        if let Some(before) = before {
            before.abort();
        }
    }

    /// The record as it was then. One that was read only later is better than none.
    fn record(&self, session: &str, now: Timestamp) -> Option<Value> {
        let records = &self.sessions.get(session)?.records;
        let then = records.iter().rev().find(|(at, _)| *at <= now).or_else(|| records.first());
        then.map(|(_, record)| record.clone())
    }

    fn export(&self, session: &str, path: &str, format: Format, now: Timestamp) -> Result<String, String> {
        let record = self.record(session, now).and_then(|record| serde_json::from_value::<SessionRecord>(record).ok());
        let record = record.ok_or("the recording does not have this session's record")?;
        let mut export = Export::create(path, format, record, now)?;
        for entry in self.sessions.get(session).map(|kept| kept.due(0, now)).unwrap_or_default() {
            export.push(&stored(session, &entry))?;
        }
        export.finish()
    }
}

impl Kept {
    /// What is there of the entries after a number.
    fn due(&self, after: i64, now: Timestamp) -> Vec<Entry> {
        let behind = self.entries.range(after.saturating_add(1)..);
        behind.map_while(|(_, (at, entry))| (*at <= now).then(|| entry.clone())).collect()
    }

    fn page(&self, place: Place, limit: usize, now: Timestamp) -> Vec<Entry> {
        match place {
            Place::After(after) => self.due(after, now).into_iter().take(limit).collect(),
            Place::Before(before) => {
                let there = self.entries.range(..before).rev().filter(|(_, (at, _))| *at <= now);
                let mut page: Vec<Entry> = there.take(limit).map(|(_, (_, entry))| entry.clone()).collect();
                page.reverse();
                page
            }
        }
    }
}

fn missing(session: &str) -> FeedEvent {
    let reason = "the recording does not have this session: nobody had it open while it was made".to_owned();
    FeedEvent::Link { source: Source::Session(session.to_owned()), link: Link::Missing { reason } }
}

/// Tells what is due as the recording goes on.
async fn follow(shelf: Arc<Shelf>, session: String, mut after: i64, clock: Clock, outlet: Outlet) {
    let source = Source::Session(session.clone());
    let link = |link: Link| FeedEvent::Link { source: source.clone(), link };
    let Some(kept) = shelf.sessions.get(&session) else { return };
    if outlet.one(link(Link::Live)).await.is_err() {
        return;
    }
    while kept.entries.range(after.saturating_add(1)..).next().is_some() {
        let entries = kept.due(after, clock());
        if let Some(last) = entries.last() {
            after = last.seq;
            let news = FeedEvent::Entries { session: session.clone(), entries, answers: None };
            if outlet.one(news).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
    // The loop may be gone; then there is nobody to tell.
    let _ = outlet.one(link(Link::Ended)).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::msg::Msg;
    use crate::testing::session::{self, SESSION, began, page, record};

    fn recording() -> Vec<Recorded> {
        let at = |seconds: i64| began() + jiff::SignedDuration::from_secs(seconds);
        let mut entries = session::ended();
        let rest = entries.split_off(12);
        let followed = FeedEvent::Entries { session: SESSION.into(), entries: rest, answers: None };
        vec![
            Recorded {
                at: at(50),
                event: FeedEvent::Session { session: SESSION.into(), record: record(1, SESSION, false) },
            },
            Recorded { at: at(50), event: page(Place::Before(i64::MAX), entries) },
            Recorded { at: at(95), event: followed },
            Recorded {
                at: at(96),
                event: FeedEvent::Session { session: SESSION.into(), record: record(1, SESSION, true) },
            },
        ]
    }

    #[tokio::test]
    async fn whoever_opens_a_session_gets_what_was_there() {
        let mut lines = recording();
        let shelf = Arc::new(Shelf::of(&mut lines));
        assert!(lines.is_empty());
        let time = Arc::new(Mutex::new(began() + jiff::SignedDuration::from_secs(20)));
        let at = time.clone();
        let clock: Clock = Arc::new(move || *at.lock().unwrap());
        let (outlet, mut messages) = Outlet::new();
        let ask = |request: Request| assert!(shelf.ask(&request, &clock, &outlet));
        let session = || SESSION.to_owned();

        ask(Request::Page { session: session(), place: Place::Before(i64::MAX), limit: 4 });
        let Some(Msg::Feed(news)) = messages.recv().await else { panic!() };
        let [FeedEvent::Entries { entries, .. }] = news.as_slice() else { panic!("{news:?}") };
        assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [6, 7, 8, 9]);

        ask(Request::Follow { session: session(), after: 9 });
        assert!(
            matches!(messages.recv().await, Some(Msg::Feed(news)) if matches!(news[0], FeedEvent::Link { link: Link::Live, .. }))
        );
        *time.lock().unwrap() += jiff::SignedDuration::from_secs(200);
        let Some(Msg::Feed(news)) = messages.recv().await else { panic!() };
        let [FeedEvent::Entries { entries, answers: None, .. }] = news.as_slice() else { panic!("{news:?}") };
        assert_eq!((entries[0].seq, entries.len()), (10, 10));
        assert!(
            matches!(messages.recv().await, Some(Msg::Feed(news)) if matches!(news[0], FeedEvent::Link { link: Link::Ended, .. }))
        );

        ask(Request::Session { session: session() });
        let Some(Msg::Feed(news)) = messages.recv().await else { panic!() };
        assert!(matches!(&news[0], FeedEvent::Session { record, .. } if record["phase"] == "Resolved"));
        ask(Request::Page { session: "other".into(), place: Place::After(0), limit: 4 });
        let Some(Msg::Feed(news)) = messages.recv().await else { panic!() };
        assert!(matches!(&news[0], FeedEvent::Link { link: Link::Missing { .. }, .. }));

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.jsonl").display().to_string();
        ask(Request::Export { session: session(), path: path.clone(), format: Format::JsonLines });
        assert!(matches!(messages.recv().await, Some(Msg::Done(Done::Good(said))) if said.contains("19 entries")));
        ask(Request::Export { session: session(), path, format: Format::JsonLines });
        assert!(
            matches!(messages.recv().await, Some(Msg::Done(Done::Bad(said))) if said.contains("is not overwritten"))
        );
    }
}
