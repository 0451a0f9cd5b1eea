//! What an Incident refers to: from the cache, and from the API server where the cache has nothing,
//! because a cache that is still being filled must not make a Subject look absent.

use std::sync::Arc;

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

/// What the cache has of them.
pub fn cached(incident: &Incident, context: &Context) -> Neighbours {
    let namespace = incident.namespace().unwrap_or_default();
    let subject = ObjectRef::<Subject>::new(&incident.spec.subject_ref.name).within(&namespace);
    Neighbours { subject: context.subjects.get(&subject), ..Neighbours::default() }
}
