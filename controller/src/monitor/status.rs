//! What a Subject's status says of what is watched. Pure. A reconcile that learns nothing new writes nothing new: times
//! in it are those of what happened, in whole seconds.

use crds::condition::{ConditionStatus, set_condition};
use crds::invariant::InvariantState;
use crds::subject::{InvariantStatus, KeyStatus, ObserverStatus, SubjectStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::watched::{Observed, Snapshot};
use crate::incident::validate::Rejected;
use crate::invariant::{KeyView, View};
use crate::printable::short_line;

/// The condition that says whether the Subject is looked at.
pub const OBSERVED: &str = "Observed";
/// The condition that says whether all invariants hold.
pub const HEALTHY: &str = "Healthy";

/// How many keys of an invariant are named.
const KEYS: usize = 16;
/// How many of them a condition's message names.
const NAMED: usize = 10;
/// Characters of a message.
const MESSAGE: usize = 500;

/// Puts what is known into a status.
pub fn put(status: &mut SubjectStatus, known: &Snapshot, generation: Option<i64>, now: Timestamp) {
    let Observed { status: holds, reason, message } = &known.observed;
    set_condition(&mut status.conditions, OBSERVED, *holds, reason, message, generation, now);
    let (holds, reason, message) = healthy(&known.views, known.held.as_deref());
    set_condition(&mut status.conditions, HEALTHY, holds, reason, &message, generation, now);
    status.invariants = known.views.iter().map(invariant).collect();
    status.violated = match status.invariants.len() {
        0 => String::new(),
        all => format!("{}/{all}", count(&known.views, InvariantState::Violated)),
    };
    status.observer = known.observer.as_ref().map(|observer| ObserverStatus {
        container: observer.name.clone(),
        started_at: observer.started_at.map(whole),
    });
}

/// Puts into a status that nothing is watched, and why.
pub fn put_nothing(status: &mut SubjectStatus, why: &Rejected, generation: Option<i64>, now: Timestamp) {
    let unknown = ConditionStatus::Unknown;
    set_condition(&mut status.conditions, OBSERVED, ConditionStatus::False, why.reason, &why.message, generation, now);
    let message = "nothing is looked at, so nobody can say";
    set_condition(&mut status.conditions, HEALTHY, unknown, "NotObserved", message, generation, now);
    status.invariants = Vec::new();
    status.violated = String::new();
    status.observer = None;
}

/// How many are in this state.
#[must_use]
pub fn count(views: &[View], state: InvariantState) -> usize {
    views.iter().filter(|view| view.state == state).count()
}

fn healthy(views: &[View], held: Option<&str>) -> (ConditionStatus, &'static str, String) {
    let of = |state: InvariantState| -> Vec<String> {
        let labels = views.iter().flat_map(move |view| {
            let keys = view.keys.iter().filter(move |key| key.state == state);
            let keys: Vec<String> = keys.map(|key| label(&view.name, &key.key)).collect();
            if keys.is_empty() && view.state == state { vec![view.name.clone()] } else { keys }
        });
        labels.collect()
    };
    let all = views.len();
    let violated = of(InvariantState::Violated);
    if !violated.is_empty() {
        let mut message =
            format!("{} of {all} invariants violated: {}", count(views, InvariantState::Violated), named(&violated));
        if let Some(held) = held {
            message = format!("{message}; {held}");
        }
        return (ConditionStatus::False, "Violated", message);
    }
    if all == 0 {
        let message = "there are no invariants (spec.invariants), so nobody can say".into();
        return (ConditionStatus::Unknown, "NoInvariants", message);
    }
    let unknown = of(InvariantState::Unknown);
    if !unknown.is_empty() {
        return (ConditionStatus::Unknown, "Unknown", format!("nobody can say of {}", named(&unknown)));
    }
    let pending = of(InvariantState::Pending);
    if !pending.is_empty() {
        let message = format!("violated, and their grace is not over: {}", named(&pending));
        return (ConditionStatus::Unknown, "Pending", message);
    }
    (ConditionStatus::True, "AllHold", format!("all {all} invariants hold"))
}

fn label(invariant: &str, key: &str) -> String {
    if key.is_empty() { invariant.to_owned() } else { short_line(&format!("{invariant}[{key}]"), 120) }
}

fn named(labels: &[String]) -> String {
    let shown = labels.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match labels.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn invariant(view: &View) -> InvariantStatus {
    let mut keys: Vec<&KeyView> =
        view.keys.iter().filter(|key| key.state != InvariantState::Ok && !key.key.is_empty()).collect();
    keys.sort_by(|a, b| (b.state, a.since, &a.key).cmp(&(a.state, b.since, &b.key)));
    InvariantStatus {
        name: view.name.clone(),
        state: view.state,
        severity: view.severity,
        since: view.since.map(whole),
        message: if view.state == InvariantState::Ok { String::new() } else { short_line(&view.message, MESSAGE) },
        keys: keys.into_iter().take(KEYS).map(key).collect(),
        total: i64::try_from(view.keys.len()).unwrap_or(i64::MAX),
    }
}

/// The same with all of its keys, for whoever looks closer.
#[must_use]
pub fn whole_invariant(view: &View) -> InvariantStatus {
    InvariantStatus { keys: view.keys.iter().filter(|one| !one.key.is_empty()).map(key).collect(), ..invariant(view) }
}

fn key(view: &KeyView) -> KeyStatus {
    KeyStatus {
        key: short_line(&view.key, 253),
        state: view.state,
        since: view.since.map(whole),
        message: short_line(&view.message, MESSAGE),
    }
}

fn whole(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}

/// Whether two of them differ in more than in what they say: words may have numbers that change all the time, and only the
/// rest is said at once.
#[must_use]
pub fn is_news(old: &Snapshot, new: &Snapshot) -> bool {
    let states = |snapshot: &Snapshot| -> Vec<InvariantStatus> {
        let mut all: Vec<_> = snapshot.views.iter().map(invariant).collect();
        for invariant in &mut all {
            invariant.message.clear();
            invariant.keys.iter_mut().for_each(|key| key.message.clear());
        }
        all
    };
    old.observed != new.observed || old.observer != new.observer || old.held != new.held || states(old) != states(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    use InvariantState::{Ok as Holds, Pending, Unknown, Violated};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millisecond(seconds * 1000 + 250).unwrap()
    }

    fn view(name: &str, keys: &[(&str, InvariantState)]) -> View {
        let key = |(key, state): &(&str, InvariantState)| KeyView {
            key: (*key).to_owned(),
            state: *state,
            since: Some(at(7)),
            message: format!("{key} is so"),
            ..KeyView::default()
        };
        let state = keys.iter().map(|(_, state)| *state).max().unwrap_or(Unknown);
        let keys = keys.iter().map(key).collect();
        View { name: name.into(), state, since: Some(at(7)), message: "so".into(), keys, ..View::default() }
    }

    fn status(views: Vec<View>) -> SubjectStatus {
        let mut status = SubjectStatus::default();
        let known = Snapshot { views, ..Snapshot::default() };
        put(&mut status, &known, Some(3), at(100));
        status
    }

    fn healthy_of(status: &SubjectStatus) -> (String, String, String) {
        let condition = crds::condition::find(&status.conditions, HEALTHY).unwrap();
        (condition.status.clone(), condition.reason.clone(), condition.message.clone())
    }

    #[test]
    fn the_worst_counts_and_is_named() {
        let good = view("up", &[("", Holds)]);
        let said = |views: Vec<View>| {
            let (status, reason, message) = healthy_of(&status(views));
            format!("{status} {reason}: {message}")
        };
        assert_eq!(said(vec![good.clone()]), "True AllHold: all 1 invariants hold");
        let pending = view("down", &[("a", Pending), ("b", Holds)]);
        assert!(said(vec![good.clone(), pending.clone()]).starts_with("Unknown Pending: violated, and"));
        let unknown = view("slow", &[]);
        assert_eq!(said(vec![pending.clone(), unknown.clone()]), "Unknown Unknown: nobody can say of slow");
        let broken = view("gone", &[("x", Violated), ("y", Violated), ("z", Holds)]);
        let all = status(vec![good, pending, unknown, broken]);
        assert_eq!(healthy_of(&all).2, "1 of 4 invariants violated: gone[x], gone[y]");
        assert_eq!(all.violated, "1/4");
        assert_eq!(healthy_of(&status(vec![])).1, "NoInvariants");
        assert_eq!(status(vec![]).violated, "");
    }

    #[test]
    fn keys_that_hold_are_counted_and_the_worst_are_named() {
        let mut keys: Vec<(String, InvariantState)> = (0..40).map(|n| (format!("{n:02}"), Pending)).collect();
        keys[30].1 = Violated;
        keys[31].1 = Holds;
        let keys: Vec<(&str, InvariantState)> = keys.iter().map(|(key, state)| (key.as_str(), *state)).collect();
        let status = status(vec![view("down", &keys)]);
        let invariant = &status.invariants[0];
        assert_eq!((invariant.keys.len(), invariant.total), (16, 40));
        assert_eq!((invariant.keys[0].key.as_str(), invariant.keys[1].key.as_str()), ("30", "00"));
        assert_eq!(invariant.since.as_ref().unwrap().0.subsec_nanosecond(), 0, "the API server keeps whole seconds");
    }

    #[test]
    fn what_holds_says_nothing_and_words_alone_are_no_news() {
        let one = Snapshot { views: vec![view("down", &[("a", Violated)])], ..Snapshot::default() };
        let mut other = one.clone();
        other.views[0].message = "other words".into();
        other.views[0].keys[0].message = "143 ms".into();
        other.rounds = 9;
        other.at = at(50);
        assert!(!is_news(&one, &other));
        other.views[0].keys[0].state = Holds;
        assert!(is_news(&one, &other));
        assert!(is_news(&one, &Snapshot { held: Some("why".into()), ..one.clone() }));
        assert_eq!(status(vec![view("up", &[("", Holds)])]).invariants[0].message, "");
    }

    #[test]
    fn a_subject_that_is_not_watched_says_why_and_nothing_else() {
        let mut status = status(vec![view("down", &[("a", Violated)])]);
        let why = Rejected { reason: "NoProbes", message: "there are no probes".into() };
        put_nothing(&mut status, &why, Some(4), at(200));
        assert_eq!((healthy_of(&status).1.as_str(), status.violated.as_str()), ("NotObserved", ""));
        assert!(status.invariants.is_empty() && status.observer.is_none());
        let again = status.clone();
        put_nothing(&mut status, &why, Some(4), at(300));
        assert_eq!(status, again, "nothing new, nothing to write");
    }
}
