//! What the audit API answers.

use serde::{Deserialize, Serialize};

use crate::reader::StoredEntry;
use crate::record::SessionRecord;
use crate::row::{EntryRow, KeyRow, LinkRow, SessionRow};

/// The answer to a listing.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sessions {
    /// The newest first.
    pub sessions: Vec<SessionRecord>,
}

/// The answer to a page.
#[derive(Debug, Serialize, Deserialize)]
pub struct Entries {
    /// In order; none at the end.
    pub entries: Vec<StoredEntry>,
}

/// The table of keys.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProofKeys {
    /// The first one first.
    pub keys: Vec<KeyRow>,
}

/// A page of links.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProofLinks {
    /// In order; none at the end.
    pub links: Vec<LinkRow>,
}

/// A page of sessions, as their proof has them.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProofSessions {
    /// In the order of their names; none at the end.
    pub sessions: Vec<SessionRow>,
}

/// A page of entries with nothing left out.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProofEntries {
    /// In order; none at the end.
    pub entries: Vec<EntryRow>,
}

/// An error.
#[derive(Debug, Serialize, Deserialize)]
pub struct Problem {
    /// In a sentence.
    pub error: String,
}
