//! The first key, the next one, a lost one; and what is from before there were any.

use std::sync::Arc;
use std::time::Duration;

use controller::audit::postgres::{MigrateError, Wanted, prepare_key};
use controller::audit::proof::row::Scope;
use controller::audit::proof::signer::next_path;
use controller::audit::proof::vault::{FileVault, Vault as _};
use controller::audit::proof::verify::{Expected, Place};
use controller::audit::proof::{PrivateKey, Signer};
use controller::audit::testing::samples::{note, session};
use controller::audit::testing::{self, EPOCH};
use controller::audit::{AuditReader, AuditStore, PostgresStore, Recorder};
use tokio_util::sync::CancellationToken;

use super::{check, check_all, faults, tell};

const ROTATE: Wanted = Wanted { rotate: true, number: 1, replace_lost: false };

#[tokio::test]
async fn the_first_key_is_made_once_also_when_two_come_at_once() {
    let database = testing::shared().unled_database_without_key().await;
    let vault = FileVault::new(database.key.clone());
    let prepare = || prepare_key(&database.owner_url, &vault, Wanted::default());
    let (a, b) = tokio::join!(prepare(), prepare());
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!(a.public, b.public);
    assert_ne!(a.new, b.new);
    assert_eq!((a.number, b.number), (1, 1));
    assert!(check_all(&database).await.verified);
}

/// The vault was written, and the chain never heard of it.
#[tokio::test]
async fn a_first_key_that_was_cut_off_is_taken_up() {
    let database = testing::shared().unled_database_without_key().await;
    let vault = FileVault::new(database.key.clone());
    let key = PrivateKey::generate();
    vault.create(&key).await.unwrap();
    let prepared = prepare_key(&database.owner_url, &vault, Wanted::default()).await.unwrap();
    assert_eq!(prepared.public, key.public());
}

#[tokio::test]
async fn without_a_key_nothing_is_written() {
    let database = testing::shared().unled_database_without_key().await;
    database.as_owner("SELECT acquire_lease('a test', interval '1 year')").await;
    let store = PostgresStore::connect(&database.url).unwrap().fenced(EPOCH);
    let store = store.with_signer(Arc::new(Signer::fixed(PrivateKey::generate())));
    let error = store.begin_session(&session("a", 1)).await.unwrap_err();
    assert!(error.to_string().contains("operator migrate"), "{error}");
    assert!(store.check_key().await.unwrap_err().to_string().contains("operator migrate"));
    let report = check_all(&database).await;
    assert_eq!(report.faults[0].place, Place::Trail, "{:#?}", faults(&report));
}

/// A controller that runs goes on with the new key; the trail holds by the old one and by the new one.
#[tokio::test]
async fn a_rotation_goes_by_unnoticed() {
    let database = testing::database().await;
    let store = Arc::new(database.store());
    let old = database.public_key();
    let record = store.begin_session(&session("a", 1)).await.unwrap();
    let recorder = Recorder::new(store.clone(), &record, CancellationToken::new());
    recorder.record(note("before")).await.unwrap();
    database.prepare_key(ROTATE).await;
    let new = database.public_key();
    assert_ne!(old, new);
    assert_eq!(recorder.record(note("after")).await.unwrap(), 2);
    tell(&store, "b", 2, true).await;
    database.prepare_key(Wanted { number: 4, ..Wanted::default() }).await;
    database.prepare_key(Wanted { number: 4, ..Wanted::default() }).await;
    recorder.record(note("long after")).await.unwrap();
    for pinned in [old, new, database.public_key()] {
        let report = check(&database, Scope::All, Expected { keys: vec![pinned], ..Expected::default() }).await;
        assert!(report.verified, "{:#?}", faults(&report));
        assert_eq!(report.keys.len(), 4);
    }
    assert!(!next_path(&database.key).exists());
}

/// As long as the new key has not come to the controller it waits, and says for what.
#[tokio::test]
async fn a_controller_without_the_new_key_waits_for_it() {
    let database = testing::database().await;
    let old = std::fs::read_to_string(&database.key).unwrap();
    let stale = Arc::new(Signer::fixed(PrivateKey::from_pem(&old).unwrap()));
    let store = PostgresStore::connect(&database.url).unwrap().fenced(EPOCH).with_signer(stale);
    let record = store.begin_session(&session("a", 1)).await.unwrap();
    let recorder = Recorder::new(Arc::new(store.clone()), &record, CancellationToken::new());
    recorder.record(note("before")).await.unwrap();
    database.prepare_key(ROTATE).await;
    let error = recorder.record_within(note("after"), Duration::ZERO).await.unwrap_err();
    let said = std::error::Error::source(&error).unwrap().to_string();
    assert!(said.contains(&database.public_key().id().to_string()), "{said}");
    assert!(store.begin_session(&session("b", 1)).await.unwrap_err().is_transient());
    assert!(store.check_key().await.unwrap_err().is_transient());
}

/// Cut off before the chain hears of the next key, and after.
#[tokio::test]
async fn a_rotation_that_was_cut_off_is_finished() {
    let database = testing::database().await;
    let vault = FileVault::new(database.key.clone());
    let (old, next) = (database.public_key(), PrivateKey::generate());
    vault.put_next(&next).await.unwrap();
    let prepare = |wanted| prepare_key(&database.owner_url, &vault, wanted);
    assert_eq!(prepare(Wanted::default()).await.unwrap().public, old, "the chain does not know the next one");
    assert_eq!(prepare(ROTATE).await.unwrap().public, next.public(), "it is taken up");

    let before = std::fs::read_to_string(&database.key).unwrap();
    database.prepare_key(ROTATE).await;
    // As it was between the commit and the promotion.
    std::fs::rename(&database.key, next_path(&database.key)).unwrap();
    std::fs::write(&database.key, before).unwrap();
    let store = database.store();
    tell(&store, "meanwhile", 1, true).await;
    let found = prepare(Wanted::default()).await.unwrap();
    assert_eq!((found.public, found.new), (database.public_key(), false));
    assert!(check_all(&database).await.verified);
}

#[tokio::test]
async fn a_lost_key_can_be_replaced_and_the_trail_says_so() {
    let database = testing::database().await;
    tell(&database.store(), "a", 1, true).await;
    let old = database.public_key();
    std::fs::remove_file(&database.key).unwrap();
    let vault = FileVault::new(database.key.clone());
    let error = prepare_key(&database.owner_url, &vault, ROTATE).await.unwrap_err();
    assert!(matches!(&error, MigrateError::LostKey { id, .. } if *id == old.id().to_string()), "{error}");
    assert!(error.to_string().contains("--replace-lost-key"), "{error}");
    let lost = Wanted { replace_lost: true, ..Wanted::default() };
    let new = prepare_key(&database.owner_url, &vault, lost).await.unwrap();
    assert!(new.new && new.number == 2);
    tell(&database.store(), "b", 1, true).await;
    let report = check_all(&database).await;
    assert_eq!(report.faults.len(), 1, "{:#?}", faults(&report));
    assert!(report.faults[0].what.contains("was lost"), "{:#?}", faults(&report));
    let pinned = Expected { keys: vec![database.public_key()], ..Expected::default() };
    let report = check(&database, Scope::All, pinned).await;
    assert!(report.verified, "{:#?}", faults(&report));
    assert!(report.notes.iter().any(|note| note.contains("was lost")), "{:?}", report.notes);
}

/// Rows from before they were signed are read, go on, and cannot be changed unnoticed any more.
#[tokio::test]
async fn sessions_from_before_signing_are_taken_up() {
    let database = testing::shared().unled_database_without_key().await;
    database.as_owner("SELECT acquire_lease('a test', interval '1 year')").await;
    database
        .as_owner(
            "INSERT INTO sessions (id, incident_uid, incident_namespace, incident_name, attempt, subject, model, title, severity, started_at)
                 VALUES ('old', 'uid-old', 'default', 'old', 1, 's', 'm', 't', 'error', now()),
                        ('empty', 'uid-empty', 'default', 'empty', 1, 's', 'm', 't', 'error', now());
             INSERT INTO entries (session_id, seq, kind, at, body, data)
                 SELECT 'old', n, 'note', '2026-01-28T20:00:00Z',
                     convert_to(format('{\"session\":\"old\",\"seq\":%s,\"at\":\"2026-01-28T20:00:00Z\",\"kind\":\"note\",\"data\":{}}', n), 'UTF8'), '{}'
                 FROM generate_series(1, 3) n",
        )
        .await;
    database.prepare_key(Wanted::default()).await;
    let store = database.store();
    for name in ["old", "empty"] {
        let record = store.find_session(&format!("uid-{name}"), 1).await.unwrap().unwrap();
        let recorder = Recorder::new(Arc::new(store.clone()), &record, CancellationToken::new());
        recorder.record(note("signed")).await.unwrap();
    }
    let old = controller::session::SessionId::from("old".to_owned());
    assert_eq!(store.page(&old, 0, 10).await.unwrap().len(), 4);
    let report = check_all(&database).await;
    assert!(report.verified, "{:#?}", faults(&report));
    assert_eq!(report.unsigned, 3);
    assert!(report.notes.iter().any(|note| note.contains("before entries were signed")), "{:?}", report.notes);

    database
        .as_owner(
            "SET session_replication_role = replica;
             UPDATE entries SET body = convert_to(replace(convert_from(body, 'UTF8'), '{}', '[]'), 'UTF8'), data = '[]' WHERE seq = 2 AND session_id = 'old'",
        )
        .await;
    let report = check_all(&database).await;
    assert_eq!(report.faults.len(), 1, "{:#?}", faults(&report));
    assert!(report.faults[0].what.contains("entries 1 to 3"), "{:#?}", faults(&report));
}
