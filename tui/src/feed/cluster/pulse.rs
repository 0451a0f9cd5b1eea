//! A connection that died without a word looks like one on which nothing happens. So the API server is asked for a sign
//! of life now and then; without one, everything connects anew.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;

/// Between two questions.
const EVERY: Duration = Duration::from_secs(10);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks for ever.
pub(super) async fn feel(shared: Arc<Shared>) {
    let mut lost = false;
    loop {
        tokio::time::sleep(EVERY).await;
        if shared.outlet.get().is_none_or(super::Outlet::is_closed) {
            return;
        }
        let alive = tokio::time::timeout(PATIENCE, shared.client.apiserver_version()).await;
        // An answer that is a refusal is a sign of life.
        let alive = matches!(alive, Ok(Ok(_) | Err(kube::Error::Api(_))));
        // Said once: what connects anew finds out for itself when it is over.
        if !alive && !lost {
            shared.pulse.send_modify(|pulse| *pulse += 1);
        }
        lost = !alive;
    }
}
