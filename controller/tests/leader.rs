//! Leadership on a real Postgres: two who want the lease, and one who has it at a time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests

use std::sync::{Arc, Mutex};
use std::time::Duration;

use controller::audit::testing::samples::{begin, note};
use controller::audit::testing::{self, TestServer};
use controller::audit::{AuditError, AuditStore, PostgresStore};
use controller::leader::{Held, Lease, Loss, Pace, Seen};
use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// So that a test does not take the time of a real lease.
fn quick() -> Pace {
    Pace {
        ttl: Duration::from_millis(2500),
        margin: Duration::from_millis(500),
        renew: Duration::from_millis(400),
        retry: Duration::from_millis(100),
        look: Duration::from_millis(100),
        call: Duration::from_secs(1),
    }
}

fn never() -> CancellationToken {
    CancellationToken::new()
}

async fn acquire(lease: &Lease) -> Held {
    lease.acquire(&never(), |_| {}).await.unwrap()
}

/// Keeps the lease in the background until `done`, and gives back what came of it.
fn keep(mut held: Held, done: &CancellationToken) -> JoinHandle<(Held, Option<Loss>)> {
    let done = done.clone();
    tokio::spawn(async move {
        let loss = held.keep(&done, |_| {}).await;
        (held, loss)
    })
}

#[tokio::test]
async fn one_leads_and_the_other_follows_at_once_when_the_lease_is_given_back() {
    let database = testing::shared().unled_database().await;
    // Far longer than this test.
    let pace = Pace { ttl: Duration::from_mins(10), ..quick() };
    let first = Lease::new(&database.url, "first", pace.clone()).unwrap();
    let second = Lease::new(&database.url, "second", pace).unwrap();
    let held = acquire(&first).await;
    assert_eq!((held.leadership().epoch(), held.leadership().check()), (1, Ok(())));

    let seen = Arc::new(Mutex::new(Vec::new()));
    let waiting = tokio::spawn({
        let (second, seen) = (second.clone(), seen.clone());
        async move { second.acquire(&never(), |what| seen.lock().unwrap().push(what)).await.unwrap() }
    });
    let done = CancellationToken::new();
    let keeping = keep(held, &done);
    while seen.lock().unwrap().len() < 3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(seen.lock().unwrap().iter().all(|what| *what == Seen::Held { holder: "first".into() }));
    assert!(!waiting.is_finished());

    done.cancel();
    let (held, loss) = keeping.await.unwrap();
    assert_eq!(loss, None);
    let leadership = held.leadership().clone();
    assert_eq!(leadership.check(), Ok(()), "it is kept to the end");
    held.release().await;
    assert!(leadership.check().is_err());
    assert_eq!(waiting.await.unwrap().leadership().epoch(), 2);
}

#[tokio::test]
async fn who_stands_by_and_is_stopped_leaves_no_lease_behind() {
    let database = testing::shared().unled_database().await;
    let stop = CancellationToken::new();
    stop.cancel();
    let lease = Lease::new(&database.url, "stopped", quick()).unwrap();
    assert!(lease.acquire(&stop, |_| {}).await.is_none());
    assert_eq!(acquire(&lease).await.leadership().epoch(), 1);
}

/// As if it had been stopped: it renews nothing, and knows nothing.
#[tokio::test]
async fn a_leader_that_stands_still_is_over_before_the_next_one_begins() {
    let database = testing::shared().unled_database().await;
    let bare = PostgresStore::connect(&database.url).unwrap();
    let mut still = acquire(&Lease::new(&database.url, "still", quick()).unwrap()).await;
    let stale = bare.led_by(still.leadership());
    let id = begin(&stale).await.new.id;
    let next = acquire(&Lease::new(&database.url, "next", quick()).unwrap()).await;
    assert!(still.leadership().check().is_err(), "by its own clock, without having heard of anything");
    assert_eq!((next.leadership().epoch(), next.leadership().check()), (2, Ok(())));

    // It goes on, and can do nothing.
    let error = stale.append(&id, 1, Timestamp::now(), &note("stale")).await.unwrap_err();
    assert!(matches!(error, AuditError::Fenced(_)), "{error}");
    assert!(still.keep(&never(), |_| {}).await.is_some());
    still.release().await;
    bare.led_by(next.leadership()).append(&id, 1, Timestamp::now(), &note("mine")).await.unwrap();
    assert_eq!(next.leadership().check(), Ok(()), "what was given back was not this one");
}

/// The database's clock may jump: then the lease is over before its holder's own clock says so.
#[tokio::test]
async fn the_first_write_that_is_refused_ends_everything_else_too() {
    let database = testing::shared().unled_database().await;
    let pace = Pace { ttl: Duration::from_mins(10), renew: Duration::from_mins(5), ..quick() };
    let held = acquire(&Lease::new(&database.url, "first", pace.clone()).unwrap()).await;
    let leadership = held.leadership().clone();
    let store = PostgresStore::connect(&database.url).unwrap().led_by(&leadership);
    let id = begin(&store).await.new.id;
    let keeping = keep(held, &never());

    database.as_owner("UPDATE lease SET expires_at = clock_timestamp()").await;
    let _next = acquire(&Lease::new(&database.url, "next", pace).unwrap()).await;
    assert_eq!(leadership.check(), Ok(()), "how should it know");
    let error = store.append(&id, 1, Timestamp::now(), &note("stale")).await.unwrap_err();
    assert!(matches!(error, AuditError::Fenced(_)), "{error}");
    assert!(leadership.check().is_err());
    assert_eq!(keeping.await.unwrap().1, Some(Loss::Fenced));
}

#[tokio::test]
async fn a_schema_that_was_changed_under_it_ends_it_as_well() {
    let database = testing::shared().unled_database().await;
    let held = acquire(&Lease::new(&database.url, "first", quick()).unwrap()).await;
    let store = PostgresStore::connect(&database.url).unwrap().led_by(held.leadership());
    database.as_owner("ALTER FUNCTION add_summary(text, bigint, text, bigint) RENAME TO add_other").await;
    let error = store.add_summary(&"s".to_owned().into(), 1, "x").await.unwrap_err();
    assert!(matches!(error, AuditError::Schema(_)), "{error}");
    assert!(held.leadership().check().is_err());
}

#[tokio::test]
async fn a_lease_that_is_another_s_is_lost_at_the_next_renewal() {
    let database = testing::shared().unled_database().await;
    let mut held = acquire(&Lease::new(&database.url, "first", quick()).unwrap()).await;
    database.as_owner("UPDATE lease SET epoch = 2, holder = 'somebody'").await;
    assert_eq!(held.keep(&never(), |_| {}).await, Some(Loss::Taken));
    assert!(held.leadership().check().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_for_less_than_the_lease_takes_nothing_from_it() {
    let server = Arc::new(TestServer::start());
    let database = server.unled_database().await;
    let pace = Pace { ttl: Duration::from_mins(2), ..quick() };
    let mut held = acquire(&Lease::new(&database.url, "first", pace).unwrap()).await;
    let leadership = held.leadership().clone();
    let (done, failed) = (CancellationToken::new(), Arc::new(Mutex::new(0)));
    let keeping = tokio::spawn({
        let (done, failed) = (done.clone(), failed.clone());
        async move {
            let loss = held.keep(&done, |_| *failed.lock().unwrap() += 1).await;
            (held, loss)
        }
    });
    let renewed = "SELECT renewed_at::text FROM lease";
    let store = PostgresStore::connect(&database.url).unwrap();
    server.stop();
    while *failed.lock().unwrap() < 3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.start_again();
    let last = async || {
        let mut owner = <sqlx::PgConnection as sqlx::Connection>::connect(&database.owner_url).await.unwrap();
        sqlx::query_scalar::<_, String>(renewed).fetch_one(&mut owner).await.unwrap()
    };
    let before = last().await;
    while last().await == before {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    done.cancel();
    assert_eq!(keeping.await.unwrap().1, None);
    assert_eq!((leadership.check(), leadership.epoch()), (Ok(()), 1));
    begin(&store.led_by(&leadership)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_for_longer_ends_the_leader_and_the_first_to_ask_leads() {
    let server = Arc::new(TestServer::start());
    let database = server.unled_database().await;
    let first = Lease::new(&database.url, "first", quick()).unwrap();
    let held = acquire(&first).await;
    let leadership = held.leadership().clone();
    let keeping = keep(held, &never());
    server.stop();
    let (held, loss) = keeping.await.unwrap();
    assert!(matches!(&loss, Some(Loss::RanOut { why: Some(_) })), "{loss:?}");
    assert!(leadership.check().is_err());
    held.release().await;

    let mut looks = 0;
    let second = Lease::new(&database.url, "second", quick()).unwrap();
    let waiting = second
        .acquire(&CancellationToken::new(), |seen| {
            if matches!(seen, Seen::Unknown { .. }) {
                looks += 1;
                if looks == 2 {
                    server.start_again();
                }
            }
        })
        .await
        .unwrap();
    assert_eq!((waiting.leadership().epoch(), waiting.leadership().check()), (2, Ok(())));
}
