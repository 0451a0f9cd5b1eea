//! Trying a Subject before it is applied, and looking at one by hand: its invariants, judged once.
//!
//! * [`manifest`]: the Subject in a file, and the fields in it that nobody knows;
//! * [`listen`]: where rounds come from: an observer in the Subject's networks, this machine, or a recording;
//! * [`report`] (pure): what came of it, as a table or as JSON, and the exit code.
//!
//! The judge is the controller's own ([`crate::invariant`]), so what is said here is what the controller would say.

pub mod listen;
pub mod manifest;
pub mod report;

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::Subject;
use jiff::Timestamp;

use crate::invariant::{Compiled, Judge, Mistake};
use crate::probe::Round;

/// How much has to be heard before it is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enough {
    /// The probes by name, and how many rounds of each are still missing.
    missing: BTreeMap<String, u32>,
    /// How many of each there have to be.
    pub rounds: u32,
}

impl Enough {
    /// One round of each probe; two where something is watched over time.
    #[must_use]
    pub fn of(subject: &Subject) -> Self {
        let over_time = subject.spec.invariants.iter().any(|one| !one.over.is_empty())
            || subject.spec.display.iter().flat_map(|display| &display.workload).any(|one| one.counter.is_some());
        let rounds = if over_time { 2 } else { 1 };
        Self { missing: subject.spec.probes.iter().map(|probe| (probe.name.clone(), rounds)).collect(), rounds }
    }

    /// Counts a round. Whether it is one of the Subject's probes.
    pub fn hear(&mut self, probe: &str) -> bool {
        match self.missing.get_mut(probe) {
            Some(missing) => {
                *missing = missing.saturating_sub(1);
                true
            }
            None => false,
        }
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.missing.values().all(|missing| *missing == 0)
    }

    /// Whether each probe was heard at least once.
    #[must_use]
    pub fn has_begun(&self, of: &Self) -> bool {
        self.missing.iter().all(|(probe, missing)| of.missing.get(probe).is_none_or(|all| missing < all))
    }

    /// The probes of which something is missing.
    #[must_use]
    pub fn silent(&self) -> Vec<&str> {
        self.missing.iter().filter(|(_, missing)| **missing > 0).map(|(probe, _)| probe.as_str()).collect()
    }
}

/// A judge of this Subject, and all that is wrong with what it says.
#[must_use]
pub fn judge(subject: &Subject) -> (Judge, Vec<Mistake>) {
    let (compiled, mistakes) = Compiled::new(&subject.spec);
    (Judge::new(Arc::new(compiled)), mistakes)
}

/// The moment as of which a recording is judged: when its last round began.
#[must_use]
pub fn last(rounds: &[Round]) -> Option<Timestamp> {
    rounds.iter().map(|round| round.at).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(invariants: &str) -> Subject {
        serde_saphyr::from_str(&format!(
            "{{apiVersion: operator.dev/v1alpha1, kind: Subject, metadata: {{name: s}}, spec: {{where: {{docker: {{project: p}}}}, \
             probes: [{{name: web, tcp: {{address: 'web:80'}}}}, {{name: db, tcp: {{address: 'db:1'}}}}], invariants: {invariants}}}}}"
        ))
        .unwrap()
    }

    #[test]
    fn each_probe_is_heard_once_and_twice_where_something_is_watched_over_time() {
        let all = Enough::of(&subject("[{name: a, violated: '!probes.web.ok'}]"));
        let mut once = all.clone();
        assert!(once.hear("web") && !once.hear("nobody") && !once.is_there() && !once.has_begun(&all));
        assert_eq!(once.silent(), ["db"]);
        once.hear("db");
        assert!(once.is_there() && once.has_begun(&all));

        let all =
            Enough::of(&subject("[{name: a, violated: 'x.max > 1', over: {x: {value: probes.web.ms, window: 20s}}}]"));
        let mut twice = all.clone();
        for probe in ["web", "db"] {
            twice.hear(probe);
        }
        assert!(twice.has_begun(&all) && !twice.is_there());
        for probe in ["web", "db"] {
            twice.hear(probe);
        }
        assert!(twice.is_there());
    }
}
