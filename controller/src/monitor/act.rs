//! Opens an Incident, or joins one, after a look at the API server: what the cache says may be old, and a controller may
//! have died right after it had created one.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::known::{self, Known};
use super::open::{Decision, Facts, Told, Violation, decide, recurrence};
use super::order::Order;
use super::outside::{Opened, Outside};
use super::rate::{self, Rate};
use super::words::{self, Readings};

/// What to act on.
pub struct Act {
    /// The Subject.
    pub order: Arc<Order>,
    /// All that is violated.
    pub violations: Vec<Violation>,
    /// What was read around it.
    pub readings: Readings,
    /// What the open Incident was told.
    pub told: Told,
    /// One that was deleted a while ago.
    pub deleted: Option<Known>,
    /// The cluster.
    pub outside: Arc<dyn Outside>,
    /// How many may be opened.
    pub rate: Arc<Rate>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Acted {
    /// There is nothing to do.
    Nothing,
    /// An Incident was opened for these, or had been a moment ago.
    Opened {
        /// Its name.
        incident: String,
        /// Whether this opened it.
        now: bool,
        /// What is in it.
        violations: Vec<Violation>,
    },
    /// These joined an open one.
    Joined {
        /// Its name.
        incident: String,
        /// What joined.
        violations: Vec<Violation>,
    },
    /// Somebody else's is worked on.
    Theirs {
        /// Its name.
        incident: String,
    },
    /// Not now.
    Held {
        /// Why, in a sentence.
        why: String,
    },
}

impl Act {
    /// Acts.
    pub async fn run(self) -> Acted {
        let Self { order, violations, readings, told, deleted, outside, rate } = self;
        let known = match outside.incidents(&order).await {
            Ok(known) => known,
            Err(why) => return Acted::Held { why: format!("no Incident yet: {why}") },
        };
        let opening = order.opening();
        let now = Timestamp::now();
        let there: Vec<Known> = known.iter().cloned().chain(deleted).collect();
        match decide(violations, Facts { known: &there, told: &told, opening, now }) {
            Decision::Nothing | Decision::Wait { .. } => Acted::Nothing,
            Decision::Theirs { incident } => Acted::Theirs { incident },
            Decision::Join { incident, violations } => {
                let Some(open) = known::open(&known) else { return Acted::Nothing };
                let joined = words::join(open, &violations, &readings);
                match outside.join(&order, open, &joined).await {
                    Ok(true) => Acted::Joined { incident, violations },
                    // Somebody changed it: it is looked at again.
                    Ok(false) => Acted::Nothing,
                    Err(why) => Acted::Held { why: format!("not in Incident {incident} yet: {why}") },
                }
            }
            Decision::Open { violations } => {
                let Some(first) = violations.first() else { return Acted::Nothing };
                if !rate.take(Instant::now()) {
                    return Acted::Held { why: rate::WHY.into() };
                }
                let again = recurrence(&order.uid, first, &known, opening.recurrence, now);
                let incident = words::incident(&order, outside.installation(), &violations, &readings, &again);
                let name = incident.metadata.name.clone().unwrap_or_default();
                match outside.open(&incident).await {
                    Ok(opened) => Acted::Opened { incident: name, now: opened == Opened::Yes, violations },
                    Err(why) => Acted::Held { why: format!("no Incident yet: {why}") },
                }
            }
        }
    }
}
