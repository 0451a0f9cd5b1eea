//! What every reconcile shares.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crds::{Incident, Subject, names};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::{mpsc, watch};

use crate::agent::Verifier;
use crate::audit::AuditStore;
use crate::events::Events;
use crate::halt::Halt;
use crate::incident::places::Places;
use crate::incident::validate::{self, Defaults, Fit};
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::model::Model;
use crate::monitor::Watch;
use crate::notice::board::Leaving;
use crate::redact::Redaction;
use crate::sandbox::SandboxProvider;
use crate::scope::Stores;
use crate::session::dispatch::Dispatch;
use crate::session::queue::{Line, Turn, Waiting};
use crate::session::spend::Spending;
use crate::session::{Engine, SessionKey};
use crate::status::StatusWriter;
use crate::subject::Looks;

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
    /// The Subjects' generations at which their Incidents were last woken.
    pub subjects_seen: Mutex<HashMap<ObjectRef<Subject>, Option<i64>>>,
    /// When the engine was asked about the Subjects' containers.
    pub looks: Looks,
    /// The sessions.
    pub engine: Arc<Engine>,
    /// The queue in its order.
    pub dispatch: Dispatch,
    /// When places in the queue were last shown.
    pub places: Places,
    /// The Subjects that are watched.
    pub watch: Watch,
    /// Whether the whole installation is halted.
    pub halt: watch::Receiver<Option<Halt>>,
    /// The trail.
    pub audit: Arc<dyn AuditStore>,
    /// What is masked of what comes in.
    pub redaction: Arc<Redaction>,
    /// What models may cost a day.
    pub spending: Spending,
    /// Where commands run.
    pub sandboxes: Arc<dyn SandboxProvider>,
    /// The model.
    pub model: Arc<dyn Model>,
    /// The small model's name, if summaries are wanted.
    pub summary_model: Option<String>,
    /// Deleted Incidents of which somebody was told.
    pub leaving: Leaving,
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

    /// What sees whether a Subject is well: the one place where a session and the monitor meet.
    #[must_use]
    pub fn verifier(&self, subject: &ObjectRef<Subject>) -> Arc<dyn Verifier> {
        self.watch.verifier(subject)
    }

    /// The halt of the whole installation, if there is one.
    #[must_use]
    pub fn halted(&self) -> Option<Halt> {
        self.halt.borrow().clone()
    }

    /// The queue's word on an Incident of an accepted Subject.
    #[must_use]
    pub fn turn(&self, incident: &Incident, most_sessions: usize) -> Turn {
        waiting(incident, most_sessions).map_or(Turn::Unplaced, |me| self.dispatch.turn(&me))
    }

    /// All that wait, in order: one walk over all Incidents, and one look at each of their Subjects.
    #[must_use]
    pub fn line(&self) -> Line {
        let subjects = self.subjects.state();
        let fits: HashMap<ObjectRef<Subject>, Fit<'_>> = subjects
            .iter()
            .filter_map(|subject| Some((ObjectRef::from_obj(&**subject), validate::fit(subject, &self.defaults).ok()?)))
            .collect();
        let in_queue = |incident: Arc<Incident>| {
            let fit = fits.get(&crate::subject::of_incident(&incident)).filter(|fit| !fit.suspended)?;
            validate::image_fits(&incident, fit.project, &self.defaults).ok()?;
            let me = waiting(&incident, fit.most_sessions)?;
            let key = SessionKey { uid: me.uid.clone(), attempt: me.attempt };
            let free =
                !self.engine.is_blocked(&key) && self.engine.view(&key).is_none() && !self.engine.is_expected(&key);
            free.then_some(me)
        };
        Line::new(self.waiting().filter_map(in_queue).collect(), &self.engine.busy(), self.engine.limit())
    }

    /// Wakes the Incidents that wait, all of them: what holds for all of them changed.
    pub fn wake_waiting(&self) {
        self.engine.wake(self.waiting().map(|incident| ObjectRef::from_obj(&*incident)));
        self.dispatch.stale();
    }

    /// Wakes the Incidents of a Subject that wait, if the Subject is another than it was: what they waited for may have
    /// come, or gone.
    pub fn wake_incidents_of(&self, subject: &Subject) {
        let seen = self
            .subjects_seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(ObjectRef::from_obj(subject), subject.metadata.generation);
        if seen == Some(subject.metadata.generation) {
            return;
        }
        let (namespace, name) = (subject.namespace(), subject.name_any());
        let of_subject =
            |incident: &Arc<Incident>| incident.namespace() == namespace && incident.spec.subject_ref.name == name;
        self.engine.wake(self.waiting().filter(of_subject).map(|incident| ObjectRef::from_obj(&*incident)));
        self.dispatch.stale();
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

    /// This installation's Incidents of a Subject.
    #[must_use]
    pub fn incidents_of(&self, namespace: &str, subject: &str) -> Vec<Arc<Incident>> {
        let of_subject = |incident: &Arc<Incident>| {
            self.serves(&incident.metadata)
                && incident.namespace().as_deref() == Some(namespace)
                && incident.spec.subject_ref.name == subject
        };
        self.incidents.state().into_iter().filter(of_subject).collect()
    }
}

/// An Incident as the queue sees it.
fn waiting(incident: &Incident, most: usize) -> Option<Waiting> {
    let namespace = incident.namespace().unwrap_or_default();
    Some(Waiting {
        incident: ObjectRef::from_obj(incident),
        uid: incident.uid()?,
        attempt: incident.spec.attempt,
        subject: format!("{namespace}/{}", incident.spec.subject_ref.name),
        most,
        severity: incident.spec.severity,
        created: incident.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
    })
}
