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
use crate::monitor::open::{Asked, Held, Recurrence, held_back};
use crate::monitor::order::Opening;

/// What to do about alerts.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Nothing: these stand in an Incident, or fire no more and stand in none.
    Nothing {
        /// The Incident, if there is one.
        incident: Option<String>,
    },
    /// These had their Incident, and a person is needed.
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
        /// What fires and is new to it.
        firing: Vec<Alert>,
        /// What it knows and fires no more.
        resolved: Vec<Alert>,
    },
    /// The cooldown is not over.
    Wait {
        /// When it is.
        until: Timestamp,
    },
    /// One is opened, for the first of these; the others are in it.
    Open {
        /// Worst first. Not empty.
        firing: Vec<Alert>,
    },
}

/// The worst first, then the oldest; the same for the same set.
pub fn sort(alerts: &mut [Alert]) {
    alerts.sort_by(|a, b| (a.severity, a.starts_at, &a.fingerprint).cmp(&(b.severity, b.starts_at, &b.fingerprint)));
}

/// Decides. `alerts` is what was sent, firing and resolved.
#[must_use]
pub fn decide(alerts: Vec<Alert>, known: &[Known], opening: Opening, now: Timestamp) -> Decision {
    let (mut firing, mut resolved): (Vec<_>, Vec<_>) = alerts.into_iter().partition(|alert| alert.ends_at.is_none());
    sort(&mut firing);
    sort(&mut resolved);
    if let Some(open) = open_of_itself(known) {
        firing.retain(|alert| !knows(open, alert));
        resolved.retain(|alert| fired(open, alert));
        let incident = open.name.clone();
        if firing.is_empty() && resolved.is_empty() {
            return Decision::Nothing { incident: Some(incident) };
        }
        return Decision::Join { incident, firing, resolved };
    }
    if firing.is_empty() {
        return Decision::Nothing { incident: last_of(&resolved, known) };
    }
    if !opening.wanted {
        return Decision::Off;
    }
    let held: Vec<Held> = firing.iter().map(|alert| holds_back(alert, known, opening.cooldown, now)).collect();
    if held.contains(&Held::Free) {
        // What is free leads; what had its Incident is in it all the same, for it fires.
        let mut both: Vec<_> = firing.into_iter().zip(held).collect();
        both.sort_by_key(|(_, held)| *held != Held::Free);
        return Decision::Open { firing: both.into_iter().map(|(alert, _)| alert).collect() };
    }
    let until = held.iter().filter_map(|held| if let Held::Until(until) = held { Some(*until) } else { None }).min();
    match until {
        Some(until) => Decision::Wait { until },
        None => Decision::Had { incident: last_of(&firing, known).unwrap_or_default() },
    }
}

fn holds_back(alert: &Alert, known: &[Known], cooldown: Duration, now: Timestamp) -> Held {
    let asked = Asked {
        since: alert.starts_at,
        // What another that opened itself did not know of, its agent may have repaired all the same.
        about: |one: &Known| one.alert(&alert.fingerprint).map(|_| true),
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
    let mut ended: Vec<_> = known.iter().filter(counts).collect();
    ended.sort_by_key(|one| one.ended.map(|(_, at)| at));
    Recurrence {
        of: ended.last().map(|one| one.name.clone()),
        count: i64::try_from(ended.len()).unwrap_or(i64::MAX),
    }
}

#[cfg(test)]
mod tests;
