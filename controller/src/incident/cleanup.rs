//! A deleted Incident: its session stops, its container goes, the trail stays, and the finalizer
//! never hangs because the engine or the database is gone.

use std::sync::Arc;
use std::time::Duration;

use crds::Incident;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;

use super::Error;
use crate::context::Context;
use crate::session::{SessionId, adopt};

/// After this long the Incident goes, and what is left on the engine is swept by its label later.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long one try to remove the container may take.
const REMOVE_LIMIT: Duration = Duration::from_secs(15);

/// Lets a deleted Incident go, or asks to be called again.
pub(super) async fn cleanup(incident: &Incident, context: &Arc<Context>) -> Result<Action, Error> {
    let uid = incident.uid().unwrap_or_default();
    // One that an earlier controller left is ended orderly, too: cancelled, on record, and sealed.
    for record in context.engine.expected().iter().filter(|record| record.new.incident_uid == uid) {
        adopt::end(context, record);
    }
    if super::plan::is_finished(incident) && !context.engine.cancel_others(&uid, None) {
        // Nothing runs, and its session removed its container at its end; the sweep looks after the exception. So
        // the many that leave by their age ask the engine nothing.
        context.leaving.note(incident);
        context.engine.forget_incident(&uid);
        context.places.forget(&uid);
        return Ok(Action::await_change());
    }
    let runs = context.engine.cancel_others(&uid, None);
    let trouble =
        if runs { Some("its session does not end".to_owned()) } else { remove(incident, context).await.err() };
    if let Some(trouble) = trouble {
        if waited(incident) < PATIENCE {
            return Err(Error::StillThere);
        }
        let note = format!("{trouble} within {PATIENCE:?}; what is left on the engine is removed by its label later");
        context.events.warning(incident, "CleanupDeferred", "Delete", &note).await;
    }
    // The finalizer goes next; a leader that stood still meanwhile must leave it to the next one.
    context.leadership.check()?;
    context.leaving.note(incident);
    context.engine.forget_incident(&uid);
    context.places.forget(&uid);
    context.dispatch.stale();
    context.wake_subject_of(incident);
    Ok(Action::await_change())
}

/// Removes what the Incident's last session may have left.
async fn remove(incident: &Incident, context: &Context) -> Result<(), String> {
    let Some(id) = incident.status.as_ref().and_then(|status| status.session_id.clone()) else { return Ok(()) };
    let session = SessionId::from(id);
    match tokio::time::timeout(REMOVE_LIMIT, context.sandboxes.remove(&session)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("its container could not be removed ({})", crate::error::chain(&error))),
        Err(_) => Err("the engine did not remove its container".into()),
    }
}

fn waited(incident: &Incident) -> Duration {
    let since = incident.metadata.deletion_timestamp.as_ref().map_or(Timestamp::now(), |time| time.0);
    Duration::try_from(Timestamp::now().duration_since(since)).unwrap_or_default()
}
