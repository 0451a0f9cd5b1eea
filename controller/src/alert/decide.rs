//! What becomes of alerts of one Subject. Pure: decided over what the API server says of the Subject's Incidents.
//!
//! * One open Incident a Subject that opened itself, whether an invariant or an alert did: what else fires joins it, and
//!   so does that an alert fires no more.
//! * An alert has one Incident for as long as it fires, if that ended so that a person is needed. If it was `Resolved` or
//!   `Concluded` and the alert goes on, the repair did not last: another is opened after the cooldown, as a recurrence.
//! * After an end nothing is opened for the same until the cooldown is over; whoever sends alerts is asked to try again.
//! * A person's Incident holds up none: an alert that is stored nowhere could be lost, so it has its own in the queue.

use std::time::Duration;

use crds::IncidentPhase;
use jiff::Timestamp;

use super::Alert;
use crate::monitor::known::{Known, open_of_itself};
use crate::monitor::open::{Asked, Held, Lead, Recurrence, held_back, lead};
use crate::monitor::order::Opening;

/// What to do about alerts that fire.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Nothing: they stand in this open Incident.
    Known {
        /// Its name.
        incident: String,
    },
    /// Nothing: they had their Incident, and a person is needed.
    Had {
        /// Its name.
        incident: String,
    },
    /// None is opened: the Subject says so.
    Off,
    /// These join an open Incident.
    Join {
        /// Its name.
        incident: String,
        /// What is new to it.
        alerts: Vec<Alert>,
    },
    /// The cooldown is not over.
    Wait {
        /// When it is.
        until: Timestamp,
    },
    /// One is opened, for the first of these; the others are in it.
    Open {
        /// Worst first. Not empty.
        alerts: Vec<Alert>,
    },
}

/// The worst first, then the oldest; the same for the same set.
pub fn sort(alerts: &mut [Alert]) {
    alerts.sort_by(|a, b| (a.severity, a.starts_at, &a.fingerprint).cmp(&(b.severity, b.starts_at, &b.fingerprint)));
}

/// What becomes of alerts that fire.
#[must_use]
pub fn firing(mut alerts: Vec<Alert>, known: &[Known], opening: Opening, now: Timestamp) -> Decision {
    for alert in &mut alerts {
        settle(alert, known);
    }
    sort(&mut alerts);
    if let Some(open) = open_of_itself(known) {
        alerts.retain(|alert| !knows(open, alert));
        let incident = open.name.clone();
        return if alerts.is_empty() { Decision::Known { incident } } else { Decision::Join { incident, alerts } };
    }
    if !opening.wanted {
        return Decision::Off;
    }
    match lead(alerts, |alert| holds_back(alert, known, opening.cooldown, now)) {
        Lead::Open(alerts) => Decision::Open { alerts },
        Lead::Wait(until) => Decision::Wait { until },
        Lead::Had(alerts) => Decision::Had { incident: last_of(&alerts, known).unwrap_or_default() },
    }
}

/// The Incidents that are to know that alerts fire no more, each with those. One that has ended is told, too: whoever
/// looks at it is to see it.
#[must_use]
pub fn resolved(mut alerts: Vec<Alert>, known: &[Known]) -> Vec<(String, Vec<Alert>)> {
    for alert in &mut alerts {
        settle(alert, known);
    }
    sort(&mut alerts);
    let of = |one: &Known| {
        let ended: Vec<_> = alerts.iter().filter(|alert| fired(one, alert)).cloned().collect();
        (one.name.clone(), ended)
    };
    known.iter().map(of).filter(|(_, ended)| !ended.is_empty()).collect()
}

/// Who does not say since when an alert fires is taken to speak of the one that is known to fire.
fn settle(alert: &mut Alert, known: &[Known]) {
    if alert.since_is_said {
        return;
    }
    let fires = known.iter().filter_map(|one| one.alert(&alert.fingerprint)).filter(|one| one.ends_at.is_none());
    if let Some(since) = fires.map(|one| one.starts_at.0).max() {
        alert.starts_at = since;
    }
}

fn holds_back(alert: &Alert, known: &[Known], cooldown: Duration, now: Timestamp) -> Held {
    let asked = Asked {
        since: alert.starts_at,
        // What another that opened itself did not know of, its agent may have repaired all the same. And one that
        // somebody deletes will not be there for the person whom it needs.
        about: |one: &Known| one.alert(&alert.fingerprint).filter(|_| !one.goes).map(|_| true),
        stays: |phase| !held(phase),
    };
    held_back(&asked, known, cooldown, now)
}

/// Whether an Incident that ended so said that the fault is gone.
fn held(phase: IncidentPhase) -> bool {
    matches!(phase, IncidentPhase::Resolved | IncidentPhase::Concluded)
}

/// Whether an open Incident has an alert as it fires now. One that ended and begins anew is told again.
fn knows(open: &Known, alert: &Alert) -> bool {
    open.alert(&alert.fingerprint).is_some_and(|known| match &known.ends_at {
        None => alert.starts_at.as_second() <= known.starts_at.0.as_second(),
        // Sent before it ended, and heard late.
        Some(end) => alert.starts_at.as_second() < known.starts_at.0.as_second() && alert.starts_at < end.0,
    })
}

/// Whether an open Incident has an alert as one that fires, and this is its end.
fn fired(open: &Known, alert: &Alert) -> bool {
    open.alert(&alert.fingerprint)
        .is_some_and(|known| known.ends_at.is_none() && alert.starts_at.as_second() >= known.starts_at.0.as_second())
}

/// The last Incident that is about one of these.
fn last_of(alerts: &[Alert], known: &[Known]) -> Option<String> {
    let about = |one: &&Known| alerts.iter().any(|alert| one.alert(&alert.fingerprint).is_some());
    let last = known.iter().filter(about).max_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
    last.map(|one| one.name.clone())
}

/// How often an alert came again after an Incident of it ended as healthy: within the window, or without having been gone
/// at all.
#[must_use]
pub fn recurrence(alert: &Alert, known: &[Known], window: Duration, now: Timestamp) -> Recurrence {
    let begin = now.saturating_sub(window).unwrap_or(Timestamp::MIN);
    let counts = |one: &&Known| {
        let Some((phase, at)) = one.ended else { return false };
        let Some(knew) = one.alert(&alert.fingerprint) else { return false };
        let same = knew.ends_at.is_none() && knew.starts_at.0.as_second() == alert.starts_at.as_second();
        held(phase) && (at >= begin || same)
    };
    Recurrence::among(known.iter().filter(counts))
}

#[cfg(test)]
mod tests;
