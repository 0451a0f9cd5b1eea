//! Changes: the very call that the person has seen.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request};
use serde_json::Value;

use super::{Shared, explain};
use crate::act::Act;
use crate::feed::{Closed, Outlet};
use crate::msg::Done;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Makes a change and says how it went.
pub(super) async fn act(shared: Arc<Shared>, act: Act, outlet: Outlet) -> Result<(), Closed> {
    let done = match tokio::time::timeout(PATIENCE, patch(&shared.client, &act)).await {
        Ok(Ok(())) => Done::Good(act.done()),
        Ok(Err(why)) => Done::Bad(format!("could not {}: {why}", act.says())),
        Err(_) => {
            Done::Bad(format!("no answer within {PATIENCE:?}, and nobody knows whether it was done: {}", act.says()))
        }
    };
    outlet.done(done).await
}

async fn patch(client: &kube::Client, act: &Act) -> Result<(), String> {
    let request = Request::builder()
        .method(Method::PATCH)
        .uri(act.path())
        .header(http::header::CONTENT_TYPE, act.content_type())
        .header(http::header::ACCEPT, "application/json")
        .body(act.patch().to_string().into_bytes())
        .map_err(|error| error.to_string())?;
    client.request::<Value>(request).await.map(|_| ()).map_err(|error| explain::refusal(&error))
}
