//! What an earlier controller, or an engine that was gone at the wrong moment, left behind.
//!
//! The audit store says which sessions run. One that runs and has no task here is *expected*: its Incident's
//! reconcile takes it up, and until then nobody touches its container. If its Incident is gone, or does not want it
//! any more, it is ended here, on record. Only then what stands on the engine without a session is removed.

use std::sync::Arc;
use std::time::Duration;

use crds::Incident;
use kube::api::Api;
use tokio_util::sync::CancellationToken;

use super::adopt;
use crate::audit::SessionRecord;
use crate::audit::reader::MAX_SESSIONS;
use crate::context::Context;

/// Between two sweeps.
const EVERY: Duration = Duration::from_mins(1);
/// Between two tries to learn which sessions run, at the start.
const LOOK: Duration = Duration::from_secs(2);
/// How long one removal, or one question to the API server, may take.
const LIMIT: Duration = Duration::from_secs(20);

/// Learns which sessions an earlier controller left, before anything else is started or removed. Waits for the
/// audit store, until `stop`.
pub async fn expect(context: &Context, stop: &CancellationToken) {
    loop {
        match context.audit.running().await {
            Ok(running) => {
                if !running.is_empty() {
                    tracing::info!(
                        sessions = running.len(),
                        "sessions of an earlier controller are to be gone on with"
                    );
                }
                return context.engine.expect(&running);
            }
            Err(error) => tracing::warn!(error = crate::error::chain(&error), "which sessions run is not known yet"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Sweeps now and then until `stop`.
pub async fn run(context: Arc<Context>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        once(&context).await;
    }
}

async fn once(context: &Arc<Context>) {
    // Looked up first: a session that begins meanwhile has its container on neither list.
    let left = match tokio::time::timeout(LIMIT, context.sandboxes.list()).await {
        Ok(Ok(left)) => left,
        Ok(Err(error)) => {
            tracing::debug!(error = crate::error::chain(&error), "nothing is removed: the engine is away");
            Vec::new()
        }
        Err(_) => {
            tracing::debug!("nothing is removed: the engine does not answer");
            Vec::new()
        }
    };
    let running = match context.audit.running().await {
        Ok(running) => running,
        Err(error) => {
            return tracing::debug!(error = crate::error::chain(&error), "no sweep: which sessions run is not known");
        }
    };
    context.engine.expect(&running);
    for record in context.engine.expected() {
        if is_unwanted(context, &record).await {
            adopt::end(context, &record);
        }
    }
    // More sessions than one answer holds: the others must not be taken for leftovers.
    let is_complete = i64::try_from(running.len()).is_ok_and(|count| count < MAX_SESSIONS);
    if !is_complete || context.engine.has_unnamed() {
        return;
    }
    let active = context.engine.active();
    for leftover in left.into_iter().filter(|leftover| !active.contains(&leftover.session)) {
        tracing::info!(session = %leftover.session, container = leftover.name, "removing what a session left");
        match tokio::time::timeout(LIMIT, context.sandboxes.remove(&leftover.session)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(container = leftover.name, error = crate::error::chain(&error), "could not be removed");
            }
            Err(_) => tracing::warn!(container = leftover.name, "was not removed in time"),
        }
    }
}

/// Whether nobody will take a session up. What cannot be found out just now is looked at again later.
async fn is_unwanted(context: &Context, record: &SessionRecord) -> bool {
    let uid = Some(&record.new.incident_uid);
    let cached = context.incidents.state().into_iter().find(|incident| incident.metadata.uid.as_ref() == uid);
    if let Some(incident) = cached {
        return !wants(&incident, record);
    }
    // The cache may be filling.
    let api: Api<Incident> = Api::namespaced(context.client.clone(), &record.new.incident_namespace);
    match tokio::time::timeout(LIMIT, api.get_opt(&record.new.incident_name)).await {
        Ok(Ok(Some(incident))) if incident.metadata.uid.as_ref() == uid => !wants(&incident, record),
        Ok(Ok(_)) => true,
        Ok(Err(error)) => {
            tracing::debug!(session = %record.new.id, error = crate::error::chain(&error), "its Incident cannot be read");
            false
        }
        Err(_) => false,
    }
}

/// Whether an Incident's reconcile takes this session up (or ends it, when the Incident is being deleted).
fn wants(incident: &Incident, record: &SessionRecord) -> bool {
    let attempt = record.new.attempt;
    let status = incident.status.as_ref().filter(|status| status.attempt == Some(attempt));
    incident.spec.attempt == attempt && !status.is_some_and(|status| status.phase.is_finished())
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use super::*;
    use crate::audit::SessionState;
    use crate::audit::testing::samples::session;

    fn record(attempt: i64) -> SessionRecord {
        let new = session("i", attempt);
        SessionRecord {
            new,
            state: SessionState { phase: "Running".into(), ..SessionState::default() },
            last_hash: None,
        }
    }

    fn incident(attempt: i64, status: &str) -> Incident {
        let yaml = format!(
            "apiVersion: operator.dev/v1alpha1\nkind: Incident\nmetadata: {{name: i, namespace: ns, uid: u}}\n\
             spec: {{title: t, subjectRef: {{name: s}}, attempt: {attempt}}}\nstatus: {status}"
        );
        serde_saphyr::from_str(&yaml).unwrap()
    }

    #[test]
    fn a_session_is_wanted_as_long_as_its_attempt_has_not_ended() {
        assert!(wants(&incident(1, "{phase: Running, attempt: 1}"), &record(1)));
        assert!(wants(&incident(1, "{}"), &record(1)), "its status was never written");
        assert!(wants(&incident(2, "{phase: Failed, attempt: 1}"), &record(2)), "the end is an earlier attempt's");
        assert!(!wants(&incident(1, "{phase: Cancelled, attempt: 1}"), &record(1)));
        assert!(!wants(&incident(2, "{phase: Running, attempt: 1}"), &record(1)), "another attempt goes on");
    }
}
