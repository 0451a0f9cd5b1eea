//! What the monitor saw: each change of an invariant and each Incident, as they came.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crds::invariant::InvariantState;
use crds::subject::InvariantStatus;
use crds::{Incident, IncidentPhase};
use jiff::Timestamp;

use super::stage::{Stage, created, phase};
use crate::text;
use crate::time;
use crate::world::Named as _;

/// Lines that are kept.
const KEPT: usize = 300;

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It holds.
    Ok,
    /// It holds again.
    Clear,
    /// Violated, in its grace.
    Grace,
    /// Violated.
    Fire,
    /// Nobody can say.
    Unknown,
    /// An Incident was opened.
    Open,
    /// An Incident goes on.
    Phase,
    /// An Incident is over, and that is proven.
    Proven,
}

impl Word {
    /// As it stands in the log.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Clear => "clear",
            Self::Grace => "grace",
            Self::Fire => "FIRE",
            Self::Unknown => "?",
            Self::Open => "OPEN",
            Self::Phase => "inc",
            Self::Proven => "PROVEN",
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

/// How an invariant stood.
#[derive(Clone, Debug)]
struct Before {
    state: InvariantState,
    /// Since when it is violated, through what nobody could say.
    fire: Option<Timestamp>,
    /// The keys that were said to be violated.
    keys: BTreeSet<String>,
}

/// The log.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// The lines.
    pub lines: VecDeque<Line>,
    /// How many there were in all.
    pub count: usize,
    invariants: BTreeMap<String, Before>,
    phases: BTreeMap<String, IncidentPhase>,
}

impl Log {
    /// Notes what changed, and answers the new lines.
    pub fn see(&mut self, stage: &Stage, now: Timestamp) -> Vec<Line> {
        let mut new = Vec::new();
        let is_first = self.invariants.is_empty();
        let invariants = stage.system.and_then(|system| system.status.as_ref()).map(|status| &status.invariants);
        let invariants: Vec<&InvariantStatus> = invariants.into_iter().flatten().collect();
        let all = invariants.len();
        if is_first && all > 0 && invariants.iter().all(|one| one.state == InvariantState::Ok) {
            let what = if all == 1 { "the invariant holds".to_owned() } else { format!("all {all} invariants hold") };
            new.push(Line { at: now, word: Word::Ok, name: String::new(), text: what });
        }
        for one in invariants {
            self.invariant(one, now, &mut new);
        }
        for incident in &stage.incidents {
            self.incident(incident, now, &mut new);
        }
        self.count += new.len();
        self.lines.extend(new.iter().cloned());
        while self.lines.len() > KEPT {
            self.lines.pop_front();
        }
        new
    }

    fn invariant(&mut self, one: &InvariantStatus, now: Timestamp, new: &mut Vec<Line>) {
        let since = one.since.as_ref().map_or(now, |since| since.0.min(now));
        let before = self.invariants.get(&one.name).cloned();
        let mut is = Before { state: one.state, fire: None, keys: BTreeSet::new() };
        let was = before.as_ref().map(|before| before.state);
        let fire = before.as_ref().and_then(|before| before.fire);
        let mut say = |at: Timestamp, word: Word, said: &str| {
            let said = text::one_line(said);
            let said = if said.is_empty() { "violated".to_owned() } else { said };
            new.push(Line { at, word, name: text::one_line(&one.name), text: said });
        };
        match one.state {
            InvariantState::Violated => {
                is.fire = fire.or(Some(since));
                let keys = one.keys.iter().filter(|key| key.state == InvariantState::Violated);
                let known = before.map(|before| before.keys).unwrap_or_default();
                let mut said = false;
                for key in keys {
                    is.keys.insert(key.key.clone());
                    if !known.contains(&key.key) {
                        let at = key.since.as_ref().map_or(since, |since| since.0.min(now));
                        say(at, Word::Fire, if key.message.is_empty() { &key.key } else { &key.message });
                        said = true;
                    }
                }
                if was != Some(InvariantState::Violated) && !said {
                    say(since, Word::Fire, &one.message);
                }
            }
            InvariantState::Pending => {
                is.fire = fire.or(Some(since));
                if was != Some(InvariantState::Pending) && was != Some(InvariantState::Violated) {
                    let message = one.keys.first().map_or(one.message.as_str(), |key| key.message.as_str());
                    say(since, Word::Grace, message);
                }
            }
            InvariantState::Ok => {
                if let Some(fire) = fire {
                    let since = if since > fire { since } else { now };
                    say(since, Word::Clear, &format!("holds again after {}", time::age(time::elapsed(fire, since))));
                } else if was == Some(InvariantState::Unknown) {
                    say(since, Word::Ok, "can be judged again, and holds");
                }
            }
            InvariantState::Unknown => {
                is.fire = fire;
                if was != Some(InvariantState::Unknown) {
                    let message = if one.message.is_empty() { "nobody can say" } else { &one.message };
                    say(since, Word::Unknown, message);
                }
            }
        }
        self.invariants.insert(one.name.clone(), is);
    }

    fn incident(&mut self, incident: &Incident, now: Timestamp, new: &mut Vec<Line>) {
        let (is, name) = (phase(incident), incident.named().to_owned());
        let before = self.phases.insert(name.clone(), is);
        let status = incident.status.clone().unwrap_or_default();
        let mut say = |at: Option<Timestamp>, word: Word, said: String| {
            let at = at.map_or(now, |at| at.min(now));
            new.push(Line { at, word, name: text::one_line(&name), text: text::one_line(&said) });
        };
        if before.is_none() {
            say(created(incident), Word::Open, format!("Incident opened: {}", incident.spec.title));
        }
        if before == Some(is) {
            return;
        }
        let message = status.message.unwrap_or_default();
        let sign = if message.is_empty() { "" } else { ": " };
        match is {
            IncidentPhase::Pending => {}
            IncidentPhase::Running => {
                say(status.started_at.map(|at| at.0), Word::Phase, "Running: the agent is at work".to_owned());
            }
            IncidentPhase::Verifying => {
                say(None, Word::Phase, "Verifying: it says done, and nobody believes it".into());
            }
            IncidentPhase::Resolved => {
                say(status.finished_at.map(|at| at.0), Word::Proven, format!("Resolved{sign}{message}"));
            }
            other => {
                let at = status.finished_at.map(|at| at.0);
                say(at, Word::Phase, format!("{}{sign}{message}", other.as_str()));
            }
        }
    }

    /// Forgets all: the demo is at its beginning.
    pub fn clear(&mut self) {
        *self = Self { count: self.count, ..Self::default() };
    }
}
