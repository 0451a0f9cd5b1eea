//! The trail as its proof has it: rows with nothing left out, from the database, the audit API or a
//! file.
//!
//! A row may have been tampered with, so nothing here insists on what it should be: that is for
//! [`super::verify`] to say.

use std::sync::Arc;

use futures::stream::BoxStream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::signer::{SignedEntry, SignedLink};
use crate::audit::AuditError;
use crate::session::SessionId;

pub use audit_client::row::{
    Derived, EntryRow, KeyRow, LinkRow, Proof, ProofReader, Raw, SessionRow, body_bytes, body_to_json,
};

impl From<SignedEntry> for EntryRow {
    fn from(entry: SignedEntry) -> Self {
        Self {
            session: entry.session,
            seq: entry.seq,
            body: body_to_json(entry.body),
            proof: Some(Proof {
                prev: entry.prev.into(),
                hash: entry.hash.into(),
                signature: Raw(entry.signature.to_vec()),
                key: entry.key.to_string(),
                epoch: entry.epoch,
            }),
            derived: None,
        }
    }
}

impl From<SignedLink> for LinkRow {
    fn from(link: SignedLink) -> Self {
        Self {
            n: link.n,
            body: body_to_json(link.body),
            proof: Proof {
                prev: link.prev.into(),
                hash: link.hash.into(),
                signature: Raw(link.signature.to_vec()),
                key: link.key.to_string(),
                epoch: link.epoch,
            },
        }
    }
}

/// What an export and a verification read, in this order: keys, links; then sessions, each with its
/// entries; links that came meanwhile may stand before any session and at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Record {
    /// The first one of a file.
    Export(Header),
    /// A row of the table of keys.
    Key(KeyRow),
    /// A link.
    Link(LinkRow),
    /// A session: its entries follow.
    Session(SessionRow),
    /// An entry of the session before it.
    Entry(EntryRow),
    /// The last one of a file.
    End(Totals),
}

/// What an export says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the format.
    pub version: u32,
    /// When it was made.
    pub at: Timestamp,
    /// Which sessions are in it.
    pub scope: Scope,
    /// The version of operator.
    pub operator: String,
}

/// How many records there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Links.
    pub links: u64,
    /// Sessions.
    pub sessions: u64,
    /// Entries.
    pub entries: u64,
}

/// Which sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Every one that the chain knows.
    All,
    /// These.
    Sessions(Vec<SessionId>),
    /// Those that began at this time or later.
    Since(Timestamp),
}

/// Records of a trail, one after another.
pub type Records = BoxStream<'static, Result<Record, AuditError>>;

/// Reads the trail through `reader`. Of what is written meanwhile, each session's links come before it.
#[must_use]
pub fn records(reader: Arc<dyn ProofReader>, scope: Scope) -> Records {
    Box::pin(super::walk::walk(reader, scope))
}
