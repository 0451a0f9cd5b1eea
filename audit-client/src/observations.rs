//! What the monitor tells of a Subject, as the API has it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crds::subject::InvariantStatus;

/// What is known of a Subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observations {
    /// `NAMESPACE/NAME`.
    pub subject: String,
    /// When it was known.
    pub at: Timestamp,
    /// How many rounds of probes there were.
    pub rounds: u64,
    /// Whether it is observed at all.
    pub observed: Observed,
    /// What observes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observer: Option<Observer>,
    /// How its invariants stand.
    pub invariants: Vec<InvariantStatus>,
    /// Why no Incident is opened just now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// What a screen shows.
    pub display: Display,
    /// The last rounds, the oldest first; only in the first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Vec<Value>>,
}

/// Whether a Subject is observed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// In a word.
    pub reason: String,
    /// In a sentence.
    pub message: String,
}

/// The container that observes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observer {
    /// Its name.
    pub container: String,
    /// When it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
}

/// What a screen shows of a system.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Display {
    /// Groups of rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<DisplayGroup>,
    /// The one number that says how much the system does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
}

/// Rows of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DisplayGroup {
    /// Above the rows.
    pub title: String,
    /// The rows, in the order of their keys.
    pub rows: Vec<DisplayRow>,
}

/// A row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DisplayRow {
    /// Its key; empty for a group without `forEach`.
    pub key: String,
    /// Its name.
    pub label: String,
    /// `ok`, `warn`, `bad` or `unknown`.
    pub state: String,
    /// What else is said.
    pub text: String,
}

/// The one number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Workload {
    /// Beside it.
    pub label: String,
    /// It; absent while nobody can say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Behind it.
    pub unit: String,
}

/// What a follower of a Subject is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// What is known now.
    Known(Box<Observations>),
    /// One round of one probe, as it was read.
    Round(Value),
    /// Nothing can be read just now, in a sentence; it goes on by itself. Said once per outage.
    Waiting(String),
}
