//! Following what the monitor knows of a Subject.

use futures::stream::{self, BoxStream, StreamExt as _};

use super::connection::encode;
use super::events::{Beat, Events, RECONNECT_PAUSE};
use super::sse::Event;
use super::transport::Transport;
use crate::observations::Told;
use crate::record::AuditError;

struct Follower {
    events: Events,
    path: String,
    /// The Subject, for sentences.
    subject: String,
    waiting: bool,
    over: bool,
}

/// What the monitor knows of the Subject, for ever: also through outages, and while the Subject is not watched. Only the
/// controller that leads knows it, so the others' pods are asked in turn until one does. It ends with an error that will
/// not go away.
#[must_use]
pub fn follow(transport: Transport, namespace: &str, name: &str) -> BoxStream<'static, Result<Told, AuditError>> {
    let follower = Follower {
        events: Events::new(transport),
        path: format!("/subjects/{}/{}/observations?follow=true", encode(namespace), encode(name)),
        subject: format!("{namespace}/{name}"),
        waiting: false,
        over: false,
    };
    stream::unfold(follower, |mut follower| async move {
        let next = follower.next().await?;
        Some((next, follower))
    })
    .boxed()
}

impl Follower {
    async fn next(&mut self) -> Option<Result<Told, AuditError>> {
        while !self.over {
            let why = match self.events.next(&self.path).await {
                // What is known comes at once.
                Ok(Beat::Open) => continue,
                Ok(Beat::Event(event)) if event.name == "end" => {
                    format!("Subject {} is not watched any more", self.subject)
                }
                Ok(Beat::Event(event)) => match read(&event) {
                    Some(Ok(told)) => {
                        self.waiting = false;
                        return Some(Ok(told));
                    }
                    Some(Err(error)) => {
                        self.over = true;
                        return Some(Err(error));
                    }
                    None => continue,
                },
                // It may come back, or be watched soon.
                Err(error) if error.is_transient() || matches!(error, AuditError::NotFound(_)) => error.to_string(),
                Err(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
            };
            self.events.ask_another();
            if !std::mem::replace(&mut self.waiting, true) {
                return Some(Ok(Told::Waiting(why)));
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
        None
    }
}

fn read(event: &Event) -> Option<Result<Told, AuditError>> {
    let told = match event.name.as_str() {
        "observations" => serde_json::from_str(&event.data).map(|known| Told::Known(Box::new(known))),
        "round" => serde_json::from_str(&event.data).map(Told::Round),
        _ => return None,
    };
    Some(told.map_err(|error| AuditError::Refused(format!("what the monitor tells cannot be read: {error}"))))
}
