//! What is answered: what became of alerts.

use std::time::Duration;

use serde::Serialize;

/// What became of alerts.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// How many came.
    pub received: usize,
    /// What became of them, by Subject.
    pub subjects: Vec<Line>,
    /// How many are no Subject's.
    pub unmatched: usize,
    /// Some of those.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmatched_alerts: Vec<String>,
    /// How many are of more Subjects than an alert may be, and so of none.
    #[serde(skip_serializing_if = "is_zero")]
    pub ambiguous: usize,
    /// How many were notices of an Operator, and are left alone.
    #[serde(skip_serializing_if = "is_zero")]
    pub own: usize,
    /// How many the sender left out of the group.
    #[serde(skip_serializing_if = "is_zero_64")]
    pub left_out: u64,
    /// Why not all could be taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// After which time to try again, if not all could be taken.
    #[serde(skip)]
    pub again: Option<Duration>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde wants it so
fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as above
fn is_zero_64(number: &u64) -> bool {
    *number == 0
}

/// What became of the alerts of one Subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// `namespace/name`.
    pub subject: String,
    /// How many.
    pub alerts: usize,
    /// What became of them.
    pub outcome: Outcome,
    /// The Incident in which they stand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// Why, where that needs a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What became of alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// An Incident was opened for them.
    Opened,
    /// They joined one that is open.
    Joined,
    /// They stand in an open one already.
    Known,
    /// Incidents know now that they fire no more.
    Resolved,
    /// They are resolved, and no Incident needs to know.
    Over,
    /// They had an Incident, and it needs a person.
    Ended,
    /// The Subject says that none is to be opened.
    Off,
    /// The Subject is not accepted.
    Refused,
    /// Not now: they are to be sent again.
    Later,
}

impl Outcome {
    /// For metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Joined => "joined",
            Self::Known => "known",
            Self::Resolved => "resolved",
            Self::Over => "over",
            Self::Ended => "ended",
            Self::Off => "off",
            Self::Refused => "refused",
            Self::Later => "later",
        }
    }
}
