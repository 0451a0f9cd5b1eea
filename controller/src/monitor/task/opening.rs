//! When a task acts on what is violated, and what it remembers of that.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::IncidentPhase;
use crds::incident::Violated;
use jiff::Timestamp;

use super::Task;
use crate::invariant::View;
use crate::monitor::act::{Act, Acted};
use crate::monitor::known::{self, Known};
use crate::monitor::mind::{Job, Outcome};
use crate::monitor::open::{Decision, Facts, Told, Violation, decide};
use crate::monitor::outside::News;
use crate::monitor::words::Readings;

/// Between two looks at Incidents while nothing changed here.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// After one was opened, until the cache has it.
const AFTER_OPENING: Duration = Duration::from_secs(2);
/// Between two changes of an open one: what comes and goes every second is not worth more.
const AFTER_JOINING: Duration = Duration::from_secs(5);
/// After something did not go.
const AFTER_TROUBLE: Duration = Duration::from_secs(5);
/// Of so many what was read around them is told.
const READINGS: usize = 24;

/// What a task remembers of Incidents.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// All that is violated.
    pub(super) violated: Vec<Violation>,
    /// Why no Incident was opened for it.
    pub(super) held: Option<String>,
    /// The open Incident as it was last seen.
    open: Option<Known>,
    /// What an Incident was told.
    told: Told,
    /// Which one.
    told_to: Option<String>,
    /// One that somebody deleted: it counts as one that ended, for the cooldown.
    deleted: Option<Known>,
    /// What somebody else's Incident was told.
    theirs: HashSet<(String, Violated, i64)>,
    looked: Option<Instant>,
    /// What was violated then.
    seen: Vec<(Violated, Timestamp)>,
    not_before: Option<Instant>,
    forget: Vec<Violated>,
}

impl Memory {
    /// Keys that vanished and that nobody asks for any more.
    pub(super) fn forget(&mut self) -> Vec<Violated> {
        std::mem::take(&mut self.forget)
    }

    /// What is known of Incidents, with what is remembered of one that was deleted.
    fn recall(&mut self, mut known: Vec<Known>, now: Timestamp) -> Vec<Known> {
        let there = |one: &Known| known.iter().any(|other| other.name == one.name);
        if let Some(gone) = self.open.take_if(|open| !there(open)) {
            // As after any end there is a cooldown; that it had its Incident is forgotten with it.
            self.deleted = Some(Known { ended: Some((IncidentPhase::Resolved, now)), ..gone });
        }
        if let Some(open) = known::open(&known) {
            if self.told_to.as_ref() != Some(&open.name) {
                self.told.clear();
            }
            self.open = Some(open.clone());
        } else {
            self.open = None;
        }
        known.extend(self.deleted.clone());
        known
    }
}

impl Task {
    /// Acts on what is violated, if there is something to do.
    pub(super) async fn open(&mut self) {
        let now = Instant::now();
        let is_new = {
            let seen = self.memory.violated.iter().map(|v| (v.named(), v.since));
            !seen.clone().eq(self.memory.seen.iter().cloned()) && {
                self.memory.seen = seen.collect();
                true
            }
        };
        let due = self.memory.looked.is_none_or(|at| at.elapsed() >= LOOK_AGAIN);
        let waits = self.memory.not_before.is_some_and(|at| at > now);
        let idle = self.memory.violated.is_empty() && self.memory.open.is_none();
        if self.acting.is_some() || waits || (idle && !is_new) || !(is_new || due) {
            // What is new is looked at when that is over.
            if is_new {
                self.memory.looked = None;
            }
            return;
        }
        self.memory.looked = Some(now);
        let at = Timestamp::now();
        let known = self.memory.recall(self.outside.cached(&self.order), at);
        self.memory.forget = self.vanished(&known);
        // What is gone and was no Incident's will be none's: whoever scales a system down removes what he has stopped.
        self.memory.violated.retain(|violation| !self.memory.forget.contains(&violation.named()));
        let facts = Facts { known: &known, told: &self.memory.told, opening: self.order.opening(), now: at };
        match decide(self.memory.violated.clone(), facts) {
            Decision::Nothing | Decision::Wait { .. } => self.memory.held = None,
            Decision::Theirs { incident } => self.tell_theirs(&incident),
            Decision::Join { violations, .. } | Decision::Open { violations } => self.act(&violations).await,
        }
    }

    /// Keys that vanished while they were violated, and that no open Incident names: they are gone for good.
    fn vanished(&self, known: &[Known]) -> Vec<Violated> {
        let open = known::open(known);
        let named = |named: &Violated| {
            open.is_some_and(|open| open.names(&named.invariant, &named.key) || self.memory.told.contains_key(named))
        };
        let gone = |view: &View| -> Vec<Violated> {
            let gone = view.keys.iter().filter(|key| key.gone);
            gone.map(|key| Violated { invariant: view.name.clone(), key: key.key.clone() }).collect()
        };
        self.snapshot.views.iter().flat_map(gone).filter(|key| !named(key)).collect()
    }

    async fn act(&mut self, violations: &[Violation]) {
        let job = Job { readings: violations.iter().take(READINGS).map(Violation::named).collect(), ..Job::default() };
        let mut readings = match self.mind.work(job).await {
            Outcome::Thought(thought) => thought.readings,
            Outcome::Late | Outcome::Away => Readings::new(),
        };
        for line in readings.values_mut().flatten() {
            *line = self.outside.clean(&self.order, line);
        }
        let act = Act {
            order: self.order.clone(),
            violations: self.memory.violated.clone(),
            readings,
            told: self.memory.told.clone(),
            deleted: self.memory.deleted.clone(),
            outside: self.outside.clone(),
            rate: self.shared.rate.clone(),
        };
        self.acting = Some(tokio::spawn(act.run()));
    }

    /// Takes note of what came of it.
    pub(super) fn acted(&mut self, acted: Acted) {
        let mut wait = Duration::ZERO;
        self.memory.held = None;
        match acted {
            Acted::Nothing => wait = Duration::from_secs(1),
            Acted::Opened { incident, now, violations } => {
                wait = AFTER_OPENING;
                self.memory.deleted = None;
                self.memory.told = told(&violations);
                self.memory.told_to = Some(incident.clone());
                tracing::info!(
                    subject = self.order.name,
                    incident,
                    now,
                    violated = violations.len(),
                    "an Incident stands"
                );
                if now {
                    crate::metrics::Metrics::count(&self.shared.metrics.opened, "opened");
                    let note = format!("Incident {incident} for what is violated");
                    self.outside.tell(
                        &self.order,
                        None,
                        vec![News { warning: false, reason: "IncidentOpened", about: incident.clone(), note }],
                    );
                }
            }
            Acted::Joined { incident, violations } => {
                wait = AFTER_JOINING;
                crate::metrics::Metrics::count(&self.shared.metrics.opened, "joined");
                tracing::info!(
                    subject = self.order.name,
                    incident,
                    joined = violations.len(),
                    "violations join an Incident"
                );
                self.memory.told.extend(told(&violations));
                self.memory.told_to = Some(incident);
            }
            Acted::Theirs { incident } => self.tell_theirs(&incident),
            Acted::Held { why } => {
                wait = AFTER_TROUBLE;
                crate::metrics::Metrics::count(&self.shared.metrics.opened, "held");
                tracing::info!(subject = self.order.name, why, "no Incident is opened");
                self.memory.held = Some(why);
            }
        }
        self.memory.not_before = Some(Instant::now() + wait);
        self.memory.looked = None;
    }

    /// Tells somebody else's Incident what is violated: as an Event, once each.
    fn tell_theirs(&mut self, incident: &str) {
        self.memory.held = Some(format!("no Incident of the monitor, for an agent works on {incident}"));
        let mut news = Vec::new();
        for violation in &self.memory.violated {
            let key = (incident.to_owned(), violation.named(), violation.since.as_second());
            if news.len() < READINGS && self.memory.theirs.insert(key) {
                let note = format!("{}: {}", violation.label(), violation.message);
                news.push(News { warning: true, reason: "InvariantViolated", about: violation.label(), note });
            }
        }
        // It does not grow without end: who is told again after a thousand hears little that is new.
        if self.memory.theirs.len() > 1000 {
            self.memory.theirs.clear();
        }
        if !news.is_empty() {
            self.outside.tell(&Arc::clone(&self.order), Some(incident), news);
        }
    }
}

fn told(violations: &[Violation]) -> Told {
    violations.iter().map(|violation| (violation.named(), violation.since.as_second())).collect()
}
