//! What Incidents' statuses have seen of the trail. The cluster's store is not the trail's, so who owns
//! one alone cannot cut the tail off both.

use std::path::Path;

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use serde_json::Value;

use super::AuditCliError;
use super::source::Source;
use crate::audit::proof::Hash;
use crate::audit::proof::verify::Witness;
use crate::error::chain;
use crate::session::SessionId;

/// Incidents in one page.
const PAGE: u32 = 500;

/// The witnesses, and a sentence about them.
pub(super) async fn gather(
    source: Option<&Source>,
    file: Option<&Path>,
) -> Result<(Vec<Witness>, String), AuditCliError> {
    let incidents = if let Some(path) = file {
        from_file(path)?
    } else if let Some(client) = source.and_then(|source| source.cluster.as_ref()) {
        match from_cluster(client).await {
            Ok(incidents) => incidents,
            Err(error) => {
                let why =
                    format!("no Incident's status was compared, because they cannot be listed: {}", chain(&error));
                return Ok((Vec::new(), why));
            }
        }
    } else {
        let none = "no Incident's status was compared, so that a tail that was cut off may not show: --incidents FILE";
        return Ok((Vec::new(), none.to_owned()));
    };
    let witnesses: Vec<Witness> = incidents.iter().filter_map(witness).collect();
    let said = format!("compared with the statuses of {} Incidents", witnesses.len());
    Ok((witnesses, said))
}

async fn from_cluster(client: &kube::Client) -> Result<Vec<Value>, kube::Error> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("operator.dev", "v1alpha1", "Incident"));
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let (mut all, mut params) = (Vec::new(), ListParams::default().limit(PAGE));
    loop {
        let page = api.list(&params).await?;
        // Of each only what is needed here.
        all.extend(page.items.into_iter().map(|incident| {
            serde_json::json!({
                "metadata": {"namespace": incident.metadata.namespace, "name": incident.metadata.name},
                "status": {"sessionId": incident.data["status"]["sessionId"], "audit": incident.data["status"]["audit"]},
            })
        }));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}

fn from_file(path: &Path) -> Result<Vec<Value>, AuditCliError> {
    let wrong =
        |error: &dyn std::fmt::Display| AuditCliError::File(format!("{} cannot be read: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
    match value {
        Value::Object(mut list) if list.get("items").is_some_and(Value::is_array) => match list.remove("items") {
            Some(Value::Array(items)) => Ok(items),
            _ => Ok(Vec::new()),
        },
        Value::Object(one) => Ok(vec![Value::Object(one)]),
        _ => Err(wrong(&"expected what `kubectl get incidents -A -o json` prints")),
    }
}

/// What a status has seen; none if it has seen nothing.
fn witness(incident: &Value) -> Option<Witness> {
    let (metadata, status) = (&incident["metadata"], &incident["status"]);
    let audit = &status["audit"];
    let hash = |name: &str| audit[name].as_str()?.parse::<Hash>().ok();
    let entry = (|| {
        let session = SessionId::from(status["sessionId"].as_str()?.to_owned());
        Some((session, audit["seq"].as_i64()?, hash("hash")?))
    })();
    let link = (|| Some((audit["link"].as_i64()?, hash("linkHash")?)))();
    if entry.is_none() && link.is_none() {
        return None;
    }
    let text = |name: &str| metadata[name].as_str().unwrap_or("?").to_owned();
    Some(Witness { who: format!("the status of the Incident {}/{}", text("namespace"), text("name")), entry, link })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_a_witness_of_what_it_says() {
        let (one, two) = (Hash::of(b"1"), Hash::of(b"2"));
        let incident = serde_json::json!({
            "metadata": {"namespace": "demo", "name": "a"},
            "status": {"sessionId": "s", "audit": {"seq": 3, "hash": one, "link": 7, "linkHash": two}},
        });
        let seen = witness(&incident).unwrap();
        assert_eq!(seen.who, "the status of the Incident demo/a");
        assert_eq!(seen.entry, Some((SessionId::from("s".to_owned()), 3, one)));
        assert_eq!(seen.link, Some((7, two)));
        for nothing in [serde_json::json!({}), serde_json::json!({"status": {"audit": {"seq": 3, "hash": "x"}}})] {
            assert_eq!(witness(&nothing), None);
        }
    }
}
