//! What a link of the installation's chain can say.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::hash::Hash;
use super::key::KeyId;
use crate::audit::AuditError;
use crate::audit::codec::to_micros;
use crate::session::SessionId;

/// The content of a link. The order of the fields is the order in the bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data", rename_all = "snake_case")]
pub enum LinkBody {
    /// A new public key; everything after it is signed by it.
    Key(KeyLink),
    /// Sessions of the time before entries were signed, as they stood when signing began.
    Adopt(AdoptLink),
    /// A session began.
    Start(StartLink),
    /// A session got its last entry.
    Seal(SealLink),
    /// Whole sessions were removed.
    Prune(PruneLink),
}

impl LinkBody {
    /// The name in the column `kind`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::Adopt(_) => "adopt",
            Self::Start(_) => "start",
            Self::Seal(_) => "seal",
            Self::Prune(_) => "prune",
        }
    }

    /// The session that it is about, if it is about one.
    #[must_use]
    pub fn session(&self) -> Option<&SessionId> {
        match self {
            Self::Start(start) => Some(&start.session),
            Self::Seal(seal) => Some(&seal.session),
            Self::Key(_) | Self::Adopt(_) | Self::Prune(_) => None,
        }
    }
}

/// A new public key, signed by the one before it; the first one by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyLink {
    /// Its name.
    pub id: KeyId,
    /// Which key of this installation it is, from 1.
    pub number: i64,
    /// In hex.
    pub public_key: String,
    /// The new key's own signature, in hex: that somebody has its private half, here.
    pub possession: String,
    /// The key before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<KeyId>,
    /// The key before it was lost: this link is signed by the new one alone, and proves less.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
    /// The installation's name in its database.
    pub installation: String,
}

/// Sessions that nobody signed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdoptLink {
    /// Each as it stood.
    pub sessions: Vec<Adopted>,
}

/// A session that nobody signed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Adopted {
    /// Its name.
    pub session: SessionId,
    /// Number of its last entry.
    pub last_seq: i64,
    /// Of its entries, by [`Hash::then`].
    pub digest: Hash,
}

/// A session began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartLink {
    /// Its name.
    pub session: SessionId,
    /// The Incident's UID.
    pub incident_uid: String,
    /// The Incident's namespace.
    pub incident_namespace: String,
    /// The Incident's name.
    pub incident_name: String,
    /// Which attempt on it.
    pub attempt: i64,
}

/// A session got its last entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SealLink {
    /// Its name.
    pub session: SessionId,
    /// Number of its last entry.
    pub last_seq: i64,
    /// That entry's hash.
    pub last_hash: Hash,
}

/// Whole sessions were removed: the tombstone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PruneLink {
    /// Those that had ended before this time.
    pub before: Timestamp,
    /// How many.
    pub count: i64,
    /// Each of them.
    pub sessions: Vec<Pruned>,
}

/// A session that was removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pruned {
    /// Its name.
    pub session: SessionId,
    /// Number of its last entry.
    pub last_seq: i64,
    /// That entry's hash; none if nobody signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_hash: Option<Hash>,
}

/// A link as it is written: its bytes are those that are signed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Its number, from 1 without gaps.
    pub n: i64,
    /// When, by its writer's clock.
    pub at: Timestamp,
    /// What it says.
    #[serde(flatten)]
    pub body: LinkBody,
}

impl Link {
    /// Now.
    #[must_use]
    pub fn now(n: i64, body: LinkBody) -> Self {
        Self { n, at: to_micros(Timestamp::now()), body }
    }

    /// Its bytes.
    ///
    /// # Errors
    /// [`AuditError::Refused`] when it does not serialize.
    pub fn encode(&self) -> Result<Vec<u8>, AuditError> {
        serde_json::to_vec(self)
            .map_err(|error| AuditError::Refused(format!("link {} cannot be written as JSON: {error}", self.n)))
    }
}

/// The last link of the installation's chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkHead {
    /// Its number.
    pub n: i64,
    /// Its hash.
    pub hash: Hash,
}

impl LinkHead {
    /// Of an empty chain.
    pub const EMPTY: Self = Self { n: 0, hash: Hash::ZERO };
}
