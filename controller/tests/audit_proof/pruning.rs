//! Old sessions go, their tombstone stays.

use controller::audit::postgres::Pruner;
use controller::audit::proof::row::Scope;
use controller::audit::proof::verify::{Expected, Place};
use controller::audit::testing::{self, TestDatabase};
use controller::audit::{AuditError, AuditReader, AuditStore};
use controller::session::SessionId;
use jiff::{SignedDuration, Timestamp};
use sqlx::{Connection as _, PgConnection};

use super::{check, check_all, end, faults, tell};

fn days_ago(days: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_hours(24 * days)
}

/// Two that ended long ago, one that ended lately, one that runs.
async fn trail() -> (TestDatabase, Vec<SessionId>) {
    let database = testing::database().await;
    let store = database.store();
    let mut ids = Vec::new();
    for (name, ended) in [("a", Some(100)), ("b", Some(95)), ("c", Some(1)), ("d", None)] {
        let id = tell(&store, name, 3, ended.is_some()).await;
        store.add_summary(&id, 1, "short").await.unwrap();
        if let Some(days) = ended {
            end(&store, &id, days_ago(days)).await;
        }
        ids.push(id);
    }
    (database, ids)
}

#[tokio::test]
async fn whole_sessions_go_with_a_tombstone_and_the_rest_holds() {
    let (database, ids) = trail().await;
    let mut pruner = Pruner::connect(&database.prune_url, days_ago(90)).await.unwrap();
    let found: Vec<SessionId> = pruner.candidates(10).await.unwrap().into_iter().map(|one| one.session).collect();
    assert_eq!(found, ids[..2]);
    let removed = pruner.prune(&database.signer()).await.unwrap();
    assert_eq!((removed.sessions, removed.entries), (2, 8));
    assert_eq!(pruner.prune(&database.signer()).await.unwrap().sessions, 0);

    let store = database.store();
    assert_eq!(store.session(&ids[0]).await.unwrap(), None);
    assert!(store.page(&ids[0], 0, 10).await.unwrap().is_empty());
    let report = check_all(&database).await;
    assert!(report.verified, "{:#?}", faults(&report));
    assert_eq!((report.sessions, report.pruned), (2, 2));
    let one = check(&database, Scope::Sessions(vec![ids[0].clone()]), Expected::default()).await;
    assert!(one.verified, "{:#?}", faults(&one));

    // The chain goes on behind the tombstone, with the head that the store had kept, too.
    tell(&store, "e", 1, true).await;
    assert!(check_all(&database).await.verified);

    // Another session that is missing is not excused by it, and one that was pruned may not come back.
    database
        .as_owner(&format!(
            "SET session_replication_role = replica; DELETE FROM entries WHERE session_id = '{}'; DELETE FROM sessions WHERE id = '{0}';
             INSERT INTO sessions (id, incident_uid, incident_namespace, incident_name, attempt, subject, model, title, severity, started_at)
             SELECT '{}', 'uid-a', 'default', 'a', 1, subject, model, title, severity, started_at FROM sessions LIMIT 1",
            ids[2], ids[0]
        ))
        .await;
    let report = check_all(&database).await;
    let places: Vec<Place> = report.faults.iter().map(|fault| fault.place.clone()).collect();
    assert_eq!(places, [Place::Session(ids[0].clone()), Place::Session(ids[2].clone())], "{:#?}", faults(&report));
}

/// A tombstone is for what is there, and takes nothing else with it.
#[tokio::test]
async fn a_tombstone_that_says_something_else_removes_nothing() {
    let (database, ids) = trail().await;
    let mut role = PgConnection::connect(&database.prune_url).await.unwrap();
    let link = |n: i64, session: &SessionId, seq: i64| {
        format!(
            r#"{{"n":{n},"at":"2026-01-28T20:00:00Z","kind":"prune","data":{{"before":"2026-01-28T20:00:00Z","count":1,"sessions":[{{"session":"{session}","lastSeq":{seq}}}]}}}}"#
        )
    };
    for body in
        [link(8, &ids[3], 3), link(8, &ids[0], 3), link(8, &SessionId::from("nobody".to_owned()), 0), "{}".into()]
    {
        let error = sqlx::query("SELECT prune_sessions(now() - interval '90 days', 1, 8, '', $1, '', '')")
            .bind(body.clone().into_bytes())
            .execute(&mut role)
            .await
            .expect_err(&body);
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), "OP004", "{body}: {error}");
    }
    assert_eq!(check_all(&database).await.sessions, 4);
}

/// With a key that does not count nothing is removed.
#[tokio::test]
async fn pruning_needs_the_key() {
    use controller::audit::proof::{PrivateKey, Signer};
    let (database, _) = trail().await;
    let mut pruner = Pruner::connect(&database.prune_url, days_ago(90)).await.unwrap();
    let error = pruner.prune(&Signer::fixed(PrivateKey::generate())).await.unwrap_err();
    assert!(matches!(error, AuditError::Unavailable { .. }), "{error}");
    assert_eq!(check_all(&database).await.sessions, 4);
}

#[tokio::test]
async fn the_pruning_role_can_do_nothing_else() {
    let (database, _) = trail().await;
    let mut role = PgConnection::connect(&database.prune_url).await.unwrap();
    for statement in [
        "SELECT * FROM sessions",
        "SELECT * FROM entries",
        "SELECT * FROM links",
        "SELECT * FROM installation",
        "DELETE FROM sessions",
        "DELETE FROM entries",
        "INSERT INTO tombstones VALUES ('x', 1)",
        "SELECT append_link(1, '', '', '', '', 0)",
        "SELECT add_summary('x', 1, 'x', 1)",
        "SELECT acquire_lease('me', interval '1 hour')",
        "CREATE TABLE mine (a int)",
    ] {
        let error = sqlx::raw_sql(statement).execute(&mut role).await.expect_err(statement);
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), "42501", "{statement}: {error}");
    }
}
