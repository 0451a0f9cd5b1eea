//! The reconciler of `Incident`: dereference → validate → plan → apply → status.
//!
//! [`dereference`] reads what the Incident refers to, [`validate`] says whether it can be worked on
//! and with what, [`plan`] decides (pure), [`apply`] acts, [`status`] is what is written back
//! (pure), `places` says how often a place in the queue is told, `cleanup` lets a deleted Incident go,
//! and [`retire`] deletes what ended long ago.

pub mod apply;
mod cleanup;
pub mod dereference;
pub mod places;
pub mod plan;
pub mod retire;
pub mod status;
pub mod validate;

use std::sync::Arc;
use std::time::Duration;

use crds::{Incident, names};
use kube::api::Api;
use kube::runtime::controller::Action;
use kube::runtime::finalizer::{Event, finalizer};
use kube::{Resource, ResourceExt};

use crate::context::Context;
use crate::leader::NotLeading;
use crate::status::StatusError;

/// Why a reconcile failed. It is tried again with a back-off.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The status could not be written.
    #[error("the status could not be written")]
    Status(#[from] StatusError),
    /// The API server could not be read.
    #[error("the Subject could not be read")]
    Dereference(#[source] Box<kube::Error>),
    /// The finalizer could not be set or removed.
    #[error("the finalizer: {0}")]
    Finalizer(String),
    /// It is another controller's to reconcile.
    #[error(transparent)]
    NotLeading(#[from] NotLeading),
    /// Not an error: something of a deleted Incident is still there, and is looked at again soon.
    #[error("the session has not ended yet")]
    StillThere,
}

impl Error {
    /// A static name for metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Status(error) => error.category(),
            Self::Dereference(_) => "dereference",
            Self::Finalizer(_) => "finalizer",
            Self::NotLeading(error) => error.category(),
            Self::StillThere => "still_there",
        }
    }
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        Self::Dereference(Box::new(error))
    }
}

/// Reconciles one Incident.
pub async fn reconcile(incident: Arc<Incident>, context: Arc<Context>) -> Result<Action, Error> {
    if !context.serves(incident.meta()) {
        return Ok(Action::await_change());
    }
    // The finalizer is set right after this, and removed right after the end of the cleanup.
    context.leadership.check()?;
    let namespace = incident.namespace().unwrap_or_default();
    let api: Api<Incident> = Api::namespaced(context.client.clone(), &namespace);
    let held = incident.finalizers().iter().any(|name| name == names::FINALIZER);
    let goes = incident.meta().deletion_timestamp.is_some();
    // One that ended and has none, for it was restored from a backup, has nothing that a finalizer would guard.
    if !goes && (held || plan::is_finished(&incident)) {
        // The everyday case, without the indirection of the finalizer's helper.
        return apply::apply(&incident, &context).await;
    }
    finalizer(&api, names::FINALIZER, incident, |event| async {
        match event {
            Event::Apply(incident) => apply::apply(&incident, &context).await,
            Event::Cleanup(incident) => cleanup::cleanup(&incident, &context).await,
        }
    })
    .await
    .or_else(|error| match error {
        kube::runtime::finalizer::Error::ApplyFailed(error) => Err(error),
        kube::runtime::finalizer::Error::CleanupFailed(Error::StillThere) => {
            Ok(Action::requeue(Duration::from_millis(500)))
        }
        error => Err(Error::Finalizer(crate::error::chain(&error))),
    })
}

/// What to do after an error: the controller's stream reports it once, here only the time is set.
#[must_use]
pub fn error_policy(_: Arc<Incident>, _: &Error, _: Arc<Context>) -> Action {
    Action::requeue(Duration::from_secs(5))
}
