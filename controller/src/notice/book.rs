//! What one receiver was told, and what it is to be told now. Pure.
//!
//! Each topic is told once, told to be still so every while where the receiver forgets otherwise, and told to be over
//! once. What did not arrive is sent again, later and later; nothing is given up while it is so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Notice;
use super::wanted::Wanted;

/// The most topics that one receiver is told of at the same time: the rest waits until some are over.
pub const MOST: usize = 1000;
/// What is sent at once.
pub const AT_ONCE: usize = 64;
/// After a failure, and the longest that it becomes.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// What is to be sent.
#[derive(Clone, Debug)]
pub struct Due {
    /// The topic's key.
    pub key: String,
    /// Of what.
    pub notice: Notice,
    /// When it was over, if it is.
    pub over: Option<Timestamp>,
    /// Whether it was told before, and still is so.
    pub again: bool,
}

/// What came of sending something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is told for the first time.
    Told,
    /// It was told again.
    Refreshed,
    /// It was told to be over.
    Ended,
    /// It did not arrive; the first time since it last did.
    Failed,
    /// It did not arrive again.
    FailedAgain,
}

/// What one receiver was told.
#[derive(Debug)]
pub struct Book {
    /// So often it is to hear that something still is so; never, if once is enough.
    refresh: Option<Duration>,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    notice: Notice,
    /// Since when it is not so any more.
    over: Option<Timestamp>,
    told: bool,
    /// Whether it may have arrived: something was sent, and nobody knows.
    tried: bool,
    failures: u32,
    next: Option<Instant>,
}

impl Book {
    /// An empty one.
    #[must_use]
    pub fn new(refresh: Option<Duration>) -> Self {
        Self { refresh, entries: BTreeMap::new() }
    }

    /// It was told of this before this process began.
    pub fn restore(&mut self, notice: Notice, now: Instant) {
        let entry = Entry { notice, over: None, told: true, tried: true, failures: 0, next: self.refresh.map(|_| now) };
        self.entries.entry(entry.notice.topic.key()).or_insert(entry);
    }

    /// Takes in how things stand, and says what is to be sent now. `away` holds what is under way.
    pub fn look(&mut self, wanted: &Wanted, away: &BTreeSet<String>, now: Instant, at: Timestamp) -> Vec<Due> {
        for (key, notice) in wanted {
            let room = self.entries.len() < MOST;
            match self.entries.get_mut(key) {
                Some(entry) => entry.is_wanted(notice, now),
                None if room => {
                    self.entries.insert(key.clone(), Entry::new(notice.clone(), now));
                }
                None => {}
            }
        }
        self.entries.retain(|key, entry| wanted.contains_key(key) || entry.is_over(now, at) || away.contains(key));
        let due = self
            .entries
            .iter()
            .filter(|(key, entry)| !away.contains(*key) && entry.next.is_some_and(|next| next <= now));
        let mut due: Vec<(Option<Instant>, Due)> = due
            .map(|(key, entry)| {
                let due = Due {
                    key: key.clone(),
                    notice: entry.notice.clone(),
                    over: entry.over,
                    again: entry.told && entry.over.is_none(),
                };
                (entry.next, due)
            })
            .collect();
        // News before what is only said again.
        due.sort_by_key(|(next, due)| (due.again, *next));
        due.into_iter().take(AT_ONCE).map(|(_, due)| due).collect()
    }

    /// Something was sent, and arrived or did not. Says what that is; nothing if nobody cares any more.
    pub fn sent(&mut self, due: &Due, arrived: bool, now: Instant) -> Option<Step> {
        let entry = self.entries.get_mut(&due.key)?;
        entry.tried = true;
        if !arrived {
            let first = entry.failures == 0;
            entry.failures = entry.failures.saturating_add(1);
            let wait = AGAIN.0.saturating_mul(1 << entry.failures.min(10)).min(AGAIN.1);
            entry.next = Some(now + wait);
            return Some(if first { Step::Failed } else { Step::FailedAgain });
        }
        entry.failures = 0;
        if entry.over.is_some() && due.over.is_some() {
            self.entries.remove(&due.key);
            return Some(Step::Ended);
        }
        let same = entry.over == due.over && entry.notice.topic.attempt() == due.notice.topic.attempt();
        if !same {
            // Things changed while it was under way: what is so now goes next.
            entry.told |= due.over.is_none() && entry.over.is_some();
            entry.next = Some(now);
            return None;
        }
        let step = if entry.told { Step::Refreshed } else { Step::Told };
        entry.told = true;
        entry.next = self.refresh.map(|refresh| now + refresh);
        Some(step)
    }

    /// How many wait to be told, or could not be.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.entries.values().filter(|entry| !entry.told || entry.over.is_some() || entry.failures > 0).count()
    }

    /// Whether it was told of a topic, and that it is over was not.
    #[must_use]
    pub fn is_told(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.told)
    }
}

impl Entry {
    fn new(notice: Notice, now: Instant) -> Self {
        Self { notice, over: None, told: false, tried: false, failures: 0, next: Some(now) }
    }

    /// It is so, or so again.
    fn is_wanted(&mut self, notice: &Notice, now: Instant) {
        let anew = self.over.take().is_some() || self.notice.topic.attempt() != notice.topic.attempt();
        self.notice = notice.clone();
        if anew {
            self.told = false;
            self.failures = 0;
            self.next = Some(now);
        }
    }

    /// It is not so any more. Says whether anybody has to hear that.
    fn is_over(&mut self, now: Instant, at: Timestamp) -> bool {
        if !self.tried {
            return false;
        }
        if self.over.is_none() {
            self.over = Some(at);
            self.failures = 0;
            self.next = Some(now);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::wanted::of_incidents;
    use std::sync::Arc;

    const REFRESH: Duration = Duration::from_mins(2);

    fn wanted(names: &[(&str, i64)]) -> Wanted {
        let incident = |(name, attempt): &(&str, i64)| {
            let yaml = format!(
                "apiVersion: operator.dev/v1alpha1\nkind: Incident\nmetadata: {{name: {name}, namespace: ns, uid: {name}}}\n\
                 spec: {{title: t, subjectRef: {{name: s}}, attempt: {attempt}}}\n\
                 status: {{phase: Escalated, attempt: {attempt}, finishedAt: '2026-01-28T20:54:48Z'}}"
            );
            Arc::new(serde_saphyr::from_str(&yaml).unwrap())
        };
        of_incidents(&names.iter().map(incident).collect::<Vec<_>>())
    }

    struct World {
        book: Book,
        begin: Instant,
    }

    impl World {
        fn new(refresh: Option<Duration>) -> Self {
            Self { book: Book::new(refresh), begin: Instant::now() }
        }

        fn at(&self, second: u64) -> Instant {
            self.begin + Duration::from_secs(second)
        }

        fn look(&mut self, names: &[(&str, i64)], second: u64) -> Vec<Due> {
            let now = self.at(second);
            let at = Timestamp::from_second(i64::try_from(second).unwrap()).unwrap();
            self.book.look(&wanted(names), &BTreeSet::new(), now, at)
        }

        /// Looks, and has all arrive or none.
        fn send(&mut self, names: &[(&str, i64)], second: u64, arrives: bool) -> Vec<Step> {
            let now = self.at(second);
            let due = self.look(names, second);
            due.iter().filter_map(|due| self.book.sent(due, arrives, now)).collect()
        }
    }

    #[test]
    fn it_is_told_once_refreshed_and_told_to_be_over_once() {
        let mut world = World::new(Some(REFRESH));
        assert_eq!(world.send(&[("a", 1)], 0, true), [Step::Told]);
        assert_eq!(world.send(&[("a", 1)], 60, true), []);
        assert_eq!(world.send(&[("a", 1)], 120, true), [Step::Refreshed]);
        let due = world.look(&[], 130);
        assert_eq!(due[0].over, Some(Timestamp::from_second(130).unwrap()));
        assert_eq!(world.send(&[], 131, true), [Step::Ended]);
        assert_eq!(world.send(&[], 1000, true), []);
        let mut once = World::new(None);
        assert_eq!(once.send(&[("a", 1)], 0, true), [Step::Told]);
        assert_eq!(once.send(&[("a", 1)], 100_000, true), [], "one who does not forget hears it once");
    }

    #[test]
    fn what_does_not_arrive_is_sent_later_and_later_and_never_given_up() {
        let mut world = World::new(Some(REFRESH));
        let mut sent = Vec::new();
        for second in 0..600 {
            if !world.send(&[("a", 1)], second, false).is_empty() {
                sent.push(second);
            }
        }
        assert_eq!(sent[..6], [0, 2, 6, 14, 30, 62], "{sent:?}");
        assert!(sent.windows(2).all(|two| two[1] - two[0] <= 60), "{sent:?}");
        assert_eq!(world.book.waiting(), 1);
        assert_eq!(world.send(&[("a", 1)], 700, true), [Step::Told]);
        assert_eq!(world.book.waiting(), 0);
        assert_eq!(world.send(&[("a", 1)], 820, false), [Step::Failed]);
        assert_eq!(world.send(&[("a", 1)], 822, false), [Step::FailedAgain]);
        assert_eq!(world.send(&[("a", 1)], 830, true), [Step::Refreshed]);
    }

    #[test]
    fn who_never_heard_of_it_need_not_hear_that_it_is_over_unless_he_may_have() {
        let mut world = World::new(None);
        let away: BTreeSet<String> = ["a/Escalated".to_owned()].into();
        assert_eq!(world.look(&[("a", 1)], 0).len(), 1);
        assert_eq!(world.look(&[], 1).len(), 0, "it was not sent");
        // While it is under way it is not forgotten.
        let due = world.look(&[("a", 1)], 2);
        let now = world.at(3);
        assert!(world.book.look(&Wanted::new(), &away, now, Timestamp::UNIX_EPOCH).is_empty());
        assert_eq!(world.book.sent(&due[0], true, now), Some(Step::Told));
        assert_eq!(world.send(&[], 4, true), [Step::Ended]);
        // An answer that was lost may have been a yes.
        assert_eq!(world.send(&[("b", 1)], 5, false), [Step::Failed]);
        assert_eq!(world.send(&[], 6, true), [Step::Ended]);
    }

    #[test]
    fn another_attempt_is_told_anew_even_if_nobody_heard_of_the_end() {
        let mut world = World::new(None);
        assert_eq!(world.send(&[("a", 1)], 0, true), [Step::Told]);
        assert_eq!(world.send(&[("a", 2)], 1, true), [Step::Told]);
        assert_eq!(world.send(&[], 2, false), [Step::Failed]);
        assert_eq!(world.send(&[("a", 3)], 3, true), [Step::Told], "not held back by the failure");
    }

    #[test]
    fn what_was_told_before_a_restart_is_not_told_again_and_its_end_is() {
        let mut world = World::new(None);
        let notice = wanted(&[("a", 1)]).remove("a/Escalated").unwrap();
        world.book.restore(notice.clone(), world.begin);
        assert_eq!(world.send(&[("a", 1)], 0, true), []);
        assert_eq!(world.send(&[], 1, true), [Step::Ended]);
        // One that forgets is told at once that it still is so.
        let mut forgets = World::new(Some(REFRESH));
        forgets.book.restore(notice, forgets.begin);
        assert_eq!(forgets.send(&[("a", 1)], 0, true), [Step::Refreshed]);
    }

    #[test]
    fn there_is_an_end_to_what_one_receiver_is_told() {
        let mut world = World::new(Some(REFRESH));
        let names: Vec<String> = (0..MOST + 100).map(|number| format!("i{number}")).collect();
        let all: Vec<(&str, i64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let mut told = 0;
        for second in 0..60 {
            let due = world.look(&all, second);
            assert!(due.len() <= AT_ONCE);
            let now = world.at(second);
            told += due.iter().filter(|due| world.book.sent(due, true, now) == Some(Step::Told)).count();
        }
        assert_eq!(told, MOST);
        // Room is made by those that are over, and nobody is forgotten.
        for second in 60..200 {
            world.send(&all[..100], second, true);
        }
        assert_eq!(world.book.waiting(), 0);
    }
}
