//! What a task shows: its views, and when the status and Events say something of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::condition::ConditionStatus;
use crds::invariant::InvariantState;
use jiff::Timestamp;

use super::{SETTLE, SETTLE_ALL, Task};
use crate::invariant::View;
use crate::monitor::history::Turns;
use crate::monitor::mind::Thought;
use crate::monitor::open::Violation;
use crate::monitor::outside::News;
use crate::monitor::status::{count, is_news};
use crate::monitor::watched::{Observed, Snapshot};
use crate::printable::short_line;

/// Between two looks at a status in which only words changed.
const WORDS: Duration = Duration::from_secs(10);
/// So many Events at once; the rest are counted in one.
const EVENTS: usize = 8;

impl Task {
    /// Shows a thought, or that nothing can be thought.
    pub(super) fn show(&mut self, thought: Option<Thought>) {
        let keeping = self.keeping.borrow().clone();
        let mut new = Snapshot {
            at: Timestamp::now(),
            rounds: self.count,
            observed: self.observed(keeping.observed),
            observer: keeping.standing,
            held: self.memory.held.clone(),
            ..(*self.snapshot).clone()
        };
        if let Some(thought) = thought {
            (new.views, new.shown) = (thought.views, thought.shown);
            self.clean(&mut new.views);
        } else if self.late {
            new.views = self.unknown("judging it took too long");
        } else if new.observed == self.snapshot.observed
            && new.observer == self.snapshot.observer
            && new.held == self.snapshot.held
        {
            return;
        }
        let settled = self.is_settled(&new);
        if settled {
            let turns = self.history.see(&mut new.views, new.at);
            self.announce(&turns);
            self.memory.violated = turns.violated;
            if self.memory.violated.is_empty() {
                self.memory.held = None;
                new.held = None;
            }
            let of = |state| i64::try_from(count(&new.views, state)).unwrap_or(i64::MAX);
            self.shared.metrics.set_subject(
                &self.order.name,
                of(InvariantState::Violated),
                of(InvariantState::Unknown),
            );
        }
        let new = Arc::new(new);
        self.snapshot = new.clone();
        self.watched.show(new.clone());
        if settled {
            self.publish(new);
        }
    }

    /// Has the status say it: at once what is news, words that changed now and then.
    fn publish(&mut self, new: Arc<Snapshot>) {
        let old = self.watched.published();
        let news = old.as_ref().is_none_or(|old| is_news(old, &new));
        let due = self.published.is_none_or(|at| at.elapsed() >= WORDS);
        let words = || old.as_ref().is_some_and(|old| old.views != new.views);
        if news || (due && words()) {
            self.published = Some(Instant::now());
            self.watched.publish(new);
            self.outside.changed(&self.order);
        }
    }

    /// Whether enough is known to say it: after a restart of the controller the status goes on saying what it said until
    /// the log is heard and everything was read.
    fn is_settled(&self, new: &Snapshot) -> bool {
        if self.watched.published().is_some() && self.live.is_some() {
            return true;
        }
        let all_read = || self.order.subject.spec.probes.iter().all(|probe| self.read.contains(&probe.name));
        let live = self.live.is_some_and(|since| all_read() || since.elapsed() >= SETTLE);
        let cannot = new.observed.status == ConditionStatus::False && self.live.is_some();
        live || cannot || self.begun.elapsed() >= SETTLE_ALL
    }

    fn observed(&self, keeping: Observed) -> Observed {
        if keeping.status != ConditionStatus::True {
            return keeping;
        }
        if self.late {
            let message =
                "judging the invariants took longer than 5 s: make the expressions simpler, or what they go over";
            return Observed::not("TooSlow", message);
        }
        if self.mind.mistakes.is_empty() {
            return keeping;
        }
        let wrong: Vec<String> =
            self.mind.mistakes.iter().map(|mistake| format!("{}: {}", mistake.path, mistake.message)).collect();
        Observed::not("InvariantsWrong", short_line(&wrong.join("; "), 2000))
    }

    fn clean(&self, views: &mut [View]) {
        for view in views {
            if view.state != InvariantState::Ok {
                view.message = self.outside.clean(&self.order, &view.message);
            }
            for key in view.keys.iter_mut().filter(|key| key.state != InvariantState::Ok) {
                key.message = self.outside.clean(&self.order, &key.message);
            }
        }
    }

    fn unknown(&self, why: &str) -> Vec<View> {
        let view = |invariant: &crds::invariant::Invariant| View {
            name: invariant.name.clone(),
            severity: invariant.severity,
            state: InvariantState::Unknown,
            message: why.to_owned(),
            ..View::default()
        };
        self.order.subject.spec.invariants.iter().map(view).collect()
    }

    fn announce(&self, turns: &Turns) {
        let mut news = Vec::new();
        let violated = |violation: &Violation| News {
            warning: true,
            reason: "InvariantViolated",
            about: violation.label(),
            note: format!("{} ({}): {}", violation.label(), violation.severity.as_str(), violation.message),
        };
        news.extend(turns.begun.iter().take(EVENTS).map(violated));
        if turns.begun.len() > EVENTS {
            let note = format!("{} more are violated", turns.begun.len() - EVENTS);
            news.push(News { warning: true, reason: "InvariantViolated", about: "others".into(), note });
        }
        let cleared = |named: &crds::incident::Violated| News {
            warning: false,
            reason: "InvariantCleared",
            about: format!("{}[{}]", named.invariant, named.key),
            note: if named.key.is_empty() {
                format!("{} is not violated any more", named.invariant)
            } else {
                format!("{}[{}] is not violated any more", named.invariant, named.key)
            },
        };
        news.extend(turns.cleared.iter().take(EVENTS).map(cleared));
        if turns.cleared.len() > EVENTS {
            let note = format!("{} more are not violated any more", turns.cleared.len() - EVENTS);
            news.push(News { warning: false, reason: "InvariantCleared", about: "others".into(), note });
        }
        if !news.is_empty() {
            self.outside.tell(&self.order, None, news);
        }
    }
}
