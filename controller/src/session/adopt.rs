//! A session that an earlier controller began: what became of it stands in the audit store alone.
//!
//! So without the store there is nothing to do but wait, however long, and to say so. Only a person
//! who cancels, or deletes the Incident, ends the wait.

use std::sync::Arc;

use crds::Incident;

use super::engine::{Engine, Room, Seat, SessionKey};
use super::resume::{go_on, unseen};
use super::task::{Running, Work, failed, wait};
use super::view::End;
use crate::audit::{AuditStore, SessionRecord};
use crate::context::Context;

/// Goes on with the session of an Incident, or shows how it ended. `fallback` is what the Incident asks for now, if
/// it can be worked on.
pub async fn adopt(context: Arc<Context>, incident: Arc<Incident>, attempt: i64, fallback: Option<Work>, seat: Seat) {
    let running = Running::begin(&context);
    let uid = incident.metadata.uid.clone().unwrap_or_default();
    let end = match find(&*context.audit, &uid, attempt, &seat).await {
        Ok(record) => {
            if End::from_record(&record).is_none() {
                let note = format!("session {} goes on behind entry {}", record.new.id, record.state.last_seq);
                context.events.normal(&*incident, "SessionResumed", "Resume", &note).await;
            }
            Box::pin(go_on(&context, &record, fallback, &seat)).await
        }
        Err(end) => end,
    };
    drop(running);
    seat.view.send_modify(|view| view.end = Some(end));
}

/// Ends a session that nobody wants any more: its Incident is gone, or has ended, or is at a later attempt. It ends
/// as one that was cancelled, and its place is given back.
pub fn end(context: &Arc<Context>, record: &SessionRecord) {
    let key = SessionKey::of(record);
    let Some(seat) =
        context.engine.reserve(&key, &Engine::subject_of(record), Engine::incident_of(record), Room::Standing)
    else {
        return;
    };
    tracing::info!(session = %record.new.id, incident = record.new.incident_name, "ending a session that is not wanted any more");
    seat.cancel.cancel();
    let (context, task_key) = (context.clone(), key.clone());
    context.engine.clone().spawn(&key, async move {
        let running = Running::begin(&context);
        // Its row may have changed since it was seen.
        let end = match find(&*context.audit, &task_key.uid, task_key.attempt, &seat).await {
            Ok(record) => Box::pin(go_on(&context, &record, None, &seat)).await,
            Err(end) => end,
        };
        drop(running);
        seat.view.send_modify(|view| view.end = Some(end));
        context.engine.forget(&task_key);
        context.dispatch.stale();
    });
}

/// The session's row. Each try is bounded by the store; a cancellation ends the pause between two,
/// and the try after it is the last one.
async fn find(audit: &dyn AuditStore, uid: &str, attempt: i64, seat: &Seat) -> Result<SessionRecord, End> {
    loop {
        let last = seat.cancel.is_cancelled();
        let error = match audit.find_session(uid, attempt).await {
            Ok(Some(record)) => return Ok(record),
            Ok(None) => return Err(failed("SessionLost", "the session's row is not in the audit store any more")),
            Err(error) if error.is_transient() => error,
            Err(error) => return Err(failed("AuditUnavailable", &crate::error::chain(&error))),
        };
        if last {
            return Err(unseen(&error));
        }
        tokio::select! {
            () = seat.cancel.cancelled() => {}
            () = wait(&seat.view, &error) => {}
        }
    }
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use std::time::Duration;

    use crds::IncidentPhase;
    use kube::runtime::reflector::ObjectRef;

    use super::*;
    use crate::audit::fake::FakeStore;
    use crate::audit::testing::samples::session;

    /// The UID of the Incident in the tests.
    const UID: &str = "uid-i";

    fn seat() -> (Arc<Engine>, SessionKey, Seat) {
        let (engine, _) = Engine::new(1);
        let key = SessionKey { uid: UID.into(), attempt: 1 };
        let seat = engine.reserve(&key, "ns/s", ObjectRef::<Incident>::new("i").within("ns"), Room::Standing).unwrap();
        (engine, key, seat)
    }

    #[tokio::test]
    async fn the_wait_for_the_store_is_shown_and_goes_on_until_it_is_back() {
        let store = FakeStore::new();
        store.begin_session(&session("i", 1)).await.unwrap();
        store.make_unavailable("no route to host");
        let (engine, key, seat) = seat();
        let (found, ()) = tokio::join!(find(&store, UID, 1, &seat), async {
            // Longer than the pause between two tries.
            tokio::time::sleep(Duration::from_millis(2500)).await;
            let waiting = engine.view(&key).unwrap().progress.waiting.unwrap();
            assert!(waiting.contains("no route to host"), "{waiting}");
            assert_eq!(engine.view(&key).unwrap().end, None);
            store.heal();
        });
        assert_eq!(found.unwrap().new.incident_name, "i");
    }

    #[tokio::test]
    async fn a_cancellation_ends_the_wait_at_once() {
        let store = FakeStore::new();
        store.make_unavailable("no route to host");
        let (engine, key, seat) = seat();
        let (found, cancelled) = tokio::join!(find(&store, UID, 1, &seat), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            engine.cancel(&key);
            tokio::time::Instant::now()
        });
        assert!(cancelled.elapsed() < Duration::from_secs(1), "{:?}", cancelled.elapsed());
        let end = found.unwrap_err();
        assert_eq!(end.phase, IncidentPhase::Cancelled);
        assert!(end.message.contains("no route to host"), "{}", end.message);
    }

    #[tokio::test]
    async fn a_cancelled_session_whose_row_can_be_read_is_still_taken_over() {
        let store = FakeStore::new();
        let (engine, key, seat) = seat();
        assert_eq!(find(&store, UID, 1, &seat).await.unwrap_err().reason, "SessionLost");
        store.begin_session(&session("i", 1)).await.unwrap();
        engine.cancel(&key);
        assert!(find(&store, UID, 1, &seat).await.is_ok());
    }
}
