//! Looks at the engine for all Subjects at once, lets go of those that are no more, and removes what is left over.
//!
//! An observer is left over if nobody watches its Subject: the controller that made it died before it could remove it, or
//! the engine was away. At the start nobody watches anything yet, so one is removed only if the API server says that its
//! Subject is not to be watched.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::Subject;
use kube::ResourceExt as _;
use kube::api::Api;
use kube::runtime::reflector::ObjectRef;
use tokio_util::sync::CancellationToken;

use super::observers::Found;
use super::order::Order;
use crate::context::Context;
use crate::error::chain;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(5);
/// How long one look may take.
const LIMIT: Duration = Duration::from_secs(20);
/// For so long an observer may have no task before it is asked whether it should have one.
const GRACE: Duration = Duration::from_secs(30);

/// Looks until `stop`, and then leaves everything where it stands.
pub async fn run(context: Arc<Context>, stop: CancellationToken) {
    let mut without = HashMap::new();
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = tick.tick() => {}
        }
        let look = once(&context, &mut without);
        tokio::select! {
            () = stop.cancelled() => break,
            () = look => {}
        }
    }
    context.watch.abandon().await;
}

async fn once(context: &Arc<Context>, without: &mut HashMap<String, Instant>) {
    let watch = &context.watch;
    for (subject, uid) in watch.subjects() {
        let there = context.subjects.get(&subject);
        if there.is_none_or(|there| there.uid().as_ref() != Some(&uid) || there.metadata.deletion_timestamp.is_some()) {
            watch.tend(&subject, None, &super::kubernetes::outside(context));
        }
    }
    let late = |_| {
        let reason = format!("it did not answer within {LIMIT:?}");
        Err(crate::sandbox::SandboxError::EngineUnavailable { reason })
    };
    let survey = tokio::time::timeout(LIMIT, watch.observers().survey()).await.unwrap_or_else(late).map(Arc::new);
    watch.surveyed(survey.clone());
    let Ok(survey) = survey else { return };
    let watched = watch.uids();
    without.retain(|name, _| survey.observers.iter().any(|found| found.name == *name));
    for found in survey.observers.iter().filter(|found| !watched.contains(&found.uid)) {
        let since = *without.entry(found.name.clone()).or_insert_with(Instant::now);
        if since.elapsed() >= GRACE && is_left_over(context, found).await {
            tracing::info!(observer = found.name, subject = found.subject, "removing an observer that nobody wants");
            if let Err(error) = watch.observers().remove(&found.name).await {
                tracing::warn!(observer = found.name, error = chain(&error), "an observer could not be removed");
            }
        }
    }
}

/// Whether its Subject is not to be watched. What cannot be found out just now is looked at again later.
async fn is_left_over(context: &Context, found: &Found) -> bool {
    let Some((namespace, name)) = found.subject.split_once('/') else { return true };
    let wanted = |subject: Arc<Subject>| {
        subject.uid().as_ref() == Some(&found.uid)
            && context.serves(&subject.metadata)
            && Order::new(&subject, &context.defaults).is_ok()
    };
    if let Some(subject) = context.subjects.get(&ObjectRef::new(name).within(namespace)) {
        return !wanted(subject);
    }
    let api: Api<Subject> = Api::namespaced(context.client.clone(), namespace);
    match tokio::time::timeout(LIMIT, api.get_opt(name)).await {
        Ok(Ok(subject)) => !subject.is_some_and(|subject| wanted(Arc::new(subject))),
        Ok(Err(error)) => {
            tracing::debug!(observer = found.name, error = chain(&error), "its Subject cannot be read");
            false
        }
        Err(_) => false,
    }
}
