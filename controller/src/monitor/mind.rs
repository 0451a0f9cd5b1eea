//! One Subject's judge, and its work off the runtime. A judge moves to a thread and back; while it is away nothing is
//! judged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::SubjectSpec;
use crds::incident::Violated;
use jiff::Timestamp;
use tokio::task::JoinHandle;

use super::bench::{Bench, Done};
use super::words::Readings;
use crate::invariant::{Compiled, Judge, Mistake, Proof, Shown, View};
use crate::probe::Round;

/// So much longer than it took does a judge rest that took too long.
const REST: u32 = 10;
/// But no longer than this.
const LONGEST_REST: Duration = Duration::from_mins(5);

/// What a judge is to do.
#[derive(Debug, Default)]
pub struct Job {
    /// What to take in.
    pub rounds: Vec<Round>,
    /// The time, if what is stale and what is over is to be judged, too.
    pub look: Option<Timestamp>,
    /// Keys to forget.
    pub forget: Vec<Violated>,
    /// Since when all has to hold, and what has to be there.
    pub asks: Vec<(Timestamp, Vec<Violated>)>,
    /// Of what the readings are wanted.
    pub readings: Vec<Violated>,
}

/// What it thinks.
#[derive(Debug)]
pub struct Thought {
    /// Each invariant.
    pub views: Vec<View>,
    /// What a screen shows.
    pub shown: Shown,
    /// The answers, in the order of the asks.
    pub proofs: Vec<Proof>,
    /// The readings.
    pub readings: Readings,
    /// How long it took.
    pub took: Duration,
}

/// What came of a job.
#[derive(Debug)]
pub enum Outcome {
    /// This.
    Thought(Box<Thought>),
    /// It takes too long.
    Late,
    /// The judge is not there.
    Away,
}

/// A judge, or where it is.
enum Seat {
    Here(Box<Judge>),
    Resting(Box<Judge>, Instant),
    Late(JoinHandle<(Judge, Thought)>, Instant),
    Empty,
}

/// One Subject's judge.
pub struct Mind {
    bench: Bench,
    compiled: Arc<Compiled>,
    seat: Seat,
    /// How far back a judge has to be told what was read.
    pub window: Duration,
    /// What is wrong with the spec.
    pub mistakes: Vec<Mistake>,
}

impl Mind {
    /// A judge for this spec.
    pub async fn new(bench: &Bench, spec: SubjectSpec) -> Self {
        let compile = move || {
            let (compiled, mistakes) = Compiled::new(&spec);
            let compiled = Arc::new(compiled);
            let judge = Judge::new(compiled.clone());
            (judge.longest_window(), judge, compiled, mistakes)
        };
        let made = match bench.work(compile).await {
            Done::Yes(made, _) => Some(made),
            Done::Late(thread) => thread.await.ok(),
            Done::Broke => None,
        };
        let Some((window, judge, compiled, mistakes)) = made else {
            let message = "the invariants could not be read: this is a fault of the controller".to_owned();
            let mistakes = vec![Mistake { path: "spec.invariants".into(), message }];
            let compiled = Arc::new(Compiled::new(&SubjectSpec { invariants: Vec::new(), ..nothing() }).0);
            return Self { bench: bench.clone(), compiled, seat: Seat::Empty, window: Duration::ZERO, mistakes };
        };
        Self { bench: bench.clone(), compiled, seat: Seat::Here(Box::new(judge)), window, mistakes }
    }

    /// Whether it can be given a job.
    #[must_use]
    pub fn is_here(&self) -> bool {
        match &self.seat {
            Seat::Here(_) => true,
            Seat::Resting(_, until) => *until <= Instant::now(),
            Seat::Late(..) | Seat::Empty => false,
        }
    }

    /// Does a job.
    pub async fn work(&mut self, job: Job) -> Outcome {
        let judge = match std::mem::replace(&mut self.seat, Seat::Empty) {
            Seat::Here(judge) | Seat::Resting(judge, _) => judge,
            other => {
                self.seat = other;
                return Outcome::Away;
            }
        };
        let begun = Instant::now();
        match self.bench.work(move || think(*judge, job)).await {
            Done::Yes((judge, thought), took) => {
                self.seat = Seat::Here(Box::new(judge));
                Outcome::Thought(Box::new(Thought { took, ..thought }))
            }
            Done::Late(thread) => {
                self.seat = Seat::Late(thread, begun);
                Outcome::Late
            }
            Done::Broke => {
                tracing::error!("a judge broke off and begins anew");
                self.seat = Seat::Here(Box::new(Judge::new(self.compiled.clone())));
                Outcome::Late
            }
        }
    }

    /// Waits until one that was late is back; for ever if none is.
    pub async fn back(&mut self) {
        let Seat::Late(thread, begun) = &mut self.seat else { return std::future::pending().await };
        let back = thread.await;
        let took = begun.elapsed();
        let until = Instant::now() + took.saturating_mul(REST).min(LONGEST_REST);
        let judge = back.map_or_else(|_| Judge::new(self.compiled.clone()), |(judge, _)| judge);
        self.seat = Seat::Resting(Box::new(judge), until);
    }
}

fn nothing() -> SubjectSpec {
    SubjectSpec {
        r#where: crds::subject::Where::default(),
        description: String::new(),
        probes: Vec::new(),
        invariants: Vec::new(),
        alerts: Vec::new(),
        display: None,
        policy: None,
        suspend: false,
    }
}

fn think(mut judge: Judge, job: Job) -> (Judge, Thought) {
    for named in &job.forget {
        judge.forget(&named.invariant, &named.key);
    }
    for round in &job.rounds {
        judge.take(round);
    }
    if let Some(now) = job.look {
        judge.look(now);
    }
    let proofs = job.asks.iter().map(|(since, must)| judge.all_hold(*since, must)).collect();
    let readings = job.readings.into_iter().map(|named| {
        let lines = judge.readings_of(&named.invariant, &named.key);
        (named, lines)
    });
    let readings = readings.collect();
    let thought = Thought { views: judge.views(), shown: judge.shown(), proofs, readings, took: Duration::ZERO };
    (judge, thought)
}
