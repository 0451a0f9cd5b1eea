//! The sessions that this controller runs, keyed by (Incident UID, attempt).
//!
//! Reconcile asks for a place ([`Engine::reserve`]), starts a task in it, looks at it
//! ([`Engine::view`]) and cancels it. Progress comes back as a stream of Incidents to reconcile.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crds::Incident;
use crds::incident::{Evidence, IncidentSpec};
use kube::runtime::reflector::ObjectRef;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{SessionId, SessionView};
use crate::audit::SessionRecord;
use crate::audit::entry::NoteEntry;

/// Names a session before it has a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey {
    /// The Incident's UID.
    pub uid: String,
    /// The attempt, from 1.
    pub attempt: i64,
}

impl SessionKey {
    /// The key of a session's row.
    #[must_use]
    pub fn of(record: &SessionRecord) -> Self {
        Self { uid: record.new.incident_uid.clone(), attempt: record.new.attempt }
    }
}

/// A place that a session takes, from its reservation until it is forgotten.
struct Place {
    subject: String,
    incident: ObjectRef<Incident>,
    view: watch::Receiver<SessionView>,
    notes: watch::Sender<Vec<NoteEntry>>,
    evidence: watch::Sender<Vec<Evidence>>,
    cancel: CancellationToken,
}

/// All sessions of this controller.
pub struct Engine {
    limit: usize,
    places: Mutex<HashMap<SessionKey, Place>>,
    /// Incidents that could not start for a reason of their own: they hold up nobody until then.
    blocked: Mutex<HashMap<SessionKey, Instant>>,
    /// Sessions of an earlier controller that the audit store says run, until they are taken up. They are there:
    /// their Subject is busy, and their containers are not to be swept away.
    expected: Mutex<HashMap<SessionKey, SessionRecord>>,
    changed: mpsc::UnboundedSender<ObjectRef<Incident>>,
    /// Dropped tasks leave their rows and containers for the next controller.
    abandon: CancellationToken,
    tasks: TaskTracker,
}

/// What a session needs to get a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It is new: the limits hold.
    New {
        /// How many sessions may work on its Subject.
        most: usize,
    },
    /// It is taken over from an earlier controller, and never refused for a limit: it is there already.
    Standing,
}

/// What a task gets to show itself and to be stopped.
pub struct Seat {
    /// Where it shows itself.
    pub view: watch::Sender<SessionView>,
    /// All that people have said to the agent so far, in order; it only grows.
    pub notes: watch::Receiver<Vec<NoteEntry>>,
    /// All that was seen of the Incident so far, in order; it only grows.
    pub evidence: watch::Receiver<Vec<Evidence>>,
    /// Cancelled when a person cancels, or the Incident is deleted.
    pub cancel: CancellationToken,
}

impl Engine {
    /// An engine for at most `limit` sessions, and the stream of Incidents whose session changed.
    #[must_use]
    pub fn new(limit: usize) -> (Arc<Self>, mpsc::UnboundedReceiver<ObjectRef<Incident>>) {
        let (changed, receiver) = mpsc::unbounded_channel();
        let engine = Self {
            limit,
            places: Mutex::default(),
            blocked: Mutex::default(),
            expected: Mutex::default(),
            changed,
            abandon: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        (Arc::new(engine), receiver)
    }

    /// How many sessions may run at once.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    fn places(&self) -> MutexGuard<'_, HashMap<SessionKey, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn blocked(&self) -> MutexGuard<'_, HashMap<SessionKey, Instant>> {
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expecting(&self) -> MutexGuard<'_, HashMap<SessionKey, SessionRecord>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of the sessions that the audit store says run: those that have no place here are expected to be
    /// taken up. Those that were expected and do not run any more are not.
    pub fn expect(&self, running: &[SessionRecord]) {
        let places = self.places();
        let without = running.iter().filter(|record| !places.contains_key(&SessionKey::of(record)));
        *self.expecting() = without.map(|record| (SessionKey::of(record), record.clone())).collect();
    }

    /// Whether the session of this key is expected to be taken up.
    #[must_use]
    pub fn is_expected(&self, key: &SessionKey) -> bool {
        self.expecting().contains_key(key)
    }

    /// The sessions that are expected to be taken up.
    #[must_use]
    pub fn expected(&self) -> Vec<SessionRecord> {
        self.expecting().values().cloned().collect()
    }

    /// `namespace/name` of a session's Subject.
    #[must_use]
    pub fn subject_of(record: &SessionRecord) -> String {
        format!("{}/{}", record.new.incident_namespace, record.new.subject)
    }

    /// A session's Incident.
    #[must_use]
    pub fn incident_of(record: &SessionRecord) -> ObjectRef<Incident> {
        ObjectRef::new(&record.new.incident_name).within(&record.new.incident_namespace)
    }

    /// The session as it stands, if this controller has it.
    #[must_use]
    pub fn view(&self, key: &SessionKey) -> Option<SessionView> {
        self.places().get(key).map(|place| place.view.borrow().clone())
    }

    /// Subjects that have sessions which have not ended, and how many each.
    #[must_use]
    pub fn busy(&self) -> HashMap<String, usize> {
        let mut busy = HashMap::new();
        for place in self.places().values().filter(|place| place.view.borrow().end.is_none()) {
            *busy.entry(place.subject.clone()).or_default() += 1;
        }
        for record in self.expecting().values() {
            *busy.entry(Self::subject_of(record)).or_default() += 1;
        }
        busy
    }

    /// Sessions by name whose task has not ended, or that are expected to be taken up.
    #[must_use]
    pub fn active(&self) -> HashSet<SessionId> {
        let places = self.places();
        let active = places
            .values()
            .filter(|place| place.view.borrow().end.is_none())
            .filter_map(|place| place.view.borrow().id.clone());
        let mut active: HashSet<_> = active.collect();
        active.extend(self.expecting().values().map(|record| record.new.id.clone()));
        active
    }

    /// Whether a reservation is being made or a session runs whose row has no name yet.
    #[must_use]
    pub fn has_unnamed(&self) -> bool {
        self.places().values().any(|place| place.view.borrow().id.is_none())
    }

    /// Takes a place, unless the limit is reached, the Subject has as many sessions as it may have, or this key has
    /// a place.
    pub fn reserve(&self, key: &SessionKey, subject: &str, incident: ObjectRef<Incident>, room: Room) -> Option<Seat> {
        let mut places = self.places();
        if places.contains_key(key) {
            return None;
        }
        let mut expected = self.expecting();
        if let Room::New { most } = room {
            let running = places.values().filter(|place| place.view.borrow().end.is_none());
            let subjects = running.map(|place| place.subject.clone()).chain(expected.values().map(Self::subject_of));
            let (mut count, mut of_subject) = (0, 0);
            for busy in subjects {
                count += 1;
                of_subject += usize::from(busy == subject);
            }
            if of_subject >= most || count >= self.limit {
                return None;
            }
        }
        let (sender, view) = watch::channel(SessionView::default());
        let (notes, heard) = watch::channel(Vec::new());
        let (evidence, joined) = watch::channel(Vec::new());
        let cancel = CancellationToken::new();
        let place = Place { subject: subject.to_owned(), incident, view, notes, evidence, cancel: cancel.clone() };
        places.insert(key.clone(), place);
        expected.remove(key);
        Some(Seat { view: sender, notes: heard, evidence: joined, cancel })
    }

    /// Gives a reserved place back, because the session cannot start just now; until `retry` has
    /// passed it holds up nobody in the queue.
    pub fn release(&self, key: &SessionKey, retry: Duration) {
        self.places().remove(key);
        self.blocked().insert(key.clone(), Instant::now() + retry);
    }

    /// Whether this key was given back and its time has not come.
    #[must_use]
    pub fn is_blocked(&self, key: &SessionKey) -> bool {
        let mut blocked = self.blocked();
        match blocked.get(key) {
            Some(until) if *until > Instant::now() => true,
            Some(_) => {
                blocked.remove(key);
                false
            }
            None => false,
        }
    }

    /// Runs a session's task in its place, and passes on that its view changed. When the controller
    /// shuts down the task is dropped where it stands, and the next controller finds its row.
    pub fn spawn(self: &Arc<Self>, key: &SessionKey, task: impl Future<Output = ()> + Send + 'static) {
        let watched = self.places().get(key).map(|place| (place.incident.clone(), place.view.clone()));
        let Some((incident, mut view)) = watched else { return };
        let abandon = self.abandon.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = task => {}
                () = abandon.cancelled() => {}
            }
        });
        let changed = self.changed.clone();
        let abandon = self.abandon.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    seen = view.changed() => {
                        // The receiver being gone means that the controller is shutting down.
                        if changed.send(incident.clone()).is_err() || seen.is_err() {
                            return;
                        }
                    }
                    () = abandon.cancelled() => return,
                }
            }
        });
    }

    /// Passes on what people have said to the agent, and what was seen of the Incident.
    pub fn tell(&self, key: &SessionKey, spec: &IncidentSpec) {
        if let Some(place) = self.places().get(key) {
            // A cache that lags behind must not take back what was said.
            place.notes.send_if_modified(|heard| {
                let more = spec.notes.len() > heard.len();
                if more {
                    *heard = NoteEntry::all(&spec.notes);
                }
                more
            });
            place.evidence.send_if_modified(|known| {
                let more = spec.evidence.len() > known.len();
                if more {
                    known.clone_from(&spec.evidence);
                }
                more
            });
        }
    }

    /// Cancels a session; its end shows in its view.
    pub fn cancel(&self, key: &SessionKey) {
        if let Some(place) = self.places().get(key) {
            place.cancel.cancel();
        }
    }

    /// Cancels all sessions of an Incident but that of attempt `keep`. Says whether one still runs.
    pub fn cancel_others(&self, uid: &str, keep: Option<i64>) -> bool {
        let places = self.places();
        let mut running = false;
        for (key, place) in places.iter().filter(|(key, _)| key.uid == uid && Some(key.attempt) != keep) {
            tracing::debug!(attempt = key.attempt, "cancelling");
            place.cancel.cancel();
            running |= place.view.borrow().end.is_none();
        }
        running
    }

    /// Forgets a session that has ended, once its end stands in the Incident's status.
    pub fn forget(&self, key: &SessionKey) {
        self.places().remove(key);
    }

    /// Forgets all sessions of an Incident that is gone.
    pub fn forget_incident(&self, uid: &str) {
        self.places().retain(|key, _| key.uid != uid);
        self.blocked().retain(|key, _| key.uid != uid);
    }

    /// Asks for a reconcile of these Incidents.
    pub fn wake(&self, incidents: impl IntoIterator<Item = ObjectRef<Incident>>) {
        for incident in incidents {
            // A closed channel means that the controller is shutting down.
            let _ = self.changed.send(incident);
        }
    }

    /// Drops all tasks where they stand, and waits until they are gone.
    pub async fn abandon(&self) {
        self.abandon.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(uid: &str) -> SessionKey {
        SessionKey { uid: uid.into(), attempt: 1 }
    }

    fn incident() -> ObjectRef<Incident> {
        ObjectRef::new("one").within("test")
    }

    #[test]
    fn one_place_a_subject_and_a_limit() {
        const ONE: Room = Room::New { most: 1 };
        let (engine, _changed) = Engine::new(2);
        assert!(engine.reserve(&key("1"), "ns/a", incident(), ONE).is_some());
        assert!(engine.reserve(&key("1"), "ns/x", incident(), ONE).is_none(), "the same key");
        assert!(engine.reserve(&key("2"), "ns/a", incident(), ONE).is_none(), "the same subject");
        assert!(engine.reserve(&key("2"), "ns/a", incident(), Room::New { most: 2 }).is_some(), "its policy allows it");
        engine.forget(&key("2"));
        assert!(engine.reserve(&key("3"), "ns/b", incident(), ONE).is_some());
        assert!(engine.reserve(&key("4"), "ns/c", incident(), ONE).is_none(), "the limit");
        assert!(engine.reserve(&key("5"), "ns/d", incident(), Room::Standing).is_some(), "one that was there already");
        engine.release(&key("3"), Duration::from_mins(1));
        engine.forget(&key("5"));
        assert!(engine.is_blocked(&key("3")));
        assert!(engine.reserve(&key("4"), "ns/c", incident(), ONE).is_some());
    }
}
