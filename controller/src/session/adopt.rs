//! A session that an earlier controller began: what became of it stands in the audit store alone.
//!
//! So without the store there is nothing to do but wait, however long, and to say so. Only a person
//! who cancels, or deletes the Incident, ends the wait.

use std::sync::Arc;

use jiff::Timestamp;

use super::engine::Seat;
use super::task::{failed, take_over, wait};
use super::view::End;
use crate::agent::SessionEnd;
use crate::audit::{AuditStore, SessionRecord};
use crate::context::Context;

/// Shows what became of it.
pub async fn adopt(context: Arc<Context>, uid: String, attempt: i64, seat: Seat) {
    let end = match find(&*context.audit, &uid, attempt, &seat).await {
        Ok(record) => take_over(&context, &record, &seat.view).await,
        Err(end) => end,
    };
    seat.view.send_modify(|view| view.end = Some(end));
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
            let message = format!(
                "cancelled while the audit store was away, so what an earlier controller's session did is not shown \
                 here and its trail is not sealed: {}",
                crate::error::chain(&error)
            );
            return Err(End::of(&SessionEnd::Cancelled { message, findings: None }, Timestamp::now()));
        }
        tokio::select! {
            () = seat.cancel.cancelled() => {}
            () = wait(&seat.view, &error) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crds::{Incident, IncidentPhase};
    use kube::runtime::reflector::ObjectRef;

    use super::*;
    use crate::audit::NewSession;
    use crate::audit::fake::FakeStore;
    use crate::session::engine::Room;
    use crate::session::{Engine, SessionId, SessionKey};

    fn seat() -> (Arc<Engine>, SessionKey, Seat) {
        let (engine, _) = Engine::new(1);
        let key = SessionKey { uid: "uid".into(), attempt: 1 };
        let seat = engine.reserve(&key, "ns/s", ObjectRef::<Incident>::new("i").within("ns"), Room::Standing).unwrap();
        (engine, key, seat)
    }

    fn new() -> NewSession {
        let now = Timestamp::UNIX_EPOCH;
        NewSession {
            id: SessionId::new(now),
            incident_uid: "uid".into(),
            incident_namespace: "ns".into(),
            incident_name: "i".into(),
            attempt: 1,
            subject: "s".into(),
            model: "m".into(),
            title: "t".into(),
            severity: "error".into(),
            started_at: now,
        }
    }

    #[tokio::test]
    async fn the_wait_for_the_store_is_shown_and_goes_on_until_it_is_back() {
        let store = FakeStore::new();
        store.begin_session(&new()).await.unwrap();
        store.make_unavailable("no route to host");
        let (engine, key, seat) = seat();
        let (found, ()) = tokio::join!(find(&store, "uid", 1, &seat), async {
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
        let (found, cancelled) = tokio::join!(find(&store, "uid", 1, &seat), async {
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
        assert_eq!(find(&store, "uid", 1, &seat).await.unwrap_err().reason, "SessionLost");
        store.begin_session(&new()).await.unwrap();
        engine.cancel(&key);
        assert!(find(&store, "uid", 1, &seat).await.is_ok());
    }
}
