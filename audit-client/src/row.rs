//! The trail as its proof has it: rows with nothing left out.
//!
//! A row may have been tampered with, so nothing here insists on what it should be: that is for whoever
//! verifies it to say.

use async_trait::async_trait;
use base64::Engine as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::entry::Bytes;
use crate::hash::Hash;
use crate::hex;
use crate::record::{AuditError, NewSession};
use crate::session::SessionId;

/// Bytes that should be a hash or a signature.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Raw(pub Vec<u8>);

impl Raw {
    /// As a hash, if there are 32 of them.
    #[must_use]
    pub fn hash(&self) -> Option<Hash> {
        Hash::from_slice(&self.0)
    }
}

impl TryFrom<String> for Raw {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        hex::decode(&text).map(Self).ok_or_else(|| format!("{text:?} are no hex digits"))
    }
}

impl From<Raw> for String {
    fn from(raw: Raw) -> Self {
        hex::encode(&raw.0)
    }
}

impl From<Hash> for Raw {
    fn from(hash: Hash) -> Self {
        Self(hash.as_bytes().to_vec())
    }
}

/// A body as it is kept, in JSON: as text, or as base64 if it is none.
#[must_use]
pub fn body_to_json(bytes: Vec<u8>) -> Bytes {
    match String::from_utf8(bytes) {
        Ok(text) => Bytes::Text(text),
        Err(error) => Bytes::Base64(base64::engine::general_purpose::STANDARD.encode(error.as_bytes())),
    }
}

/// Its bytes again; what is no base64 is nothing that was signed.
#[must_use]
pub fn body_bytes(body: &Bytes) -> Vec<u8> {
    match body {
        Bytes::Text(text) => text.as_bytes().to_vec(),
        Bytes::Base64(text) => base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default(),
    }
}

/// What makes a row proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Hash of what stands before.
    pub prev: Raw,
    /// Its own.
    pub hash: Raw,
    /// Over the message whose hash that is.
    pub signature: Raw,
    /// The name of the key.
    pub key: String,
    /// The lease's epoch.
    pub epoch: i64,
}

/// A link's row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkRow {
    /// Its number.
    pub n: i64,
    /// The bytes that are signed.
    pub body: Bytes,
    /// What makes it proof.
    #[serde(flatten)]
    pub proof: Proof,
}

/// An entry's row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntryRow {
    /// The session.
    pub session: SessionId,
    /// Its number.
    pub seq: i64,
    /// The bytes that are signed.
    pub body: Bytes,
    /// What makes it proof; none if it is from before entries were signed.
    #[serde(flatten)]
    pub proof: Option<Proof>,
    /// The columns that are derived from the body. An export leaves them out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derived: Option<Derived>,
}

/// The columns that are derived from an entry's body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Derived {
    /// `kind`.
    pub kind: String,
    /// `at`.
    pub at: Timestamp,
    /// `data`.
    pub data: Value,
}

/// What the proof says of a session's row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionRow {
    /// Its name.
    pub id: SessionId,
    /// The Incident's UID.
    pub incident_uid: String,
    /// The Incident's namespace.
    pub incident_namespace: String,
    /// The Incident's name.
    pub incident_name: String,
    /// Which attempt on it.
    pub attempt: i64,
}

impl From<&NewSession> for SessionRow {
    fn from(new: &NewSession) -> Self {
        Self {
            id: new.id.clone(),
            incident_uid: new.incident_uid.clone(),
            incident_namespace: new.incident_namespace.clone(),
            incident_name: new.incident_name.clone(),
            attempt: new.attempt,
        }
    }
}

/// A row of the table of keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyRow {
    /// Its name.
    pub id: String,
    /// In hex.
    pub public_key: String,
    /// The link by which it came.
    pub link: i64,
}

/// Reads rows of proof. Pages are bounded as those of [`crate::reader::AuditReader`]; an empty one is
/// the end.
#[async_trait]
pub trait ProofReader: Send + Sync + 'static {
    /// The table of keys.
    async fn keys(&self) -> Result<Vec<KeyRow>, AuditError>;

    /// The links after number `after`, in order.
    async fn links(&self, after: i64) -> Result<Vec<LinkRow>, AuditError>;

    /// The sessions whose name sorts after `after`, in that order.
    async fn session_rows(&self, after: &str) -> Result<Vec<SessionRow>, AuditError>;

    /// The entries of a session after number `after`, in order.
    async fn entry_rows(&self, session: &SessionId, after: i64) -> Result<Vec<EntryRow>, AuditError>;
}
