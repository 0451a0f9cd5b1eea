//! What an Incident says of itself in a line.

use std::time::Duration;

use crds::{Incident, IncidentPhase, Severity};
use jiff::Timestamp;

use crate::glyphs::Glyphs;
use crate::theme::Role;
use crate::time;

/// The phase.
#[must_use]
pub(super) fn phase(incident: &Incident) -> IncidentPhase {
    incident.status.as_ref().map(|status| status.phase).unwrap_or_default()
}

/// A severity, short, and how it looks.
#[must_use]
pub fn severity(severity: Severity) -> (&'static str, Role) {
    match severity {
        Severity::Critical => ("CRIT", Role::Bad),
        Severity::Error => ("ERR", Role::Bad),
        Severity::Warning => ("WARN", Role::Warn),
        Severity::Info => ("INFO", Role::Dim),
    }
}

/// A phase's sign, and how it looks.
#[must_use]
pub fn sign(phase: IncidentPhase, glyphs: &Glyphs) -> (&'static str, Role) {
    match phase {
        IncidentPhase::Pending => (glyphs.wait, Role::Warn),
        IncidentPhase::Running => (glyphs.run, Role::Busy),
        IncidentPhase::Verifying => (glyphs.check, Role::Busy),
        IncidentPhase::Resolved => (glyphs.good, Role::Good),
        IncidentPhase::Concluded => (glyphs.end, Role::Text),
        IncidentPhase::Escalated => (glyphs.ask, Role::Person),
        IncidentPhase::Failed => (glyphs.bad, Role::Bad),
        IncidentPhase::Cancelled => (glyphs.stop, Role::Dim),
    }
}

/// Since when there is one.
#[must_use]
pub(super) fn created(incident: &Incident) -> Option<Timestamp> {
    incident.metadata.creation_timestamp.as_ref().map(|at| at.0)
}

/// For how long there is one.
#[must_use]
pub(super) fn age(incident: &Incident, now: Timestamp) -> Option<Duration> {
    created(incident).map(|created| time::elapsed(created, now))
}

/// What happened last: what runs, what was last written, or how it ended.
#[must_use]
pub(super) fn last(incident: &Incident, glyphs: &Glyphs) -> String {
    let Some(status) = &incident.status else { return "not seen by Operator yet".to_owned() };
    let message = status.message.as_deref().unwrap_or_default();
    let entry = status.recent_entries.last().filter(|entry| !entry.text.is_empty());
    match (status.phase, entry) {
        // "The model thinks" says less than what it thought.
        (IncidentPhase::Running, Some(entry)) if !message.starts_with("$ ") => {
            format!("{} {}", entry_sign(&entry.kind, glyphs).0, entry.text)
        }
        (_, Some(entry)) if message.is_empty() => entry.text.clone(),
        _ => message.to_owned(),
    }
}

/// The sign before an entry of a session, and how it looks.
pub(super) fn entry_sign(kind: &str, glyphs: &Glyphs) -> (&'static str, Role) {
    match kind {
        "tool_call" => ("$", Role::Command),
        "reasoning" => (glyphs.thought, Role::Thought),
        "tool_result" => (glyphs.corner, Role::Dim),
        "change" => (glyphs.event, Role::Warn),
        "conclusion" => (glyphs.end, Role::Strong),
        "verification" => (glyphs.check, Role::Busy),
        _ => (glyphs.middot, Role::Text),
    }
}

/// The cost, in hundredths of a cent; what is unknown is less than nothing.
#[must_use]
pub(super) fn cents(incident: &Incident) -> i64 {
    let cost = incident.status.as_ref().and_then(|status| status.cost.as_deref()).unwrap_or_default();
    let Some((whole, part)) = cost.strip_prefix('$').map(|cost| cost.split_once('.').unwrap_or((cost, ""))) else {
        return -1;
    };
    let whole: i64 = whole.replace(',', "").parse().unwrap_or(-1);
    let part: i64 = format!("{part:0<4}").get(..4).and_then(|part| part.parse().ok()).unwrap_or(0);
    whole.saturating_mul(10_000).saturating_add(part)
}

/// Whether its attempt can be cancelled.
#[must_use]
pub fn can_cancel(incident: &Incident) -> bool {
    !phase(incident).is_finished() && incident.spec.cancel != Some(incident.spec.attempt)
}

/// Whether a new attempt can begin: the last one is over.
#[must_use]
pub fn can_retry(incident: &Incident) -> bool {
    let over = incident.status.as_ref().and_then(|status| status.attempt) == Some(incident.spec.attempt);
    phase(incident).is_finished() && over
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::feed::Object;
    use crate::glyphs::UNICODE;
    use crate::testing::with_status;

    fn with(status: &serde_json::Value) -> std::sync::Arc<Incident> {
        match with_status("i", "s", "error", status) {
            Object::Incident(incident) => incident,
            _ => unreachable!(),
        }
    }

    #[test]
    fn costs_are_compared_as_numbers() {
        for (cost, cents) in [("$0.31", 3100), ("$12", 120_000), ("$0.0042", 42), ("unknown", -1), ("", -1)] {
            assert_eq!(super::cents(&with(&json!({"cost": cost}))), cents, "{cost}");
        }
    }

    #[test]
    fn the_last_event_says_most() {
        let entry = json!([{"seq": 3, "kind": "reasoning", "at": "2026-01-28T12:00:00Z", "text": "a store is gone"}]);
        for (status, text) in [
            (json!({"phase": "Running", "message": "$ docker ps", "recentEntries": entry}), "$ docker ps"),
            (json!({"phase": "Running", "message": "the model thinks", "recentEntries": entry}), "∴ a store is gone"),
            (json!({"phase": "Escalated", "message": "12 of 12 turns", "recentEntries": entry}), "12 of 12 turns"),
            (json!({"phase": "Resolved", "recentEntries": entry}), "a store is gone"),
        ] {
            assert_eq!(last(&with(&status), &UNICODE), text);
        }
    }
}
