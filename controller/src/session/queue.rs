//! Who may start now: worse ones first, then older ones; one session per Subject; a global limit.
//! Pure, so that every rule is a test.

use std::collections::HashSet;

use crds::Severity;
use jiff::Timestamp;

/// An Incident that waits for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The Incident's UID.
    pub uid: String,
    /// `namespace/name` of its Subject.
    pub subject: String,
    /// How bad it is.
    pub severity: Severity,
    /// When it was created.
    pub created: Timestamp,
}

/// Whether an Incident may start.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

/// What a queued Incident waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Another session works on the same Subject.
    SubjectBusy,
    /// As many sessions run as may run.
    Limit,
}

/// Decides for the Incident `me` among all that wait (itself included; in any order).
///
/// `busy` holds the Subjects that have a session, `limit` is the number of sessions that may run,
/// of which `running` do.
#[must_use]
#[allow(clippy::implicit_hasher)] // one caller, one hasher
pub fn decide(me: &str, waiting: &[Waiting], busy: &HashSet<String>, running: usize, limit: usize) -> Turn {
    let mut order: Vec<&Waiting> = waiting.iter().collect();
    order.sort_by(|a, b| (a.severity, a.created, &a.uid).cmp(&(b.severity, b.created, &b.uid)));
    let mut busy: HashSet<&str> = busy.iter().map(String::as_str).collect();
    let mut free = limit.saturating_sub(running);
    let mut position = 0;
    for other in order {
        let why = if busy.contains(other.subject.as_str()) {
            Why::SubjectBusy
        } else if free == 0 {
            Why::Limit
        } else {
            if other.uid == me {
                return Turn::Start;
            }
            free -= 1;
            busy.insert(&other.subject);
            continue;
        };
        position += 1;
        if other.uid == me {
            return Turn::Wait { position, why };
        }
    }
    // Not in the list: the caller's view is older than the object. It comes back with the next event.
    Turn::Wait { position: position + 1, why: Why::Limit }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(uid: &str, subject: &str, severity: Severity, second: i64) -> Waiting {
        Waiting { uid: uid.into(), subject: subject.into(), severity, created: Timestamp::from_second(second).unwrap() }
    }

    #[test]
    fn worse_first_then_older() {
        let list = [
            waiting("old", "a", Severity::Error, 1),
            waiting("bad", "b", Severity::Critical, 9),
            waiting("new", "c", Severity::Error, 5),
        ];
        let none = HashSet::new();
        assert_eq!(decide("bad", &list, &none, 0, 1), Turn::Start);
        assert_eq!(decide("old", &list, &none, 0, 1), Turn::Wait { position: 1, why: Why::Limit });
        assert_eq!(decide("new", &list, &none, 0, 1), Turn::Wait { position: 2, why: Why::Limit });
        assert_eq!(decide("old", &list, &none, 0, 2), Turn::Start);
    }

    #[test]
    fn one_session_a_subject_does_not_hold_up_the_others() {
        let list = [waiting("one", "a", Severity::Critical, 1), waiting("two", "b", Severity::Info, 2)];
        let busy = HashSet::from(["a".to_owned()]);
        assert_eq!(decide("one", &list, &busy, 1, 2), Turn::Wait { position: 1, why: Why::SubjectBusy });
        assert_eq!(decide("two", &list, &busy, 1, 2), Turn::Start);
    }

    #[test]
    fn two_of_the_same_subject_start_one_after_the_other() {
        let list = [waiting("one", "a", Severity::Error, 1), waiting("two", "a", Severity::Error, 2)];
        assert_eq!(decide("one", &list, &HashSet::new(), 0, 4), Turn::Start);
        assert_eq!(decide("two", &list, &HashSet::new(), 0, 4), Turn::Wait { position: 1, why: Why::SubjectBusy });
    }
}
