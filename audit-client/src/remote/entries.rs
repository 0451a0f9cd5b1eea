//! Following a session: it goes on after the last entry that was told, through every outage.

use futures::stream::{self, BoxStream, StreamExt as _};

use super::connection::encode;
use super::events::{Beat, Events, RECONNECT_PAUSE};
use super::sse::Event;
use super::transport::Transport;
use crate::reader::{Followed, StoredEntry};
use crate::record::AuditError;
use crate::session::SessionId;
use crate::wire::Problem;

struct Follower {
    events: Events,
    id: SessionId,
    after: i64,
    waiting: bool,
    over: bool,
}

/// The entries of session `id` after number `after`.
pub(super) fn follow(
    transport: Transport,
    id: SessionId,
    after: i64,
) -> BoxStream<'static, Result<Followed, AuditError>> {
    let follower = Follower { events: Events::new(transport), id, after, waiting: false, over: false };
    stream::unfold(follower, |mut follower| async move {
        let next = follower.next().await?;
        Some((next, follower))
    })
    .boxed()
}

impl Follower {
    async fn next(&mut self) -> Option<Result<Followed, AuditError>> {
        while !self.over {
            let path = format!("/sessions/{}/entries?after={}&follow=true", encode(self.id.as_str()), self.after);
            match self.events.next(&path).await {
                Ok(Beat::Open) if std::mem::take(&mut self.waiting) => return Some(Ok(Followed::Back)),
                Ok(Beat::Open) => {}
                Ok(Beat::Event(event)) => {
                    if let Some(next) = self.take(&event) {
                        return Some(next);
                    }
                }
                Err(error) if error.is_transient() => {
                    if !std::mem::replace(&mut self.waiting, true) {
                        return Some(Ok(Followed::Waiting(error.to_string())));
                    }
                    tokio::time::sleep(RECONNECT_PAUSE).await;
                }
                Err(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }

    fn take(&mut self, event: &Event) -> Option<Result<Followed, AuditError>> {
        let sentence = || serde_json::from_str::<Problem>(&event.data).map_or_else(|_| event.data.clone(), |p| p.error);
        match event.name.as_str() {
            "entry" => match serde_json::from_str::<StoredEntry>(&event.data) {
                // What came twice over a reconnect is told once.
                Ok(entry) if entry.seq <= self.after => None,
                Ok(entry) => {
                    self.after = entry.seq;
                    Some(Ok(Followed::Entry(entry)))
                }
                Err(error) => {
                    self.over = true;
                    Some(Err(AuditError::Refused(format!("an entry from the audit API cannot be read: {error}"))))
                }
            },
            "waiting" => Some(Ok(Followed::Waiting(sentence()))),
            "back" => Some(Ok(Followed::Back)),
            "error" => {
                self.over = true;
                Some(Err(AuditError::Refused(sentence())))
            }
            "end" => {
                self.over = true;
                None
            }
            _ => None,
        }
    }
}
