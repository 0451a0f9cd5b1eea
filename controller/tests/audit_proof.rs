//! The proof of the trail against a real Postgres: what is written holds, and whatever its owner does to
//! it is named with its place.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests

#[path = "audit_proof/chains.rs"]
mod chains;
#[path = "audit_proof/file.rs"]
mod file;
#[path = "audit_proof/keys.rs"]
mod keys;
#[path = "audit_proof/pruning.rs"]
mod pruning;
#[path = "audit_proof/tampering.rs"]
mod tampering;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use controller::audit::proof::row::{Scope, records};
use controller::audit::proof::verify::{Expected, Report, verify};
use controller::audit::testing::TestDatabase;
use controller::audit::testing::samples::{note, seal, session};
use controller::audit::{AuditStore, NewSession, PostgresStore, Recorder, SessionState};
use controller::session::SessionId;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

/// Numbers the sessions: faults come in the order of their names, which would else begin in the same second and end
/// at random.
static TOLD: AtomicU32 = AtomicU32::new(0);

/// A session with that many notes; sealed and ended, or running.
async fn tell(store: &PostgresStore, name: &str, notes: usize, sealed: bool) -> SessionId {
    let id = format!("2026-01-28T20-54-48-{:08x}", TOLD.fetch_add(1, Ordering::Relaxed));
    let new = NewSession { id: id.into(), ..session(name, 1) };
    let record = store.begin_session(&new).await.unwrap();
    let recorder = Recorder::new(Arc::new(store.clone()), &record, CancellationToken::new());
    for n in 1..=notes {
        recorder.record(note(&format!("{name} {n} NUL \0 \\u0000 1e3"))).await.unwrap();
    }
    if sealed {
        recorder.record(seal("Concluded")).await.unwrap();
        end(store, &record.new.id, Timestamp::now()).await;
    }
    record.new.id
}

async fn end(store: &PostgresStore, id: &SessionId, at: Timestamp) {
    let state = SessionState { phase: "Concluded".into(), ended_at: Some(at), ..SessionState::default() };
    store.update_session(id, &state).await.unwrap();
}

/// Reads it as its readers do.
async fn check(database: &TestDatabase, scope: Scope, expected: Expected) -> Report {
    let reader = Arc::new(PostgresStore::connect(&database.url).unwrap());
    verify(records(reader, scope.clone()), scope, expected).await.unwrap()
}

async fn check_all(database: &TestDatabase) -> Report {
    check(database, Scope::All, Expected::default()).await
}

fn faults(report: &Report) -> Vec<String> {
    report.faults.iter().map(ToString::to_string).collect()
}
