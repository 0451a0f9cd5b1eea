//! The person's side: writes the ConfigMap, with the person's own rights.

use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;

use super::{Halt, KEY, object};
use crate::error::chain;

/// The field manager of what the command line writes.
const MANAGER: &str = "operator-cli";

/// Why an installation could not be halted or resumed.
#[derive(Debug, thiserror::Error)]
#[error("the ConfigMap {namespace}/{name} could not be written, so nothing changed: {reason}")]
pub struct OrderError {
    namespace: String,
    name: String,
    reason: String,
}

/// Halts an installation.
///
/// # Errors
/// If the ConfigMap cannot be written: no right, no cluster.
pub async fn halt(
    client: Client,
    namespace: &str,
    installation: &str,
    reason: Option<String>,
) -> Result<Halt, OrderError> {
    let halt = Halt { by: who(&client).await, reason, since: Some(Timestamp::now()) };
    write(client, namespace, installation, "true", &halt).await?;
    Ok(halt)
}

/// Lets an installation go on.
///
/// # Errors
/// As [`halt`].
pub async fn resume(client: Client, namespace: &str, installation: &str) -> Result<(), OrderError> {
    let end = Halt { by: who(&client).await, reason: None, since: Some(Timestamp::now()) };
    write(client, namespace, installation, "false", &end).await
}

async fn write(
    client: Client,
    namespace: &str,
    installation: &str,
    halted: &str,
    halt: &Halt,
) -> Result<(), OrderError> {
    let name = object(installation);
    let mut data = json!({KEY: halted, "by": halt.by.clone().unwrap_or_default()});
    // What is left out of this manager's fields goes: an old reason does not outlive its halt.
    if let Some(reason) = &halt.reason {
        data["reason"] = json!(reason);
    }
    if let Some(since) = halt.since {
        data["since"] = json!(since.to_string());
    }
    let patch = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {crds::names::LABEL_INSTALLATION: installation}},
        "data": data,
    });
    let params = PatchParams::apply(MANAGER).force();
    let written = Api::<ConfigMap>::namespaced(client, namespace).patch(&name, &params, &Patch::Apply(&patch)).await;
    written.map(drop).map_err(|error| OrderError { namespace: namespace.to_owned(), name, reason: chain(&error) })
}

/// The caller's name as the API server knows it. For people who read the reason: nothing depends on it.
async fn who(client: &Client) -> Option<String> {
    let api: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = api.create(&PostParams::default(), &SelfSubjectReview::default()).await.ok()?;
    review.status?.user_info?.username
}
