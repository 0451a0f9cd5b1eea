//! The controller's side: follows the ConfigMap. While the API server is away the last word holds.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Halt, object};
use crate::context::Context;
use crate::error::chain;
use crate::http::Readiness;

/// Between two tries to put a halt on record.
const RETRY: Duration = Duration::from_secs(5);

/// What `/readyz` waits for.
const WHAT: &str = "halt";

/// Follows the ConfigMap of an installation until `stop`. Returns once it is known whether it is halted: nothing may
/// begin before that.
pub async fn follow(
    client: Client,
    namespace: &str,
    installation: &str,
    readiness: &Readiness,
    stop: CancellationToken,
) -> watch::Receiver<Option<Halt>> {
    let name = object(installation);
    let api: Api<ConfigMap> = Api::namespaced(client, namespace);
    let (said, halt) = watch::channel(None);
    let (known, first) = tokio::sync::oneshot::channel();
    readiness.pending(WHAT, &format!("whether the ConfigMap {namespace}/{name} halts this installation"));
    let task = readiness.clone();
    let place = format!("{namespace}/{name}");
    tokio::spawn(async move {
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut events = std::pin::pin!(watcher(api, config).default_backoff());
        let mut known = Some(known);
        let mut listed = None;
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = stop.cancelled() => return,
            };
            match event {
                Some(Ok(Event::Init)) => listed = None,
                Some(Ok(Event::InitApply(object))) => listed = Some(object),
                Some(Ok(Event::InitDone)) => {
                    say(&said, Halt::read(listed.take().as_ref()));
                    task.done(WHAT);
                    if let Some(known) = known.take() {
                        // Nobody waits any more: the controller stops.
                        let _ = known.send(());
                    }
                }
                Some(Ok(Event::Apply(object))) => say(&said, Halt::read(Some(&object))),
                Some(Ok(Event::Delete(_))) => say(&said, None),
                Some(Err(error)) => {
                    let error = chain(&error);
                    if known.is_some() {
                        task.pending(WHAT, &format!("the ConfigMap {place} cannot be watched: {error}"));
                    }
                    tracing::warn!(object = place, error, "whether the installation is halted is asked again");
                }
                None => return,
            }
        }
    });
    // An error means that the task has stopped, and then so has all else.
    let _ = first.await;
    halt
}

fn say(said: &watch::Sender<Option<Halt>>, halt: Option<Halt>) {
    said.send_if_modified(|before| {
        if *before == halt {
            return false;
        }
        if let Some(halt) = &halt {
            tracing::warn!(by = halt.by, reason = halt.reason, "the installation is halted");
        } else {
            tracing::info!("the installation is not halted any more");
        }
        *before = halt;
        true
    });
}

/// Tells those that wait when the word changes, shows it in the metrics, and puts it on record, until `stop`.
pub async fn tell(context: Arc<Context>, stop: CancellationToken) {
    let mut halt = context.halt.clone();
    let mut first = true;
    loop {
        let now = halt.borrow_and_update().clone();
        context.metrics.halted.set(i64::from(now.is_some()));
        if !first || now.is_some() {
            context.wake_waiting();
        }
        first = false;
        let recorded = record(&context, now.as_ref());
        tokio::pin!(recorded);
        let mut on_record = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = halt.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    break;
                }
                () = &mut recorded, if !on_record => on_record = true,
            }
        }
    }
}

/// Until it stands, or will not.
async fn record(context: &Context, halt: Option<&Halt>) {
    while let Err(error) = context.audit.record_halt(halt).await {
        if !error.is_transient() {
            return tracing::error!(error = chain(&error), "a halt or its end is not on record in the audit store");
        }
        tracing::debug!(error = chain(&error), "the halt is put on record when the audit store is back");
        tokio::time::sleep(RETRY).await;
    }
}
