//! What an Incident refers to: from the cache, and from the API server where the cache has nothing,
//! because a cache that is still being filled must not make a Subject look absent.

use std::sync::Arc;

use crds::{Incident, Subject};
use kube::ResourceExt;
use kube::api::Api;
use kube::runtime::reflector::ObjectRef;

use crate::context::Context;

/// An Incident's neighbours.
pub struct Neighbours {
    /// Its Subject, if it exists.
    pub subject: Option<Arc<Subject>>,
}

/// Reads them.
pub async fn dereference(incident: &Incident, context: &Context) -> Result<Neighbours, kube::Error> {
    let cached = cached(incident, context);
    if cached.subject.is_some() {
        return Ok(cached);
    }
    let api: Api<Subject> = Api::namespaced(context.client.clone(), &incident.namespace().unwrap_or_default());
    let subject = api.get_opt(&incident.spec.subject_ref.name).await?;
    Ok(Neighbours { subject: subject.map(Arc::new) })
}

/// What the cache has of them.
pub fn cached(incident: &Incident, context: &Context) -> Neighbours {
    let namespace = incident.namespace().unwrap_or_default();
    let subject = ObjectRef::<Subject>::new(&incident.spec.subject_ref.name).within(&namespace);
    Neighbours { subject: context.subjects.get(&subject) }
}
