//! What an Incident's status says of who was told. Pure.

use std::collections::BTreeMap;

use crds::condition::{ConditionStatus, set_condition};
use crds::incident::NoticeStatus;
use crds::{Incident, IncidentStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::book::Step;
use super::courier::Happened;
use super::{About, Notice, Reason, Topic};
use crate::printable::short_line;

/// The condition that says whether all who are to be told were.
pub const NOTIFIED: &str = "Notified";

/// What is known of one Incident.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    told: BTreeMap<String, NoticeStatus>,
    failing: BTreeMap<String, String>,
}

impl Record {
    /// What its status says.
    #[must_use]
    pub fn of(status: Option<&IncidentStatus>) -> Self {
        let told = status.map(|status| status.notices.clone()).unwrap_or_default();
        Self { told: told.into_iter().map(|one| (one.receiver.clone(), one)).collect(), failing: BTreeMap::new() }
    }

    /// Takes note of what happened. Says whether that is worth writing.
    pub fn note(&mut self, happened: &Happened, now: Timestamp) -> bool {
        let Topic::Incident(about) = &happened.notice.topic else { return false };
        let before = self.clone();
        let now = Time(Timestamp::from_second(now.as_second()).unwrap_or(now));
        match happened.step {
            Step::Told => {
                self.failing.remove(&happened.receiver);
                let status = NoticeStatus {
                    receiver: happened.receiver.clone(),
                    reason: about.reason.as_str().into(),
                    attempt: about.attempt,
                    told_at: now,
                    ended_at: None,
                };
                self.told.insert(happened.receiver.clone(), status);
            }
            Step::Refreshed => drop(self.failing.remove(&happened.receiver)),
            Step::Ended => {
                self.failing.remove(&happened.receiver);
                // The end of an earlier attempt, heard late, is none of the one that is told now.
                let same =
                    |one: &&mut NoticeStatus| one.attempt == about.attempt && one.reason == about.reason.as_str();
                if let Some(one) = self.told.get_mut(&happened.receiver).filter(same) {
                    one.ended_at = Some(now);
                }
            }
            Step::Failed | Step::FailedAgain => {
                let why = short_line(happened.why.as_deref().unwrap_or("it is not known why"), 300);
                self.failing.insert(happened.receiver.clone(), why);
            }
        }
        *self != before
    }

    /// For the status.
    #[must_use]
    pub fn notices(&self) -> Vec<NoticeStatus> {
        self.told.values().cloned().collect()
    }

    /// For the status, with the time of its last change kept.
    #[must_use]
    pub fn condition(&self, old: &[Condition], generation: Option<i64>, now: Timestamp) -> Option<Condition> {
        let names = |ended: bool| {
            let of = self.told.values().filter(|one| one.ended_at.is_some() == ended);
            of.map(|one| one.receiver.as_str()).collect::<Vec<_>>().join(", ")
        };
        let (status, reason, message) = if self.failing.is_empty() {
            match (names(false), names(true)) {
                (told, _) if !told.is_empty() => {
                    (ConditionStatus::True, "Told", format!("told that a person is needed: {told}"))
                }
                (_, ended) if ended.is_empty() => (ConditionStatus::False, "Ended", "nobody was told".to_owned()),
                (_, ended) => {
                    (ConditionStatus::False, "Ended", format!("told that nobody is needed any more: {ended}"))
                }
            }
        } else {
            let why: Vec<String> = self.failing.iter().map(|(name, why)| format!("{name}: {why}")).collect();
            (ConditionStatus::False, "NotTold", format!("not told yet, and tried again: {}", why.join("; ")))
        };
        let mut conditions: Vec<Condition> = old.iter().filter(|one| one.type_ == NOTIFIED).cloned().collect();
        set_condition(&mut conditions, NOTIFIED, status, reason, &short_line(&message, 2000), generation, now);
        conditions.pop()
    }
}

/// The notices of which an Incident's status says that they were told and not that they are over, by receiver.
#[must_use]
pub fn open(incident: &std::sync::Arc<Incident>) -> Vec<(String, Notice)> {
    let notices = incident.status.as_ref().map(|status| status.notices.as_slice()).unwrap_or_default();
    let open = notices.iter().filter(|one| one.ended_at.is_none()).filter_map(|one| {
        let about = About { incident: incident.clone(), reason: Reason::parse(&one.reason)?, attempt: one.attempt };
        let since = incident.status.as_ref().and_then(|status| status.finished_at.clone());
        let since = since.map_or(one.told_at.0, |at| at.0.min(one.told_at.0));
        Some((one.receiver.clone(), Notice { topic: Topic::Incident(about), since }))
    });
    open.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::notice::wanted::of_incident;

    fn incident(status: &str) -> Arc<Incident> {
        let yaml = format!(
            "apiVersion: operator.dev/v1alpha1\nkind: Incident\nmetadata: {{name: i, namespace: ns, uid: u}}\n\
             spec: {{title: t, subjectRef: {{name: s}}}}\n\
             status: {{phase: Escalated, attempt: 1, finishedAt: '2026-01-28T20:54:48Z', {status}}}"
        );
        Arc::new(serde_saphyr::from_str(&yaml).unwrap())
    }

    fn happened(receiver: &str, step: Step) -> Happened {
        let notice = of_incident(&incident("turns: 1")).unwrap();
        let why = matches!(step, Step::Failed).then(|| "connection refused".to_owned());
        Happened { receiver: receiver.into(), notice, step, why }
    }

    fn said(record: &Record) -> (String, String, String) {
        let condition = record.condition(&[], None, Timestamp::UNIX_EPOCH).unwrap();
        (condition.status, condition.reason, condition.message)
    }

    #[test]
    fn the_condition_says_whether_all_were_told() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut record = Record::default();
        assert!(record.note(&happened("team", Step::Told), now));
        assert_eq!(said(&record), ("True".into(), "Told".into(), "told that a person is needed: team".into()));
        assert!(record.note(&happened("hook", Step::Failed), now));
        assert!(!record.note(&happened("hook", Step::Failed), now), "the same again is not worth writing");
        assert_eq!(said(&record).2, "not told yet, and tried again: hook: connection refused");
        assert!(record.note(&happened("hook", Step::Told), now));
        assert_eq!(said(&record).2, "told that a person is needed: hook, team");
        assert!(!record.note(&happened("team", Step::Refreshed), now));
        assert!(record.note(&happened("team", Step::Ended), now));
        assert_eq!(said(&record).2, "told that a person is needed: hook");
        assert!(record.note(&happened("hook", Step::Ended), now));
        assert_eq!((said(&record).0.as_str(), said(&record).1.as_str()), ("False", "Ended"));
        assert_eq!(record.notices().len(), 2);
    }

    #[test]
    fn what_the_status_says_is_what_was_told() {
        let told = "notices: [{receiver: team, reason: Escalated, attempt: 1, toldAt: '2026-01-28T20:55:00Z'}, \
                    {receiver: hook, reason: Escalated, attempt: 1, toldAt: '2026-01-28T20:55:00Z', endedAt: '2026-01-28T21:00:00Z'}]";
        let incident = incident(told);
        let open = open(&incident);
        assert_eq!(open.len(), 1);
        assert_eq!((open[0].0.as_str(), open[0].1.topic.key()), ("team", "u/Escalated".to_owned()));
        let record = Record::of(incident.status.as_ref());
        assert_eq!(record.notices().len(), 2);
        let condition = record.condition(&[], Some(1), Timestamp::UNIX_EPOCH).unwrap();
        let later = record.condition(std::slice::from_ref(&condition), Some(1), Timestamp::MAX).unwrap();
        assert_eq!(condition, later, "nothing new, nothing written");
    }

    #[test]
    fn a_late_end_of_an_earlier_attempt_changes_nothing() {
        let mut record = Record::default();
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut second = happened("team", Step::Told);
        let Topic::Incident(about) = &mut second.notice.topic else { unreachable!("it is about one") };
        about.attempt = 2;
        record.note(&second, now);
        assert!(!record.note(&happened("team", Step::Ended), now));
        assert_eq!(record.notices()[0].ended_at, None);
    }
}
