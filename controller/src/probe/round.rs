//! What a probe read: one [`Round`] a line.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest line of a round, in bytes, its end included. What is longer loses the values of its readings, largest
/// first, and says so in each.
pub const LONGEST_LINE: usize = 64 * 1024;

/// One round of one probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Round {
    /// The probe's name.
    pub probe: String,
    /// When it began, by the clock of who ran it.
    pub at: Timestamp,
    /// A reading for each target; for a probe without targets one, under the empty name.
    pub readings: BTreeMap<String, Reading>,
}

/// What was read of one target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    /// Whether there was an answer that could be read. What the answer says is for the invariants to judge: an HTTP
    /// status of 503 is `ok`.
    pub ok: bool,
    /// Why not, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Milliseconds that it took.
    pub ms: u64,
    /// The status of an HTTP answer, the exit code of a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<i64>,
    /// What was read, or what `select` kept of it. Absent when there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}
