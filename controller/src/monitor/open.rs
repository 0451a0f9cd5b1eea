//! Whether an Incident is opened for what is violated. Pure: a decision over what is known, made twice: over the cache,
//! which costs nothing, and again over what the API server says before anything is done.
//!
//! * One open Incident of the monitor a Subject: what else is violated joins it.
//! * A violation without a break has one Incident, however that ended: what an agent could not repair needs a person,
//!   not another agent. (`Resolved` is an end at which it held, so what is violated after that is new.)
//! * After an end nothing is opened for the same until the cooldown is over, so that what comes and goes does not open
//!   one Incident after the other.
//! * While somebody else's Incident is worked on by an agent that may repair, none is opened: that agent must bring all
//!   invariants to hold as well before its Incident is `Resolved`. If it does not, one is opened after the cooldown.

use std::collections::HashMap;
use std::time::Duration;

use crds::IncidentPhase;
use crds::incident::{Severity, Violated};
use jiff::Timestamp;

use super::known::{self, Known, fingerprint};
use super::order::Opening;

/// A key that violates an invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant.
    pub invariant: String,
    /// The key; empty for an invariant without `forEach`.
    pub key: String,
    /// That of the invariant.
    pub severity: Severity,
    /// Since when, without a break.
    pub since: Timestamp,
    /// What is violated.
    pub message: String,
}

impl Violation {
    /// What it is, without what was seen.
    #[must_use]
    pub fn named(&self) -> Violated {
        Violated { invariant: self.invariant.clone(), key: self.key.clone() }
    }

    /// `invariant[key]`, for people.
    #[must_use]
    pub fn label(&self) -> String {
        if self.key.is_empty() { self.invariant.clone() } else { format!("{}[{}]", self.invariant, self.key) }
    }
}

/// What to do about what is violated.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Nothing: nothing is violated, or all of it has its Incident.
    Nothing,
    /// These join the open Incident.
    Join {
        /// Its name.
        incident: String,
        /// What joins it, worst first.
        violations: Vec<Violation>,
    },
    /// An agent works on somebody else's Incident of the Subject.
    Theirs {
        /// Its name.
        incident: String,
    },
    /// The cooldown of what is violated is not over.
    Wait {
        /// When it is.
        until: Timestamp,
    },
    /// One is opened, for the first of these; the others are in it.
    Open {
        /// Worst first. Not empty.
        violations: Vec<Violation>,
    },
}

/// Since when what was violated that the open Incident was told of, in seconds: it may have no room to say so itself.
pub type Told = HashMap<Violated, i64>;

/// What is known besides what is violated.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The Subject's Incidents.
    pub known: &'a [Known],
    /// What the open one was told.
    pub told: &'a Told,
    /// The policy.
    pub opening: Opening,
    /// The time.
    pub now: Timestamp,
}

/// Sorts: the worst first, then the oldest. The same for the same set.
pub fn sort(violations: &mut [Violation]) {
    violations
        .sort_by(|a, b| (a.severity, a.since, &a.invariant, &a.key).cmp(&(b.severity, b.since, &b.invariant, &b.key)));
}

/// Decides. `violations` is all that is violated now.
#[must_use]
pub fn decide(mut violations: Vec<Violation>, facts: Facts<'_>) -> Decision {
    let Facts { known, told, opening, now } = facts;
    sort(&mut violations);
    if let Some(open) = known::open(known) {
        violations.retain(|violation| !is_told(open, told, violation));
        if violations.is_empty() {
            return Decision::Nothing;
        }
        return Decision::Join { incident: open.name.clone(), violations };
    }
    if violations.is_empty() || !opening.wanted {
        return Decision::Nothing;
    }
    if let Some(theirs) = known.iter().find(|one| one.ended.is_none() && one.repairs) {
        return Decision::Theirs { incident: theirs.name.clone() };
    }
    match lead(violations, |violation| holds_back(violation, known, opening.cooldown, now)) {
        Lead::Open(violations) => Decision::Open { violations },
        Lead::Wait(until) => Decision::Wait { until },
        Lead::Had(_) => Decision::Nothing,
    }
}

/// What becomes of all that is wrong, if no Incident is open.
#[derive(Clone, Debug, PartialEq)]
pub enum Lead<T> {
    /// One is opened: what is free leads, and what had its Incident is in it all the same, for it is wrong.
    Open(Vec<T>),
    /// Not before this moment.
    Wait(Timestamp),
    /// All of it had its Incident.
    Had(Vec<T>),
}

/// Whether an Incident is opened for all that is wrong, worst first, of which `held` says what stands in the way of each.
pub fn lead<T>(wrong: Vec<T>, held: impl Fn(&T) -> Held) -> Lead<T> {
    let mut both: Vec<(T, Held)> = Vec::with_capacity(wrong.len());
    for one in wrong {
        let held = held(&one);
        both.push((one, held));
    }
    let is_free = both.iter().any(|(_, held)| *held == Held::Free);
    let until =
        both.iter().filter_map(|(_, held)| if let Held::Until(until) = held { Some(*until) } else { None }).min();
    both.sort_by_key(|(_, held)| *held != Held::Free);
    let wrong = both.into_iter().map(|(one, _)| one).collect();
    match until {
        _ if is_free => Lead::Open(wrong),
        Some(until) => Lead::Wait(until),
        None => Lead::Had(wrong),
    }
}

/// What stands in the way of an Incident for something that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Nothing.
    Free,
    /// It had its Incident.
    Had,
    /// The cooldown, until then.
    Until(Timestamp),
}

/// What is asked of the Incidents that have ended.
pub struct Asked<About, Stays> {
    /// Since when it is wrong, without a break.
    pub since: Timestamp,
    /// Whether an Incident is about it; none of one that was not opened for such a thing.
    pub about: About,
    /// Whether it needs a person, and not another agent, after an Incident that ended so.
    pub stays: Stays,
}

/// What stands in the way of an Incident, among those that have ended.
pub fn held_back<About, Stays>(asked: &Asked<About, Stays>, known: &[Known], cooldown: Duration, now: Timestamp) -> Held
where
    About: Fn(&Known) -> Option<bool>,
    Stays: Fn(IncidentPhase) -> bool,
{
    let mut held = Held::Free;
    for one in known {
        let Some((phase, at)) = one.ended else { continue };
        let about = (asked.about)(one);
        // Somebody's agent was at it while it was wrong.
        if !about.unwrap_or(one.repairs && asked.since <= at) {
            continue;
        }
        if about == Some(true) && (asked.stays)(phase) && asked.since <= at {
            return Held::Had;
        }
        let over = at.saturating_add(cooldown).unwrap_or(Timestamp::MAX);
        if over > now {
            held = match held {
                Held::Until(earlier) => Held::Until(earlier.max(over)),
                _ => Held::Until(over),
            };
        }
    }
    held
}

fn holds_back(violation: &Violation, known: &[Known], cooldown: Duration, now: Timestamp) -> Held {
    let asked = Asked {
        since: violation.since,
        about: |one: &Known| one.is_monitors().then(|| one.names(&violation.invariant, &violation.key)),
        stays: |phase| phase != IncidentPhase::Resolved,
    };
    held_back(&asked, known, cooldown, now)
}

/// Whether an open Incident has this violation already. One that held meanwhile and is violated again is told anew.
fn is_told(open: &Known, told: &Told, violation: &Violation) -> bool {
    let since = violation.since.as_second();
    if told.get(&violation.named()).is_some_and(|last| since <= *last) {
        return true;
    }
    let source = super::words::source(violation);
    let entries = open.evidence.iter().filter(|evidence| evidence.source == source);
    let last = entries.filter_map(|evidence| evidence.observed_at.as_ref()).map(|at| at.0.as_second()).max();
    if let Some(last) = last {
        return since <= last;
    }
    // There was no room for it as an entry of its own. One that is not even named is counted, if it began no later than
    // the newest that is counted: who reads this after a restart has no other way to know.
    let counted = super::words::only_counted(&open.evidence).and_then(|entry| entry.observed_at.as_ref());
    open.names(&violation.invariant, &violation.key) || counted.is_some_and(|at| since <= at.0.as_second())
}

/// How often the same came again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recurrence {
    /// The Incident of the same that was resolved last.
    pub of: Option<String>,
    /// How many were resolved within the window.
    pub count: i64,
}

impl Recurrence {
    /// Of these, which have ended: the last one, and how many they are.
    pub fn among<'a>(ended: impl Iterator<Item = &'a Known>) -> Self {
        let mut ended: Vec<&Known> = ended.collect();
        ended.sort_by_key(|one| one.ended.map(|(_, at)| at));
        Self { of: ended.last().map(|one| one.name.clone()), count: i64::try_from(ended.len()).unwrap_or(i64::MAX) }
    }
}

/// How often this came again after an Incident of it was resolved.
#[must_use]
pub fn recurrence(uid: &str, violation: &Violation, known: &[Known], window: Duration, now: Timestamp) -> Recurrence {
    let print = fingerprint(uid, &violation.invariant, &violation.key);
    let begin = now.saturating_sub(window).unwrap_or(Timestamp::MIN);
    let same = known
        .iter()
        .filter(|one| one.fingerprint.as_deref() == Some(&print) || one.names(&violation.invariant, &violation.key));
    Recurrence::among(
        same.filter(|one| one.ended.is_some_and(|(phase, at)| phase == IncidentPhase::Resolved && at >= begin)),
    )
}

#[cfg(test)]
mod tests;
