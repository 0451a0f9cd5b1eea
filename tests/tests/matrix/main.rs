//! The kill matrix: a real controller dies, or sleeps through its own succession, at every boundary of the way of a
//! session; what it depends on goes and comes back. Then the books are compared: the rows, what the commands left in
//! the subject, what is left on the engine. `docs/resilience.md` says how it works and has the result.
//!
//! `MATRIX_ROWS=text,text` plays only the rows whose names contain one of them, `MATRIX_LANES=n` so many at once, and
//! `MATRIX_DOC=file` writes the table into that page.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod lane;
mod rows;
mod table;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use lane::Lane;
use table::{Outcome, Played, Table};

/// How many rows are played at once, each lane on a stage of its own.
const LANES: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn nothing_is_lost_and_nothing_happens_twice() {
    let only = std::env::var("MATRIX_ROWS").unwrap_or_default();
    let wanted = |row: &rows::Row| only.split(',').any(|text| row.name().contains(text));
    let all: VecDeque<_> = rows::all().into_iter().filter(wanted).collect();
    assert!(!all.is_empty(), "no row has {only:?} in its name");
    let lanes = std::env::var("MATRIX_LANES").ok().and_then(|text| text.parse().ok()).unwrap_or(LANES);
    let begun = Instant::now();
    let played = Arc::new(Mutex::new(Table::default()));
    let (alone, together): (VecDeque<_>, VecDeque<_>) = all.into_iter().partition(rows::Row::is_played_alone);
    for (rows, lanes) in [(together, lanes), (alone, 1)] {
        let lanes = lanes.min(rows.len());
        let left = Arc::new(Mutex::new(rows));
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..lanes {
            let (left, played) = (left.clone(), played.clone());
            running.spawn(async move { work(&left, &played).await });
        }
        while let Some(ended) = running.join_next().await {
            ended.unwrap();
        }
    }
    let table = std::mem::take(&mut *played.lock().unwrap());
    let (text, failed) = (table.markdown(), table.failed());
    println!("{text}\n{} rows in {:.0} s", table.len(), begun.elapsed().as_secs_f64());
    if let Some(page) = std::env::var_os("MATRIX_DOC") {
        table::write(std::path::Path::new(&page), &text);
    }
    assert!(failed.is_empty(), "{} rows do not hold:\n{}", failed.len(), failed.join("\n"));
}

/// One lane: row after row on one stage. After a row that does not hold, the next has a new stage.
async fn work(left: &Mutex<VecDeque<rows::Row>>, played: &Mutex<Table>) {
    let mut lane: Option<Lane> = None;
    loop {
        let Some(row) = left.lock().unwrap().pop_front() else { break };
        let begun = Instant::now();
        let outcome = match row.cannot() {
            Some(why) => Outcome::Skipped(why),
            None => match Lane::take_or_open(lane.take()).await {
                Err(why) => Outcome::Wrong(vec![why]),
                Ok(mut on) => match on.play(&row).await {
                    Ok(tally) => {
                        lane = Some(on);
                        Outcome::Holds(tally)
                    }
                    Err(wrong) => {
                        println!("{}", on.diagnosis().await);
                        on.close().await;
                        Outcome::Wrong(wrong)
                    }
                },
            },
        };
        let took = begun.elapsed();
        println!("{:<72} {:>5.1} s  {outcome}", row.name(), took.as_secs_f64());
        played.lock().unwrap().add(Played::new(&row, outcome, took));
    }
    if let Some(lane) = lane {
        let wrong = lane.finish().await;
        played.lock().unwrap().at_the_end(wrong);
    }
}
