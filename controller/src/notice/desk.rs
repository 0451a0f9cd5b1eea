//! The task of the process that leads: looks at all Incidents, has receivers told, and keeps in the statuses what they
//! were told.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::Incident;
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde_json::json;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::board::{Board, News};
use super::book::Step;
use super::courier::{Courier, Happened};
use super::record::{self, Record};
use super::wanted::{Patience, of_incidents, waits};
use super::{Notice, Topic};
use crate::context::Context;
use crate::metrics::Metrics;
use crate::monitor::watched::redactor;

/// Between two looks.
const TICK: Duration = Duration::from_secs(1);
/// Statuses that are written in one tick.
const WRITTEN: usize = 10;

/// Runs until `stop`. Without receivers there is nothing to do.
pub async fn run(context: Arc<Context>, stop: CancellationToken) {
    let config = context.defaults.config.notices.clone();
    if config.receivers.is_empty() {
        return;
    }
    let (redaction, leadership) = (context.redaction.clone(), context.leadership.clone());
    let clean = move |notice: &Notice, text: &str| match &notice.topic {
        Topic::Incident(about) => redactor(&redaction, &about.incident.uid().unwrap_or_default()).text(text).value,
        Topic::Waits { .. } => redactor(&redaction, "notice").text(text).value,
    };
    let may = move || leadership.check().map_err(|error| error.to_string());
    let metrics = context.metrics.clone();
    let courier =
        Courier::new(&config.receivers, &context.installation, Arc::new(clean), Arc::new(may), metrics.clone());
    match courier {
        Ok(courier) => {
            let desk = Desk::new(context, courier, config.waiting_after, metrics);
            stop.run_until_cancelled(desk.run()).await;
        }
        Err(why) => tracing::error!(why, "nobody can be told that a person is needed"),
    }
}

/// The task.
pub struct Desk {
    board: Arc<dyn Board>,
    courier: Courier,
    patience: Patience,
    waiting_after: Duration,
    metrics: Arc<Metrics>,
    /// What was told, of the Incidents of which something was told since this began: by UID.
    records: HashMap<String, Kept>,
}

struct Kept {
    incident: Arc<Incident>,
    record: Record,
    /// Whether it is to be written.
    news: bool,
}

impl Desk {
    /// A task that knows nothing yet.
    #[must_use]
    pub fn new(board: Arc<dyn Board>, courier: Courier, waiting_after: Duration, metrics: Arc<Metrics>) -> Self {
        Self { board, courier, patience: Patience::default(), waiting_after, metrics, records: HashMap::new() }
    }

    /// Runs for ever.
    pub async fn run(mut self) {
        self.board.listed().await;
        for incident in self.board.incidents() {
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
                    // At once: what stands in no status would be told again by the next controller.
                    self.write().await;
                }
            }
        }
    }

    /// What an earlier controller told of it counts as told.
    fn remember(&mut self, incident: &Arc<Incident>) {
        for (receiver, notice) in record::open(incident) {
            self.courier.restore(&receiver, &notice);
        }
    }

    fn look(&mut self) {
        for incident in self.board.leaving() {
            self.remember(&incident);
        }
        let incidents = self.board.incidents();
        let mut wanted = of_incidents(&incidents);
        let waits = waits(&incidents);
        wanted.extend(self.patience.long_enough(waits, self.waiting_after, Instant::now(), Timestamp::now()));
        self.courier.look(&wanted);
        self.metrics.notices_waiting.set(i64::try_from(self.courier.waiting()).unwrap_or(i64::MAX));
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
        let news = match step {
            Step::Told => {
                tracing::info!(receiver, incident = name, "told that a person is needed");
                let note = format!("{receiver} was told that a person is needed ({})", about.reason.as_str());
                Some(News { warning: false, reason: "Notified", note })
            }
            Step::Ended => {
                tracing::info!(receiver, incident = name, "told that nobody is needed any more");
                let note = format!("{receiver} was told that nobody is needed any more");
                Some(News { warning: false, reason: "NoticeEnded", note })
            }
            Step::Failed => {
                let why = why.as_deref().unwrap_or_default();
                tracing::warn!(receiver, incident = name, why, "a receiver of notices is not told; trying again");
                let note = format!("{receiver} could not be told, and is tried again: {why}");
                Some(News { warning: true, reason: "NotNotified", note })
            }
            Step::FailedAgain | Step::Refreshed => None,
        };
        // One that is gone has nobody who reads of it.
        if let Some(news) = news.filter(|_| self.board.now(&incident).is_some()) {
            self.board.tell(&incident, news).await;
        }
        let kept = self.records.entry(incident.uid().unwrap_or_default()).or_insert_with(|| {
            let record = Record::of(incident.status.as_ref());
            Kept { incident: incident.clone(), record, news: false }
        });
        kept.news |= kept.record.note(&happened, Timestamp::now());
    }

    /// Writes what is new. What cannot be written now is tried again with the next tick.
    async fn write(&mut self) {
        let wanted: Vec<String> =
            self.records.iter().filter(|(_, kept)| kept.news).map(|(uid, _)| uid.clone()).take(WRITTEN).collect();
        for uid in wanted {
            let Some(kept) = self.records.get_mut(&uid) else { continue };
            let Some(now) = self.board.now(&kept.incident) else {
                self.records.remove(&uid);
                continue;
            };
            let old = now.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
            let condition = kept.record.condition(&old, now.metadata.generation, Timestamp::now());
            let conditions: Vec<_> = condition.into_iter().collect();
            let status = json!({"notices": kept.record.notices(), "conditions": conditions});
            match self.board.write(&now, &status).await {
                Ok(true) => {
                    kept.incident = now;
                    kept.news = false;
                }
                Ok(false) => drop(self.records.remove(&uid)),
                Err(why) => tracing::warn!(why, "what was told is not in the status yet; trying again"),
            }
        }
        let board = &self.board;
        self.records.retain(|_, kept| kept.news || board.now(&kept.incident).is_some());
    }
}

#[cfg(test)]
mod tests;
