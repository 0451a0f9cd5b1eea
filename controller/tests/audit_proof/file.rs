//! An export is checked without the database.

use std::io::Cursor;
use std::sync::Arc;

use controller::audit::proof::export::{export, read};
use controller::audit::proof::row::{Scope, records};
use controller::audit::proof::verify::{Expected, Place, Report, verify};
use controller::audit::testing::{self, TestDatabase};
use controller::audit::{AuditError, PostgresStore};
use controller::session::SessionId;
use jiff::Timestamp;

use super::{faults, tell};

async fn exported(database: &TestDatabase, scope: Scope) -> String {
    let reader = Arc::new(PostgresStore::connect(&database.url).unwrap());
    let mut out = Vec::new();
    export(records(reader, scope.clone()), scope, &mut out).await.unwrap();
    String::from_utf8(out).unwrap()
}

async fn check(text: String, expected: Expected) -> Result<Report, AuditError> {
    verify(read(Cursor::new(text)), Scope::All, expected).await
}

async fn trail() -> (TestDatabase, SessionId) {
    let database = testing::database().await;
    let store = database.store();
    let one = tell(&store, "one", 4, true).await;
    tell(&store, "two", 2, false).await;
    (database, one)
}

#[tokio::test]
async fn an_export_holds_by_itself() {
    let (database, one) = trail().await;
    let pinned = || Expected { keys: vec![database.public_key()], ..Expected::default() };
    let report = check(exported(&database, Scope::All).await, pinned()).await.unwrap();
    assert!(report.verified, "{:#?}", faults(&report));
    assert_eq!((report.sessions, report.entries, report.links), (2, 7, 4));
    for scope in [Scope::Sessions(vec![one]), Scope::Since(Timestamp::now())] {
        let report = check(exported(&database, scope).await, pinned()).await.unwrap();
        assert!(report.verified, "{:#?}", faults(&report));
        assert!(report.notes[0].contains("only some sessions"), "{:?}", report.notes);
    }
}

#[tokio::test]
async fn what_was_changed_in_a_file_is_named() {
    let (database, one) = trail().await;
    let whole = exported(&database, Scope::All).await;
    let faults_of = async |text: String| faults(&check(text, Expected::default()).await.unwrap());

    let found = faults_of(whole.replace("one 3", "one x")).await;
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].starts_with(&format!("session {one}, entry 3: what it says is not what was signed")),
        "{found:#?}"
    );

    let without =
        |words: &str| -> String { whole.split_inclusive('\n').filter(|line| !line.contains(words)).collect() };
    let found = faults_of(without("one 3")).await;
    assert!(found[0].contains("entry 4: number 3 is missing before it"), "{found:#?}");
    assert!(found.last().unwrap().contains("the export says that it has"), "{found:#?}");

    let found = faults_of(without("\"type\":\"end\"")).await;
    assert_eq!(found, ["the trail: the export has no end: the file was cut"]);

    // A whole session, with a header that no longer says that all are there, and an end that fits.
    let text = without(one.as_str());
    let report = check(text, Expected::default()).await.unwrap();
    assert_eq!(report.faults[0].place, Place::Link(4), "{:#?}", faults(&report));

    let error = check(format!("{whole}not json\n"), Expected::default()).await.unwrap_err();
    assert!(error.to_string().contains("line ") && error.to_string().contains("is no record"), "{error}");
}
