//! What is known of a Subject's Incidents, as far as opening another depends on it. Pure.

use std::sync::Arc;

use crds::alert::KnownAlert;
use crds::incident::{AgentMode, Evidence, Severity, Violated};
use crds::{Incident, IncidentPhase};
use jiff::Timestamp;
use kube::ResourceExt;
use sha2::{Digest as _, Sha256};

use crate::audit::proof::hex;
use crate::incident::plan::is_finished;

/// An Incident of the Subject.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Its version, for a change of it as it was seen.
    pub version: Option<String>,
    /// What opened it, if the monitor did: what it is about, by fingerprint.
    pub fingerprint: Option<String>,
    /// The invariants and keys that it is about; empty unless the monitor opened it.
    pub violated: Vec<Violated>,
    /// The alerts that it is about.
    pub alerts: Vec<KnownAlert>,
    /// What was seen so far.
    pub evidence: Vec<Evidence>,
    /// How bad it is.
    pub severity: Severity,
    /// When it was created.
    pub created: Timestamp,
    /// How and when it ended.
    pub ended: Option<(IncidentPhase, Timestamp)>,
    /// Whether it is being deleted, and will be known to nobody.
    pub goes: bool,
    /// Whether an agent works on it or will, and may repair.
    pub repairs: bool,
}

impl Known {
    /// What an Incident says.
    #[must_use]
    pub fn of(incident: &Incident) -> Self {
        let status = incident.status.clone().unwrap_or_default();
        let created = incident.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        let origin = incident.spec.origin.clone();
        let alerts = origin.as_ref().map(|origin| origin.alerts.clone()).unwrap_or_default();
        let origin = origin.filter(|origin| !origin.violated.is_empty());
        let ended = if let Some(deleted) = &incident.metadata.deletion_timestamp {
            Some((IncidentPhase::Cancelled, deleted.0))
        } else {
            is_finished(incident).then(|| (status.phase, status.finished_at.map_or(created, |time| time.0)))
        };
        let rejected = crds::condition::find(&status.conditions, "Accepted").is_some_and(|c| c.status == "False");
        let acts = incident.spec.agent.as_ref().is_none_or(|agent| agent.mode == AgentMode::Act);
        Self {
            name: incident.name_any(),
            version: incident.resource_version(),
            fingerprint: origin.as_ref().map(|origin| origin.fingerprint.clone()),
            violated: origin.map(|origin| origin.violated).unwrap_or_default(),
            alerts,
            evidence: incident.spec.evidence.clone(),
            severity: incident.spec.severity,
            created,
            ended,
            goes: incident.metadata.deletion_timestamp.is_some(),
            repairs: acts && !rejected,
        }
    }

    /// The same of many.
    #[must_use]
    pub fn all(incidents: &[Arc<Incident>]) -> Vec<Self> {
        incidents.iter().map(|incident| Self::of(incident)).collect()
    }

    /// Whether the monitor opened it. An alert's Incident has an origin, too, and names no invariant.
    #[must_use]
    pub fn is_monitors(&self) -> bool {
        !self.violated.is_empty()
    }

    /// Whether an invariant or an alert opened it, and not a person.
    #[must_use]
    pub fn opened_itself(&self) -> bool {
        self.is_monitors() || !self.alerts.is_empty()
    }

    /// What it knows of an alert.
    #[must_use]
    pub fn alert(&self, fingerprint: &str) -> Option<&KnownAlert> {
        self.alerts.iter().find(|alert| alert.fingerprint == fingerprint)
    }

    /// Whether it is over.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Whether it is about this.
    #[must_use]
    pub fn names(&self, invariant: &str, key: &str) -> bool {
        self.violated.iter().any(|violated| violated.invariant == invariant && violated.key == key)
    }
}

/// The Incident that the monitor opened and that has not ended: the first, should there be several.
#[must_use]
pub fn open(known: &[Known]) -> Option<&Known> {
    let open = known.iter().filter(|one| one.is_monitors() && one.ended.is_none());
    open.min_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)))
}

/// The last one that the monitor opened.
#[must_use]
pub fn last(known: &[Known]) -> Option<&Known> {
    known.iter().filter(|one| one.is_monitors()).max_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)))
}

/// One that an invariant or an alert opened and that has not ended: the first, should there be several.
#[must_use]
pub fn open_of_itself(known: &[Known]) -> Option<&Known> {
    let open = known.iter().filter(|one| one.opened_itself() && one.ended.is_none());
    open.min_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)))
}

/// Tells a fault from others: the same for the same key of the same invariant of the same Subject.
#[must_use]
pub fn fingerprint(uid: &str, invariant: &str, key: &str) -> String {
    hex::encode(&Sha256::digest(format!("{uid}/{invariant}/{key}"))[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(spec: &str, meta: &str, status: &str) -> Known {
        let yaml = format!(
            "apiVersion: operator.dev/v1alpha1\nkind: Incident\nmetadata: {{name: i, namespace: ns, {meta}}}\n\
             spec: {{title: t, subjectRef: {{name: s}}, {spec}}}\nstatus: {status}"
        );
        let incident: Incident = serde_saphyr::from_str(&yaml).unwrap();
        Known::of(&incident)
    }

    const ORIGIN: &str = "origin: {fingerprint: 0a1b2c3d4e5f6071, violated: [{invariant: node_down, key: node1}]}";

    #[test]
    fn whose_it_is_is_said_by_what_it_names() {
        let monitors = known(ORIGIN, "uid: u", "{}");
        assert!(monitors.is_monitors() && monitors.names("node_down", "node1") && !monitors.names("node_down", ""));
        let alert = "{fingerprint: f00d, startsAt: '2026-01-28T20:54:48Z'}";
        let alerts = known(&format!("origin: {{fingerprint: 0a1b2c3d4e5f6071, alerts: [{alert}]}}"), "uid: u", "{}");
        assert!(!alerts.is_monitors() && alerts.opened_itself() && alerts.alert("f00d").is_some(), "an alert's");
        assert!(monitors.opened_itself() && monitors.alert("f00d").is_none());
        assert!(!known("attempt: 1", "uid: u", "{}").opened_itself(), "a person's");
    }

    #[test]
    fn an_end_is_that_of_this_attempt_or_a_deletion() {
        let at = "2026-01-28T20:54:48Z";
        let end = |spec: &str, meta: &str, status: &str| known(spec, meta, status).ended.map(|(phase, _)| phase);
        let done = format!("{{phase: Resolved, attempt: 1, finishedAt: '{at}'}}");
        assert_eq!(end(ORIGIN, "uid: u", &done), Some(IncidentPhase::Resolved));
        assert_eq!(end("attempt: 2", "uid: u", &done), None, "it is tried again");
        let deleted = format!("deletionTimestamp: '{at}'");
        assert_eq!(end(ORIGIN, &deleted, "{}"), Some(IncidentPhase::Cancelled));
    }

    #[test]
    fn who_looks_only_or_is_refused_repairs_nothing() {
        assert!(known(ORIGIN, "uid: u", "{}").repairs);
        assert!(!known("agent: {mode: Observe}", "uid: u", "{}").repairs);
        let refused = "{conditions: [{type: Accepted, status: 'False', reason: ImageNotAllowed, message: '', \
                       lastTransitionTime: '2026-01-28T20:54:48Z'}]}";
        assert!(!known(ORIGIN, "uid: u", refused).repairs);
    }

    #[test]
    fn a_fingerprint_tells_apart_and_stays() {
        assert_eq!(fingerprint("u", "node_down", "node1"), fingerprint("u", "node_down", "node1"));
        assert_eq!(fingerprint("u", "node_down", "node1").len(), 16);
        let others = [("v", "node_down", "node1"), ("u", "node_up", "node1"), ("u", "node_down", "")];
        for (uid, invariant, key) in others {
            assert_ne!(fingerprint(uid, invariant, key), fingerprint("u", "node_down", "node1"));
        }
    }
}
