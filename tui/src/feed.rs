//! Where news come from, and where wishes go.
//!
//! A feed is a cluster ([`cluster`]), a recording ([`replay`]) or something that a test holds ([`memory`]). What any of
//! them says is an event of the same kind, so that the screens cannot tell them apart, and [`record`] can write down
//! any of them.

pub mod audit;
pub mod cluster;
pub mod export;
pub mod memory;
pub mod record;
pub mod replay;

use std::sync::Arc;

use crds::{DemoChapter, Incident, Subject};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::act::Act;
use crate::msg::{Done, Msg};
use crate::rights::Right;
use crate::settings::Scope;

/// A kind of resource that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// `Incident`.
    Incidents,
    /// `Subject`.
    Subjects,
    /// `DemoChapter`.
    Chapters,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Incidents, Self::Subjects, Self::Chapters];

    /// As a sentence has it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Incidents => "Incidents",
            Self::Subjects => "Subjects",
            Self::Chapters => "DemoChapters",
        }
    }
}

/// A resource that is watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "object", rename_all = "camelCase")]
pub enum Object {
    /// An Incident.
    Incident(Arc<Incident>),
    /// A Subject.
    Subject(Arc<Subject>),
    /// A chapter of a demo.
    Chapter(Arc<DemoChapter>),
}

/// Where news can come from, each with a connection of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// The watch of a kind.
    Kind(Kind),
    /// A session's entries, from the audit API.
    Session(String),
    /// A Subject's observations, from the audit API.
    Observations(SubjectKey),
}

/// A Subject by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SubjectKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// How a source stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum Link {
    /// Not connected yet, and nothing went wrong yet.
    #[default]
    Connecting,
    /// What is shown is what there is.
    Live,
    /// The connection is gone; it is tried again.
    Lost {
        /// Why, in a sentence.
        reason: String,
    },
    /// The person may not read it; it is tried again, slowly.
    Forbidden {
        /// Which right is missing, in a sentence.
        reason: String,
    },
    /// It is not there (the cluster does not know the kind); it is tried again, slowly.
    Missing {
        /// What to do about it.
        reason: String,
    },
    /// Nothing more will come: the session is sealed, the recording is over.
    Ended,
}

impl Link {
    /// Whether the rows are true now.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Live | Self::Ended)
    }
}

/// An entry of a session, as the audit API has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its number in the session, from 1 without gaps.
    pub seq: i64,
    /// When it was written.
    pub at: Timestamp,
    /// Its kind: `reasoning`, `tool_call`, `tool_result` and so on.
    pub kind: String,
    /// What it says; its shape depends on the kind.
    pub data: Value,
    /// The small model's summary, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// News.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum FeedEvent {
    /// A list begins. What is known stays until [`FeedEvent::Listed`].
    Listing {
        /// Of this kind.
        of: Kind,
    },
    /// A resource as it is now.
    Applied {
        /// It.
        object: Object,
    },
    /// A resource is gone.
    Deleted {
        /// Of this kind.
        of: Kind,
        /// Its UID.
        uid: String,
    },
    /// The list is complete: what it did not name is gone.
    Listed {
        /// Of this kind.
        of: Kind,
    },
    /// A connection stands otherwise.
    Link {
        /// Which.
        source: Source,
        /// How.
        link: Link,
    },
    /// A session's record, as `GET /sessions/ID` answers it.
    Session {
        /// The session's id.
        session: String,
        /// It.
        record: Value,
    },
    /// The sessions of an Incident, the newest first: one for each attempt.
    Sessions {
        /// The Incident's namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Their records, as `GET /sessions` answers them.
        records: Vec<Value>,
    },
    /// Entries of a session, in their order: a page that was asked for, or what was just written.
    Entries {
        /// The session's id.
        session: String,
        /// They.
        entries: Vec<Entry>,
        /// The [`Request::Page`] that they answer; none if they are followed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answers: Option<Place>,
    },
    /// What is known of a Subject, as `GET /subjects/NS/NAME/observations` answers it.
    Observations {
        /// Which.
        subject: SubjectKey,
        /// It.
        document: Value,
    },
    /// Whether something may be done.
    Right {
        /// What.
        right: Right,
        /// Whether.
        granted: bool,
    },
}

/// Which part of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// The entries right before this number.
    Before(i64),
    /// The entries right after this number.
    After(i64),
}

/// How a session is written into a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One entry a line, as JSON.
    JsonLines,
    /// For people.
    Markdown,
}

/// A wish.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Other namespaces from now on.
    Scope(Scope),
    /// A session's record: [`FeedEvent::Session`].
    Session {
        /// Its id.
        session: String,
    },
    /// The sessions of an Incident: [`FeedEvent::Sessions`].
    Sessions {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// All of a session into a file that does not exist yet.
    Export {
        /// Its id.
        session: String,
        /// The file, in the current folder unless absolute.
        path: String,
        /// How it is written.
        format: Format,
    },
    /// A page of a session: [`FeedEvent::Entries`].
    Page {
        /// Its id.
        session: String,
        /// Which part.
        place: Place,
        /// At most so many.
        limit: usize,
    },
    /// What is written from now on: [`FeedEvent::Entries`], until [`Request::Unfollow`] or the seal.
    Follow {
        /// Its id.
        session: String,
        /// After this number.
        after: i64,
    },
    /// No more of it.
    Unfollow {
        /// Its id.
        session: String,
    },
    /// A Subject's observations: [`FeedEvent::Observations`], until [`Request::Unobserve`].
    Observe {
        /// Which.
        subject: SubjectKey,
    },
    /// No more of it.
    Unobserve {
        /// Which.
        subject: SubjectKey,
    },
    /// A change.
    Act(Act),
    /// Connect again now, without waiting for the next try.
    Reconnect,
}

/// The way from a feed to the loop. What is full makes the sender wait: a screen that cannot follow slows its feed down
/// instead of filling the memory.
#[derive(Clone, Debug)]
pub struct Outlet {
    sender: mpsc::Sender<Msg>,
}

/// The loop is gone; whoever sends may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// How many messages may wait.
const ROOM: usize = 256;

impl Outlet {
    /// A way, and where it ends.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Msg>) {
        let (sender, receiver) = mpsc::channel(ROOM);
        (Self { sender }, receiver)
    }

    /// Sends news.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn send(&self, events: Vec<FeedEvent>) -> Result<(), Closed> {
        if events.is_empty() {
            return Ok(());
        }
        self.message(Msg::Feed(events)).await
    }

    /// Sends one piece of news.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn one(&self, event: FeedEvent) -> Result<(), Closed> {
        self.send(vec![event]).await
    }

    /// Says how an effect ended.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn done(&self, done: Done) -> Result<(), Closed> {
        self.message(Msg::Done(done)).await
    }

    /// Whether nobody listens any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends any message.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn message(&self, msg: Msg) -> Result<(), Closed> {
        self.sender.send(msg).await.map_err(|_| Closed)
    }
}

/// A source of news.
pub trait Feed: Send + Sync {
    /// Begins to send. Called once, inside of the runtime.
    fn start(&self, outlet: Outlet);
    /// Fulfils a wish; the answer comes as news. Never blocks.
    fn ask(&self, request: Request);
    /// What time it is where the news come from: a recording lives in its own time.
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
