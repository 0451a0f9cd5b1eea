//! What an earlier controller, or an engine that was gone at the wrong moment, left behind.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::context::Context;

/// Between two sweeps.
const EVERY: Duration = Duration::from_mins(1);
/// How long one removal may take.
const LIMIT: Duration = Duration::from_secs(20);

/// Sweeps now and then until `stop`.
pub async fn run(context: Arc<Context>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        once(&context).await;
    }
}

/// Removes every sandbox of this installation whose session this controller does not run.
async fn once(context: &Context) {
    let left = match tokio::time::timeout(LIMIT, context.sandboxes.list()).await {
        Ok(Ok(left)) => left,
        Ok(Err(error)) => return tracing::debug!(error = crate::error::chain(&error), "no sweep: the engine is away"),
        Err(_) => return tracing::debug!("no sweep: the engine does not answer"),
    };
    // Looked up after the list: a session that began meanwhile has its container in neither.
    if context.engine.has_unnamed() {
        return;
    }
    let active = context.engine.active();
    for leftover in left.into_iter().filter(|leftover| !active.contains(&leftover.session)) {
        tracing::info!(session = %leftover.session, container = leftover.name, "removing what a session left");
        match tokio::time::timeout(LIMIT, context.sandboxes.remove(&leftover.session)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(container = leftover.name, error = crate::error::chain(&error), "could not be removed");
            }
            Err(_) => tracing::warn!(container = leftover.name, "was not removed in time"),
        }
    }
}
