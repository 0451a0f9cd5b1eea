//! The task of one Subject: takes in what is heard, has it judged, shows it, and acts on it.
//!
//! ```text
//! observer's log ─► keep ─┐                       ┌─► watched: status, verification, observations
//!                         ├─► pieces ─► mind ─► views ─► history ─► Events
//! the engine ─────► own ──┘    (a thread)         └─► open ─► act: Incidents
//! ```
//! It never waits for the cluster: acting is a task beside it. What is replayed from the log is not announced, and not
//! shown in the status either, before it has all been heard.

mod opening;
mod sight;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::condition::ConditionStatus;
use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;

use super::act::Acted;
use super::bench::Bench;
use super::history::History;
use super::keep::{Keeper, Keeping, Piece, Surveyed};
use super::mind::{Job, Mind, Outcome};
use super::observers::Observers;
use super::order::Order;
use super::outside::Outside;
use super::own::Own;
use super::rate::Rate;
use super::watched::{Ask, Observed, Snapshot, Terms, Watched};
use crate::metrics::Metrics;
use crate::probe::Round;
use opening::Memory;

/// Staleness and grace are judged this often.
const TICK: Duration = Duration::from_secs(1);
/// Pieces that are taken in at once.
const AT_ONCE: usize = 64;
/// What is heard and not yet taken in.
const WAITING: usize = 64;
/// So long after the replay a probe may be unread before the status says so.
const SETTLE: Duration = Duration::from_secs(10);
/// So long after the beginning the status says what is known, whatever that is.
const SETTLE_ALL: Duration = Duration::from_secs(30);
/// A probe that takes long is waited for as long in a verification; no longer than this.
const FRESHNESS: (Duration, Duration) = (Duration::from_mins(1), Duration::from_mins(10));

/// What all tasks share.
pub struct Shared {
    /// The engine.
    pub observers: Arc<dyn Observers>,
    /// Where judges work.
    pub bench: Bench,
    /// What stands on the engine.
    pub survey: Surveyed,
    /// How many observers are made at once.
    pub making: Arc<Semaphore>,
    /// How many `docker` probes look at once.
    pub looking: Arc<Semaphore>,
    /// How many Incidents are opened.
    pub rate: Arc<Rate>,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

/// What a task is told.
pub enum Command {
    /// The Subject is another than it was.
    Order(Arc<Order>),
    /// Nothing is to be watched any more: the observer goes, too.
    Remove,
}

/// The task of one Subject.
pub struct Task {
    shared: Arc<Shared>,
    outside: Arc<dyn Outside>,
    watched: Arc<Watched>,
    order: Arc<Order>,
    mind: Mind,
    history: History,
    memory: Memory,
    acting: Option<JoinHandle<Acted>>,
    heard: (mpsc::Sender<Piece>, mpsc::Receiver<Piece>),
    sources: JoinSet<()>,
    keeping: watch::Receiver<Keeping>,
    /// Rounds that the judge has not seen.
    rounds: Vec<Round>,
    /// Questions that it was not asked.
    asks: Vec<Ask>,
    /// Since when what comes is news.
    live: Option<Instant>,
    begun: Instant,
    /// The probes that were read since this began.
    read: HashSet<String>,
    count: u64,
    snapshot: Arc<Snapshot>,
    published: Option<Instant>,
    late: bool,
}

impl Task {
    /// A task for this order.
    pub async fn new(shared: Arc<Shared>, outside: Arc<dyn Outside>, watched: Arc<Watched>, order: Arc<Order>) -> Self {
        let mind = Mind::new(&shared.bench, order.subject.spec.clone()).await;
        let history = History::of(order.subject.status.as_ref());
        let mut task = Self {
            shared,
            outside,
            watched,
            mind,
            history,
            memory: Memory::default(),
            acting: None,
            heard: mpsc::channel(WAITING),
            sources: JoinSet::new(),
            keeping: watch::channel(Keeping { observed: Observed::starting(), standing: None }).1,
            rounds: Vec::new(),
            asks: Vec::new(),
            live: None,
            begun: Instant::now(),
            read: HashSet::new(),
            count: 0,
            snapshot: Arc::default(),
            published: None,
            late: false,
            order,
        };
        task.listen();
        task
    }

    /// Runs until it is told to end, or dropped. Dropped, it leaves the observer where it stands.
    pub async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>, mut asked: mpsc::Receiver<Ask>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pieces = Vec::new();
        loop {
            let mut due = false;
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Order(order)) => self.change(order).await,
                    Some(Command::Remove) | None => return self.remove().await,
                },
                Some(ask) = asked.recv() => self.asks.push(ask),
                _ = self.heard.1.recv_many(&mut pieces, AT_ONCE), if self.mind.is_here() => {
                    self.take(pieces.drain(..));
                }
                _ = tick.tick() => due = true,
                Ok(()) = self.keeping.changed() => {}
                acted = acted(&mut self.acting) => self.acted(acted),
                () = self.mind.back() => {}
            }
            self.step(due).await;
        }
    }

    /// Begins to listen: to what the observer said before, as far as the judge wants it, and to what comes.
    fn listen(&mut self) {
        self.sources = JoinSet::new();
        self.heard = mpsc::channel(WAITING);
        (self.live, self.begun) = (None, Instant::now());
        self.read.clear();
        let spec = &self.order.subject.spec;
        let slowest = spec.probes.iter().map(|probe| {
            let or =
                |wanted: Option<kube::core::Duration>, usual| wanted.map_or(Duration::from_secs(usual), Into::into);
            or(probe.interval, 5) + or(probe.timeout, 3)
        });
        let freshness = slowest.max().unwrap_or_default() + Duration::from_secs(10);
        self.watched.set_terms(Terms {
            judged: !spec.invariants.is_empty(),
            freshness: freshness.clamp(FRESHNESS.0, FRESHNESS.1),
        });
        let (sender, keeping) = watch::channel(Keeping { observed: Observed::starting(), standing: None });
        self.keeping = keeping;
        let Some(spec) = self.order.observer.clone() else {
            sender.send_replace(Keeping {
                observed: Observed {
                    status: ConditionStatus::True,
                    reason: "Observing",
                    message: "the controller looks at the containers itself; there is nothing for an observer".into(),
                },
                standing: None,
            });
            return self.go_live();
        };
        let window = jiff::SignedDuration::try_from(self.mind.window).unwrap_or(jiff::SignedDuration::ZERO);
        let since = Timestamp::now().checked_sub(window).unwrap_or(Timestamp::UNIX_EPOCH);
        let keeper = Keeper {
            observers: self.shared.observers.clone(),
            making: self.shared.making.clone(),
            survey: self.shared.survey.clone(),
            metrics: self.shared.metrics.clone(),
            spec,
            heard: self.heard.0.clone(),
            keeping: sender,
        };
        self.sources.spawn(keeper.run(since));
    }

    /// What comes from now on is news. Only now the controller looks itself: time does not run backwards for a judge.
    fn go_live(&mut self) {
        if self.live.replace(Instant::now()).is_some() {
            return;
        }
        for probe in self.order.own.clone() {
            let own = Own {
                observers: self.shared.observers.clone(),
                looking: self.shared.looking.clone(),
                survey: self.shared.survey.clone(),
                project: self.order.project.clone(),
                heard: self.heard.0.clone(),
            };
            self.sources.spawn(own.run(probe));
        }
    }

    fn take(&mut self, pieces: impl Iterator<Item = Piece>) {
        let now = Timestamp::now();
        let mut live = false;
        for piece in pieces {
            match piece {
                Piece::Live => live = true,
                Piece::Round(mut heard) => {
                    if !self.order.subject.spec.probes.iter().any(|probe| probe.name == heard.round.probe) {
                        self.shared.metrics.observer_bad_lines.inc();
                        continue;
                    }
                    // A clock that is ahead must not keep a reading fresh for ever.
                    heard.round.at = heard.round.at.min(now);
                    self.watched.keep(&heard);
                    self.shared.metrics.rounds.inc();
                    self.count += 1;
                    self.read.insert(heard.round.probe.clone());
                    self.rounds.push(heard.round);
                }
            }
        }
        if live {
            self.go_live();
        }
    }

    /// The Subject is another than it was.
    async fn change(&mut self, order: Arc<Order>) {
        let old = std::mem::replace(&mut self.order, order);
        let same_eyes = old.observer == self.order.observer && old.own == self.order.own;
        if old.judges_as(&self.order) && same_eyes {
            return;
        }
        self.mind = Mind::new(&self.shared.bench, self.order.subject.spec.clone()).await;
        self.rounds.clear();
        if old.observer == self.order.observer {
            // Its log is heard again.
            *self.watched.ring() = super::ring::Ring::default();
        } else {
            // Another container knows nothing of before; what is looked at as before is still true.
            let unchanged = |round: &Round| {
                let of =
                    |order: &Order| order.subject.spec.probes.iter().find(|probe| probe.name == round.probe).cloned();
                of(&self.order).is_some_and(|probe| of(&old) == Some(probe))
            };
            self.rounds = self.watched.ring().rounds().into_iter().filter(unchanged).collect();
        }
        self.listen();
    }

    async fn remove(mut self) {
        self.sources.shutdown().await;
        self.shared.metrics.forget_subject(&self.order.name);
        if self.order.observer.is_none() {
            return;
        }
        if let Err(error) = self.shared.observers.remove_all(&self.order.uid).await {
            tracing::info!(subject = self.order.name, %error, "its observer could not be removed; a sweep will");
        }
    }

    /// Has judged what there is to judge, and acts on it.
    async fn step(&mut self, due: bool) {
        let wanted = due || !self.rounds.is_empty() || !self.asks.is_empty();
        if !wanted || !self.mind.is_here() {
            return self.show(None);
        }
        let asks = std::mem::take(&mut self.asks);
        let job = Job {
            rounds: std::mem::take(&mut self.rounds),
            look: self.live.map(|_| Timestamp::now()),
            forget: self.memory.forget(),
            asks: asks.iter().map(|ask| (ask.since, ask.must.clone())).collect(),
            readings: Vec::new(),
        };
        match self.mind.work(job).await {
            Outcome::Thought(thought) => {
                self.late = false;
                self.shared.metrics.judged.observe(thought.took.as_secs_f64());
                for (ask, proof) in asks.into_iter().zip(thought.proofs.iter().cloned()) {
                    // Who asked may be gone.
                    let _ = ask.answer.send(proof);
                }
                self.show(Some(*thought));
                self.open().await;
            }
            Outcome::Late | Outcome::Away => {
                self.late = true;
                self.show(None);
            }
        }
    }
}

async fn acted(acting: &mut Option<JoinHandle<Acted>>) -> Acted {
    let Some(task) = acting else { return std::future::pending().await };
    let acted = task.await;
    *acting = None;
    acted.unwrap_or_else(|_| Acted::Held { why: "no Incident yet: a fault of the controller".into() })
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(acting) = &self.acting {
            acting.abort();
        }
    }
}

#[cfg(test)]
mod tests;
