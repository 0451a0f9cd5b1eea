//! Who may start now: worse ones first, then older ones; so many sessions a Subject; a global limit.
//! Pure, so that every rule is a test.
//!
//! The whole queue is put in order at once ([`Line::new`]), not once for each that asks: a thousand that wait cost
//! one sort, and whoever asks gets an answer out of a map.

use std::collections::HashMap;

use crds::{Incident, Severity};
use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;

/// An Incident that waits for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Where it is.
    pub incident: ObjectRef<Incident>,
    /// The Incident's UID.
    pub uid: String,
    /// The attempt that waits.
    pub attempt: i64,
    /// `namespace/name` of its Subject.
    pub subject: String,
    /// How many sessions may work on that Subject.
    pub most: usize,
    /// How bad it is.
    pub severity: Severity,
    /// When it was created.
    pub created: Timestamp,
}

/// Whether an Incident may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Now.
    Start,
    /// Not yet.
    Wait {
        /// Its place among those that must wait, from 1.
        position: usize,
        /// What it waits for.
        why: Why,
    },
    /// The queue was put in order before it came, or before it changed. It is woken when it has a place.
    Unplaced,
}

/// What a queued Incident waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// As many sessions work on the same Subject as may.
    SubjectBusy,
    /// As many sessions run as may run.
    Limit,
}

/// The queue in its order, at one moment.
#[derive(Debug, Default)]
pub struct Line {
    places: HashMap<String, (Waiting, Turn)>,
}

impl Line {
    /// Puts all that wait in order. `busy` says how many sessions each Subject has, `limit` how many may run in all.
    #[must_use]
    #[allow(clippy::implicit_hasher)] // one caller, one hasher
    pub fn new(mut waiting: Vec<Waiting>, busy: &HashMap<String, usize>, limit: usize) -> Self {
        waiting.sort_by(|a, b| (a.severity, a.created, &a.uid).cmp(&(b.severity, b.created, &b.uid)));
        let mut busy = busy.clone();
        let mut free = limit.saturating_sub(busy.values().sum());
        let mut position = 0;
        let mut places = HashMap::with_capacity(waiting.len());
        for one in waiting {
            let sessions = busy.entry(one.subject.clone()).or_default();
            let why = if *sessions >= one.most {
                Some(Why::SubjectBusy)
            } else if free == 0 {
                Some(Why::Limit)
            } else {
                None
            };
            let turn = if let Some(why) = why {
                position += 1;
                Turn::Wait { position, why }
            } else {
                free -= 1;
                *sessions += 1;
                Turn::Start
            };
            places.insert(one.uid.clone(), (one, turn));
        }
        Self { places }
    }

    /// The queue's word on an Incident as it is now.
    #[must_use]
    pub fn turn(&self, me: &Waiting) -> Turn {
        match self.places.get(&me.uid) {
            Some((known, turn)) if known == me => *turn,
            _ => Turn::Unplaced,
        }
    }

    /// How many wait, those that may start included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Those that have to be looked at now, after this order replaced `before`: who may start, who is new or changed,
    /// and who became the first that waits. All others see their new place when they look the next time.
    #[must_use]
    pub fn news(&self, before: &Self) -> Vec<ObjectRef<Incident>> {
        let is_news = |(uid, (waiting, turn)): &(&String, &(Waiting, Turn))| match turn {
            Turn::Start => true,
            Turn::Wait { position: 1, .. } => before.places.get(*uid).is_none_or(|(_, then)| then != turn),
            _ => before.places.get(*uid).is_none_or(|(then, _)| then != waiting),
        };
        self.places.iter().filter(is_news).map(|(_, (waiting, _))| waiting.incident.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(uid: &str, subject: &str, severity: Severity, second: i64) -> Waiting {
        Waiting {
            incident: ObjectRef::new(uid).within("ns"),
            uid: uid.into(),
            attempt: 1,
            subject: subject.into(),
            most: 1,
            severity,
            created: Timestamp::from_second(second).unwrap(),
        }
    }

    fn busy(subjects: &[(&str, usize)]) -> HashMap<String, usize> {
        subjects.iter().map(|(subject, sessions)| ((*subject).to_owned(), *sessions)).collect()
    }

    fn turns(list: &[Waiting], sessions: &[(&str, usize)], limit: usize) -> Vec<Turn> {
        let line = Line::new(list.to_vec(), &busy(sessions), limit);
        list.iter().map(|one| line.turn(one)).collect()
    }

    const fn wait(position: usize, why: Why) -> Turn {
        Turn::Wait { position, why }
    }

    #[test]
    fn worse_first_then_older() {
        let list = [
            waiting("old", "a", Severity::Error, 1),
            waiting("bad", "b", Severity::Critical, 9),
            waiting("new", "c", Severity::Error, 5),
        ];
        assert_eq!(turns(&list, &[], 1), [wait(1, Why::Limit), Turn::Start, wait(2, Why::Limit)]);
        assert_eq!(turns(&list, &[], 2), [Turn::Start, Turn::Start, wait(1, Why::Limit)]);
    }

    #[test]
    fn a_busy_subject_does_not_hold_up_the_others() {
        let list = [waiting("one", "a", Severity::Critical, 1), waiting("two", "b", Severity::Info, 2)];
        assert_eq!(turns(&list, &[("a", 1)], 2), [wait(1, Why::SubjectBusy), Turn::Start]);
    }

    #[test]
    fn a_subject_has_one_session_unless_its_policy_says_more() {
        let mut list = ["one", "two", "three"].map(|uid| waiting(uid, "a", Severity::Error, 1));
        assert_eq!(turns(&list, &[], 4).iter().filter(|turn| **turn == Turn::Start).count(), 1);
        for one in &mut list {
            one.most = 2;
        }
        assert_eq!(turns(&list, &[], 4).iter().filter(|turn| **turn == Turn::Start).count(), 2);
        assert_eq!(turns(&list, &[("a", 1)], 4).iter().filter(|turn| **turn == Turn::Start).count(), 1);
    }

    #[test]
    fn who_came_later_or_changed_has_no_place_yet() {
        let line = Line::new(vec![waiting("one", "a", Severity::Error, 1)], &busy(&[]), 1);
        assert_eq!(line.turn(&waiting("two", "b", Severity::Error, 1)), Turn::Unplaced);
        assert_eq!(line.turn(&waiting("one", "a", Severity::Critical, 1)), Turn::Unplaced);
    }

    #[test]
    fn only_those_are_woken_for_whom_something_changed() {
        let all: Vec<_> = (0..1000).map(|i| waiting(&format!("{i:04}"), "a", Severity::Error, i)).collect();
        let begun = Line::new(all.clone(), &busy(&[("a", 1)]), 4);
        assert_eq!(begun.news(&Line::default()).len(), 1000, "all are new");
        assert_eq!(Line::new(all.clone(), &busy(&[("a", 1)]), 4).news(&begun).len(), 0);
        // The place is free: the first starts, and the second is told that it is the first now.
        let names = |line: &Line, before: &Line| {
            let mut names: Vec<_> = line.news(before).into_iter().map(|object| object.name).collect();
            names.sort();
            names
        };
        let free = Line::new(all.clone(), &busy(&[]), 4);
        assert_eq!(names(&free, &begun), ["0000", "0001"]);
        let running = Line::new(all[1..].to_vec(), &busy(&[("a", 1)]), 4);
        assert!(running.news(&free).is_empty(), "the second has its place already");
    }

    /// Not a measurement of time: ten thousand would take minutes if each looked at each.
    #[test]
    fn ten_thousand_are_put_in_order_at_once() {
        let all: Vec<_> =
            (0..10_000).map(|i| waiting(&format!("{i}"), &format!("s{}", i % 50), Severity::Error, i)).collect();
        for _ in 0..10 {
            let line = Line::new(all.clone(), &busy(&[]), 4);
            let positions: std::collections::BTreeSet<_> = all
                .iter()
                .filter_map(|one| match line.turn(one) {
                    Turn::Wait { position, .. } => Some(position),
                    _ => None,
                })
                .collect();
            assert_eq!((positions.len(), positions.first(), positions.last()), (9996, Some(&1), Some(&9996)));
        }
    }
}
