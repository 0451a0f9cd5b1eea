//! What every reconcile shares.

use std::collections::HashSet;
use std::sync::Arc;

use crds::{Incident, Subject, names};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc;

use crate::audit::AuditStore;
use crate::events::Events;
use crate::incident::validate::Defaults;
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::model::Model;
use crate::redact::Redaction;
use crate::sandbox::SandboxProvider;
use crate::scope::Stores;
use crate::session::queue::{Turn, Waiting, decide};
use crate::session::spend::Spending;
use crate::session::{Engine, SessionKey};
use crate::status::StatusWriter;

/// What every reconcile shares.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// Whether this process leads: asked before what cannot refuse an old epoch itself.
    pub leadership: Leadership,
    /// This installation's name (see [`names::LABEL_INSTALLATION`]).
    pub installation: String,
    /// What an Incident gets that asks for nothing special.
    pub defaults: Defaults,
    /// All Incidents.
    pub incidents: Stores<Incident>,
    /// All Subjects.
    pub subjects: Stores<Subject>,
    /// Subjects whose Incidents changed go here to be reconciled.
    pub subjects_changed: mpsc::UnboundedSender<ObjectRef<Subject>>,
    /// The sessions.
    pub engine: Arc<Engine>,
    /// The trail.
    pub audit: Arc<dyn AuditStore>,
    /// What is masked of what comes in.
    pub redaction: Redaction,
    /// What models may cost a day.
    pub spending: Spending,
    /// Where commands run.
    pub sandboxes: Arc<dyn SandboxProvider>,
    /// The model.
    pub model: Arc<dyn Model>,
    /// The small model's name, if summaries are wanted.
    pub summary_model: Option<String>,
    /// Writes statuses.
    pub status: StatusWriter,
    /// Publishes Events.
    pub events: Events,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

impl Context {
    /// Whether an object is this installation's business.
    #[must_use]
    pub fn serves(&self, meta: &ObjectMeta) -> bool {
        meta.labels
            .as_ref()
            .and_then(|labels| labels.get(names::LABEL_INSTALLATION))
            .is_none_or(|owner| *owner == self.installation)
    }

    /// The queue's word on an Incident, over all that wait now.
    #[must_use]
    pub fn turn(&self, uid: &str) -> Turn {
        let (busy, running) = self.engine.busy();
        let waiting: Vec<Waiting> = self.waiting().filter_map(|incident| self.in_queue(&incident)).collect();
        decide(uid, &waiting, &busy, running, self.engine.limit())
    }

    /// Wakes the Incidents that wait: a place may be free.
    pub fn wake_queue(&self) {
        self.engine.wake(self.waiting().map(|incident| ObjectRef::from_obj(&*incident)));
    }

    /// Wakes the Incidents of a Subject that wait: what they waited for may have come.
    pub fn wake_incidents_of(&self, subject: &Subject) {
        let (namespace, name) = (subject.namespace(), subject.name_any());
        let of_subject =
            |incident: &Arc<Incident>| incident.namespace() == namespace && incident.spec.subject_ref.name == name;
        self.engine.wake(self.waiting().filter(of_subject).map(|incident| ObjectRef::from_obj(&*incident)));
    }

    /// Has the Subject of an Incident looked at again.
    pub fn wake_subject_of(&self, incident: &Incident) {
        // A closed channel means that the controller is shutting down.
        let _ = self.subjects_changed.send(crate::subject::of_incident(incident));
    }

    fn waiting(&self) -> impl Iterator<Item = Arc<Incident>> {
        self.incidents
            .state()
            .into_iter()
            .filter(|incident| self.serves(&incident.metadata) && crate::incident::plan::is_waiting(incident))
    }

    fn in_queue(&self, incident: &Incident) -> Option<Waiting> {
        let uid = incident.uid()?;
        let key = SessionKey { uid: uid.clone(), attempt: incident.spec.attempt };
        if self.engine.is_blocked(&key) || self.engine.view(&key).is_some() || self.engine.is_expected(&key) {
            return None;
        }
        let neighbours = crate::incident::dereference::cached(incident, self);
        let accepted = crate::incident::validate::validate(incident, &neighbours, &self.defaults).ok()?;
        if accepted.suspended {
            return None;
        }
        let created = incident.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        Some(Waiting { uid, subject: accepted.subject, severity: incident.spec.severity, created })
    }

    /// Names of this installation's Incidents of a Subject that have not ended.
    #[must_use]
    pub fn open_incidents(&self, namespace: &str, subject: &str) -> HashSet<String> {
        self.incidents
            .state()
            .into_iter()
            .filter(|incident| {
                self.serves(&incident.metadata)
                    && incident.namespace().as_deref() == Some(namespace)
                    && incident.spec.subject_ref.name == subject
                    && !incident.status.as_ref().is_some_and(|status| {
                        status.attempt == Some(incident.spec.attempt) && status.phase.is_finished()
                    })
            })
            .map(|incident| incident.name_any())
            .collect()
    }
}
