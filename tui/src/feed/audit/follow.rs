//! What is written to a session, as it is written.

use audit_client::{AuditReader as _, Followed, SessionId};
use futures::StreamExt as _;

use super::{Audit, DENIED_PAUSE, FIRST_PAUSE, LAST_PAUSE, Trouble, entry};
use crate::feed::{Entry, FeedEvent, Link, Outlet, Source};

/// The most entries that are told at once.
const BATCH: usize = 256;

/// Tells until the session is sealed.
pub(super) async fn follow(audit: Audit, session: String, after: i64, outlet: Outlet) {
    let source = Source::Session(session.clone());
    let link = |link: Link| FeedEvent::Link { source: source.clone(), link };
    let mut pause = FIRST_PAUSE;
    let reader = loop {
        let trouble = match audit.reader().await {
            Ok(reader) => break reader,
            Err(trouble) => trouble,
        };
        if outlet.one(link(trouble.link())).await.is_err() {
            return;
        }
        tokio::time::sleep(if matches!(trouble, Trouble::Lost(_)) { pause } else { DENIED_PAUSE }).await;
        pause = (pause * 2).min(LAST_PAUSE);
    };
    if outlet.one(link(Link::Live)).await.is_err() {
        return;
    }
    let mut followed = reader.follow(SessionId::from(session.clone()), after).ready_chunks(BATCH);
    while let Some(chunk) = followed.next().await {
        let mut news = Vec::new();
        let mut entries: Vec<Entry> = Vec::new();
        for told in chunk {
            match told {
                Ok(Followed::Entry(stored)) => entries.push(entry(stored)),
                Ok(Followed::Waiting(reason)) => {
                    flush(&session, &mut entries, &mut news);
                    news.push(link(Link::Lost { reason }));
                }
                Ok(Followed::Back) => news.push(link(Link::Live)),
                Err(error) => {
                    flush(&session, &mut entries, &mut news);
                    news.push(link(Trouble::from(error).link()));
                    let _ = outlet.send(news).await;
                    return;
                }
            }
        }
        flush(&session, &mut entries, &mut news);
        if outlet.send(news).await.is_err() {
            return;
        }
    }
    // The loop may be gone; then there is nobody to tell.
    let _ = outlet.one(link(Link::Ended)).await;
}

fn flush(session: &str, entries: &mut Vec<Entry>, news: &mut Vec<FeedEvent>) {
    if !entries.is_empty() {
        let entries = std::mem::take(entries);
        news.push(FeedEvent::Entries { session: session.to_owned(), entries, answers: None });
    }
}
