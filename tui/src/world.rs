//! What is known of the cluster: indexed by UID, with a note of what changed.

mod activity;
mod table;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crds::{DemoChapter, Incident, Subject};
use jiff::Timestamp;
use serde_json::Value;

use crate::feed::{FeedEvent, Kind, Link, Object, Source, SubjectKey};

pub use activity::{Activity, WINDOW};
pub use table::{Changes, Named, Table, Uid};

/// How many observations of a Subject are kept.
const OBSERVATIONS: usize = 240;

/// How a connection stands, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// How.
    pub link: Link,
    /// Since when it is so.
    pub since: Timestamp,
}

/// What is known of a Subject over the observations API.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The last documents, the oldest first.
    pub ring: VecDeque<Arc<Value>>,
}

impl Observed {
    /// The newest document.
    #[must_use]
    pub fn latest(&self) -> Option<&Arc<Value>> {
        self.ring.back()
    }
}

/// All that is known.
#[derive(Debug, Default)]
pub struct World {
    /// Incidents.
    pub incidents: Table<Incident>,
    /// Subjects.
    pub subjects: Table<Subject>,
    /// Chapters of demos.
    pub chapters: Table<DemoChapter>,
    /// Records of sessions that were asked for, by id.
    pub sessions: HashMap<String, Arc<Value>>,
    /// Observations of Subjects that are followed.
    pub observations: HashMap<SubjectKey, Observed>,
    connections: HashMap<Source, Connection>,
    /// How much changed just now among the Incidents.
    pub activity: Activity,
    /// The last time that something came of a watch.
    pub synced: Option<Timestamp>,
}

impl World {
    /// How a source stands. One that nobody asked for connects.
    #[must_use]
    pub fn connection(&self, source: &Source) -> Option<&Connection> {
        self.connections.get(source)
    }

    /// How the watch of a kind stands.
    #[must_use]
    pub fn link(&self, kind: Kind) -> &Link {
        static CONNECTING: Link = Link::Connecting;
        self.connections.get(&Source::Kind(kind)).map_or(&CONNECTING, |connection| &connection.link)
    }

    /// Since when the watch of a kind stands so.
    #[must_use]
    pub fn since(&self, kind: Kind) -> Option<Timestamp> {
        self.connections.get(&Source::Kind(kind)).map(|connection| connection.since)
    }

    /// Whether the first list of a kind is there.
    #[must_use]
    pub fn is_listed(&self, kind: Kind) -> bool {
        match kind {
            Kind::Incidents => self.incidents.is_listed(),
            Kind::Subjects => self.subjects.is_listed(),
            Kind::Chapters => self.chapters.is_listed(),
        }
    }

    /// A Subject by its name.
    #[must_use]
    pub fn subject(&self, key: &SubjectKey) -> Option<&Arc<Subject>> {
        self.subjects.named(&key.namespace, &key.name)
    }

    /// Takes news in.
    pub fn apply(&mut self, event: &FeedEvent, now: Timestamp) {
        match event {
            FeedEvent::Listing { of } => match of {
                Kind::Incidents => self.incidents.listing(),
                Kind::Subjects => self.subjects.listing(),
                Kind::Chapters => self.chapters.listing(),
            },
            FeedEvent::Applied { object } => {
                self.synced = Some(now);
                match object {
                    Object::Incident(object) => {
                        let news = self.incidents.is_watched();
                        let new = self.incidents.applied(object.clone());
                        if news {
                            self.activity.note(now, if new { [1, 0, 0] } else { [0, 0, 1] });
                        }
                    }
                    Object::Subject(object) => {
                        self.subjects.applied(object.clone());
                    }
                    Object::Chapter(object) => {
                        self.chapters.applied(object.clone());
                    }
                }
            }
            FeedEvent::Deleted { of, uid } => {
                self.synced = Some(now);
                let there = match of {
                    Kind::Incidents => self.incidents.deleted(uid),
                    Kind::Subjects => self.subjects.deleted(uid),
                    Kind::Chapters => self.chapters.deleted(uid),
                };
                if there && *of == Kind::Incidents {
                    self.activity.note(now, [0, 1, 0]);
                }
            }
            FeedEvent::Listed { of } => {
                self.synced = Some(now);
                match of {
                    Kind::Incidents => self.incidents.listed(),
                    Kind::Subjects => self.subjects.listed(),
                    Kind::Chapters => self.chapters.listed(),
                }
            }
            FeedEvent::Link { source, link } => self.linked(source, link, now),
            FeedEvent::Session { session, record } => {
                self.sessions.insert(session.clone(), Arc::new(record.clone()));
            }
            FeedEvent::Observations { subject, document } => {
                let observed = self.observations.entry(subject.clone()).or_default();
                if observed.ring.len() >= OBSERVATIONS {
                    observed.ring.pop_front();
                }
                observed.ring.push_back(Arc::new(document.clone()));
            }
            FeedEvent::Entries { .. } | FeedEvent::Sessions { .. } | FeedEvent::Right { .. } => {}
        }
    }

    /// Forgets all resources: others are looked at from now on.
    pub fn forget(&mut self) {
        self.incidents.forget();
        self.subjects.forget();
        self.chapters.forget();
        self.connections.clear();
        self.synced = None;
    }

    fn linked(&mut self, source: &Source, link: &Link, now: Timestamp) {
        // Another reason for the same trouble does not make it younger.
        let kept = self.connections.get(source).filter(|kept| {
            std::mem::discriminant(&kept.link) == std::mem::discriminant(link) && !matches!(link, Link::Live)
        });
        let since = kept.map_or(now, |kept| kept.since);
        self.connections.insert(source.clone(), Connection { link: link.clone(), since });
    }
}
