//! What an Incident refers to, read from the caches.

use std::sync::Arc;

use crds::{Incident, Subject};
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use crate::context::Context;

/// An Incident's neighbours.
pub struct Neighbours {
    /// Its Subject, if it exists.
    pub subject: Option<Arc<Subject>>,
}

/// Reads them.
pub fn dereference(incident: &Incident, context: &Context) -> Neighbours {
    let namespace = incident.namespace().unwrap_or_default();
    let subject = ObjectRef::<Subject>::new(&incident.spec.subject_ref.name).within(&namespace);
    Neighbours { subject: context.subjects.get(&subject) }
}
