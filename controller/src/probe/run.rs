//! Runs probes: each in its own rhythm, all targets of a round at the same time, every one within its time limit.
//!
//! Whatever happens to a look at a target is a reading of it. A round never overlaps the next one of its probe and never
//! holds up another probe's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crds::probe::Probe;
use futures::future::join_all;
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, Failure, Read, Stage};
use super::client::Client;
use super::gather::Gather;
use super::mistake::Mistake;
use super::net::Dialer;
use super::output::Sink;
use super::plan::{Plan, Step, What, plans};
use super::room::Room;
use super::round::{Reading, Round};

/// The first rounds begin within this time, one after the other.
const SPREAD: Duration = Duration::from_millis(400);
/// Between the beginnings of two first rounds, at most.
const STEP: Duration = Duration::from_millis(25);

/// What all probes of a process share.
pub(super) struct World {
    pub(super) dialer: Dialer,
    pub(super) client: Client,
    pub(super) room: Room,
}

impl World {
    pub(super) fn new() -> Self {
        Self { dialer: Dialer::new(), client: Client::new(), room: Room::new() }
    }
}

/// Probes that are ready to be run.
pub struct Runner {
    plans: Vec<Arc<Plan>>,
    world: Arc<World>,
}

/// Runs each probe once, and returns their rounds in the probes' order. A `docker` probe is not among them: it needs the
/// engine ([`super::docker::Containers`]).
pub async fn once(probes: &[Probe]) -> Result<Vec<Round>, Vec<Mistake>> {
    Ok(Runner::new(probes)?.once().await)
}

impl Runner {
    /// Makes probes ready, or says everything that is wrong with them. `docker` probes are left to the controller.
    pub fn new(probes: &[Probe]) -> Result<Self, Vec<Mistake>> {
        let here = plans(probes)?.into_iter().filter(|plan| matches!(plan.what, What::Here(_)));
        Ok(Self { plans: here.map(Arc::new).collect(), world: Arc::new(World::new()) })
    }

    /// How many probes there are to run.
    #[must_use]
    pub fn len(&self) -> usize {
        self.plans.len()
    }

    /// Whether there is nothing to run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plans.is_empty()
    }

    /// Runs each probe once.
    pub async fn once(&self) -> Vec<Round> {
        join_all(self.plans.iter().map(|plan| round(plan, &self.world))).await
    }

    /// Runs the probes until `end`. Rounds for which the sink has no room are skipped.
    pub async fn run(&self, sink: Arc<impl Sink>, end: CancellationToken) {
        let mut probes = JoinSet::new();
        let step = STEP.min(SPREAD / u32::try_from(self.plans.len().max(1)).unwrap_or(u32::MAX));
        for (number, plan) in (0..).zip(&self.plans) {
            let (plan, world, sink) = (plan.clone(), self.world.clone(), sink.clone());
            probes.spawn(async move {
                sleep(step * number).await;
                repeat(&plan, &world, &*sink).await;
            });
        }
        // Whoever is still at it is dropped, and with it its connections and its processes.
        end.cancelled().await;
        probes.shutdown().await;
    }
}

async fn repeat(plan: &Arc<Plan>, world: &Arc<World>, sink: &impl Sink) {
    let mut ticks = interval(plan.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        if sink.has_room() {
            sink.put(round(plan, world).await);
        }
    }
}

/// One round. Each target is a task of its own, so that not even a mistake of ours in one takes others along.
async fn round(plan: &Arc<Plan>, world: &Arc<World>) -> Round {
    let mut gather = Gather::new(begun(&plan.name));
    let What::Here(targets) = &plan.what else { return gather.finish() };
    let mut looks = JoinSet::new();
    let mut names = BTreeMap::new();
    for (at, (target, _)) in targets.iter().enumerate() {
        if looks.len() >= plan.at_once() {
            take(looks.join_next_with_id().await, &mut names, &mut gather);
        }
        let (plan, world) = (plan.clone(), world.clone());
        let look = looks.spawn(async move {
            let What::Here(targets) = &plan.what else { return Reading::default() };
            let Some((target, step)) = targets.get(at) else { return Reading::default() };
            look(&plan, step, target, &world).await
        });
        names.insert(look.id(), target.clone());
    }
    while !looks.is_empty() {
        take(looks.join_next_with_id().await, &mut names, &mut gather);
    }
    gather.finish()
}

type Looked = Option<Result<(tokio::task::Id, Reading), tokio::task::JoinError>>;

fn take(looked: Looked, names: &mut BTreeMap<tokio::task::Id, String>, gather: &mut Gather) {
    let (id, reading) = match looked {
        Some(Ok(looked)) => looked,
        Some(Err(error)) => {
            (error.id(), Reading { error: Some("the observer could not do it".into()), ..Reading::default() })
        }
        None => return,
    };
    if let Some(target) = names.remove(&id) {
        gather.push(target, reading);
    }
}

/// A round that begins now, on whole milliseconds.
pub(super) fn begun(probe: &str) -> Round {
    let now = Timestamp::now();
    let at = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
    Round { probe: probe.to_owned(), at, readings: BTreeMap::new() }
}

/// One look at one target.
async fn look(plan: &Plan, step: &Step, target: &str, world: &World) -> Reading {
    let stage = Stage::new();
    let read = async {
        let answer = step.read(world, &stage).await?;
        select(plan, answer, target, &stage).await
    };
    within(plan.timeout, &stage, read).await
}

pub(super) async fn select(plan: &Plan, answer: Answer, target: &str, stage: &Stage) -> Read {
    match &plan.select {
        Some(select) => select.apply(answer, target, stage).await,
        None => Ok(answer),
    }
}

/// The reading that comes of a look, which has so much time.
pub(super) async fn within(limit: Duration, stage: &Stage, read: impl Future<Output = Read>) -> Reading {
    let began = Instant::now();
    let read = match timeout(limit, read).await {
        Ok(read) => read,
        Err(_) => Err(Failure::new(format!("no answer within {limit:?}, while {stage}"))),
    };
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    match read {
        Ok(Answer { status, value, error, place }) => {
            drop(place);
            Reading { ok: true, error, ms, status, value }
        }
        Err(Failure { error, status, value }) => Reading { ok: false, error: Some(error), ms, status, value },
    }
}
