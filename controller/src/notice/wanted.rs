//! Of what somebody is to be told, as things stand. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::{Incident, IncidentPhase};
use jiff::Timestamp;

use super::{About, Notice, Reason, Topic, What};
use crate::incident::places::pending_reason;
use crate::incident::plan::is_finished;

/// Notices by their topics' keys.
pub type Wanted = BTreeMap<String, Notice>;

/// What is to be told of an Incident: it ended so that a person is needed, and no person has said that it is known.
///
/// It is over when the Incident is deleted (by a person, or by its age and number), when `spec.attempt` is raised and an
/// agent tries again, or when `spec.acknowledged` is the attempt's number.
#[must_use]
pub fn of_incident(incident: &Arc<Incident>) -> Option<Notice> {
    let status = incident.status.as_ref()?;
    if incident.metadata.deletion_timestamp.is_some() || !is_finished(incident) {
        return None;
    }
    let attempt = incident.spec.attempt;
    if incident.spec.acknowledged == Some(attempt) {
        return None;
    }
    let reason = match status.phase {
        IncidentPhase::Escalated => Reason::Escalated,
        IncidentPhase::Failed => Reason::Failed,
        _ => return None,
    };
    let since = status.finished_at.as_ref().map_or(Timestamp::UNIX_EPOCH, |at| at.0);
    Some(Notice { topic: Topic::Incident(About { incident: incident.clone(), reason, attempt }), since })
}

/// All that is to be told of Incidents.
#[must_use]
pub fn of_incidents<'a>(incidents: impl IntoIterator<Item = &'a Arc<Incident>>) -> Wanted {
    let notices = incidents.into_iter().filter_map(of_incident);
    notices.map(|notice| (notice.topic.key(), notice)).collect()
}

/// Why Incidents wait for the engine, or for the store of the trail: how many, and what the first of them says.
#[must_use]
pub fn waits<'a>(incidents: impl IntoIterator<Item = &'a Arc<Incident>>) -> BTreeMap<&'static str, (What, String)> {
    let mut found: BTreeMap<&'static str, (What, usize, String)> = BTreeMap::new();
    for incident in incidents {
        let Some(status) = incident.status.as_ref().filter(|_| !is_finished(incident)) else { continue };
        let what = match pending_reason(status) {
            Some("EngineUnavailable") => What::Engine,
            Some("AuditUnavailable") => What::Database,
            _ => continue,
        };
        let said = || status.message.clone().unwrap_or_default();
        found.entry(what.as_str()).or_insert_with(|| (what, 0, said())).1 += 1;
    }
    let sentence = |count: usize, said: &str| match count {
        1 => format!("1 Incident waits: {said}"),
        count => format!("{count} Incidents wait: {said}"),
    };
    found.into_iter().map(|(key, (what, count, said))| (key, (what, sentence(count, &said)))).collect()
}

/// Since when something is so: what lasts for a moment only is told nobody.
#[derive(Debug, Default)]
pub struct Patience(BTreeMap<&'static str, (Instant, Timestamp)>);

impl Patience {
    /// What has been so for long enough.
    pub fn long_enough(
        &mut self,
        waits: BTreeMap<&'static str, (What, String)>,
        after: Duration,
        now: Instant,
        at: Timestamp,
    ) -> Wanted {
        self.0.retain(|key, _| waits.contains_key(key));
        let mut wanted = Wanted::new();
        for (key, (what, why)) in waits {
            let (begun, since) = *self.0.entry(key).or_insert((now, at));
            if now.saturating_duration_since(begun) >= after {
                let topic = Topic::Waits { what, why };
                wanted.insert(topic.key(), Notice { topic, since });
            }
        }
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incident(spec: &str, meta: &str, status: &str) -> Arc<Incident> {
        let yaml = format!(
            "apiVersion: operator.dev/v1alpha1\nkind: Incident\nmetadata: {{name: i, namespace: ns, uid: u, {meta}}}\n\
             spec: {{title: t, subjectRef: {{name: s}}, {spec}}}\nstatus: {status}"
        );
        Arc::new(serde_saphyr::from_str(&yaml).unwrap())
    }

    fn reason(spec: &str, status: &str) -> Option<&'static str> {
        match of_incident(&incident(spec, "generation: 1", status))?.topic {
            Topic::Incident(about) => Some(about.reason.as_str()),
            Topic::Waits { .. } => None,
        }
    }

    #[test]
    fn a_person_is_needed_after_some_ends_until_somebody_knows() {
        let at = "finishedAt: '2026-01-28T20:54:48Z'";
        let ended = |phase: &str| format!("{{phase: {phase}, attempt: 1, {at}}}");
        assert_eq!(reason("attempt: 1", &ended("Escalated")), Some("Escalated"));
        assert_eq!(reason("attempt: 1", &ended("Failed")), Some("Failed"));
        for phase in ["Pending", "Running", "Verifying", "Resolved", "Concluded", "Cancelled"] {
            assert_eq!(reason("attempt: 1", &ended(phase)), None, "{phase}");
        }
        assert_eq!(reason("attempt: 2", &ended("Escalated")), None, "it is tried again");
        assert_eq!(reason("attempt: 1, acknowledged: 1", &ended("Escalated")), None);
        assert_eq!(
            reason("attempt: 2, acknowledged: 1", &format!("{{phase: Escalated, attempt: 2, {at}}}")),
            Some("Escalated"),
            "that was another attempt"
        );
        let gone = incident("attempt: 1", "deletionTimestamp: '2026-01-28T20:54:48Z'", &ended("Escalated"));
        assert!(of_incident(&gone).is_none());
    }

    #[test]
    fn who_waits_for_engine_or_database_is_counted_once_for_all() {
        let waiting = |reason: &str| {
            incident(
                "attempt: 1",
                "generation: 1",
                &format!(
                    "{{phase: Pending, attempt: 1, message: it is away, conditions: [{{type: SessionReady, status: 'False', \
                     reason: {reason}, message: m, lastTransitionTime: '2026-01-28T20:54:48Z'}}]}}"
                ),
            )
        };
        let all = [
            waiting("EngineUnavailable"),
            waiting("EngineUnavailable"),
            waiting("AuditUnavailable"),
            waiting("Queued"),
        ];
        let waits = waits(&all);
        assert_eq!(waits["engine"], (What::Engine, "2 Incidents wait: it is away".to_owned()));
        assert_eq!(waits["database"], (What::Database, "1 Incident waits: it is away".to_owned()));
        assert_eq!(waits.len(), 2);
    }

    #[test]
    fn a_moment_is_told_nobody() {
        let mut patience = Patience::default();
        let (begin, at) = (Instant::now(), Timestamp::UNIX_EPOCH);
        let away = || [("engine", (What::Engine, "away".to_owned()))].into();
        let after = Duration::from_mins(1);
        let later = |seconds| begin + Duration::from_secs(seconds);
        assert!(patience.long_enough(away(), after, begin, at).is_empty());
        assert!(patience.long_enough(BTreeMap::new(), after, later(30), at).is_empty());
        assert!(patience.long_enough(away(), after, later(61), at).is_empty(), "it was there in between");
        let told = patience.long_enough(away(), after, later(121), Timestamp::MAX);
        assert_eq!(told["engine"].since, at, "since it began");
    }
}
