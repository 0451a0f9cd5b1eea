//! What an Incident refers to: from the cache, and from the API server where the cache has nothing,
//! because a cache that is still being filled must not make a Subject look absent.

use std::sync::Arc;
use std::time::Duration;

use crds::{Incident, Subject};
use kube::ResourceExt;
use kube::api::Api;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;

use crate::context::Context;

/// An Incident's neighbours.
#[derive(Default)]
pub struct Neighbours {
    /// Its Subject, if it exists.
    pub subject: Option<Arc<Subject>>,
    /// Why it cannot be read, if it exists and does not fit its type.
    pub unreadable: Option<String>,
}

/// Reads them.
pub async fn dereference(incident: &Incident, context: &Context) -> Result<Neighbours, kube::Error> {
    let cached = cached(incident, context);
    if cached.subject.is_some() {
        return Ok(cached);
    }
    let namespace = incident.namespace().unwrap_or_default();
    let api: Api<DeserializeGuard<Subject>> = Api::namespaced(context.client.clone(), &namespace);
    let Some(DeserializeGuard(read)) = api.get_opt(&incident.spec.subject_ref.name).await? else {
        return Ok(Neighbours::default());
    };
    Ok(match read {
        Ok(subject) => Neighbours { subject: Some(Arc::new(subject)), ..Neighbours::default() },
        Err(invalid) => Neighbours { unreadable: Some(invalid.error), ..Neighbours::default() },
    })
}

/// How many Incidents before this one are looked up.
const MOST_EARLIER: usize = 5;
/// How long the API server may take for one.
const LIMIT: Duration = Duration::from_secs(5);

/// An Incident of the same fault that ended before.
#[derive(Clone, Debug, PartialEq)]
pub struct Earlier {
    /// Its name.
    pub name: String,
    /// It, if it is still there and can be read.
    pub incident: Option<Arc<Incident>>,
}

/// The Incidents of the same fault before this one, the last first, as far as each names the one before it. One that
/// cannot be had is named all the same: nothing waits for it.
pub async fn earlier(incident: &Incident, context: &Context) -> Vec<Earlier> {
    let namespace = incident.namespace().unwrap_or_default();
    let mut found: Vec<Earlier> = Vec::new();
    let mut next = before(incident);
    while let Some(name) = next.take() {
        // They are people's to write: a circle is no chain.
        if found.len() == MOST_EARLIER || found.iter().any(|known| known.name == name) || incident.name_any() == name {
            break;
        }
        let there = one(&namespace, &name, context).await;
        next = there.as_deref().and_then(before);
        found.push(Earlier { name, incident: there });
    }
    found
}

fn before(incident: &Incident) -> Option<String> {
    incident.spec.origin.as_ref().and_then(|origin| origin.recurrence_of.clone())
}

async fn one(namespace: &str, name: &str, context: &Context) -> Option<Arc<Incident>> {
    if let Some(cached) = context.incidents.get(&ObjectRef::<Incident>::new(name).within(namespace)) {
        return Some(cached);
    }
    let api: Api<DeserializeGuard<Incident>> = Api::namespaced(context.client.clone(), namespace);
    match tokio::time::timeout(LIMIT, api.get_opt(name)).await {
        Ok(Ok(Some(DeserializeGuard(Ok(incident))))) => Some(Arc::new(incident)),
        Ok(Ok(_)) => None,
        Ok(Err(error)) => {
            tracing::info!(incident = name, error = crate::error::chain(&error), "an earlier Incident cannot be read");
            None
        }
        Err(_) => {
            tracing::info!(incident = name, "an earlier Incident cannot be read within {LIMIT:?}");
            None
        }
    }
}

/// What the cache has of them.
pub fn cached(incident: &Incident, context: &Context) -> Neighbours {
    let namespace = incident.namespace().unwrap_or_default();
    let subject = ObjectRef::<Subject>::new(&incident.spec.subject_ref.name).within(&namespace);
    Neighbours { subject: context.subjects.get(&subject), ..Neighbours::default() }
}
