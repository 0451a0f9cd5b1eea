//! The cluster as far as notices need it: the Incidents, what their statuses say of who was told, Events. The real part is
//! what every reconcile shares; tests have one of their own.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use crds::Incident;
use kube::runtime::reflector::ObjectRef;
use serde_json::Value;

use super::record;
use crate::context::Context;
use crate::error::chain;
use crate::status::Written;

/// Who writes in the statuses who was told.
const MANAGER: &str = "operator-notices";

/// An Event on an Incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Whether it needs a look.
    pub warning: bool,
    /// A CamelCase word.
    pub reason: &'static str,
    /// A sentence.
    pub note: String,
}

/// The Incidents.
#[async_trait]
pub trait Board: Send + Sync + 'static {
    /// Waits until all are known.
    async fn listed(&self);

    /// All that this installation serves.
    fn incidents(&self) -> Vec<Arc<Incident>>;

    /// One as it stands now, if it still is the same.
    fn now(&self, incident: &Incident) -> Option<Arc<Incident>>;

    /// Those that were deleted since this was last asked, and of which somebody was told.
    fn leaving(&self) -> Vec<Arc<Incident>>;

    /// Writes the part of a status that is about notices. Says whether the Incident is there.
    async fn write(&self, incident: &Incident, status: &Value) -> Result<bool, String>;

    /// Publishes an Event.
    async fn tell(&self, incident: &Incident, news: News);
}

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

#[async_trait]
impl Board for Context {
    async fn listed(&self) {
        self.incidents.are_listed().await;
    }

    fn incidents(&self) -> Vec<Arc<Incident>> {
        let ours = |incident: &Arc<Incident>| self.serves(&incident.metadata);
        self.incidents.state().into_iter().filter(ours).collect()
    }

    fn now(&self, incident: &Incident) -> Option<Arc<Incident>> {
        let now = self.incidents.get(&ObjectRef::from_obj(incident));
        now.filter(|now| now.metadata.uid == incident.metadata.uid)
    }

    fn leaving(&self) -> Vec<Arc<Incident>> {
        self.leaving.take()
    }

    async fn write(&self, incident: &Incident, status: &Value) -> Result<bool, String> {
        let written = self.status.write_as(MANAGER, incident, status).await.map_err(|error| chain(&error))?;
        Ok(written != Written::Gone)
    }

    async fn tell(&self, incident: &Incident, News { warning, reason, note }: News) {
        if warning {
            self.events.warning(incident, reason, "Notify", &note).await;
        } else {
            self.events.normal(incident, reason, "Notify", &note).await;
        }
    }
}
