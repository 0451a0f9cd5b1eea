//! What the invariants said, as their entries have it: the check of the agent's word, and that the system is well again
//! before the agent said so.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::is_zero;

/// What was seen of the system itself. A check is one entry before it begins and one after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum VerificationEntry {
    /// The agent says that the fault is gone, which is now looked at. Committed before its container is paused.
    Begun(BegunVerification),
    /// What was seen. Committed before anything follows from it.
    Ended(EndedVerification),
    /// All invariants hold again, and the agent has not concluded: it is told once.
    Healed {
        /// What the model is told.
        details: Value,
    },
}

/// A check that begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BegunVerification {
    /// Which one of the session, from 1.
    pub attempt: u32,
    /// How many there are at most.
    pub attempts: u32,
    /// For how long all invariants have to hold, in milliseconds.
    pub stabilization_ms: u64,
}

/// What a check saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndedVerification {
    /// Which one of the session.
    pub attempt: u32,
    /// The verdict.
    pub verdict: VerdictWord,
    /// What is violated, or why nobody can say; the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// How many more there were.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
    /// For how long all invariants held, in milliseconds; 0 unless they did.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub window_ms: u64,
    /// How many rounds of readings were seen in it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seen: u64,
    /// What the model is told, if the session goes on.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub details: Value,
}

/// A verdict in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictWord {
    /// All invariants held.
    Holds,
    /// Something is violated.
    Violated,
    /// Nobody can say.
    Unknown,
}

/// What was seen of an invariant, or of one key of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The invariant; empty where it is about none of them (the observer is gone).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub invariant: String,
    /// The key; empty for an invariant without `forEach`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// What is violated, or why nobody can say.
    pub message: String,
}

impl Finding {
    /// In a line, as it came: `node_down[n2]: it answers nothing`.
    #[must_use]
    pub fn line(&self) -> String {
        match (self.invariant.as_str(), self.key.as_str()) {
            ("", _) => self.message.clone(),
            (invariant, "") => format!("{invariant}: {}", self.message),
            (invariant, key) => format!("{invariant}[{key}]: {}", self.message),
        }
    }
}

impl EndedVerification {
    /// All that was found, in one line of at most `most` findings.
    #[must_use]
    pub fn found(&self, most: usize) -> String {
        let lines: Vec<String> = self.findings.iter().take(most).map(Finding::line).collect();
        let left = u64::try_from(self.findings.len() - lines.len()).unwrap_or(u64::MAX).saturating_add(self.more);
        let more = if left > 0 { format!("; and {left} more") } else { String::new() };
        format!("{}{more}", lines.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_shape_is_what_readers_rely_on() {
        let begun = VerificationEntry::Begun(BegunVerification { attempt: 1, attempts: 3, stabilization_ms: 15_000 });
        assert_eq!(
            serde_json::to_value(&begun).unwrap(),
            json!({"step": "begun", "attempt": 1, "attempts": 3, "stabilizationMs": 15000})
        );
        let finding = Finding { invariant: "node_down".into(), key: "n2".into(), message: "it answers nothing".into() };
        let ended = EndedVerification {
            attempt: 1,
            verdict: VerdictWord::Violated,
            findings: vec![finding; 3],
            more: 4,
            window_ms: 0,
            seen: 0,
            details: Value::Null,
        };
        assert_eq!(ended.found(2), "node_down[n2]: it answers nothing; node_down[n2]: it answers nothing; and 5 more");
        let written = serde_json::to_value(VerificationEntry::Ended(ended.clone())).unwrap();
        assert_eq!((&written["step"], &written["verdict"]), (&json!("ended"), &json!("violated")));
        assert_eq!(serde_json::from_value::<VerificationEntry>(written).unwrap(), VerificationEntry::Ended(ended));
    }
}
