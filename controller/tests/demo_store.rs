//! What demos did, on a real Postgres: kept as it was written, and refused to who does not lead.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests

use controller::audit::testing::{self, TestDatabase};
use controller::audit::{AuditError, PostgresStore};
use controller::demo_chapter::record::{ActId, DemoRef, How, NewAct, NewTurn, Record, TurnKind};
use controller::demo_chapter::store::DemoStore;
use controller::demo_chapter::store::fake::FakeDemoStore;
use controller::fault::{Key, Phase, Plan};
use crds::demo_chapter::ActionState;
use crds::fault::UndoWhen;
use jiff::Timestamp;
use sqlx::{Connection as _, PgConnection};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn demo() -> DemoRef {
    DemoRef { namespace: "ns".into(), demo: "d".into() }
}

fn turn(kind: TurnKind, chapter: &str, number: i64, second: i64) -> NewTurn {
    NewTurn {
        demo: demo(),
        kind,
        chapter: chapter.into(),
        chapter_uid: format!("uid-{chapter}"),
        number,
        place: 3,
        subject: "shop".into(),
        project: "shop".into(),
        raised_at: at(second - 1),
        at: at(second),
        acts_at: at(second + 3),
        superseded: false,
    }
}

/// As another version's rows could hold it: text that is not plain.
fn plan(says: &str) -> Plan {
    serde_json::from_value(serde_json::json!({
        "says": says, "seed": u64::MAX,
        "targets": [{"service": "node2", "id": "abc", "name": "shop-node2-1", "state": "running",
                     "startedAt": "2026-01-28T20:54:48Z"}],
        "verb": {"type": "kill", "signal": "SIGKILL"}, "undo": {"type": "start"},
    }))
    .unwrap()
}

fn act(turn: i64, index: usize, says: &str) -> NewAct {
    NewAct {
        id: ActId { turn, chapter: "fault".into(), restore: false, index },
        says: says.into(),
        undo_when: UndoWhen::Back,
        key: Key {
            subject: "ns/shop".into(),
            project: "shop".into(),
            demo: "d".into(),
            chapter: "fault".into(),
            entered: 1,
            phase: Phase::Act,
            index,
            epoch: 1,
        },
        plan: Some(plan(says)),
        failed: None,
        at: at(20),
    }
}

/// The same story for any store: its record at the end.
async fn tell(store: &dyn DemoStore) -> Record {
    let first = store.begin_turn(&turn(TurnKind::Enter, "load", 1, 10)).await.unwrap();
    assert_eq!(store.begin_turn(&turn(TurnKind::Enter, "load", 1, 99)).await.unwrap(), first, "once");
    store.end_turn(first, How::Complete, None, at(11)).await.unwrap();
    let superseded = NewTurn { superseded: true, ..turn(TurnKind::Enter, "other", 1, 12) };
    store.begin_turn(&superseded).await.unwrap();
    let second = store.begin_turn(&turn(TurnKind::Enter, "fault", 4, 13)).await.unwrap();
    assert!(second > first);
    assert!(store.begin_act(&act(second, 0, "kill node2")).await.unwrap());
    assert!(!store.begin_act(&act(second, 0, "kill node2")).await.unwrap(), "it stands there already");
    store.end_act(&act(second, 0, "").id, ActionState::Done, Some("killed \0 it"), at(21)).await.unwrap();
    store.end_act(&act(second, 0, "").id, ActionState::Failed, Some("too late"), at(22)).await.unwrap();
    store.begin_act(&act(second, 1, "kill it again")).await.unwrap();
    let failed = NewAct { plan: None, failed: Some("no such service".into()), ..act(second, 2, "kill node9") };
    store.begin_act(&failed).await.unwrap();
    store.begin_act(&act(second, 3, "kill the last")).await.unwrap();
    store.begin_undo(&act(second, 0, "").id, second, at(23)).await.unwrap();
    store.begin_undo(&act(second, 3, "").id, second, at(23)).await.unwrap();
    store.end_undo(&act(second, 3, "").id, Some("it does not come back"), at(24)).await.unwrap();
    store.record(&demo()).await.unwrap()
}

fn without_nul(mut record: Record) -> Record {
    for act in &mut record.acts {
        act.message = act.message.as_ref().map(|text| text.replace('\0', "\u{2400}"));
    }
    record
}

#[tokio::test]
async fn a_record_is_as_it_was_written_in_both_stores() {
    let database = testing::shared().database().await;
    let store = database.store();
    let (real, fake) = (tell(&store).await, tell(&FakeDemoStore::default()).await);
    assert_eq!(real, without_nul(fake));
    assert_eq!(real.current().unwrap().new.chapter, "fault");
    assert_eq!(real.number("uid-fault", TurnKind::Enter), 4);
    assert_eq!(store.live().await.unwrap(), [demo()]);
    let kept = store.kept("shop").await.unwrap();
    assert_eq!(kept.iter().map(|key| key.index).collect::<Vec<_>>(), [0, 1, 3]);
    assert!(store.kept("another").await.unwrap().is_empty());
}

#[tokio::test]
async fn after_a_reset_only_what_is_not_settled_is_looked_at() {
    for real in [true, false] {
        let database = testing::shared().database().await;
        let store: Box<dyn DemoStore> =
            if real { Box::new(database.store()) } else { Box::new(FakeDemoStore::default()) };
        let before = tell(&*store).await;
        let newest = before.current().unwrap().id;
        let reset = store.begin_turn(&turn(TurnKind::Reset, "load", 1, 30)).await.unwrap();
        let ids = [(0, None), (1, None)];
        for (index, error) in ids {
            store.begin_undo(&act(newest, index, "").id, reset, at(31)).await.unwrap();
            store.end_undo(&act(newest, index, "").id, error, at(32)).await.unwrap();
        }
        assert_eq!(store.record(&demo()).await.unwrap().going_back().unwrap().id, reset);
        store.end_act(&act(newest, 1, "").id, ActionState::Failed, None, at(33)).await.unwrap();
        store.end_turn(reset, How::Done, Some("done"), at(34)).await.unwrap();
        let record = store.record(&demo()).await.unwrap();
        assert_eq!(record.turns.iter().map(|turn| turn.id).collect::<Vec<_>>(), [reset]);
        assert!(record.current().is_none() && !record.is_live());
        assert_eq!(record.number("uid-fault", TurnKind::Enter), 4, "numbers are never forgotten");
        assert!(record.acts.iter().any(|act| act.new.id.index == 3), "what could not be taken back");
        assert!(store.live().await.unwrap().is_empty());
    }
}

/// Whether every function that writes refuses.
async fn writes_nothing(store: &PostgresStore, id: i64) -> bool {
    let fenced = |answer: Result<(), AuditError>| matches!(answer, Err(AuditError::Fenced(_)));
    let act_id = act(id, 7, "").id;
    fenced(store.begin_turn(&turn(TurnKind::Enter, "load", 9, 50)).await.map(|_| ()))
        && fenced(store.end_turn(id, How::Failed, None, at(50)).await)
        && fenced(store.begin_act(&act(id, 7, "stale")).await.map(|_| ()))
        && fenced(store.end_act(&act_id, ActionState::Done, None, at(50)).await)
        && fenced(store.begin_undo(&act_id, id, at(50)).await)
        && fenced(store.end_undo(&act_id, None, at(50)).await)
}

#[tokio::test]
async fn who_does_not_lead_writes_nothing() {
    let database = testing::shared().database().await;
    let store = database.store();
    let id = store.begin_turn(&turn(TurnKind::Enter, "fault", 1, 10)).await.unwrap();
    let before = store.record(&demo()).await.unwrap();
    assert!(writes_nothing(&store.fenced(testing::EPOCH + 1), id).await);
    assert!(writes_nothing(&database.unled_store(), id).await);
    assert_eq!(store.record(&demo()).await.unwrap(), before);
}

async fn may(url: &str, sql: &'static str) -> bool {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.is_ok()
}

#[tokio::test]
async fn the_controller_writes_through_the_functions_alone() {
    let database: TestDatabase = testing::shared().database().await;
    assert!(may(&database.url, "SELECT * FROM demo_turns, demo_acts").await);
    for sql in ["DELETE FROM demo_acts", "UPDATE demo_turns SET how = 'done'", "INSERT INTO demo_acts DEFAULT VALUES"] {
        assert!(!may(&database.url, sql).await, "{sql}");
    }
    assert!(!may(&database.prune_url, "SELECT * FROM demo_acts").await);
}
