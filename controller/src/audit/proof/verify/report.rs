//! What came of a verification.

use std::fmt;

use serde::Serialize;

use super::links::Links;
use crate::audit::proof::row::Scope;
use crate::session::SessionId;

/// How many faults are kept; the rest is counted.
pub(super) const MOST: usize = 1000;

/// Where something is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// In the trail as a whole.
    Trail,
    /// At a link of the installation's chain.
    Link(i64),
    /// In a session.
    Session(SessionId),
    /// At an entry.
    Entry(SessionId, i64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trail => f.write_str("the trail"),
            Self::Link(n) => write!(f, "link {n}"),
            Self::Session(session) => write!(f, "session {session}"),
            Self::Entry(session, seq) => write!(f, "session {session}, entry {seq}"),
        }
    }
}

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// What, in a sentence.
    pub what: String,
}

impl Fault {
    pub(super) fn new(place: Place, what: impl Into<String>) -> Self {
        Self { place, what: what.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// What came of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether everything holds.
    pub verified: bool,
    /// How many links were read.
    pub links: u64,
    /// How many sessions were read.
    pub sessions: u64,
    /// How many entries were read.
    pub entries: u64,
    /// Of these, the entries that are from before entries were signed.
    pub unsigned: u64,
    /// Sessions that were pruned and left a tombstone.
    pub pruned: u64,
    /// The names of the keys, the first one first.
    pub keys: Vec<String>,
    /// What does not hold.
    pub faults: Vec<Fault>,
    /// Faults beyond those.
    pub more_faults: usize,
    /// What has to be known about this result.
    pub notes: Vec<String>,
}

impl Report {
    pub(super) fn fault(&mut self, place: Place, what: impl Into<String>) {
        self.push(Fault::new(place, what));
    }

    pub(super) fn push(&mut self, fault: Fault) {
        if self.faults.len() < MOST {
            self.faults.push(fault);
        } else {
            self.more_faults += 1;
        }
    }

    pub(super) fn more(&mut self, faults: usize) {
        self.more_faults += faults;
    }

    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    pub(super) fn finish(&mut self, scope: &Scope, links: &Links) {
        self.pruned = links.pruned();
        self.keys = links.key_names();
        match scope {
            Scope::All => {}
            Scope::Sessions(_) | Scope::Since(_) => {
                self.note("only some sessions were looked at; the chain of links was looked at whole");
            }
        }
        if self.unsigned > 0 {
            self.note(format!(
                "{} entries are from before entries were signed: nobody signed them when they were written; they are as they stood when signing began",
                self.unsigned
            ));
        }
        if !links.is_pinned() {
            self.note(
                "the keys were taken from the trail itself, so who can rewrite all of it could have brought their own: compare the key, or pin it with --public-key",
            );
        }
        self.note("summaries and the figures in listings are outside the proof");
        self.verified = self.faults.is_empty() && self.more_faults == 0;
    }
}
