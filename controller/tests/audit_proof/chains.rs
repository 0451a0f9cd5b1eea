//! What is written holds.

use std::sync::Arc;

use controller::audit::proof::row::Scope;
use controller::audit::proof::verify::Expected;
use controller::audit::testing::samples::{note, seal, session};
use controller::audit::testing::{self, EPOCH};
use controller::audit::{AuditError, AuditReader, AuditStore, PostgresStore, Recorder};
use jiff::Timestamp;
use sqlx::{Connection as _, PgConnection};
use tokio_util::sync::CancellationToken;

use super::{check, check_all, faults, tell};

#[tokio::test]
async fn sessions_links_and_keys_hold() {
    let database = testing::database().await;
    let store = database.store();
    let one = tell(&store, "one", 4, true).await;
    tell(&store, "two", 3, false).await;
    let report = check_all(&database).await;
    assert!(report.verified, "{:?}", faults(&report));
    // The key, two starts, one seal.
    assert_eq!((report.sessions, report.entries, report.links, report.unsigned), (2, 8, 4, 0));
    assert_eq!(report.keys, [database.public_key().id().to_string()]);
    assert!(report.notes.iter().any(|note| note.contains("--public-key")), "{:?}", report.notes);
    assert!(report.notes.iter().any(|note| note.contains("summaries")), "{:?}", report.notes);

    let pinned = Expected { keys: vec![database.public_key()], ..Expected::default() };
    let report = check(&database, Scope::Sessions(vec![one]), pinned).await;
    assert!(report.verified, "{:?}", faults(&report));
    assert_eq!((report.sessions, report.entries), (1, 5));
    assert!(!report.notes.iter().any(|note| note.contains("--public-key")), "{:?}", report.notes);
}

#[tokio::test]
async fn the_database_and_the_program_reckon_the_same_hashes() {
    let database = testing::database().await;
    let store = database.store();
    let record = store.begin_session(&session("é 漢", 1)).await.unwrap();
    let id = &record.new.id;
    let entry = store.sign(id, 1, record.last_hash.unwrap(), Timestamp::now(), &note("\0 é")).unwrap();
    store.commit(&entry).await.unwrap();
    assert_eq!(store.session(id).await.unwrap().unwrap().last_hash, Some(entry.hash));
    assert_eq!(store.hash_before(id, 2).await.unwrap(), Some(entry.hash));
    assert_eq!(store.hash_before(id, 1).await.unwrap(), record.last_hash);
}

#[tokio::test]
async fn an_entry_follows_the_last_ones_hash_or_is_refused() {
    let database = testing::database().await;
    let store = database.store();
    let record = store.begin_session(&session("a", 1)).await.unwrap();
    let id = &record.new.id;
    let start = record.last_hash.unwrap();
    let at = Timestamp::now();
    let first = store.sign(id, 1, start, at, &note("one")).unwrap();
    store.commit(&first).await.unwrap();
    store.commit(&first).await.unwrap();
    for (seq, prev) in [(2, start), (1, first.hash)] {
        let wrong = store.sign(id, seq, prev, at, &note("one")).unwrap();
        let error = store.commit(&wrong).await.unwrap_err();
        assert!(matches!(error, AuditError::OutOfSequence { .. }), "{error}");
    }
    store.commit(&store.sign(id, 2, first.hash, at, &note("two")).unwrap()).await.unwrap();
    assert!(check_all(&database).await.verified);
}

/// The seal and its link are one call; the call again is fine; nothing comes after it.
#[tokio::test]
async fn a_session_is_sealed_once_and_for_good() {
    let database = testing::database().await;
    let store = database.store();
    let record = store.begin_session(&session("a", 1)).await.unwrap();
    let id = &record.new.id;
    let last = store.sign(id, 1, record.last_hash.unwrap(), Timestamp::now(), &seal("Failed")).unwrap();
    store.commit(&last).await.unwrap();
    let head = store.chain_head().unwrap();
    assert_eq!(head.n, 3, "key, start, seal");
    store.commit(&last).await.unwrap();
    assert_eq!(store.chain_head(), Some(head));
    let again = store.begin_session(&session("a", 1)).await.unwrap();
    assert_eq!((again.new.id, again.last_hash), (id.clone(), Some(last.hash)));
    assert_eq!(store.chain_head(), Some(head));
    let late = store.append(id, 2, Timestamp::now(), &note("one more thing")).await.unwrap_err();
    assert!(matches!(&late, AuditError::OutOfSequence { found, .. } if found.contains("sealed")), "{late}");
    let report = check_all(&database).await;
    assert!(report.verified, "{:?}", faults(&report));
}

/// Two processes with the same epoch would be a mistake; the chain holds all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_begin_and_end_side_by_side_on_one_chain() {
    let database = testing::database().await;
    let stores = [database.store(), database.store()];
    let tasks = (0..24).map(|n| {
        let store = stores[n % 2].clone();
        tokio::spawn(async move { tell(&store, &format!("s{n}"), n % 4, n % 3 != 0).await })
    });
    for task in futures::future::join_all(tasks).await {
        task.unwrap();
    }
    let report = check_all(&database).await;
    assert!(report.verified, "{:?}", faults(&report));
    assert_eq!((report.sessions, report.links), (24, 1 + 24 + 16));
}

#[tokio::test]
async fn the_recorder_says_where_both_chains_end() {
    let database = testing::database().await;
    let store = Arc::new(database.store());
    let record = store.begin_session(&session("a", 1)).await.unwrap();
    let recorder = Recorder::new(store.clone(), &record, CancellationToken::new());
    let head = recorder.head();
    assert_eq!((head.borrow().entry, head.borrow().link.unwrap().n), (None, 2));
    recorder.record(note("one")).await.unwrap();
    let after_one = *head.borrow();
    assert_eq!(after_one.entry.unwrap().0, 1);
    assert_eq!(Some(after_one.entry.unwrap().1), store.session(recorder.session()).await.unwrap().unwrap().last_hash);
    recorder.record(seal("Concluded")).await.unwrap();
    assert_eq!((head.borrow().entry.unwrap().0, head.borrow().link.unwrap().n), (2, 3));

    // A later controller goes on where the row says.
    let second = store.begin_session(&session("b", 1)).await.unwrap();
    Recorder::new(store.clone(), &second, CancellationToken::new()).record(note("before")).await.unwrap();
    let found = store.find_session("uid-b", 1).await.unwrap().unwrap();
    let adopted = Recorder::new(store.clone(), &found, CancellationToken::new());
    assert_eq!(adopted.head().borrow().entry.unwrap().0, 1);
    assert_eq!(adopted.record(note("after")).await.unwrap(), 2);
    assert!(check_all(&database).await.verified);
}

#[tokio::test]
async fn a_store_without_a_key_or_a_lease_only_reads() {
    let database = testing::database().await;
    let reader = PostgresStore::connect(&database.url).unwrap();
    let error = reader.fenced(EPOCH).begin_session(&session("a", 1)).await.unwrap_err();
    assert!(error.to_string().contains("no signing key"), "{error}");
    let error = reader.begin_session(&session("a", 1)).await.unwrap_err();
    assert!(matches!(error, AuditError::Fenced(_)), "{error}");
}

/// Nobody but the owner can write a link by hand, and nobody at all can change one.
#[tokio::test]
async fn the_tables_of_the_proof_are_only_added_to() {
    let database = testing::database().await;
    tell(&database.store(), "a", 1, true).await;
    let mut controller = PgConnection::connect(&database.url).await.unwrap();
    let mut owner = PgConnection::connect(&database.owner_url).await.unwrap();
    for table in ["links", "keys", "tombstones"] {
        for statement in [format!("DELETE FROM {table}"), format!("TRUNCATE {table} CASCADE")] {
            let error =
                sqlx::raw_sql(sqlx::AssertSqlSafe(statement.clone())).execute(&mut controller).await.unwrap_err();
            assert_eq!(error.as_database_error().unwrap().code().unwrap(), "42501", "{statement}: {error}");
            if table == "tombstones" && statement.starts_with("DELETE") {
                continue; // there is none
            }
            let error = sqlx::raw_sql(sqlx::AssertSqlSafe(statement.clone())).execute(&mut owner).await.unwrap_err();
            assert_eq!(error.as_database_error().unwrap().code().unwrap(), "OP003", "{statement}: {error}");
        }
    }
    for statement in [
        "SELECT append_link(4, '', '', '', '', 1)",
        "UPDATE head SET n = 1",
        "INSERT INTO tombstones VALUES ('x', 1)",
        "SELECT prune_sessions('infinity', 1)",
    ] {
        let error = sqlx::raw_sql(statement).execute(&mut controller).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), "42501", "{statement}: {error}");
    }
}
