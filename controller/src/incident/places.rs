//! How often a status says something that is no news: an Incident's place in the queue, once a minute.
//!
//! A place moves whenever a session ends, for all that wait. A thousand of them would drown the API server with
//! numbers that nobody reads. That one is the first now, or stands in the queue at all, is said at once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crds::{IncidentPhase, IncidentStatus};

use super::status::{HALTED, QUEUED};
use crate::notice::record::NOTIFIED;
use crate::status::Urgency;

/// Between two places of one Incident.
const EVERY: Duration = Duration::from_mins(1);

/// When each Incident's place was last shown.
#[derive(Debug, Default)]
pub struct Places(Mutex<HashMap<String, Instant>>);

impl Places {
    /// Whether a new place may be shown now, or after which time.
    ///
    /// # Errors
    /// The time after which it may.
    pub fn ask(
        &self,
        uid: &str,
        old: Option<&IncidentStatus>,
        new: &IncidentStatus,
        now: Instant,
    ) -> Result<(), Duration> {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = new.queue_position == Some(1) && old.and_then(|old| old.queue_position) != Some(1);
        let since = shown.get(uid).map(|at| now.saturating_duration_since(*at));
        match since {
            Some(since) if since < EVERY && !first && is_news(old, new).is_none() => Err(EVERY.saturating_sub(since)),
            _ => {
                shown.insert(uid.to_owned(), now);
                Ok(())
            }
        }
    }

    /// It waits no more.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

/// Why an Incident does not run: the reason of the first condition that says so.
#[must_use]
pub fn pending_reason(status: &IncidentStatus) -> Option<&str> {
    let says = status.conditions.iter().find(|c| c.status == "False" && c.type_ != "Finished" && c.type_ != NOTIFIED);
    says.map(|condition| condition.reason.as_str())
}

/// Whether a status says more than how far it is, and how soon it must be said. What a halt does to those that wait
/// comes to all of them at once, and so it may wait its turn.
#[must_use]
pub fn is_news(old: Option<&IncidentStatus>, new: &IncidentStatus) -> Option<Urgency> {
    let conditions = |status: &IncidentStatus| -> Vec<(String, String, String)> {
        status.conditions.iter().map(|c| (c.type_.clone(), c.status.clone(), c.reason.clone())).collect()
    };
    let Some(old) = old else { return Some(Urgency::Now) };
    if old.phase != new.phase || old.session_id != new.session_id || old.attempt != new.attempt {
        return Some(Urgency::Now);
    }
    if conditions(old) == conditions(new) {
        return None;
    }
    let halt = |status: &IncidentStatus| {
        status.phase == IncidentPhase::Pending && matches!(pending_reason(status), Some(HALTED | QUEUED))
    };
    Some(if halt(old) && halt(new) { Urgency::Progress } else { Urgency::Now })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::plan::Plan;
    use crate::incident::status::StatusBuilder;
    use crate::session::queue::Why;

    fn incident() -> crds::Incident {
        let yaml = "apiVersion: operator.dev/v1alpha1\nkind: Incident\nmetadata: {name: i, namespace: ns}\n\
                    spec: {title: t, subjectRef: {name: s}}\n";
        serde_saphyr::from_str(yaml).unwrap()
    }

    fn queued(old: Option<&IncidentStatus>, position: usize) -> IncidentStatus {
        of(incident(), old, position)
    }

    fn of(mut incident: crds::Incident, old: Option<&IncidentStatus>, position: usize) -> IncidentStatus {
        incident.status = old.cloned();
        let plan = Plan::Queue { position, why: Why::Limit };
        StatusBuilder::new(&incident, jiff::Timestamp::UNIX_EPOCH).planned(&plan)
    }

    #[test]
    fn a_place_is_news_once_a_minute_and_the_first_place_at_once() {
        let (places, begin) = (Places::default(), Instant::now());
        let seventh = queued(None, 7);
        assert_eq!(places.ask("u", None, &seventh, begin), Ok(()));
        let soon = begin + Duration::from_secs(20);
        let sixth = queued(Some(&seventh), 6);
        assert_eq!(places.ask("u", Some(&seventh), &sixth, soon), Err(Duration::from_secs(40)));
        assert_eq!(places.ask("u", Some(&seventh), &queued(Some(&seventh), 1), soon), Ok(()));
        let later = soon + EVERY;
        assert_eq!(places.ask("u", Some(&seventh), &sixth, later), Ok(()));
        places.forget("u");
        assert_eq!(places.ask("u", Some(&seventh), &sixth, later), Ok(()));
    }

    /// A thousand wait, and each second one leaves the queue, for three minutes.
    #[test]
    fn a_thousand_that_wait_write_a_thousand_times_a_minute() {
        let (places, begin, incident) = (Places::default(), Instant::now(), incident());
        let mut shown: Vec<Option<IncidentStatus>> = vec![None; 1000];
        let mut writes = Vec::new();
        for second in 0..180_u64 {
            let now = begin + Duration::from_secs(second);
            let gone = usize::try_from(second).unwrap();
            let mut written = 0;
            for (index, old) in shown.iter_mut().enumerate().skip(gone) {
                let new = of(incident.clone(), old.as_ref(), index - gone + 1);
                if old.as_ref() != Some(&new) && places.ask(&index.to_string(), old.as_ref(), &new, now).is_ok() {
                    *old = Some(new);
                    written += 1;
                }
            }
            writes.push(written);
        }
        assert_eq!(writes[0], 1000, "each is told its place at once");
        for minute in writes.chunks(60).skip(1) {
            let sum: usize = minute.iter().sum();
            assert!(sum <= 1000 + 60, "{sum} writes in a minute");
        }
    }

    #[test]
    fn what_a_halt_says_to_all_that_wait_may_wait_its_turn() {
        let waits = queued(None, 3);
        let mut halted = waits.clone();
        for condition in halted.conditions.iter_mut().filter(|condition| condition.type_ == "SessionReady") {
            condition.reason = HALTED.into();
        }
        assert_eq!(is_news(Some(&waits), &halted), Some(Urgency::Progress));
        assert_eq!(is_news(None, &halted), Some(Urgency::Now));
        assert_eq!(is_news(Some(&halted), &halted), None);
    }
}
