//! What outlives a judge: since when something is violated, and what of it was told.
//!
//! A judge begins anew when the controller does, and when the Subject is edited. What the observer wrote is replayed
//! into it, but what the controller itself looked at before (`docker` probes) is gone. The Subject's status says since
//! when each key was violated; as long as it was not seen to hold, that counts. So an Incident is not opened twice, and
//! an Event not published twice, for one violation without a break.

use std::collections::{HashMap, HashSet};

use crds::incident::Violated;
use crds::invariant::InvariantState;
use crds::subject::SubjectStatus;
use jiff::Timestamp;

use super::open::Violation;
use crate::invariant::{KeyView, View};

/// What was seen before.
#[derive(Clone, Debug, Default)]
pub struct History {
    since: HashMap<Violated, Timestamp>,
    told: HashSet<Violated>,
}

/// What the views say that they did not say before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turns {
    /// All that is violated.
    pub violated: Vec<Violation>,
    /// Of that, what was not.
    pub begun: Vec<Violation>,
    /// What holds again, or is not looked at any more.
    pub cleared: Vec<Violated>,
}

impl History {
    /// What stands in a Subject's status.
    #[must_use]
    pub fn of(status: Option<&SubjectStatus>) -> Self {
        let mut history = Self::default();
        for invariant in status.into_iter().flat_map(|status| &status.invariants) {
            let mut add = |key: &str, since: Option<Timestamp>| {
                let named = Violated { invariant: invariant.name.clone(), key: key.to_owned() };
                history.told.insert(named.clone());
                history.since.extend(since.map(|since| (named, since)));
            };
            let since = |time: &Option<_>| {
                time.as_ref().map(|time: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time| time.0)
            };
            for key in invariant.keys.iter().filter(|key| key.state == InvariantState::Violated) {
                add(&key.key, since(&key.since));
            }
            if invariant.state == InvariantState::Violated && invariant.keys.is_empty() {
                add("", since(&invariant.since));
            }
        }
        history
    }

    /// Puts into the views since when what is violated really is, and says what turned.
    pub fn see(&mut self, views: &mut [View], now: Timestamp) -> Turns {
        let mut turns = Turns::default();
        let mut seen = HashSet::new();
        let mut unknown = HashSet::new();
        for view in views.iter_mut() {
            if view.state == InvariantState::Unknown {
                unknown.insert(view.name.clone());
            }
            for key in &mut view.keys {
                let named = Violated { invariant: view.name.clone(), key: key.key.clone() };
                match key.state {
                    InvariantState::Violated => {
                        let since = self.begin(&named, key, now);
                        let violation = Violation {
                            invariant: named.invariant.clone(),
                            key: named.key.clone(),
                            severity: view.severity,
                            since,
                            message: key.message.clone(),
                        };
                        if self.told.insert(named.clone()) {
                            turns.begun.push(violation.clone());
                        }
                        turns.violated.push(violation);
                        seen.insert(named);
                    }
                    InvariantState::Pending | InvariantState::Unknown => {
                        seen.insert(named);
                    }
                    InvariantState::Ok => {}
                }
            }
            if let Some(worst) =
                view.keys.iter().filter(|key| key.state == view.state).filter_map(|key| key.since).min()
                && view.state == InvariantState::Violated
            {
                view.since = Some(worst);
            }
        }
        // Where nothing is known of an invariant, nothing is known of the keys that it had.
        let over = |named: &Violated| !seen.contains(named) && !unknown.contains(&named.invariant);
        turns.cleared = self.told.iter().filter(|named| over(named)).cloned().collect();
        turns.cleared.sort();
        self.told.retain(|named| !over(named));
        self.since.retain(|named, _| !over(named));
        turns
    }

    fn begin(&mut self, named: &Violated, key: &mut KeyView, now: Timestamp) -> Timestamp {
        let judged = key.since.unwrap_or(now);
        let since = self.since.entry(named.clone()).or_insert(judged);
        *since = judged.min(*since);
        key.since = Some(*since);
        *since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn view(name: &str, state: InvariantState, keys: &[(&str, InvariantState, i64)]) -> View {
        let key = |(key, state, since): &(&str, InvariantState, i64)| KeyView {
            key: (*key).to_owned(),
            state: *state,
            since: Some(at(*since)),
            message: format!("{key}!"),
            ..KeyView::default()
        };
        View { name: name.into(), state, keys: keys.iter().map(key).collect(), ..View::default() }
    }

    fn labels(violations: &[Violation]) -> Vec<String> {
        violations.iter().map(|v| format!("{} {}", v.label(), v.since.as_second())).collect()
    }

    use InvariantState::{Ok as Holds, Pending, Unknown, Violated as Broken};

    #[test]
    fn what_begins_and_clears_is_told_once() {
        let mut history = History::default();
        let mut broken = [view("down", Broken, &[("a", Broken, 5), ("b", Holds, 1)])];
        let turns = history.see(&mut broken, at(6));
        assert_eq!((labels(&turns.begun), turns.cleared.len()), (vec!["down[a] 5".to_owned()], 0));
        assert!(history.see(&mut broken, at(7)).begun.is_empty());
        let turns = history.see(&mut [view("down", Holds, &[("a", Holds, 9), ("b", Holds, 1)])], at(9));
        assert_eq!(turns.cleared, [Violated { invariant: "down".into(), key: "a".into() }]);
        assert_eq!(history.see(&mut [view("down", Holds, &[("a", Holds, 9)])], at(10)), Turns::default());
        let turns = history.see(&mut [view("down", Broken, &[("a", Broken, 12)])], at(12));
        assert_eq!(labels(&turns.begun), ["down[a] 12"], "it is another violation");
    }

    #[test]
    fn what_the_status_says_counts_until_it_is_seen_to_hold() {
        let status: SubjectStatus = serde_json::from_value(serde_json::json!({"invariants": [
            {"name": "down", "state": "Violated", "severity": "error", "since": "1970-01-01T00:00:05Z", "keys": [
                {"key": "a", "state": "Violated", "since": "1970-01-01T00:00:05Z"},
                {"key": "b", "state": "Pending", "since": "1970-01-01T00:00:07Z"},
            ]},
            {"name": "slow", "state": "Violated", "severity": "error", "since": "1970-01-01T00:00:03Z"},
        ]}))
        .unwrap();
        let mut history = History::of(Some(&status));
        // A judge that begins anew: nothing is known, then it is in its grace, then violated.
        let begins = [view("down", Unknown, &[]), view("down", Pending, &[("a", Pending, 100), ("b", Holds, 100)])];
        for begin in begins {
            let turns = history.see(&mut [begin, view("slow", Unknown, &[("", Unknown, 100)])], at(100));
            assert_eq!(turns, Turns::default());
        }
        let mut now = [
            view("down", Broken, &[("a", Broken, 100), ("b", Broken, 101)]),
            view("slow", Broken, &[("", Broken, 99)]),
        ];
        let turns = history.see(&mut now, at(101));
        assert_eq!(labels(&turns.violated), ["down[a] 5", "down[b] 101", "slow 3"]);
        assert_eq!(labels(&turns.begun), ["down[b] 101"]);
        assert_eq!((now[0].since, now[0].keys[0].since), (Some(at(5)), Some(at(5))));
    }

    #[test]
    fn an_invariant_that_is_not_looked_at_any_more_is_cleared() {
        let mut history = History::default();
        history.see(&mut [view("down", Broken, &[("a", Broken, 5)])], at(5));
        assert!(history.see(&mut [view("down", Unknown, &[])], at(6)).cleared.is_empty());
        assert_eq!(history.see(&mut [], at(7)).cleared.len(), 1);
    }
}
