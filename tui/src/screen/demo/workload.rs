//! How much the system does: readings of its workload, and what they are compared with.

use std::sync::Arc;

use crds::demo_chapter::{ActionState, ChapterState};
use jiff::Timestamp;
use serde_json::Value;

use super::stage::{Stage, state, status};
use crate::world::World;

/// How many readings make a baseline.
const ENOUGH: usize = 5;

/// The workload as it is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Workload {
    /// What it is.
    pub label: String,
    /// Behind the number.
    pub unit: String,
    /// The readings, the oldest first.
    pub readings: Vec<f64>,
    /// The newest; nothing while nobody can say.
    pub now: Option<f64>,
    /// The middle one of those before the first fault.
    pub baseline: Option<f64>,
}

impl Workload {
    /// As the observations of the stage's Subject have it.
    #[must_use]
    pub fn of(world: &World, stage: &Stage) -> Self {
        let Some(observed) = stage.subject.as_ref().and_then(|key| world.observations.get(key)) else {
            return Self::default();
        };
        let fault = first_fault(stage);
        let mut workload = Self::default();
        let mut before = Vec::new();
        for document in &observed.ring {
            let shown = &document["display"]["workload"];
            if let Some(label) = shown["label"].as_str() {
                label.clone_into(&mut workload.label);
                shown["unit"].as_str().unwrap_or_default().clone_into(&mut workload.unit);
            }
            workload.now = shown["value"].as_f64();
            let Some(value) = workload.now else { continue };
            workload.readings.push(value);
            if fault.is_none_or(|fault| at(document).is_some_and(|at| at < fault)) {
                before.push(value);
            }
        }
        workload.baseline = middle(before);
        workload
    }

    /// How far it is from the baseline, in percent.
    #[must_use]
    pub fn change(&self) -> Option<f64> {
        let (now, baseline) = (self.now?, self.baseline.filter(|baseline| *baseline > 0.0)?);
        Some((now / baseline - 1.0) * 100.0)
    }
}

fn at(document: &Arc<Value>) -> Option<Timestamp> {
    document["at"].as_str().and_then(|at| at.parse().ok())
}

/// When the first chapter that counts down acted: what comes after it is no baseline.
fn first_fault(stage: &Stage) -> Option<Timestamp> {
    let acted = stage.chapters.iter().filter(|chapter| chapter.spec.countdown.is_some());
    acted
        .filter(|chapter| !matches!(state(chapter), ChapterState::Idle | ChapterState::Countdown))
        .flat_map(|chapter| status(chapter).actions)
        .filter(|action| action.state != ActionState::Planned)
        .filter_map(|action| action.at.map(|at| at.0))
        .min()
}

#[allow(clippy::float_cmp)] // sorted, not compared for being equal
fn middle(mut values: Vec<f64>) -> Option<f64> {
    if values.len() < ENOUGH {
        return None;
    }
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
