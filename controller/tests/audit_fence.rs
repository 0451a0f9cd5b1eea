//! The fence on a real Postgres: who does not lead writes nothing, whatever is under way at the takeover.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests

use std::sync::Arc;
use std::time::Duration;

use controller::audit::codec::encode;
use controller::audit::postgres::Acquired;
use controller::audit::testing::samples::{begin, note, session};
use controller::audit::testing::{self, EPOCH, TestDatabase};
use controller::audit::{AuditError, AuditReader, AuditStore, PostgresStore, SessionState};
use controller::session::SessionId;
use jiff::Timestamp;
use sqlx::{Connection as _, PgConnection};

const TTL: Duration = Duration::from_mins(1);

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// The lease runs out at once, whoever has it: as if the database's clock had jumped.
async fn expire(database: &TestDatabase) {
    database.as_owner("UPDATE lease SET expires_at = clock_timestamp()").await;
}

async fn take(store: &PostgresStore, holder: &str) -> i64 {
    match store.acquire_lease(holder, TTL).await.unwrap() {
        Acquired::Ours { epoch } => epoch,
        Acquired::Theirs { holder, .. } => panic!("{holder} has it"),
    }
}

/// Waits until somebody waits for the lease's lock.
async fn until_somebody_waits(owner: &mut PgConnection) {
    let waits = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE relation = 'lease'::regclass AND NOT granted)";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut *owner).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Appends within a transaction that stays open.
async fn append_and_stay(connection: &mut PgConnection, id: &SessionId, seq: i64, epoch: i64) {
    sqlx::raw_sql("BEGIN").execute(&mut *connection).await.unwrap();
    let body = encode(id, seq, Timestamp::now(), &note("under way")).unwrap();
    // The database cannot judge a signature.
    let append = sqlx::query(
        "SELECT append_entry($1, $2, $3, coalesce((SELECT hash FROM entries WHERE session_id = $1 AND seq = $2 - 1),
             (SELECT anchor FROM sessions WHERE id = $1)), decode(repeat('00', 64), 'hex'), (SELECT key_id FROM head), $4)",
    );
    append.bind(id.as_str()).bind(seq).bind(body).bind(epoch).execute(connection).await.unwrap();
}

fn is_fenced<T: std::fmt::Debug>(result: Result<T, AuditError>) -> bool {
    match result {
        Err(error @ AuditError::Fenced(_)) => {
            assert!(!error.is_transient() && error.category() == "audit_fenced");
            true
        }
        _ => false,
    }
}

/// Whether each of the functions that write refuses.
async fn writes_nothing(store: &PostgresStore, id: &SessionId, seq: i64) -> bool {
    let state = SessionState { phase: "Failed".into(), ..SessionState::default() };
    is_fenced(store.begin_session(&session("another", 1)).await)
        && is_fenced(store.append(id, seq, Timestamp::now(), &note("stale")).await)
        && is_fenced(store.update_session(id, &state).await)
        && is_fenced(store.add_summary(id, 1, "stale").await)
}

#[tokio::test]
async fn who_has_no_epoch_or_another_one_writes_nothing() {
    let database = testing::shared().unled_database().await;
    let bare = database.unled_store();
    let nobody: SessionId = "nobody".to_owned().into();
    assert!(writes_nothing(&bare, &nobody, 1).await);
    assert!(writes_nothing(&bare.fenced(1), &nobody, 1).await, "an epoch that was never given");

    let first = bare.fenced(take(&bare, "a").await);
    let id = begin(&first).await.new.id;
    first.append(&id, 1, Timestamp::now(), &note("one")).await.unwrap();
    assert!(matches!(bare.acquire_lease("b", TTL).await.unwrap(), Acquired::Theirs { holder, .. } if holder == "a"));
    assert!(writes_nothing(&bare.fenced(2), &id, 2).await, "one that is not given yet");

    expire(&database).await;
    // It ran out, and nobody wanted it: what it does harms nobody.
    first.append(&id, 2, Timestamp::now(), &note("two")).await.unwrap();
    let second = bare.fenced(take(&bare, "b").await);
    assert!(writes_nothing(&first, &id, 3).await);
    second.append(&id, 3, Timestamp::now(), &note("three")).await.unwrap();
    let record = bare.session(&id).await.unwrap().unwrap();
    assert_eq!((record.state.last_seq, record.state.phase.as_str()), (3, "Running"));
    assert_eq!(bare.session(&nobody).await.unwrap(), None);

    // The row says who wrote it last.
    let mut owner = connect(&database.owner_url).await;
    let epoch = async |owner: &mut PgConnection| {
        sqlx::query_scalar::<_, i64>("SELECT epoch FROM sessions").fetch_one(owner).await.unwrap()
    };
    assert_eq!(epoch(&mut owner).await, 1);
    second.begin_session(&session("redis-readonly", 1)).await.unwrap();
    assert_eq!(epoch(&mut owner).await, 2);
}

#[tokio::test]
async fn a_lease_is_renewed_and_given_back_by_its_holder_alone() {
    let database = testing::shared().unled_database().await;
    let store = database.unled_store();
    assert_eq!(take(&store, "a").await, 1);
    assert!(store.renew_lease("a", 1, TTL).await.unwrap());
    for (holder, epoch) in [("b", 1), ("a", 2), ("a", 0)] {
        assert!(!store.renew_lease(holder, epoch, TTL).await.unwrap(), "{holder} {epoch}");
        assert!(!store.release_lease(holder, epoch).await.unwrap(), "{holder} {epoch}");
    }
    // Whoever is who had it before, too: it may be another process of the same name.
    assert!(matches!(store.acquire_lease("a", TTL).await.unwrap(), Acquired::Theirs { .. }));
    assert!(store.release_lease("a", 1).await.unwrap());
    assert!(!store.renew_lease("a", 1, TTL).await.unwrap());
    assert_eq!(take(&store, "a").await, 2);
    assert!(store.acquire_lease("", TTL).await.is_err());
}

#[tokio::test]
async fn a_takeover_waits_for_a_write_that_is_under_way() {
    let database = testing::database().await;
    let store = database.store();
    let id = begin(&store).await.new.id;
    let mut writer = connect(&database.url).await;
    append_and_stay(&mut writer, &id, 1, EPOCH).await;
    expire(&database).await;
    // Renewals and other writers do not wait for it.
    assert!(!store.renew_lease("nobody", EPOCH, TTL).await.unwrap());
    let takeover = tokio::spawn({
        let store = store.clone();
        async move { take(&store, "next").await }
    });
    let mut owner = connect(&database.owner_url).await;
    until_somebody_waits(&mut owner).await;
    assert!(!takeover.is_finished());
    sqlx::raw_sql("COMMIT").execute(&mut writer).await.unwrap();
    let next = store.fenced(takeover.await.unwrap());
    // Whoever takes over sees the row, and nothing comes behind it.
    assert_eq!(next.session(&id).await.unwrap().unwrap().state.last_seq, 1);
    assert!(writes_nothing(&store, &id, 2).await);
}

#[tokio::test]
async fn a_write_that_comes_in_the_middle_of_a_takeover_is_refused() {
    let database = testing::database().await;
    let store = database.store();
    let id = begin(&store).await.new.id;
    expire(&database).await;
    let mut next = connect(&database.url).await;
    sqlx::raw_sql("BEGIN; SELECT acquire_lease('next', interval '1 minute')").execute(&mut next).await.unwrap();
    let write = tokio::spawn({
        let (store, id) = (store.clone(), id.clone());
        async move { store.append(&id, 1, Timestamp::now(), &note("stale")).await }
    });
    let mut owner = connect(&database.owner_url).await;
    until_somebody_waits(&mut owner).await;
    assert!(!write.is_finished());
    sqlx::raw_sql("COMMIT").execute(&mut next).await.unwrap();
    assert!(is_fenced(write.await.unwrap()));
    assert_eq!(store.session(&id).await.unwrap().unwrap().state.last_seq, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_writers_keeps_neither_a_renewal_nor_a_takeover_waiting() {
    let database = testing::database().await;
    let crowd = PostgresStore::connect_with(&database.url, 12, TTL).unwrap();
    let crowd = Arc::new(database.writable(&crowd));
    let mut writers = Vec::new();
    for n in 0..10 {
        let store = crowd.clone();
        let id = store.begin_session(&session(&format!("crowd-{n}"), 1)).await.unwrap().new.id;
        writers.push(tokio::spawn(async move {
            for seq in 1.. {
                match store.append(&id, seq, Timestamp::now(), &note("one of many")).await {
                    Ok(()) => {}
                    Err(AuditError::Fenced(_)) => return seq,
                    Err(error) => panic!("{error}"),
                }
            }
            0
        }));
    }
    let store = database.store();
    for _ in 0..20 {
        assert!(store.renew_lease("a test", EPOCH, TTL).await.unwrap());
    }
    expire(&database).await;
    // Each waits two seconds at most for a lock, and this one does not ask twice.
    assert_eq!(take(&store, "next").await, EPOCH + 1);
    for writer in writers {
        assert!(writer.await.unwrap() > 1);
    }
}

/// A controller that was stopped in the middle of a write would stop its successor, too.
#[tokio::test]
async fn a_writer_that_does_not_end_is_cut() {
    let database = testing::database().await;
    let store = database.store();
    let id = begin(&store).await.new.id;
    let mut stopped = connect(&database.url).await;
    append_and_stay(&mut stopped, &id, 1, EPOCH).await;
    expire(&database).await;
    let epoch = loop {
        match store.acquire_lease("next", TTL).await {
            Ok(Acquired::Ours { epoch }) => break epoch,
            Ok(Acquired::Theirs { holder, .. }) => panic!("{holder} has it"),
            Err(error) => assert!(error.is_transient() && error.to_string().contains("does not end"), "{error}"),
        }
    };
    assert_eq!(epoch, EPOCH + 1);
    assert!(sqlx::raw_sql("COMMIT").execute(&mut stopped).await.is_err());
    assert_eq!(store.session(&id).await.unwrap().unwrap().state.last_seq, 0);
}

#[tokio::test]
async fn a_writer_that_could_not_see_a_takeover_is_refused() {
    let database = testing::database().await;
    let id = begin(&database.store()).await.new.id;
    let mut writer = connect(&database.url).await;
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ").execute(&mut writer).await.unwrap();
    let append = sqlx::query("SELECT append_entry($1, 1, $2, $2, $2, '', 1)").bind(id.as_str()).bind(b"{}".as_slice());
    let error = append.execute(&mut writer).await.unwrap_err().to_string();
    assert!(error.contains("READ COMMITTED"), "{error}");
}
