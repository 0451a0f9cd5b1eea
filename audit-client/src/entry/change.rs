//! Changes of the subject, as their entries have them: what was asked for, and what came of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Bytes;

/// A change of the subject through the gateway: one entry before it happens, one after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum ChangeEntry {
    /// Committed before it happens.
    Begun(Change),
    /// Committed after.
    Completed(CompletedChange),
}

/// A change of the subject that is about to happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// What is done: `container.restart`, `container.exec`, `container.copy_in`, `network.connect` and so on.
    pub action: String,
    /// To what.
    pub target: ChangeTarget,
    /// The command as a person would type it, in one line: `docker restart shop-redis-1`.
    pub summary: String,
    /// For an exec: what is run. First of all for readers; the call has it, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<String>,
    /// The call as it is sent to the engine: `{"method", "path", "body"?}`.
    pub call: Value,
    /// How its gateway knows it, so that a later controller can be told what came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<ChangeOrigin>,
}

/// How a gateway knows a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeOrigin {
    /// Which life of the gateway.
    pub boot: u64,
    /// Its number of the change.
    pub id: u64,
}

/// What a change is done to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeTarget {
    /// `container`, `network` or `volume`.
    pub kind: String,
    /// Its full id; of a volume its name; empty for what is still to be made.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its compose service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// What came of a change, with the entry that announced it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompletedChange {
    /// The number of the entry that announced it.
    pub change: i64,
    /// What came of it.
    #[serde(flatten)]
    pub result: ChangeResult,
}

/// What came of a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeResult {
    /// How it ended.
    pub outcome: ChangeOutcome,
    /// How long it took, in milliseconds; of an exec, until its stream ended.
    pub duration_ms: i64,
    /// What the agent sent along: an exec's standard input, an archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<InputRecord>,
    /// What else the engine said: an exit code, a new container's id.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub details: Value,
}

impl ChangeResult {
    /// Nobody knows what came of it.
    #[must_use]
    pub fn unknown(reason: &str) -> Self {
        let outcome = ChangeOutcome::Unknown { reason: reason.to_owned() };
        Self { outcome, duration_ms: 0, input: None, details: Value::Null }
    }
}

/// How a change ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum ChangeOutcome {
    /// The engine did it.
    Succeeded {
        /// The engine's HTTP status.
        status: u16,
    },
    /// The engine refused or failed.
    Failed {
        /// The engine's HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// It was announced and then not done: nothing was sent to the engine.
    NotDone {
        /// Why.
        reason: String,
    },
    /// It was sent, and what came of it cannot be had.
    Unknown {
        /// Why.
        reason: String,
    },
}

/// What went in with a change, of which the whole is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InputRecord {
    /// All bytes.
    pub bytes: u64,
    /// Their SHA-256, in hex.
    pub sha256: String,
    /// The first of them.
    pub head: Bytes,
}
