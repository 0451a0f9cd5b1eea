//! A feed that a test holds in its hands.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use super::{Feed, FeedEvent, Outlet, Request};

/// News that were put in beforehand or are put in by hand, and the wishes that were made.
#[derive(Clone, Debug, Default)]
pub struct MemoryFeed {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    outlet: Option<Outlet>,
    waiting: Vec<Vec<FeedEvent>>,
    asked: Vec<Request>,
    now: Option<Timestamp>,
}

impl MemoryFeed {
    /// A feed whose clock stands still.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        let feed = Self::default();
        feed.lock().now = Some(now);
        feed
    }

    /// Sends news, now or once it is started.
    pub fn push(&self, events: Vec<FeedEvent>) {
        let mut state = self.lock();
        match state.outlet.clone() {
            Some(outlet) => {
                tokio::spawn(async move { outlet.send(events).await });
            }
            None => state.waiting.push(events),
        }
    }

    /// Takes the wishes that were made so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Request> {
        std::mem::take(&mut self.lock().asked)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Feed for MemoryFeed {
    fn start(&self, outlet: Outlet) {
        let waiting = {
            let mut state = self.lock();
            state.outlet = Some(outlet.clone());
            std::mem::take(&mut state.waiting)
        };
        tokio::spawn(async move {
            for events in waiting {
                if outlet.send(events).await.is_err() {
                    break;
                }
            }
        });
    }

    fn ask(&self, request: Request) {
        self.lock().asked.push(request);
    }

    fn now(&self) -> Timestamp {
        self.lock().now.unwrap_or_else(Timestamp::now)
    }
}
