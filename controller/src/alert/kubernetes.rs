//! The cluster for the desk of alerts, on every replica: no caches (those begin with the lease), and nobody asks whether
//! this process leads, for what is opened here is the same whoever opens it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use crds::{Incident, Subject, names};
use kube::api::{Api, ListParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource as _, ResourceExt as _};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::desk::Directory;
use crate::error::chain;
use crate::monitor::known::Known;
use crate::monitor::kubernetes as api;
use crate::monitor::order::Order;
use crate::monitor::outside::{News, Opened, Outside};
use crate::monitor::words::Joined;
use crate::printable::short_line;
use crate::redact::Redaction;

/// So old may the list of Subjects be: many requests share one. A new rule holds after that.
const FRESH: Duration = Duration::from_secs(2);

/// The Subjects, and when they were listed.
type Listed = Option<(Instant, Vec<Arc<Subject>>)>;

/// The cluster.
pub struct Cluster {
    client: Client,
    namespaces: Vec<String>,
    installation: String,
    redaction: Arc<Redaction>,
    recorder: Arc<Recorder>,
    listed: Mutex<Listed>,
}

impl Cluster {
    /// As this installation; no namespaces mean all.
    #[must_use]
    pub fn new(client: Client, namespaces: Vec<String>, installation: String, redaction: Arc<Redaction>) -> Self {
        let instance = std::env::var("HOSTNAME").ok();
        let recorder = Recorder::new(client.clone(), Reporter { controller: "operator".into(), instance });
        Self { client, namespaces, installation, redaction, recorder: Arc::new(recorder), listed: Mutex::default() }
    }

    fn serves(&self, labels: &std::collections::BTreeMap<String, String>) -> bool {
        labels.get(names::LABEL_INSTALLATION).is_none_or(|owner| *owner == self.installation)
    }

    async fn list(&self) -> Result<Vec<Arc<Subject>>, String> {
        let apis: Vec<Api<Subject>> = if self.namespaces.is_empty() {
            vec![Api::all(self.client.clone())]
        } else {
            self.namespaces.iter().map(|name| Api::namespaced(self.client.clone(), name)).collect()
        };
        let mut all = Vec::new();
        for api in apis {
            // From the API server's cache, which is enough: who edits a rule waits for seconds, not for milliseconds.
            let params = ListParams::default().match_any();
            let listed = api::within(api.list(&params)).await.map_err(|error| chain(&error))?;
            let ours =
                |subject: &Subject| self.serves(subject.labels()) && subject.metadata.deletion_timestamp.is_none();
            all.extend(listed.items.into_iter().filter(ours).map(Arc::new));
        }
        Ok(all)
    }
}

#[async_trait]
impl Directory for Cluster {
    async fn subjects(&self) -> Result<Vec<Arc<Subject>>, String> {
        // Whoever comes while they are listed waits for that list.
        let mut listed = self.listed.lock().await;
        if let Some((at, subjects)) = listed.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            tracing::trace!(age = ?at.elapsed(), "Subjects from before");
            return Ok(subjects.clone());
        }
        let subjects = self.list().await?;
        *listed = Some((Instant::now(), subjects.clone()));
        Ok(subjects)
    }
}

#[async_trait]
impl Outside for Cluster {
    fn cached(&self, _order: &Order) -> Vec<Known> {
        Vec::new()
    }

    async fn incidents(&self, order: &Order) -> Result<Vec<Known>, String> {
        api::incidents(&self.client, order, |incident| self.serves(incident.labels())).await
    }

    async fn open(&self, incident: &Incident) -> Result<Opened, String> {
        api::create(&self.client, incident).await
    }

    async fn join(&self, order: &Order, open: &Known, joined: &Joined) -> Result<bool, String> {
        api::join(&self.client, order, open, joined).await
    }

    fn tell(&self, order: &Arc<Order>, _incident: Option<&str>, news: Vec<News>) {
        let (recorder, order) = (self.recorder.clone(), order.clone());
        tokio::spawn(async move {
            for News { warning, reason, about, note } in news {
                let type_ = if warning { EventType::Warning } else { EventType::Normal };
                let note = Some(short_line(&note, 240));
                // Events of one reason and one action are counted as one.
                let action = short_line(&format!("Alert {about}"), 120);
                let event = Event { type_, reason: reason.into(), note, action, secondary: None };
                if let Err(error) = recorder.publish(&event, &order.subject.object_ref(&())).await {
                    tracing::warn!(reason, error = chain(&error), "an Event could not be published");
                }
            }
        });
    }

    fn changed(&self, _order: &Order) {}

    fn clean(&self, order: &Order, text: &str) -> String {
        api::clean(&self.redaction, &order.uid, text)
    }

    fn installation(&self) -> &str {
        &self.installation
    }
}
