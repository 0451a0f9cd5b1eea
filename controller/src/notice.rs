//! Notices out: who is told when a person is needed.
//!
//! Nothing is sent because something happened; it is sent because of how things stand. [`wanted`] says (pure) of what
//! anybody is to be told now: Incidents that ended `Escalated` or `Failed` and that nobody has acknowledged, and a
//! database or an engine that is away. [`book`] (pure) compares that with what a receiver was told, and says what is to be
//! sent: that it is so, that it still is, that it is over. [`courier`] sends, [`words`] are what is sent, and [`desk`] is
//! the task of the process that leads, which keeps what was told in the Incidents' statuses. So a restart neither forgets
//! a page nor repeats one. [`board`] is the cluster as far as that needs
//! it, [`waiting`] is for what hinders everybody from leading.

pub mod board;
pub mod book;
pub mod courier;
pub mod desk;
pub mod record;
pub mod waiting;
pub mod wanted;
pub mod words;

use std::sync::Arc;

use crds::Incident;
use jiff::Timestamp;

/// What somebody is to be told.
#[derive(Clone, Debug)]
pub struct Notice {
    /// What it is about.
    pub topic: Topic,
    /// Since when a person is needed.
    pub since: Timestamp,
}

/// What a notice is about.
#[derive(Clone, Debug)]
pub enum Topic {
    /// An Incident that ended so.
    Incident(About),
    /// The whole installation waits.
    Waits {
        /// For what.
        what: What,
        /// Why, in a sentence.
        why: String,
    },
}

/// An Incident that needs a person, as it stood when that was seen.
#[derive(Clone, Debug)]
pub struct About {
    /// It.
    pub incident: Arc<Incident>,
    /// How it ended.
    pub reason: Reason,
    /// Its attempt that did.
    pub attempt: i64,
}

/// How an Incident ended that needs a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The agent, or what looked after it, asks for one.
    Escalated,
    /// Operator itself could not work.
    Failed,
}

impl Reason {
    /// As the phase has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Escalated => "Escalated",
            Self::Failed => "Failed",
        }
    }

    /// The reason of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Escalated, Self::Failed].into_iter().find(|reason| reason.as_str() == text)
    }
}

/// What an installation waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// The database: without a trail nothing runs.
    Database,
    /// The engine: sessions cannot begin.
    Engine,
}

impl What {
    /// In labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Engine => "engine",
        }
    }
}

impl Topic {
    /// Tells a topic from others.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Incident(about) => {
                format!("{}/{}", about.incident.metadata.uid.as_deref().unwrap_or_default(), about.reason.as_str())
            }
            Self::Waits { what, .. } => what.as_str().to_owned(),
        }
    }

    /// The attempt, of an Incident: another one is another topic, even if nobody heard that the last one is over.
    #[must_use]
    pub fn attempt(&self) -> i64 {
        match self {
            Self::Incident(about) => about.attempt,
            Self::Waits { .. } => 0,
        }
    }
}
