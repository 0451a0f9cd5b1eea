//! The task of the process that leads: looks at all Incidents, has receivers told, and keeps in the statuses what they
//! were told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crds::Incident;
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde_json::json;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::book::Step;
use super::courier::{Courier, Happened};
use super::record::{self, Record};
use super::wanted::{Patience, of_incidents, waits};
use super::{Notice, Topic};
use crate::context::Context;
use crate::error::chain;
use crate::monitor::watched::redactor;
use crate::status::Written;

/// Between two looks.
const TICK: Duration = Duration::from_secs(1);
/// Statuses that are written in one tick.
const WRITTEN: usize = 10;
/// Who writes them.
const MANAGER: &str = "operator-notices";

/// Deleted Incidents of which somebody was told, for those who are to hear that it is over.
#[derive(Debug, Default)]
pub struct Leaving(Mutex<Vec<Arc<Incident>>>);

impl Leaving {
    /// This one goes.
    pub fn note(&self, incident: &Incident) {
        let incident = Arc::new(incident.clone());
        if !record::open(&incident).is_empty() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(incident);
        }
    }

    fn take(&self) -> Vec<Arc<Incident>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Runs until `stop`. Without receivers there is nothing to do.
pub async fn run(context: Arc<Context>, stop: CancellationToken) {
    let config = &context.defaults.config.notices;
    if config.receivers.is_empty() {
        return;
    }
    let (redaction, leadership) = (context.redaction.clone(), context.leadership.clone());
    let clean = move |notice: &Notice, text: &str| match &notice.topic {
        Topic::Incident(about) => redactor(&redaction, &about.incident.uid().unwrap_or_default()).text(text).value,
        Topic::Waits { .. } => redactor(&redaction, "notice").text(text).value,
    };
    let may = move || leadership.check().map_err(|error| error.to_string());
    let courier =
        Courier::new(&config.receivers, &context.installation, Arc::new(clean), Arc::new(may), context.metrics.clone());
    match courier {
        Ok(courier) => {
            let desk =
                Desk { context: context.clone(), courier, patience: Patience::default(), records: HashMap::new() };
            stop.run_until_cancelled(desk.run()).await;
        }
        Err(why) => tracing::error!(why, "nobody can be told that a person is needed"),
    }
}

struct Desk {
    context: Arc<Context>,
    courier: Courier,
    patience: Patience,
    /// What was told and is not in a status yet, or may not be: by UID.
    records: HashMap<String, Kept>,
}

struct Kept {
    incident: Arc<Incident>,
    record: Record,
    /// Whether it is to be written.
    news: bool,
}

impl Desk {
    async fn run(mut self) {
        self.context.incidents.are_listed().await;
        for incident in self.incidents() {
            self.remember(&incident);
        }
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    self.look();
                    self.write().await;
                }
                happened = self.courier.next() => {
                    for one in happened {
                        self.take(one).await;
                    }
                }
            }
        }
    }

    fn incidents(&self) -> Vec<Arc<Incident>> {
        let ours = |incident: &Arc<Incident>| self.context.serves(&incident.metadata);
        self.context.incidents.state().into_iter().filter(ours).collect()
    }

    /// What an earlier controller told of it counts as told.
    fn remember(&mut self, incident: &Arc<Incident>) {
        for (receiver, notice) in record::open(incident) {
            self.courier.restore(&receiver, &notice);
        }
    }

    fn look(&mut self) {
        for incident in self.context.leaving.take() {
            self.remember(&incident);
        }
        let incidents = self.incidents();
        let mut wanted = of_incidents(&incidents);
        let after = self.context.defaults.config.notices.waiting_after;
        let waits = self.patience.long_enough(waits(&incidents), after, Instant::now(), Timestamp::now());
        wanted.extend(waits);
        self.courier.look(&wanted);
        self.context.metrics.notices_waiting.set(i64::try_from(self.courier.waiting()).unwrap_or(i64::MAX));
    }

    async fn take(&mut self, happened: Happened) {
        let Happened { receiver, notice, step, why } = &happened;
        let Topic::Incident(about) = &notice.topic else {
            let topic = notice.topic.key();
            if let Some(why) = why {
                tracing::warn!(receiver, topic, why, "a receiver of notices is not told");
            } else {
                tracing::info!(receiver, topic, ?step, "a receiver of notices was told");
            }
            return;
        };
        let incident = about.incident.clone();
        let name = format!("{}/{}", incident.namespace().unwrap_or_default(), incident.name_any());
        let events = &self.context.events;
        match step {
            Step::Told => {
                tracing::info!(receiver, incident = name, "told that a person is needed");
                let note = format!("{receiver} was told that a person is needed ({})", about.reason.as_str());
                events.normal(&*incident, "Notified", "Notify", &note).await;
            }
            Step::Ended => {
                tracing::info!(receiver, incident = name, "told that nobody is needed any more");
                // One that is gone has nobody who reads of it.
                if self.is_there(&incident) {
                    let note = format!("{receiver} was told that nobody is needed any more");
                    events.normal(&*incident, "NoticeEnded", "Notify", &note).await;
                }
            }
            Step::Failed => {
                let why = why.as_deref().unwrap_or_default();
                tracing::warn!(receiver, incident = name, why, "a receiver of notices is not told; trying again");
                let note = format!("{receiver} could not be told, and is tried again: {why}");
                events.warning(&*incident, "NotNotified", "Notify", &note).await;
            }
            Step::FailedAgain | Step::Refreshed => {}
        }
        let uid = incident.uid().unwrap_or_default();
        let kept = self.records.entry(uid).or_insert_with(|| {
            let record = Record::of(incident.status.as_ref());
            Kept { incident: incident.clone(), record, news: false }
        });
        kept.news |= kept.record.note(&happened, Timestamp::now());
    }

    fn is_there(&self, incident: &Incident) -> bool {
        let now = self.context.incidents.get(&kube::runtime::reflector::ObjectRef::from_obj(incident));
        now.is_some_and(|now| now.uid() == incident.uid() && now.metadata.deletion_timestamp.is_none())
    }

    /// Writes what is new. What cannot be written now is tried again with the next tick.
    async fn write(&mut self) {
        let wanted: Vec<String> =
            self.records.iter().filter(|(_, kept)| kept.news).map(|(uid, _)| uid.clone()).take(WRITTEN).collect();
        for uid in wanted {
            let Some(kept) = self.records.get_mut(&uid) else { continue };
            let key = kube::runtime::reflector::ObjectRef::from_obj(&*kept.incident);
            let Some(now) = self.context.incidents.get(&key).filter(|now| now.uid().as_deref() == Some(&uid)) else {
                self.records.remove(&uid);
                continue;
            };
            let old = now.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
            let condition = kept.record.condition(&old, now.metadata.generation, Timestamp::now());
            let status =
                json!({"notices": kept.record.notices(), "conditions": condition.into_iter().collect::<Vec<_>>()});
            match self.context.status.write_as(MANAGER, &*now, &status).await {
                Ok(Written::Yes) => {
                    kept.incident = now;
                    kept.news = false;
                }
                Ok(Written::Gone) => drop(self.records.remove(&uid)),
                Ok(Written::Later(_)) => {}
                Err(error) => {
                    tracing::warn!(error = chain(&error), "what was told is not in the status yet; trying again");
                }
            }
        }
        // What is over and written is known by the status from now on.
        let there: std::collections::HashSet<String> = self.records.keys().cloned().collect();
        for uid in there {
            let done = self.records.get(&uid).is_some_and(|kept| !kept.news && !self.is_there(&kept.incident));
            if done {
                self.records.remove(&uid);
            }
        }
    }
}
