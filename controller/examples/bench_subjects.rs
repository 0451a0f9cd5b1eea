//! What many Subjects take of one controller.
//!
//! `bench_subjects [SUBJECTS [SECONDS]]` has the real monitor watch them, each with three nodes and six invariants, with an
//! engine and a cluster in memory whose observers say a round of each probe every five seconds. Then one node of one of
//! them fails. Prints one line of JSON: memory and CPU of this process, which is that of the played engine as well.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use controller::config::Config;
use controller::incident::validate::Defaults;
use controller::monitor::fake::{FakeCluster, FakeEngine};
use controller::monitor::order::Order;
use controller::monitor::outside::Outside;
use controller::monitor::{Registry, Watch};
use crds::Subject;
use crds::invariant::InvariantState;
use kube::runtime::reflector::ObjectRef;
use serde_json::json;

#[path = "support/usage.rs"]
mod usage;
#[path = "support/watched.rs"]
mod watched;

use usage::Usage;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Between two rounds of a probe.
const INTERVAL: Duration = Duration::from_secs(5);
/// For all to be watched, and for an Incident to be there.
const PATIENCE: Duration = Duration::from_mins(2);

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().map_or(Ok(1000), |text| text.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(20), |text| text.parse())?;
    let bare = Usage::now()?;

    let mut subjects: Vec<Subject> =
        (0..count).map(|n| watched::subject(&format!("shop{n}"))).collect::<Result<_, _>>()?;
    // The one that fails counts at once.
    if let Some(down) = subjects.first_mut().and_then(|first| first.spec.invariants.first_mut()) {
        down.grace = None;
    }
    let names: Vec<String> = (0..count).map(|n| format!("shop{n}")).collect();
    let engine = FakeEngine::with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let cluster = FakeCluster::default();
    let outside: Arc<dyn Outside> = Arc::new(cluster.clone());
    let watch = Arc::new(Watch::new(Arc::new(engine.clone()), Registry::default(), Arc::default()));
    let defaults = Defaults { model: "m".into(), image: "agent".into(), config: Config::default() };
    let begun = Instant::now();
    for subject in &subjects {
        let order = Order::new(&Arc::new(subject.clone()), &defaults).map_err(|rejected| rejected.message)?;
        watch.tend(&ObjectRef::from_obj(subject), Some(order), &outside);
    }
    let (survey, surveyed) = (watch.clone(), engine.clone());
    tokio::spawn(async move {
        loop {
            survey.surveyed(controller::monitor::observers::Observers::survey(&surveyed).await.map(Arc::new));
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    while engine.observers().len() < count {
        wait(begun, "all are watched").await?;
    }
    let watched_after = begun.elapsed();
    // Observers do not speak all at once: each has its moment within the interval.
    for (number, name) in names.iter().enumerate() {
        let (engine, uid) = (engine.clone(), format!("uid-{name}"));
        let offset = INTERVAL.mul_f64(f64::from(u32::try_from(number)?) / f64::from(u32::try_from(count)?));
        tokio::spawn(async move {
            tokio::time::sleep(offset).await;
            let mut ticks = tokio::time::interval(INTERVAL);
            loop {
                ticks.tick().await;
                for round in watched::rounds() {
                    engine.say(&uid, &json!(round).to_string());
                }
            }
        });
    }
    tokio::time::sleep(INTERVAL * 2 + Duration::from_secs(2)).await;
    let healthy = subjects.iter().filter(|subject| is_well(&watch, subject)).count();
    let (before, begun) = (Usage::now()?, Instant::now());
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let (after, took) = (Usage::now()?, begun.elapsed());

    let mut down = watched::rounds()[1].clone();
    if let Some(reading) = down.readings.get_mut(watched::NODES[0]) {
        (reading.ok, reading.error, reading.value) = (false, Some("connection refused".into()), None);
    }
    let failed = Instant::now();
    engine.say("uid-shop0", &json!(down).to_string());
    while cluster.all_incidents().is_empty() {
        wait(failed, "an Incident is opened").await?;
    }
    let opened = failed.elapsed();
    let rounded = |figure: f64| (figure * 100.0).round() / 100.0;
    println!(
        "{}",
        json!({
            "subjects": count,
            "healthy": healthy,
            "rounds_per_s": rounded(f64::from(u32::try_from(count)?) * 3.0 / INTERVAL.as_secs_f64()),
            "watched_after_ms": watched_after.as_millis(),
            "cpus": rounded((after.cpu_s - before.cpu_s) / took.as_secs_f64()),
            "memory_kib": {"before": bare.memory_kib, "watching": after.memory_kib},
            "fault_to_incident_ms": rounded(opened.as_secs_f64() * 1000.0),
        })
    );
    Ok(())
}

fn is_well(watch: &Watch, subject: &Subject) -> bool {
    watch.of(&ObjectRef::from_obj(subject)).is_some_and(|watched| {
        let known = watched.views.borrow();
        !known.views.is_empty() && known.views.iter().all(|view| view.state == InvariantState::Ok)
    })
}

async fn wait(begun: Instant, what: &str) -> Outcome<()> {
    tokio::time::sleep(Duration::from_millis(5)).await;
    if begun.elapsed() > PATIENCE {
        Err(format!("it is not so within {PATIENCE:?} that {what}").into())
    } else {
        Ok(())
    }
}
