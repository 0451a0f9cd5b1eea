//! Keeps the queue in order for all that ask, at once where few wait, and a few times a second where many do.
//!
//! A thousand Incidents that come at once would otherwise each walk all others. Here one task walks them, when
//! something changed, and wakes those for whom that means something.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::queue::{Line, Turn, Waiting};
use crate::context::Context;

/// Between two orders: so many times what one took …
const PAUSE: u32 = 50;
/// … but at least so long, that what comes together is one order …
const SHORTEST: Duration = Duration::from_millis(2);
/// … and at most so long.
const LONGEST: Duration = Duration::from_millis(250);
/// Should a change be missed.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// The order that holds, and the wish for a new one.
#[derive(Default)]
pub struct Dispatch {
    line: Mutex<Arc<Line>>,
    stale: Notify,
}

impl Dispatch {
    /// The queue's word on an Incident. One that it does not know, or knows otherwise, gets a place soon.
    #[must_use]
    pub fn turn(&self, me: &Waiting) -> Turn {
        let turn = self.line().turn(me);
        if turn == Turn::Unplaced {
            self.stale();
        }
        turn
    }

    /// Something changed: who waits, what runs, how many may.
    pub fn stale(&self) {
        self.stale.notify_one();
    }

    fn line(&self) -> Arc<Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, line: Line) -> (Arc<Line>, Arc<Line>) {
        let line = Arc::new(line);
        let before = std::mem::replace(&mut *self.line.lock().unwrap_or_else(PoisonError::into_inner), line.clone());
        (before, line)
    }
}

/// Keeps the queue in order until `stop`.
pub async fn run(context: Arc<Context>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = context.dispatch.stale.notified() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
        let began = Instant::now();
        let line = context.line();
        context.metrics.waiting.set(i64::try_from(line.len()).unwrap_or(i64::MAX));
        let (before, now) = context.dispatch.replace(line);
        context.engine.wake(now.news(&before));
        tokio::time::sleep(pause(began.elapsed())).await;
    }
}

/// How long nothing is ordered behind an order that took so long: a fiftieth of the time at most goes into orders, and an
/// Incident that comes right behind another one's end hardly waits.
fn pause(took: Duration) -> Duration {
    (took * PAUSE).clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use crds::Severity;
    use jiff::Timestamp;
    use kube::runtime::reflector::ObjectRef;

    use super::*;

    #[test]
    fn a_long_line_is_ordered_less_often() {
        assert_eq!(pause(Duration::ZERO), SHORTEST);
        assert_eq!(pause(Duration::from_millis(1)), Duration::from_millis(50));
        assert_eq!(pause(Duration::from_secs(1)), LONGEST);
    }

    #[tokio::test]
    async fn who_is_not_known_asks_for_a_new_order_once() {
        let dispatch = Dispatch::default();
        let me = Waiting {
            incident: ObjectRef::new("i").within("ns"),
            uid: "u".into(),
            attempt: 1,
            subject: "ns/s".into(),
            most: 1,
            severity: Severity::Error,
            created: Timestamp::UNIX_EPOCH,
        };
        for _ in 0..1000 {
            assert_eq!(dispatch.turn(&me), Turn::Unplaced);
        }
        dispatch.stale.notified().await;
        let again = tokio::time::timeout(Duration::from_millis(20), dispatch.stale.notified()).await;
        assert!(again.is_err(), "a thousand that ask are one wish");
        dispatch.replace(Line::new(vec![me.clone()], &HashMap::new(), 1));
        assert_eq!(dispatch.turn(&me), Turn::Start);
    }
}
