//! What the monitor knows of a Subject, as it changes.

use std::time::Duration;

use audit_client::observations::Told;
use audit_client::remote::follow_observations;
use futures::StreamExt as _;

use super::{Audit, DENIED_PAUSE, FIRST_PAUSE, LAST_PAUSE, Trouble};
use crate::feed::{FeedEvent, Link, Outlet, Source, SubjectKey};

/// Tells for ever.
pub(super) async fn observe(audit: Audit, subject: SubjectKey, outlet: Outlet) {
    let source = Source::Observations(subject.clone());
    let link = |link: Link| FeedEvent::Link { source: source.clone(), link };
    let mut pause = FIRST_PAUSE;
    loop {
        let wait = match audit.reader().await {
            Ok(_) => {
                if listen(&audit, &subject, &link, &outlet).await.is_err() {
                    return;
                }
                DENIED_PAUSE
            }
            Err(trouble) => {
                if outlet.one(link(trouble.link())).await.is_err() {
                    return;
                }
                if matches!(trouble, Trouble::Lost(_)) { pause } else { DENIED_PAUSE }
            }
        };
        tokio::time::sleep(wait).await;
        pause = (pause * 2).min(LAST_PAUSE);
        if outlet.is_closed() {
            return;
        }
    }
}

/// Until an error that will not go away. An error of ours: the loop is gone.
async fn listen(
    audit: &Audit,
    subject: &SubjectKey,
    link: &impl Fn(Link) -> FeedEvent,
    outlet: &Outlet,
) -> Result<(), crate::feed::Closed> {
    let mut told = follow_observations(audit.shared.transport.clone(), &subject.namespace, &subject.name);
    let mut live = false;
    while let Some(next) = told.next().await {
        let news = match next {
            Ok(Told::Known(known)) => {
                let Ok(document) = serde_json::to_value(known) else { continue };
                let mut news = Vec::new();
                if !std::mem::replace(&mut live, true) {
                    news.push(link(Link::Live));
                }
                news.push(FeedEvent::Observations { subject: subject.clone(), document });
                news
            }
            // Single rounds are for whoever looks for a cause; the document has what they lead to.
            Ok(Told::Round(_)) => continue,
            Ok(Told::Waiting(reason)) => {
                live = false;
                vec![link(Link::Lost { reason })]
            }
            Err(error) => {
                outlet.one(link(Trouble::from(error).link())).await?;
                return Ok(());
            }
        };
        outlet.send(news).await?;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(())
}
