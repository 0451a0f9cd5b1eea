//! What a notice says, as Alertmanager takes it and as JSON of our own. Pure; each text is cleaned as it is put in.

use std::time::Duration;

use crds::Severity;
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde_json::{Map, Value, json};

use super::book::Due;
use super::{About, Notice, Topic, What};
use crate::alert::OWN_LABEL;
use crate::printable::short_line;

/// Alertmanager is told as often as this that something still is so …
pub const REFRESH: Duration = Duration::from_mins(2);
/// … and forgets it after this, should nobody do so any more.
const LASTS: Duration = Duration::from_mins(10);
/// Of a text.
const LINE: usize = 1000;

/// Who speaks, and what cleans a text.
pub struct Voice<'a> {
    /// The installation's name.
    pub installation: &'a str,
    /// Masks secrets.
    pub clean: &'a (dyn Fn(&Notice, &str) -> String + Sync),
}

impl Voice<'_> {
    /// For `POST /api/v2/alerts`.
    #[must_use]
    pub fn alert(&self, due: &Due, now: Timestamp) -> Value {
        let said = self.said(&due.notice);
        let ends = due.over.unwrap_or_else(|| now.saturating_add(LASTS).unwrap_or(Timestamp::MAX));
        let mut labels = Map::new();
        labels.insert("alertname".into(), said.name.into());
        labels.insert("severity".into(), said.severity.into());
        labels.insert(OWN_LABEL.into(), self.installation.into());
        let mut annotations = Map::new();
        annotations.insert("summary".into(), said.summary.into());
        for (name, value) in said.labels {
            labels.insert(name.into(), value.into());
        }
        for (name, value) in said.details {
            annotations.insert(name.into(), value.into());
        }
        json!({
            "labels": labels,
            "annotations": annotations,
            "startsAt": due.notice.since.to_string(),
            // The API refuses an end before the beginning.
            "endsAt": ends.max(due.notice.since).to_string(),
        })
    }

    /// For a webhook.
    #[must_use]
    pub fn body(&self, due: &Due) -> Value {
        let said = self.said(&due.notice);
        let about: Map<String, Value> =
            said.labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let details: Map<String, Value> =
            said.details.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        json!({
            "version": "1",
            "status": if due.over.is_some() { "resolved" } else { "firing" },
            "key": format!("{}/{}/{}", self.installation, due.key, due.notice.topic.attempt()),
            "installation": self.installation,
            "name": said.name,
            "severity": said.severity,
            "summary": said.summary,
            "about": about,
            "details": details,
            "startsAt": due.notice.since.to_string(),
            "endsAt": due.over.map(|over| over.max(due.notice.since).to_string()),
        })
    }

    fn said(&self, notice: &Notice) -> Said {
        match &notice.topic {
            Topic::Incident(about) => self.of_incident(notice, about),
            Topic::Waits { what, why } => {
                let (name, summary) = match what {
                    What::Database => {
                        ("OperatorWaitsForDatabase", "Operator waits for its database: nothing runs without a trail")
                    }
                    What::Engine => ("OperatorWaitsForEngine", "Operator waits for the engine: no session can begin"),
                };
                Said {
                    name,
                    severity: Severity::Critical.as_str(),
                    summary: summary.into(),
                    labels: vec![("waits_for", what.as_str().into())],
                    details: vec![
                        ("description", (self.clean)(notice, why)),
                        ("command", "kubectl get incidents --all-namespaces".into()),
                    ],
                }
            }
        }
    }

    fn of_incident(&self, notice: &Notice, about: &About) -> Said {
        let incident = &about.incident;
        let status = incident.status.clone().unwrap_or_default();
        let (namespace, name) = (incident.namespace().unwrap_or_default(), incident.name_any());
        let clean = |text: &str| short_line(&(self.clean)(notice, text), LINE);
        let describe = format!("kubectl describe incident --namespace {namespace} {name}");
        // That of this attempt: a later one has another.
        let session = status.session_id.filter(|_| status.attempt == Some(about.attempt));
        let trail = session.as_ref().map(|session| format!("operator audit show {session}"));
        let mut details = vec![("description", clean(status.message.as_deref().unwrap_or_default()))];
        for (key, text) in
            [("root_cause", &status.root_cause), ("findings", &status.summary), ("next_steps", &status.follow_up)]
        {
            details.extend(text.as_deref().map(|text| (key, clean(text))));
        }
        details.push(("command", trail.unwrap_or_else(|| describe.clone())));
        details.push(("describe", describe));
        details.push(("acknowledge", format!(
            "kubectl patch incident --namespace {namespace} {name} --type merge --patch '{{\"spec\":{{\"acknowledged\":{}}}}}'",
            about.attempt
        )));
        details.push(("attempt", about.attempt.to_string()));
        details.extend(session.map(|session| ("session", session)));
        Said {
            name: match about.reason {
                super::Reason::Escalated => "OperatorIncidentEscalated",
                super::Reason::Failed => "OperatorIncidentFailed",
            },
            severity: incident.spec.severity.as_str(),
            summary: format!("{} needs a person ({}): {}", name, about.reason.as_str(), clean(&incident.spec.title)),
            labels: vec![
                ("namespace", namespace),
                ("incident", name),
                ("subject", incident.spec.subject_ref.name.clone()),
            ],
            details,
        }
    }
}

/// What is the same for all receivers.
struct Said {
    name: &'static str,
    severity: &'static str,
    summary: String,
    labels: Vec<(&'static str, String)>,
    details: Vec<(&'static str, String)>,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::notice::wanted::of_incident;

    fn due(over: Option<&str>) -> Due {
        let yaml = "apiVersion: operator.dev/v1alpha1\nkind: Incident\nmetadata: {name: slow, namespace: ns, uid: u}\n\
                    spec: {title: shop is slow hunter2, subjectRef: {name: shop}, severity: critical}\n\
                    status: {phase: Escalated, attempt: 1, sessionId: 2026-x, message: 'Unresolved: no luck', \
                    followUp: look, finishedAt: '2026-01-28T20:54:48Z'}";
        let notice = of_incident(&Arc::new(serde_saphyr::from_str(yaml).unwrap())).unwrap();
        Due { key: notice.topic.key(), notice, over: over.map(|over| over.parse().unwrap()), again: false }
    }

    fn voice<T>(say: impl FnOnce(&Voice) -> T) -> T {
        say(&Voice { installation: "operator", clean: &|_, text| text.replace("hunter2", "***") })
    }

    #[test]
    fn alertmanager_is_told_what_where_and_how_to_look() {
        let now = "2026-01-28T21:00:00Z".parse().unwrap();
        let alert = voice(|voice| voice.alert(&due(None), now));
        assert_eq!(
            alert["labels"],
            json!({"alertname": "OperatorIncidentEscalated", "severity": "critical", "operator_installation": "operator",
                   "namespace": "ns", "incident": "slow", "subject": "shop"})
        );
        assert_eq!(alert["annotations"]["summary"], "slow needs a person (Escalated): shop is slow ***");
        assert_eq!(alert["annotations"]["command"], "operator audit show 2026-x");
        assert_eq!(alert["annotations"]["describe"], "kubectl describe incident --namespace ns slow");
        assert_eq!(alert["annotations"]["next_steps"], "look");
        assert!(alert["annotations"]["acknowledge"].as_str().unwrap().ends_with("'{\"spec\":{\"acknowledged\":1}}'"));
        assert_eq!(
            (&alert["startsAt"], &alert["endsAt"]),
            (&json!("2026-01-28T20:54:48Z"), &json!("2026-01-28T21:10:00Z"))
        );
        let over = voice(|voice| voice.alert(&due(Some("2026-01-28T21:03:00Z")), now));
        assert_eq!(over["endsAt"], "2026-01-28T21:03:00Z");
        assert_eq!(over["labels"], alert["labels"], "the same alert");
        let odd = voice(|voice| voice.alert(&due(Some("2020-01-01T00:00:00Z")), now));
        assert_eq!(odd["endsAt"], odd["startsAt"]);
        assert!(LASTS > REFRESH * 3, "one that is missed is no end");
    }

    #[test]
    fn a_webhook_is_told_the_same_and_can_tell_a_repetition() {
        let (body, over) = voice(|voice| (voice.body(&due(None)), voice.body(&due(Some("2026-01-28T21:03:00Z")))));
        assert_eq!((&body["status"], &over["status"]), (&json!("firing"), &json!("resolved")));
        assert_eq!((&body["key"], &over["key"]), (&json!("operator/u/Escalated/1"), &json!("operator/u/Escalated/1")));
        assert_eq!((&body["endsAt"], &over["endsAt"]), (&Value::Null, &json!("2026-01-28T21:03:00Z")));
        assert_eq!(body["about"], json!({"namespace": "ns", "incident": "slow", "subject": "shop"}));
        assert!(!body.to_string().contains("hunter2"));
    }

    #[test]
    fn what_waits_is_told_for_all_at_once() {
        let topic = Topic::Waits { what: What::Engine, why: "12 Incidents wait: it is away".into() };
        let notice = Notice { topic, since: Timestamp::UNIX_EPOCH };
        let due = Due { key: notice.topic.key(), notice, over: None, again: false };
        let alert = voice(|voice| voice.alert(&due, Timestamp::UNIX_EPOCH));
        assert_eq!(alert["labels"]["alertname"], "OperatorWaitsForEngine");
        assert_eq!(alert["annotations"]["description"], "12 Incidents wait: it is away");
    }
}
