//! What the monitor saw: each change of an invariant and each Incident, as they came.

use std::collections::{BTreeMap, VecDeque};

use crds::IncidentPhase;
use crds::invariant::InvariantState;
use jiff::Timestamp;

use super::stage::{Stage, phase};
use crate::text;
use crate::world::Named as _;

/// Lines that are kept.
const KEPT: usize = 300;

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// All is well.
    Ok,
    /// Violated, in its grace.
    Wait,
    /// Violated.
    Fire,
    /// Nobody can say.
    Unknown,
    /// An Incident and its phase.
    Incident,
}

impl Word {
    /// As it stands in the log.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Wait => "grace",
            Self::Fire => "FIRE",
            Self::Unknown => "unknown",
            Self::Incident => "inc",
        }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: Timestamp,
    /// What.
    pub word: Word,
    /// Of which invariant or Incident.
    pub name: String,
    /// More of it.
    pub text: String,
}

/// The log.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// The lines.
    pub lines: VecDeque<Line>,
    invariants: BTreeMap<String, InvariantState>,
    phases: BTreeMap<String, IncidentPhase>,
}

impl Log {
    /// Notes what changed, and answers the new lines.
    pub fn see(&mut self, stage: &Stage, now: Timestamp) -> Vec<Line> {
        let mut new = Vec::new();
        let invariants = stage.system.and_then(|system| system.status.as_ref()).map(|status| &status.invariants);
        for one in invariants.into_iter().flatten() {
            let before = self.invariants.insert(one.name.clone(), one.state);
            if before == Some(one.state) {
                continue;
            }
            // At first sight only what is not well is worth a line.
            if before.is_none() && one.state == InvariantState::Ok {
                continue;
            }
            let word = match one.state {
                InvariantState::Ok => Word::Ok,
                InvariantState::Pending => Word::Wait,
                InvariantState::Violated => Word::Fire,
                InvariantState::Unknown => Word::Unknown,
            };
            let said = one.keys.first().map_or(one.message.as_str(), |key| key.message.as_str());
            let said = if word == Word::Ok { "holds again" } else { said };
            let at = one.since.as_ref().map_or(now, |since| since.0.min(now));
            new.push(Line { at, word, name: one.name.clone(), text: text::one_line(said) });
        }
        for incident in &stage.incidents {
            let is = phase(incident);
            if self.phases.insert(incident.named().to_owned(), is) == Some(is) {
                continue;
            }
            let said = match is {
                IncidentPhase::Pending => format!("opened: {}", incident.spec.title),
                other => other.as_str().to_owned(),
            };
            new.push(Line {
                at: now,
                word: Word::Incident,
                name: incident.named().to_owned(),
                text: text::one_line(&said),
            });
        }
        self.lines.extend(new.iter().cloned());
        while self.lines.len() > KEPT {
            self.lines.pop_front();
        }
        new
    }

    /// Forgets all: the demo is at its beginning.
    pub fn clear(&mut self) {
        self.lines.clear();
        self.phases.clear();
    }
}
