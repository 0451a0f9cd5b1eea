//! Where rounds come from.

use std::sync::Arc;
use std::time::Duration;

use crds::Subject;
use futures::StreamExt as _;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::monitor::lines::Lines;
use crate::monitor::observers::{Observers, Said};
use crate::monitor::order::Order;
use crate::probe::docker::Containers;
use crate::probe::output::Sink;
use crate::probe::{Round, Runner};
use crate::sandbox::dial::Condition;

/// Rounds that wait to be judged.
const WAITING: usize = 256;

/// Rounds as they come, until an error says why there are no more.
pub type Heard = mpsc::Receiver<Result<Round, String>>;
type Ear = mpsc::Sender<Result<Round, String>>;

/// A recording: what `operator observe` printed, or `check --record` kept. Lines that are no rounds are an error: with
/// them the verdict would be about something else.
///
/// # Errors
/// The number of the line, and what is wrong with it.
pub fn recording(text: &str) -> Result<Vec<Round>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let rounds: Result<Vec<Round>, String> = lines
        .map(|(at, line)| serde_json::from_str(line).map_err(|error| format!("line {} is no round: {error}", at + 1)))
        .collect();
    match rounds {
        Ok(rounds) if rounds.is_empty() => Err("there is no round in it".into()),
        other => other,
    }
}

/// Looks from this process, and at the engine for `docker` probes.
///
/// # Errors
/// What is wrong with the probes.
pub fn here(subject: &Subject, order: &Order, engine: &Arc<dyn Observers>) -> Result<(Heard, JoinSet<()>), String> {
    let (ear, heard) = mpsc::channel(WAITING);
    let mut tasks = own(order, engine, &ear);
    let runner = Runner::new(&subject.spec.probes)
        .map_err(|mistakes| mistakes.iter().map(|one| format!("spec.{one}")).collect::<Vec<_>>().join("; "))?;
    if !runner.is_empty() {
        tasks.spawn(async move { runner.run(Arc::new(Direct(ear)), CancellationToken::new()).await });
    }
    Ok((heard, tasks))
}

/// Looks from an observer in the Subject's networks, made for this and removed by [`leave`]; the controller's own is not
/// touched. The engine is asked for `docker` probes.
///
/// # Errors
/// Why there can be no observer.
pub async fn inside(order: &Order, engine: Arc<dyn Observers>) -> Result<(Heard, JoinSet<()>), String> {
    let (ear, heard) = mpsc::channel(WAITING);
    let said = |error: crate::sandbox::SandboxError| crate::error::chain(&error);
    // What an earlier one left that was killed.
    engine.remove_all(&order.uid).await.map_err(said)?;
    let standing = match &order.observer {
        Some(spec) => Some(engine.ensure(spec).await.map_err(said)?),
        None => None,
    };
    let mut tasks = own(order, &engine, &ear);
    if let Some(standing) = standing {
        let mut words = engine.follow(&standing.name, Timestamp::UNIX_EPOCH).await.map_err(said)?;
        tasks.spawn(async move {
            let (mut lines, mut last) = (Lines::default(), Vec::new());
            while let Some(said) = words.next().await {
                match said {
                    Ok(Said::Out(piece)) => {
                        for heard in lines.take(&piece) {
                            if ear.send(Ok(heard.round)).await.is_err() {
                                return;
                            }
                        }
                    }
                    Ok(Said::Err(piece)) => last = piece.to_vec(),
                    Err(error) => last = error.to_string().into_bytes(),
                }
            }
            let (condition, words) = engine.look(&standing.name).await;
            let why = match condition {
                Condition::Gone(why) if words.is_empty() => format!("{why} {}", String::from_utf8_lossy(&last)),
                Condition::Gone(_) => words,
                _ => String::from_utf8_lossy(&last).into_owned(),
            };
            // Whoever listens may have heard enough.
            let _ = ear.send(Err(format!("the observer ended: {}", crate::printable::short_line(&why, 500)))).await;
        });
    }
    Ok((heard, tasks))
}

/// Removes what [`inside`] made.
///
/// # Errors
/// Why it could not be removed.
pub async fn leave(order: &Order, engine: &dyn Observers) -> Result<(), String> {
    engine.remove_all(&order.uid).await.map_err(|error| crate::error::chain(&error))
}

/// The `docker` probes.
fn own(order: &Order, engine: &Arc<dyn Observers>, ear: &Ear) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for probe in &order.own {
        // A mistake is among those of the Subject; the probe is never heard then.
        let Ok(Some(containers)) = Containers::new(probe) else { continue };
        let (engine, ear, project) = (engine.clone(), ear.clone(), order.project.clone());
        tasks.spawn(async move {
            let mut ticks = tokio::time::interval(containers.interval());
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                if ear.send(Ok(engine.containers(&project, &containers).await.round)).await.is_err() {
                    return;
                }
            }
        });
    }
    tasks
}

/// Rounds of this process.
struct Direct(Ear);

impl Sink for Direct {
    fn has_room(&self) -> bool {
        self.0.capacity() > 0
    }

    fn put(&self, round: Round) {
        // Without room, or a listener, a round is lost, as an observer's would be.
        let _ = self.0.try_send(Ok(round));
    }
}

/// Whether a probe's first rounds can be expected within this time.
#[must_use]
pub fn patience(subject: &Subject, rounds: u32) -> Duration {
    let of = |probe: &crds::probe::Probe| {
        let interval = probe.interval.map_or(crate::probe::plan::INTERVAL, Into::into);
        let timeout = probe.timeout.map_or(crate::probe::plan::TIMEOUT, Into::into);
        interval * (rounds - 1) + timeout
    };
    subject.spec.probes.iter().map(of).max().unwrap_or_default() + Duration::from_secs(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_rounds_and_nothing_else() {
        let good = r#"{"probe":"web","at":"2026-01-28T20:54:48Z","readings":{"":{"ok":true,"ms":3}}}"#;
        assert_eq!(recording(&format!("{good}\n\n{good}\n")).unwrap().len(), 2);
        let said = recording(&format!("{good}\nhello\n")).unwrap_err();
        assert!(said.starts_with("line 2 is no round: "), "{said}");
        assert_eq!(recording("\n").unwrap_err(), "there is no round in it");
    }
}
