//! Following a session by asking again: for readers that can be asked for a page.
//!
//! A page by primary key costs a fraction of a millisecond, so asking four times a second is cheap,
//! survives every kind of outage without a protocol, and puts nothing in the writer's way. A reader
//! in the writer's own process is woken at once.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::broadcast;

use super::AuditError;
use super::reader::{AuditReader, Followed, MAX_ENTRIES, StoredEntry};
use crate::session::SessionId;

/// How often the table is asked when nobody wakes the follower.
pub const POLL: Duration = Duration::from_millis(250);
/// How long a follower waits between attempts while the store is unavailable.
const OUTAGE_PAUSE: Duration = Duration::from_secs(1);

struct Follower<R: ?Sized> {
    reader: Arc<R>,
    id: SessionId,
    after: i64,
    ready: std::collections::VecDeque<StoredEntry>,
    wake: Option<broadcast::Receiver<SessionId>>,
    waiting: bool,
    over: bool,
}

/// Follows `id` by [`AuditReader::page`]; `wake` names sessions that were just appended to.
pub fn follow_by_asking<R: AuditReader + ?Sized>(
    reader: Arc<R>,
    id: SessionId,
    after: i64,
    wake: Option<broadcast::Receiver<SessionId>>,
) -> BoxStream<'static, Result<Followed, AuditError>> {
    let follower =
        Follower { reader, id, after, ready: std::collections::VecDeque::new(), wake, waiting: false, over: false };
    stream::unfold(follower, |mut follower| async move {
        let next = follower.next().await?;
        Some((next, follower))
    })
    .boxed()
}

impl<R: AuditReader + ?Sized> Follower<R> {
    async fn next(&mut self) -> Option<Result<Followed, AuditError>> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                self.over = entry.is_seal();
                self.after = entry.seq;
                return Some(Ok(Followed::Entry(entry)));
            }
            if self.over {
                return None;
            }
            match self.reader.page(&self.id, self.after, MAX_ENTRIES).await {
                Ok(_) if std::mem::take(&mut self.waiting) => return Some(Ok(Followed::Back)),
                Ok(page) if page.is_empty() => {
                    if self.after == 0 || !self.sealed_before().await {
                        self.sleep().await;
                    } else {
                        return None;
                    }
                }
                Ok(page) => self.ready.extend(page),
                Err(error) if error.is_transient() => {
                    if !self.waiting {
                        self.waiting = true;
                        return Some(Ok(Followed::Waiting(error.to_string())));
                    }
                    tokio::time::sleep(OUTAGE_PAUSE).await;
                }
                Err(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
            }
        }
    }

    /// Whether the entry that the caller has already was the seal.
    async fn sealed_before(&mut self) -> bool {
        matches!(self.reader.page(&self.id, self.after - 1, 1).await.as_deref(), Ok([entry]) if entry.is_seal())
    }

    /// Until the session was appended to, or it is time to ask again.
    async fn sleep(&mut self) {
        let Some(wake) = &mut self.wake else {
            tokio::time::sleep(POLL).await;
            return;
        };
        let id = &self.id;
        let woken = async {
            loop {
                match wake.recv().await {
                    Ok(session) if session != *id => {}
                    // Lagged: it may have been ours.
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
                    Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        let _ = tokio::time::timeout(POLL, woken).await;
    }
}
