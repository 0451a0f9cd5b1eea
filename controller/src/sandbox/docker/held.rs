//! Whose agents are to stand still. A container that comes back to its networks is paused for a moment, and must not be
//! woken after that if somebody else wants it paused by then.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::session::SessionId;

/// The sessions whose containers are to stay paused.
#[derive(Default)]
pub(super) struct Held {
    sessions: Mutex<HashSet<SessionId>>,
    /// Held for reading while the engine is told what was said, for writing while a container is woken.
    order: RwLock<()>,
}

impl Held {
    /// Says that a session's agent is to stand still, or not any more. The engine is to be told while the guard lives.
    pub(super) async fn set(&self, session: &SessionId, held: bool) -> RwLockReadGuard<'_, ()> {
        let order = self.order.read().await;
        if held {
            self.sessions().insert(session.clone());
        } else {
            self.sessions().remove(session);
        }
        order
    }

    /// The right to wake the agent of a session that nobody holds, for as long as the guard lives.
    pub(super) async fn wake(&self, session: Option<&str>) -> Option<RwLockWriteGuard<'_, ()>> {
        let order = self.order.write().await;
        let is_held = session.is_some_and(|session| self.sessions().contains(&SessionId::from(session.to_owned())));
        (!is_held).then_some(order)
    }

    /// Its containers are gone.
    pub(super) fn forget(&self, session: &SessionId) {
        self.sessions().remove(session);
    }

    fn sessions(&self) -> MutexGuard<'_, HashSet<SessionId>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_held_is_not_woken() {
        let (held, session) = (Held::default(), SessionId::from("one".to_owned()));
        assert!(held.wake(Some("one")).await.is_some());
        drop(held.set(&session, true).await);
        assert!(held.wake(Some("one")).await.is_none());
        assert!(held.wake(Some("two")).await.is_some() && held.wake(None).await.is_some());
        // Who wants it held waits for one that is being woken, and has the last word.
        let waking = held.wake(Some("two")).await;
        let other = SessionId::from("two".to_owned());
        let set = held.set(&other, true);
        tokio::pin!(set);
        assert!(futures::poll!(&mut set).is_pending());
        drop(waking);
        drop(set.await);
        assert!(held.wake(Some("two")).await.is_none());
        drop(held.set(&session, false).await);
        held.forget(&other);
        assert!(held.wake(Some("one")).await.is_some() && held.wake(Some("two")).await.is_some());
    }
}
