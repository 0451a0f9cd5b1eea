//! The recorder: nothing lost and nothing doubled, whatever becomes of the store in between.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests

use std::sync::Arc;
use std::time::Duration;

use controller::audit::fake::Fault;
use controller::audit::testing::samples::{begin, note, session};
use controller::audit::testing::{self, TestServer};
use controller::audit::{AuditError, AuditStore, EntryBody, FakeStore, PostgresStore, RecordError, Recorder};
use sqlx::{Connection as _, PgConnection};
use tokio_util::sync::CancellationToken;

async fn recorder(store: &FakeStore) -> Recorder {
    let record = begin(store).await;
    Recorder::new(Arc::new(store.clone()), &record, CancellationToken::new())
}

fn texts(bodies: &[EntryBody]) -> Vec<&str> {
    bodies.iter().map(|b| if let EntryBody::Reasoning(r) = b { r.text.as_str() } else { "?" }).collect()
}

#[tokio::test]
async fn waits_for_the_store_says_so_and_goes_on() {
    let store = FakeStore::new();
    let recorder = Arc::new(recorder(&store).await);
    let mut waiting = recorder.waiting();
    assert_eq!(recorder.record(note("one")).await.unwrap(), 1);
    store.make_unavailable("disk full");
    let task = tokio::spawn({
        let recorder = recorder.clone();
        async move { recorder.record(note("two")).await }
    });
    let said = waiting.wait_for(Option::is_some).await.unwrap().clone();
    assert_eq!(said.unwrap(), "waiting for the audit store: the audit store is unavailable: disk full");
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(!task.is_finished());
    store.heal();
    assert_eq!(task.await.unwrap().unwrap(), 2);
    assert_eq!(*recorder.waiting().borrow(), None);
    assert_eq!(texts(&store.bodies(recorder.session())), ["one", "two"]);
}

#[tokio::test]
async fn a_lost_answer_does_not_double_the_entry() {
    let store = FakeStore::new();
    let recorder = recorder(&store).await;
    store.fail_at(1, Fault::CommittedButUnanswered);
    assert_eq!(recorder.record(note("one")).await.unwrap(), 1);
    assert_eq!(recorder.record(note("two")).await.unwrap(), 2);
    assert_eq!(texts(&store.bodies(recorder.session())), ["one", "two"]);
    assert_eq!(store.attempts(), 3);
}

#[tokio::test]
async fn an_entry_that_was_given_up_may_stand_and_the_next_goes_behind_it() {
    for (fault, expected) in
        [(Fault::CommittedButUnanswered, &["given up", "last words"][..]), (Fault::Unavailable, &["last words"][..])]
    {
        let store = FakeStore::new();
        let record = begin(&store).await;
        let cancel = CancellationToken::new();
        let recorder = Recorder::new(Arc::new(store.clone()), &record, cancel.clone());
        store.fail_at(1, fault);
        // Cancelled in the pause before the second attempt.
        let cancelling = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            cancel.cancel();
        };
        let (given_up, ()) = tokio::join!(recorder.record(note("given up")), cancelling);
        assert!(matches!(given_up, Err(RecordError::Cancelled { last: Some(_) })), "{given_up:?}");
        assert!(matches!(recorder.record(note("x")).await, Err(RecordError::Cancelled { last: None })));
        let seq = recorder.record_within(note("last words"), Duration::from_secs(1)).await.unwrap();
        assert_eq!(usize::try_from(seq).unwrap(), expected.len());
        assert_eq!(texts(&store.bodies(recorder.session())), expected);
        assert_eq!(recorder.last_seq().await, seq);
    }
}

#[tokio::test]
async fn two_given_up_entries_in_a_row_are_settled() {
    let store = FakeStore::new();
    let recorder = recorder(&store).await.with_patience(Duration::ZERO);
    store.fail_at(1, Fault::Unavailable);
    assert!(matches!(recorder.record(note("a")).await, Err(RecordError::GaveUp { .. })));
    store.fail_at(1, Fault::CommittedButUnanswered);
    assert!(matches!(recorder.record(note("b")).await, Err(RecordError::GaveUp { .. })));
    assert_eq!(recorder.record(note("c")).await.unwrap(), 2);
    assert_eq!(texts(&store.bodies(recorder.session())), ["b", "c"]);
}

#[tokio::test]
async fn a_refusal_is_final_and_leaves_the_number_free() {
    let store = FakeStore::new();
    let recorder = recorder(&store).await;
    store.fail_at(1, Fault::Refused);
    let error = recorder.record(note("no")).await.unwrap_err();
    assert!(matches!(error, RecordError::Store(AuditError::Refused(_))), "{error}");
    assert_eq!(recorder.record(note("yes")).await.unwrap(), 1);
}

#[tokio::test]
async fn a_second_writer_is_found_out() {
    let store = FakeStore::new();
    let record = begin(&store).await;
    let writer = || Recorder::new(Arc::new(store.clone()), &record, CancellationToken::new());
    let (one, two) = (writer(), writer());
    one.record(note("one")).await.unwrap();
    let error = two.record(note("two")).await.unwrap_err();
    assert!(matches!(error, RecordError::Store(AuditError::OutOfSequence { seq: 1, .. })), "{error}");
    assert_eq!(texts(&store.bodies(one.session())), ["one"]);
}

#[tokio::test]
async fn many_callers_share_one_recorder() {
    let store = FakeStore::new();
    let recorder = Arc::new(recorder(&store).await);
    let calls = (0..100).map(|n| {
        let recorder = recorder.clone();
        tokio::spawn(async move { recorder.record(note(&n.to_string())).await.unwrap() })
    });
    let mut numbers: Vec<i64> = futures::future::join_all(calls).await.into_iter().map(Result::unwrap).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=100).collect::<Vec<_>>());
}

/// Every way in which a call can be dropped: the trail is the list of what was confirmed, with at
/// most the dropped ones in between.
#[tokio::test]
async fn dropped_calls_leave_no_gap_and_no_double() {
    let database = testing::database().await;
    let store = Arc::new(database.store());
    let record = store.begin_session(&session("dropped", 1)).await.unwrap();
    let recorder = Recorder::new(store.clone(), &record, CancellationToken::new());
    let mut confirmed = Vec::new();
    for n in 0..60_u64 {
        let body = note(&n.to_string());
        // 0 to 3 ms: somewhere in the middle of a round trip.
        let limit = Duration::from_micros(n % 12 * 250);
        if let Ok(seq) = tokio::time::timeout(limit, recorder.record(body)).await {
            confirmed.push((seq.unwrap(), n.to_string()));
        }
    }
    confirmed.push((recorder.record(note("end")).await.unwrap(), "end".into()));
    let entries = store.entries(recorder.session(), 0, 1000).await.unwrap();
    let found: Vec<String> = entries.iter().map(|e| texts(std::slice::from_ref(&e.body))[0].to_owned()).collect();
    for (seq, text) in &confirmed {
        assert_eq!(found[usize::try_from(seq - 1).unwrap()], *text);
    }
    let mut unique = found.clone();
    unique.dedup();
    assert_eq!(unique, found, "nothing twice");
    assert_eq!(found.last().unwrap(), "end");
}

#[tokio::test]
async fn a_read_only_database_is_waited_for() {
    let database = testing::database().await;
    let store = Arc::new(database.store());
    let record = begin(&*store).await;
    let recorder = Arc::new(Recorder::new(store.clone(), &record, CancellationToken::new()));
    recorder.record(note("before")).await.unwrap();
    database.set_read_only(true).await;
    let error = store.ping().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    let mut waiting = recorder.waiting();
    let task = tokio::spawn({
        let recorder = recorder.clone();
        async move { recorder.record(note("during")).await }
    });
    waiting.wait_for(|w| w.as_ref().is_some_and(|w| w.contains("25006") || w.contains("read-only"))).await.unwrap();
    database.set_read_only(false).await;
    assert_eq!(task.await.unwrap().unwrap(), 2);
    recorder.record(note("after")).await.unwrap();
    let bodies: Vec<_> = store.entries(recorder.session(), 0, 10).await.unwrap().into_iter().map(|e| e.body).collect();
    assert_eq!(texts(&bodies), ["before", "during", "after"]);
}

/// A server that stops (as in a crash) and starts again, several times, under a writer that never
/// stops: the trail has each entry once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_and_starts_loses_nothing() {
    let server = Arc::new(TestServer::start());
    let database = server.database().await;
    let store =
        Arc::new(PostgresStore::connect_with(&database.url, 4, Duration::from_secs(1)).unwrap().fenced(testing::EPOCH));
    let record = begin(&*store).await;
    let recorder = Arc::new(Recorder::new(store.clone(), &record, CancellationToken::new()));
    let stop = CancellationToken::new();
    let writer = tokio::spawn({
        let (recorder, stop) = (recorder.clone(), stop.clone());
        async move {
            let mut n = 0;
            while !stop.is_cancelled() {
                n += 1;
                assert_eq!(recorder.record(note(&n.to_string())).await.unwrap(), n);
            }
            n
        }
    });
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let again = server.clone();
        tokio::task::spawn_blocking(move || {
            again.stop();
            std::thread::sleep(Duration::from_millis(300));
            again.start_again();
        })
        .await
        .unwrap();
        // The writer is back at work before the next blow.
        recorder.waiting().wait_for(Option::is_none).await.unwrap();
    }
    stop.cancel();
    let written = writer.await.unwrap();
    let entries = store.entries(recorder.session(), 0, i64::MAX).await.unwrap();
    assert_eq!(i64::try_from(entries.len()).unwrap(), written);
    for (n, entry) in (1..).zip(&entries) {
        assert_eq!((entry.seq, texts(std::slice::from_ref(&entry.body))[0]), (n, n.to_string().as_str()));
    }
}

/// Two controllers that both believe to own a session: each number has one winner.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_race_and_each_number_has_one_winner() {
    let database = testing::database().await;
    let store = Arc::new(database.store());
    let session = begin(&*store).await.new.id;
    let race = |name: &'static str| {
        let (store, session) = (store.clone(), session.clone());
        tokio::spawn(async move {
            let mut won = 0;
            for seq in 1..=100 {
                match store.append(&session, seq, jiff::Timestamp::now(), &note(name)).await {
                    Ok(()) => won += 1,
                    Err(AuditError::OutOfSequence { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
                tokio::task::yield_now().await;
            }
            won
        })
    };
    let (a, b) = tokio::join!(race("a"), race("b"));
    let (a, b) = (a.unwrap(), b.unwrap());
    let entries = store.entries(&session, 0, 1000).await.unwrap();
    assert_eq!(entries.len(), a + b, "each row has one who was told that it is theirs");
    assert!(entries.iter().zip(1..).all(|(entry, seq)| entry.seq == seq));
}

/// A server that accepts and never answers: every call ends in time.
#[tokio::test]
async fn a_silent_server_does_not_hold_anybody_for_ever() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("postgres://u:p@127.0.0.1:{port}/d");
    let store = PostgresStore::connect_with(&url, 2, Duration::from_millis(300)).unwrap();
    let begun = std::time::Instant::now();
    let error = store.ping().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

/// A call that the database does not answer in time may be committed all the same, later: here it
/// waits behind somebody's lock.
#[tokio::test]
async fn a_call_that_took_too_long_is_not_written_twice() {
    let database = testing::database().await;
    let store = Arc::new(
        PostgresStore::connect_with(&database.url, 4, Duration::from_millis(700)).unwrap().fenced(testing::EPOCH),
    );
    let record = begin(&*store).await;
    let recorder = Arc::new(Recorder::new(store.clone(), &record, CancellationToken::new()));
    recorder.record(note("one")).await.unwrap();

    let mut owner = PgConnection::connect(&database.owner_url).await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT 1 FROM sessions FOR UPDATE").execute(&mut owner).await.unwrap();
    let mut waiting = recorder.waiting();
    let task = tokio::spawn({
        let recorder = recorder.clone();
        async move { recorder.record(note("two")).await }
    });
    waiting.wait_for(Option::is_some).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    sqlx::raw_sql("COMMIT").execute(&mut owner).await.unwrap();
    assert_eq!(task.await.unwrap().unwrap(), 2);
    assert_eq!(recorder.record(note("three")).await.unwrap(), 3);
    let entries = store.entries(recorder.session(), 0, 10).await.unwrap();
    let bodies: Vec<_> = entries.into_iter().map(|entry| entry.body).collect();
    assert_eq!(texts(&bodies), ["one", "two", "three"]);
}
