//! The monitor's side of the API server. Everything that changes something asks first whether this process still leads.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use crds::{Incident, Subject};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::reflector::ObjectRef;
use kube::{Client, ResourceExt};
use serde_json::json;

use super::known::Known;
use super::order::Order;
use super::outside::{News, Opened, Outside};
use super::words::Joined;
use crate::context::Context;
use crate::error::chain;
use crate::printable::short_line;
use crate::redact::Redaction;

/// How long one call may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Characters of what an invariant says.
const LINE: usize = 1000;

/// The cluster, for the tasks of the monitor.
#[must_use]
pub fn outside(context: &Arc<Context>) -> Arc<dyn Outside> {
    Arc::new(Kubernetes(context.clone()))
}

struct Kubernetes(Arc<Context>);

impl Kubernetes {
    fn ours(&self, incident: &Incident) -> bool {
        self.0.serves(&incident.metadata)
    }

    fn leads(&self) -> Result<(), String> {
        self.0.leadership.check().map_err(|error| error.to_string())
    }
}

fn api(client: &Client, order: &Order) -> Api<Incident> {
    Api::namespaced(client.clone(), &order.subject.namespace().unwrap_or_default())
}

/// A Subject's Incidents, from the source.
pub async fn incidents(client: &Client, order: &Order, ours: impl Fn(&Incident) -> bool) -> Result<Vec<Known>, String> {
    let params = ListParams::default().fields(&format!("spec.subjectRef.name={}", order.subject.name_any()));
    let listed = within(api(client, order).list(&params)).await.map_err(|error| chain(&error))?;
    Ok(listed.items.iter().filter(|incident| ours(incident)).map(Known::of).collect())
}

/// Creates an Incident.
pub async fn create(client: &Client, incident: &Incident) -> Result<Opened, String> {
    let api: Api<Incident> = Api::namespaced(client.clone(), &incident.namespace().unwrap_or_default());
    let params = PostParams { field_manager: Some(crds::names::FIELD_MANAGER.into()), ..PostParams::default() };
    match within(api.create(&params, incident)).await {
        Ok(_) => Ok(Opened::Yes),
        Err(kube::Error::Api(error)) if error.is_already_exists() => Ok(Opened::WasThere),
        Err(error) => Err(chain(&error)),
    }
}

/// Changes an open Incident, if it still is as it was seen.
pub async fn join(client: &Client, order: &Order, open: &Known, joined: &Joined) -> Result<bool, String> {
    // As it was seen: a list is changed as a whole.
    let patch = json!({
        "metadata": {"resourceVersion": open.version},
        "spec": {
            "severity": joined.severity,
            "evidence": joined.evidence,
            "origin": {"violated": joined.violated, "alerts": joined.alerts},
        },
    });
    let params = PatchParams { field_manager: Some(crds::names::FIELD_MANAGER.into()), ..PatchParams::default() };
    match within(api(client, order).patch(&open.name, &params, &Patch::Merge(&patch))).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(error)) if error.is_conflict() || error.is_not_found() => Ok(false),
        Err(error) => Err(chain(&error)),
    }
}

/// What is said of a Subject with its secrets masked, on one printable line.
#[must_use]
pub fn clean(redaction: &Redaction, uid: &str, text: &str) -> String {
    short_line(&super::watched::redactor(redaction, uid).text(text).value, LINE)
}

/// A call, bounded in time; its error as a sentence.
pub async fn within<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, kube::Error> {
    match tokio::time::timeout(LIMIT, call).await {
        Ok(answer) => answer,
        Err(_) => Err(kube::Error::Service(format!("the API server did not answer within {LIMIT:?}").into())),
    }
}

#[async_trait]
impl Outside for Kubernetes {
    fn cached(&self, order: &Order) -> Vec<Known> {
        let (namespace, name) = (order.subject.namespace(), order.subject.name_any());
        let of_subject = |incident: &Arc<Incident>| {
            incident.namespace() == namespace && incident.spec.subject_ref.name == name && self.ours(incident)
        };
        let all: Vec<_> = self.0.incidents.state().into_iter().filter(of_subject).collect();
        Known::all(&all)
    }

    async fn incidents(&self, order: &Order) -> Result<Vec<Known>, String> {
        incidents(&self.0.client, order, |incident| self.ours(incident)).await
    }

    async fn open(&self, incident: &Incident) -> Result<Opened, String> {
        self.leads()?;
        create(&self.0.client, incident).await
    }

    async fn join(&self, order: &Order, open: &Known, joined: &Joined) -> Result<bool, String> {
        self.leads()?;
        join(&self.0.client, order, open, joined).await
    }

    fn tell(&self, order: &Arc<Order>, incident: Option<&str>, news: Vec<News>) {
        let context = self.0.clone();
        let of = incident
            .map(|name| ObjectRef::<Incident>::new(name).within(&order.subject.namespace().unwrap_or_default()));
        let order = order.clone();
        tokio::spawn(async move {
            let incident = of.and_then(|of| context.incidents.get(&of));
            for News { warning, reason, about, note } in news {
                let action = crate::printable::short_line(&format!("Watch {about}"), 120);
                let (events, subject) = (&context.events, &*order.subject);
                match (&incident, warning) {
                    (Some(incident), _) => events.warning(&**incident, reason, &action, &note).await,
                    (None, true) => events.warning(subject, reason, &action, &note).await,
                    (None, false) => events.normal(subject, reason, &action, &note).await,
                }
            }
        });
    }

    fn changed(&self, order: &Order) {
        let subject: ObjectRef<Subject> = ObjectRef::from_obj(&*order.subject);
        // A closed channel means that the controller is shutting down.
        let _ = self.0.subjects_changed.send(subject);
    }

    fn clean(&self, order: &Order, text: &str) -> String {
        clean(&self.0.redaction, &order.uid, text)
    }

    fn installation(&self) -> &str {
        &self.0.installation
    }
}
