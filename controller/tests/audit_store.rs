//! The audit store against a real Postgres: what it keeps, what it refuses, and who may do what.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests

use std::time::Duration;

use controller::audit::codec::{MAX_ENTRY_BYTES, encode};
use controller::audit::entry::VerificationEntry;
use controller::audit::postgres::{Roles, migrate};
use controller::audit::reader::all_entries;
use controller::audit::testing::samples::{begin, note, result_with, session};
use controller::audit::testing::{self, TestDatabase};
use controller::audit::{
    AuditError, AuditReader, AuditStore, Bytes, EntryBody, PostgresStore, SessionFilter, SessionState,
};
use controller::halt::Halt;
use controller::money::NanoDollars;
use controller::session::SessionId;
use jiff::Timestamp;
use sqlx::{Connection as _, PgConnection, Row as _};

const WAIT: Duration = Duration::from_secs(10);

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

fn code(error: &sqlx::Error) -> String {
    let code = error.as_database_error().and_then(|e| e.code().map(std::borrow::Cow::into_owned));
    code.unwrap_or_else(|| error.to_string())
}

#[tokio::test]
async fn numbers_follow_one_another_and_the_same_call_again_is_fine() {
    let store = testing::database().await.store();
    let session = begin(&store).await.new.id;
    let at = Timestamp::now();
    store.append(&session, 1, at, &note("one")).await.unwrap();
    store.append(&session, 1, at, &note("one")).await.unwrap();
    store.append(&session, 2, at, &note("two")).await.unwrap();

    for (seq, body) in [(1, note("other")), (2, note("one")), (4, note("gap")), (0, note("zero")), (-1, note("minus"))]
    {
        let error = store.append(&session, seq, at, &body).await.unwrap_err();
        assert!(matches!(error, AuditError::OutOfSequence { .. }), "{seq}: {error}");
    }
    let error = store.append(&SessionId::from("nobody".to_owned()), 1, at, &note("x")).await.unwrap_err();
    assert!(matches!(error, AuditError::NotFound(_)), "{error}");

    let entries = store.entries(&session, 0, 100).await.unwrap();
    assert_eq!(entries.iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(store.entries(&session, 1, 100).await.unwrap()[0].body, note("two"));
    assert_eq!(store.entries(&session, 0, 1).await.unwrap().len(), 1);
    assert_eq!(store.session(&session).await.unwrap().unwrap().state.last_seq, 2);
}

#[tokio::test]
async fn a_session_begins_once_for_an_incident_and_attempt() {
    let store = testing::database().await.store();
    let first = session("a", 1);
    let begun = store.begin_session(&first).await.unwrap();
    assert_eq!(begun.new.id, first.id);
    assert_eq!(begun.state.phase, "Running");
    let again = store.begin_session(&session("a", 1)).await.unwrap();
    assert_eq!(again, begun);
    let second = store.begin_session(&session("a", 2)).await.unwrap();
    assert_ne!(second.new.id, begun.new.id);
    assert_eq!(store.find_session("uid-a", 1).await.unwrap(), Some(begun));
    assert_eq!(store.find_session("uid-b", 1).await.unwrap(), None);

    let state = SessionState {
        phase: "Concluded".into(),
        turns: 3,
        commands: 5,
        input_tokens: 1000,
        output_tokens: 200,
        cost: NanoDollars::from_dollars(0.5),
        last_seq: 0,
        root_cause: Some("NUL\0 in a text".into()),
        summary: None,
        reason: Some("AgentConcluded".into()),
        ended_at: Some("2026-01-28T21:00:00.123456Z".parse().unwrap()),
    };
    store.update_session(&second.new.id, &state).await.unwrap();
    let read = store.session(&second.new.id).await.unwrap().unwrap();
    assert_eq!(read.state, SessionState { root_cause: Some("NUL\u{2400} in a text".into()), ..state });
    let missing = store.update_session(&SessionId::from("nobody".to_owned()), &read.state).await.unwrap_err();
    assert!(matches!(missing, AuditError::NotFound(_)), "{missing}");
}

#[tokio::test]
async fn every_byte_comes_back() {
    let database = testing::database().await;
    let store = database.store();
    let session = begin(&store).await.new.id;
    let hostile = "NUL \0\0 \\u0000 \\\\u0000 \\\\\0 \u{1} \u{7f} \u{85} \u{202e} é 漢 🦀 \"quoted\" \r\n\t";
    let bodies = [
        note(hostile),
        result_with(Bytes::Text(hostile.into()), Bytes::Base64("//4AAQ==".into())),
        EntryBody::Verification(VerificationEntry::Healed {
            details: serde_json::json!({"b": 1, "a": {"z": [1, 2.5, null, true]}, "k\0ey": "v"}),
        }),
    ];
    for (seq, body) in (1..).zip(&bodies) {
        store.append(&session, seq, Timestamp::now(), body).await.unwrap();
    }
    let read = store.entries(&session, 0, 10).await.unwrap();
    assert_eq!(read.iter().map(|e| e.body.clone()).collect::<Vec<_>>(), bodies);

    // What SQL sees: NUL as a symbol, an escaped backslash before "u0000" left alone.
    let mut owner = connect(&database.owner_url).await;
    let select = sqlx::query("SELECT kind, data->>'text' AS text, body FROM entries WHERE seq = 1");
    let row = select.fetch_one(&mut owner).await.unwrap();
    assert_eq!(row.get::<String, _>("text"), hostile.replace('\0', "\u{2400}"));
    let body: Vec<u8> = row.get("body");
    assert_eq!(body, encode(&session, 1, read[0].at, &bodies[0]).unwrap());
    let page = store.page(&session, 0, 10).await.unwrap();
    assert_eq!(page[2].body().unwrap(), bodies[2]);
    let order: Vec<_> = page[2].data["details"].as_object().unwrap().keys().collect();
    assert_eq!(order, ["b", "a", "k\0ey"]);
}

#[tokio::test]
async fn a_mebibyte_is_an_entry_and_pages_are_bounded() {
    let store = testing::database().await.store();
    let session = begin(&store).await.new.id;
    for seq in 1..=6_i64 {
        // Numbers that do not pack to nothing.
        let mixed = (0..1_i64 << 17).map(|i| (i * 2_654_435_761 + seq) & 0xffff_ffff);
        let text = mixed.fold(String::new(), |text, n| text + &format!("{n:08x}"));
        let body = result_with(Bytes::Text(text), Bytes::Text(String::new()));
        store.append(&session, seq, Timestamp::now(), &body).await.unwrap();
    }
    let page = store.page(&session, 0, 100).await.unwrap();
    assert_eq!(page.len(), 4, "4 MiB a page");
    assert_eq!(all_entries(&store, &session).await.unwrap().len(), 6);
    let error = store.append(&session, 7, Timestamp::now(), &note(&"x".repeat(MAX_ENTRY_BYTES))).await.unwrap_err();
    assert!(matches!(error, AuditError::Refused(_)), "{error}");
}

/// What the controller's role may not do, with the SQLSTATE that it is told.
#[tokio::test]
async fn the_controller_may_append_and_read_and_nothing_else() {
    let database = testing::database().await;
    let store = database.store();
    let session = begin(&store).await.new.id;
    store.append(&session, 1, Timestamp::now(), &note("one")).await.unwrap();
    store.add_summary(&session, 1, "short").await.unwrap();
    let refused = [
        "UPDATE entries SET kind = 'note'",
        "DELETE FROM entries",
        "TRUNCATE entries",
        "INSERT INTO entries (session_id, seq, kind, at, body, data) SELECT session_id, 2, kind, at, body, data FROM entries",
        "UPDATE sessions SET phase = 'x'",
        "DELETE FROM sessions",
        "DELETE FROM summaries",
        "UPDATE installation SET id = '00000000'",
        "UPDATE lease SET epoch = 2",
        "DELETE FROM lease",
        "BEGIN; LOCK TABLE lease IN EXCLUSIVE MODE",
        "SELECT 1 FROM lease FOR SHARE",
        "SELECT fence(1)",
        "CREATE TABLE mine (a int)",
        "CREATE TEMPORARY TABLE mine (a int)",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA mine",
        "ALTER TABLE entries DISABLE TRIGGER ALL",
        "DROP TABLE entries",
        "CREATE ROLE other",
        "UPDATE _sqlx_migrations SET success = false",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY entries TO PROGRAM 'true'",
        "SELECT refuse_change()",
    ];
    let mut controller = connect(&database.url).await;
    for statement in refused {
        let error = sqlx::raw_sql(statement).execute(&mut controller).await.expect_err(statement);
        assert_eq!(code(&error), "42501", "{statement}: {error}");
        let _ = sqlx::raw_sql("ROLLBACK").execute(&mut controller).await;
    }
    // Nor may anybody else, short of taking the triggers away.
    let mut owner = connect(&database.owner_url).await;
    for statement in [
        "UPDATE entries SET kind = 'note'",
        "DELETE FROM entries",
        "TRUNCATE entries CASCADE",
        "UPDATE summaries SET text = 'x'",
        "DELETE FROM summaries",
        "TRUNCATE summaries",
    ] {
        let error = sqlx::raw_sql(statement).execute(&mut owner).await.expect_err(statement);
        assert_eq!(code(&error), "OP003", "{statement}: {error}");
    }
    assert_eq!(store.entries(&session, 0, 10).await.unwrap()[0].summary.as_deref(), Some("short"));
}

/// The first entry of a session with this body, and a signature that the database cannot judge.
const APPEND: &str = "SELECT append_entry($1, 1, $2, (SELECT anchor FROM sessions WHERE id = $1), \
    decode(repeat('00', 64), 'hex'), (SELECT key_id FROM head), 1)";

#[tokio::test]
async fn the_function_takes_no_other_kind_session_or_number_than_the_body_says() {
    let database = testing::database().await;
    let store = database.store();
    let session = begin(&store).await.new.id;
    let mut controller = connect(&database.url).await;
    let id = session.as_str();
    let at = "2026-01-28T20:54:48Z";
    for (body, expected) in [
        (format!(r#"{{"session":"{id}","seq":1,"at":"{at}","kind":"gossip","data":{{}}}}"#), "23514"),
        (format!(r#"{{"session":"{id}","seq":2,"at":"{at}","kind":"note","data":{{}}}}"#), "OP004"),
        (format!(r#"{{"session":"other","seq":1,"at":"{at}","kind":"note","data":{{}}}}"#), "OP004"),
        (format!(r#"{{"session":"{id}","seq":1,"at":"{at}","kind":"note"}}"#), "23502"),
        ("not json".to_owned(), "22P02"),
    ] {
        let append = sqlx::query(APPEND).bind(id).bind(body.clone().into_bytes());
        let error = append.execute(&mut controller).await.expect_err(&body);
        assert_eq!(code(&error), expected, "{body}: {error}");
    }
    let append = sqlx::query(APPEND).bind(id).bind(vec![0xff_u8, 0xfe]);
    assert_eq!(code(&append.execute(&mut controller).await.unwrap_err()), "22021");
}

/// An error that comes with the commit, after the row was "inserted", must not pass for success.
#[tokio::test]
async fn an_append_is_not_done_before_its_commit() {
    let database = testing::database().await;
    let store = database.store();
    let session = begin(&store).await.new.id;
    database
        .as_owner(
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not at the end'; END $$;
             CREATE CONSTRAINT TRIGGER late AFTER INSERT ON entries DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION no()",
        )
        .await;
    let error = store.append(&session, 1, Timestamp::now(), &note("one")).await.unwrap_err();
    assert!(error.to_string().contains("not at the end"), "{error}");
    assert!(store.entries(&session, 0, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn migrating_twice_and_at_once_changes_nothing() {
    let database: TestDatabase = testing::shared().empty_database().await;
    let stray = PostgresStore::connect(&database.owner_url).unwrap();
    let missing = stray.check_schema().await.unwrap_err();
    assert!(matches!(&missing, AuditError::Schema(s) if s.contains("operator migrate")), "{missing}");
    assert!(matches!(stray.ping().await.unwrap_err(), AuditError::Schema(_)));

    let run = || migrate(&database.owner_url, &database.roles, WAIT, |_| {});
    let (a, b) = tokio::join!(run(), run());
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!(a.installation, b.installation);
    let third = run().await.unwrap();
    assert_eq!((third.applied.as_slice(), third.version), (&[][..], a.version));

    let store = database.store();
    store.check_schema().await.unwrap();
    store.ping().await.unwrap();
    let id = store.installation_id().await.unwrap();
    assert_eq!(id, a.installation);
    assert!(id.len() == 8 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");

    database
        .as_owner(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9999, 'later', true, '', 0)",
        )
        .await;
    let newer = store.check_schema().await.unwrap_err();
    assert!(matches!(&newer, AuditError::Schema(s) if s.contains("newer")), "{newer}");
    assert!(run().await.is_err());
}

#[tokio::test]
async fn a_password_that_is_given_is_the_one_that_counts() {
    let database = testing::database().await;
    let mut roles = database.roles.clone();
    let odd = "it's \\ \"odd\" $$ %";
    roles.controller_password = Some(odd.to_owned().into());
    migrate(&database.owner_url, &roles, WAIT, |_| {}).await.unwrap();
    let old = database.store().ping().await.unwrap_err();
    assert!(old.is_transient(), "a password being rotated is waited for: {old}");
    let options = database.url.parse::<sqlx::postgres::PgConnectOptions>().unwrap().password(odd);
    PgConnection::connect_with(&options).await.unwrap();
}

#[tokio::test]
async fn sessions_are_found_by_what_is_known_of_them() {
    let store = testing::database().await.store();
    for (name, attempt) in [("a", 1), ("a", 2), ("b", 1)] {
        store.begin_session(&session(name, attempt)).await.unwrap();
    }
    let count = async |filter: SessionFilter| store.sessions(&filter).await.unwrap().len();
    assert_eq!(count(SessionFilter::default()).await, 3);
    assert_eq!(count(SessionFilter { incident: Some("a".into()), ..Default::default() }).await, 2);
    assert_eq!(count(SessionFilter { namespace: Some("elsewhere".into()), ..Default::default() }).await, 0);
    assert_eq!(count(SessionFilter { subject: Some("ratelimiter".into()), ..Default::default() }).await, 3);
    assert_eq!(count(SessionFilter { phase: Some("rUNNING".into()), ..Default::default() }).await, 3);
    assert_eq!(count(SessionFilter { limit: Some(1), ..Default::default() }).await, 1);
    assert_eq!(count(SessionFilter { limit: Some(-5), ..Default::default() }).await, 0);
    assert_eq!(count(SessionFilter { since: Some(Timestamp::now()), ..Default::default() }).await, 0);
    assert_eq!(count(SessionFilter { incident: Some("a\0".into()), ..Default::default() }).await, 0);
}

#[tokio::test]
async fn a_database_that_is_not_there_is_waited_for_and_named() {
    let mut said = Vec::new();
    let url = "postgres://someone:s3cret@127.0.0.1:1/operator";
    let roles = Roles::default();
    let error = migrate(url, &roles, Duration::from_secs(1), |s| said.push(s.to_owned())).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("127.0.0.1:1/operator"), "{error}");
    assert!(said[0].starts_with("waiting for the database at 127.0.0.1:1/operator"), "{said:?}");
    assert!(!error.contains("s3cret") && !said.concat().contains("s3cret"));
    let wrong = PostgresStore::connect("postgres://u:s3cret@[::1/db").unwrap_err().to_string();
    assert!(!wrong.contains("s3cret"), "{wrong}");
}

#[tokio::test]
async fn halts_are_kept_once_each() {
    let database = testing::database().await;
    let store = database.store();
    let halt = |reason: &str| Halt {
        by: Some("jane".into()),
        reason: Some(reason.into()),
        since: Some("2026-01-28T20:54:48Z".parse().unwrap()),
    };
    store.record_halt(None).await.unwrap();
    for halt in
        [Some(halt("one")), Some(halt("one")), Some(halt("two")), None, None, Some(Halt { by: None, ..halt("two") })]
    {
        store.record_halt(halt.as_ref()).await.unwrap();
    }
    let mut reader = connect(&database.url).await;
    let rows: Vec<(bool, Option<String>, Option<String>)> =
        sqlx::query_as("SELECT halted, \"by\", reason FROM halts ORDER BY id").fetch_all(&mut reader).await.unwrap();
    let row =
        |halted, by: Option<&str>, reason: Option<&str>| (halted, by.map(str::to_owned), reason.map(str::to_owned));
    assert_eq!(
        rows,
        [
            row(true, Some("jane"), Some("one")),
            row(true, Some("jane"), Some("two")),
            row(false, None, None),
            row(true, None, Some("two")),
        ]
    );
}
