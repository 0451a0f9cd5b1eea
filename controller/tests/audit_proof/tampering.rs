//! As the owner of the tables, with the triggers away: each place is named.

use controller::audit::proof::row::Scope;
use controller::audit::proof::verify::{Expected, Place, Witness};
use controller::audit::testing::{self, TestDatabase};
use controller::audit::{AuditReader, Hash};
use controller::session::SessionId;

use super::{check, check_all, faults, tell};

/// The sessions: four notes and a seal, the same again, three notes of one that runs.
struct Trail {
    database: TestDatabase,
    one: SessionId,
    two: SessionId,
    running: SessionId,
}

async fn trail() -> Trail {
    let database = testing::database().await;
    let store = database.store();
    let one = tell(&store, "one", 4, true).await;
    let two = tell(&store, "two", 4, true).await;
    let running = tell(&store, "running", 3, false).await;
    let report = check_all(&database).await;
    assert!(report.verified, "{:?}", faults(&report));
    Trail { database, one, two, running }
}

impl Trail {
    /// With every trigger and foreign key away. `$1` to `$3` stand for the sessions.
    async fn tamper(&self, sql: &str) {
        let quoted = |id: &SessionId| format!("'{id}'");
        let sql = sql
            .replace("$1", &quoted(&self.one))
            .replace("$2", &quoted(&self.two))
            .replace("$3", &quoted(&self.running));
        self.database.as_owner(&format!("SET session_replication_role = replica; {sql}")).await;
    }

    /// All faults are at these places, in this order, and the first says that.
    async fn found(&self, places: &[Place], words: &str) {
        let report = check_all(&self.database).await;
        assert!(!report.verified);
        let mut found: Vec<Place> = report.faults.iter().map(|fault| fault.place.clone()).collect();
        found.dedup();
        assert_eq!(found, places, "{:#?}", faults(&report));
        assert!(report.faults[0].what.contains(words), "{:#?}", faults(&report));
    }

    fn at(&self, seq: i64) -> Place {
        Place::Entry(self.one.clone(), seq)
    }

    /// What a status that was written now would have seen.
    async fn witness(&self, session: &SessionId) -> Witness {
        let store = self.database.store();
        let record = store.session(session).await.unwrap().unwrap();
        let (n, hash): (i64, Vec<u8>) = self.row("SELECT n, hash FROM head").await;
        Witness {
            who: "the status of the Incident default/x".into(),
            entry: Some((session.clone(), record.state.last_seq, record.last_hash.unwrap())),
            link: Some((n, Hash::from_slice(&hash).unwrap())),
        }
    }

    async fn row<T: Send + Unpin + for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>>(&self, sql: &'static str) -> T {
        use sqlx::Connection as _;
        let mut owner = sqlx::PgConnection::connect(&self.database.owner_url).await.unwrap();
        sqlx::query_as(sql).fetch_one(&mut owner).await.unwrap()
    }

    async fn found_by(&self, witness: Witness, words: &[&str]) {
        let expected = Expected { witnesses: vec![witness], ..Expected::default() };
        let report = check(&self.database, Scope::All, expected).await;
        let found = faults(&report);
        assert_eq!(found.len(), words.len(), "{found:#?}");
        assert!(found.iter().zip(words).all(|(found, words)| found.contains(words)), "{found:#?}");
    }
}

#[tokio::test]
async fn one_byte_of_a_body() {
    let trail = trail().await;
    // A letter of the text: JSON that reads well.
    trail
        .tamper("UPDATE entries SET body = set_byte(body, position('one 2'::bytea IN body), 120) WHERE session_id = $1 AND seq = 2")
        .await;
    trail.found(&[trail.at(2)], "not what was signed").await;
}

#[tokio::test]
async fn only_a_derived_column() {
    let trail = trail().await;
    trail.tamper("UPDATE entries SET data = jsonb_set(data, '{text}', '\"nothing happened\"') WHERE session_id = $1 AND seq = 3").await;
    trail.found(&[trail.at(3)], "its column \"data\" is not what its body says").await;
    trail
        .tamper("UPDATE entries SET at = at + interval '1 hour', kind = 'note' WHERE session_id = $1 AND seq = 4")
        .await;
    trail.found(&[trail.at(3), trail.at(4)], "data").await;
}

#[tokio::test]
async fn one_row_deleted() {
    let trail = trail().await;
    trail.tamper("DELETE FROM entries WHERE session_id = $1 AND seq = 3").await;
    trail.found(&[trail.at(4)], "number 3 is missing before it").await;
}

#[tokio::test]
async fn the_first_row_deleted_and_the_rest_moved_up() {
    let trail = trail().await;
    trail.tamper("DELETE FROM entries WHERE session_id = $1 AND seq = 1").await;
    for seq in 2..=5 {
        trail.tamper(&format!("UPDATE entries SET seq = {seq} - 1 WHERE session_id = $1 AND seq = {seq}")).await;
    }
    let report = check_all(&trail.database).await;
    assert_eq!(report.faults[0].place, trail.at(1), "{:#?}", faults(&report));
    assert!(report.faults.iter().any(|fault| fault.what.contains("entry 5 is missing")), "{:#?}", faults(&report));
}

#[tokio::test]
async fn two_rows_swapped() {
    let trail = trail().await;
    for (from, to) in [(2, 1000), (3, 2), (1000, 3)] {
        trail.tamper(&format!("UPDATE entries SET seq = {to} WHERE session_id = $1 AND seq = {from}")).await;
    }
    trail.found(&[trail.at(2), trail.at(3)], "its body is that of entry 3").await;
}

#[tokio::test]
async fn the_tail_cut() {
    let trail = trail().await;
    let witness = trail.witness(&trail.running).await;
    trail.tamper("DELETE FROM entries WHERE session_id = $1 AND seq >= 4").await;
    trail.found(&[Place::Session(trail.one.clone())], "entries 4 to 5 are missing: link 3 says").await;
    trail.tamper("DELETE FROM entries WHERE session_id = $3 AND seq = 3").await;
    // Of one that runs nothing in the store knows how long it was; the Incident's status does.
    trail.found_by(witness, &["entries 4 to 5 are missing", "has seen its entry 3, and the last one is 2"]).await;
}

#[tokio::test]
async fn a_whole_session_removed() {
    let trail = trail().await;
    trail.tamper("DELETE FROM entries WHERE session_id = $1; DELETE FROM sessions WHERE id = $1").await;
    trail.found(&[Place::Session(trail.one.clone())], "link 2 says that it began; it is gone").await;
    // With its links.
    trail.tamper("DELETE FROM links WHERE session_id = $1").await;
    trail.found(&[Place::Link(4)], "numbers 2 to 3 are missing before it").await;
}

#[tokio::test]
async fn a_row_of_another_session_replayed() {
    let trail = trail().await;
    trail
        .tamper(
            "UPDATE entries e SET body = o.body, data = o.data, at = o.at, kind = o.kind, prev = o.prev, hash = o.hash,
                 signature = o.signature FROM entries o
             WHERE e.session_id = $1 AND e.seq = 2 AND o.session_id = $2 AND o.seq = 2",
        )
        .await;
    trail.found(&[trail.at(2)], "its body is that of entry 2 of session").await;
    // And as its body should be, with the signature of the other.
    let fresh = self::trail().await;
    fresh
        .tamper("UPDATE entries e SET signature = o.signature FROM entries o WHERE e.session_id = $1 AND e.seq = 2 AND o.session_id = $2 AND o.seq = 2")
        .await;
    fresh.found(&[fresh.at(2)], "not what was signed").await;
}

#[tokio::test]
async fn chained_anew_without_the_key() {
    let trail = trail().await;
    trail
        .tamper(
            "DO $do$
             DECLARE r entries%ROWTYPE; h bytea;
             BEGIN
                 UPDATE entries SET body = convert_to(replace(convert_from(body, 'UTF8'), 'one 2', 'xxx 2'), 'UTF8'),
                     data = jsonb_set(data, '{text}', to_jsonb(replace(data->>'text', 'one 2', 'xxx 2')))
                     WHERE session_id = $1 AND seq = 2;
                 FOR r IN SELECT * FROM entries WHERE session_id = $1 AND seq >= 2 ORDER BY seq LOOP
                     SELECT hash INTO h FROM entries WHERE session_id = $1 AND seq = r.seq - 1;
                     UPDATE entries SET prev = h, hash = entry_hash(session_id, seq, epoch, key_id, h, body)
                         WHERE session_id = $1 AND seq = r.seq;
                 END LOOP;
             END $do$",
        )
        .await;
    // Every signature from there on covers another past.
    trail.found(&[trail.at(2), trail.at(3), trail.at(4), trail.at(5)], "not what was signed").await;
}

#[tokio::test]
async fn all_of_it_anew_with_another_key() {
    let trail = trail().await;
    let forged = self::trail().await;
    let pinned = Expected { keys: vec![trail.database.public_key()], ..Expected::default() };
    assert!(check(&trail.database, Scope::All, pinned.clone()).await.verified);
    let report = check(&forged.database, Scope::All, pinned).await;
    assert_eq!(report.faults.len(), 1, "{:#?}", faults(&report));
    assert_eq!(report.faults[0].place, Place::Link(1));
    assert!(report.faults[0].what.contains("the pinned one"), "{:#?}", faults(&report));
}

#[tokio::test]
async fn the_tail_of_the_links_cut() {
    let trail = trail().await;
    let witness = trail.witness(&trail.two).await;
    // Links: key, start and seal of one, start and seal of two, start of the one that runs.
    trail.tamper("DELETE FROM links WHERE n >= 5").await;
    trail
        .found(
            &[Place::Session(trail.running.clone()), Place::Entry(trail.two.clone(), 5)],
            "no link of the chain says that it began",
        )
        .await;
    // Cut so that nothing in the store is left to tell of it.
    trail
        .tamper("DELETE FROM entries WHERE session_id IN ($2, $3); DELETE FROM sessions WHERE id IN ($2, $3); DELETE FROM links WHERE n >= 4")
        .await;
    assert!(check_all(&trail.database).await.verified, "alone it cannot know");
    trail
        .found_by(
            witness,
            &[
                "has seen its entry 5; neither it nor a link about it is there",
                "link 6: the status of the Incident default/x has seen it, and the chain ends with link 3",
            ],
        )
        .await;
}

#[tokio::test]
async fn a_link_changed_or_swapped_or_forged() {
    let trail = trail().await;
    trail
        .tamper("UPDATE links SET body = convert_to(replace(convert_from(body, 'UTF8'), 'uid-one', 'uid-two'), 'UTF8') WHERE n = 2")
        .await;
    let report = check_all(&trail.database).await;
    assert_eq!(report.faults[0].place, Place::Link(2), "{:#?}", faults(&report));
    let trail = self::trail().await;
    trail
        .tamper("UPDATE links SET n = 1000 WHERE n = 2; UPDATE links SET n = 2 WHERE n = 4; UPDATE links SET n = 4 WHERE n = 1000")
        .await;
    let report = check_all(&trail.database).await;
    assert_eq!(report.faults[0].place, Place::Link(2), "{:#?}", faults(&report));
    // A tombstone that nobody signed, for a session that was removed.
    let trail = self::trail().await;
    trail
        .tamper(
            "DELETE FROM entries WHERE session_id = $1; DELETE FROM sessions WHERE id = $1;
             INSERT INTO tombstones SELECT $1, 6;
             INSERT INTO links SELECT 7, 'prune', now(), NULL, convert_to(format(
                 '{\"n\":7,\"at\":\"2026-01-28T20:00:00Z\",\"kind\":\"prune\",\"data\":{\"before\":\"2026-01-28T20:00:00Z\",\"count\":1,\"sessions\":[{\"session\":\"%s\",\"lastSeq\":5}]}}',
                 $1), 'UTF8'), '{}', hash, hash, signature, key_id, 0 FROM links WHERE n = 6",
        )
        .await;
    let report = check_all(&trail.database).await;
    assert_eq!(report.faults[0].place, Place::Link(7), "{:#?}", faults(&report));
}

#[tokio::test]
async fn a_key_replaced() {
    let trail = trail().await;
    trail.tamper("UPDATE keys SET public_key = sha256('mine')").await;
    trail.found(&[Place::Trail], "in the table of keys is not the one that the chain has").await;
    let trail = self::trail().await;
    let other = testing::database().await.public_key();
    trail
        .tamper(&format!(
            "UPDATE links SET body = convert_to(regexp_replace(convert_from(body, 'UTF8'), '\"publicKey\":\"[0-9a-f]+\"', '\"publicKey\":\"{}\"'), 'UTF8') WHERE n = 1",
            other.to_hex()
        ))
        .await;
    let report = check_all(&trail.database).await;
    assert_eq!(report.faults[0].place, Place::Link(1), "{:#?}", faults(&report));
}

#[tokio::test]
async fn a_session_slipped_in_or_made_another_ones() {
    let trail = trail().await;
    trail.tamper("UPDATE sessions SET incident_name = 'other' WHERE id = $1").await;
    trail.found(&[Place::Session(trail.one.clone())], "link 2 says attempt 1 on default/one (uid-one)").await;
    let trail = self::trail().await;
    let copy = "2026-01-28T20-54-48-00000000";
    trail
        .tamper(&format!(
            "INSERT INTO sessions (id, incident_uid, incident_namespace, incident_name, attempt, subject, model, title, severity, started_at)
             SELECT '{copy}', 'x', 'x', 'x', 1, subject, model, title, severity, started_at FROM sessions WHERE id = $1"
        ))
        .await;
    trail.found(&[Place::Session(SessionId::from(copy.to_owned()))], "no link of the chain says that it began").await;
}

#[tokio::test]
async fn a_signature_taken_away() {
    let trail = trail().await;
    trail
        .tamper("UPDATE entries SET prev = NULL, hash = NULL, signature = NULL, key_id = NULL, epoch = NULL WHERE session_id = $1 AND seq = 2")
        .await;
    trail.found(&[trail.at(2)], "it is not signed").await;
    trail.tamper("UPDATE entries SET hash = sha256('x') WHERE session_id = $2 AND seq = 2").await;
    trail.found(&[trail.at(2), Place::Entry(trail.two.clone(), 2)], "not signed").await;
}
